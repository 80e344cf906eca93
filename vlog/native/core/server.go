package core

import (
	"math"
	"slices"

	"rebase/vlog"
)

// server is the state of one loglet on one log server.
//
// Everything that it tells is on its disk. So it has two states: what has been synced, which it tells and acts on, and what has been
// queued for the disk, which decides what is still to be queued. Records reach the disk in order; the queue's answers leave
// in order, each when the records before it are durable. That order is what makes the seal work: an entry
// queued before the seal's record is on the disk no later than the seal is, so the tail that goes out with the seal covers it.
type server struct {
	host   *Host
	key    Key
	opened bool // its RecordOpen has been given out

	held    []run         // positions on the disk, ascending; a gap holds nothing but committed entries
	tail    vlog.Position // behind the last position on the disk
	sealed  bool
	lost    bool
	over    bool // dropped
	trimmed vlog.Position
	known   vlog.Position

	queuedTail  vlog.Position
	queuedSeal  bool
	queuedOver  bool
	queuedTrim  vlog.Position
	sealedKnown vlog.Position // a Known that came with a seal: believed when the seal is on the disk
	waiting     []Message     // Waits not yet answered
	soonest     vlog.Position // no Wait is for less
}

// run is the positions [first, next).
type run struct{ first, next vlog.Position }

func newServer(h *Host, k Key) *server {
	return &server{host: h, key: k, tail: 1, trimmed: 1, known: 1, queuedTail: 1, queuedTrim: 1, sealedKnown: 1, soonest: math.MaxUint64}
}

// apply makes a record part of the synced state.
func (s *server) apply(r Record) {
	switch r.Kind {
	case RecordEntry:
		if n := len(s.held); n > 0 && s.held[n-1].next == r.Pos {
			s.held[n-1].next++
		} else {
			s.held = append(s.held, run{r.Pos, r.Pos + 1})
		}
		s.tail = max(s.tail, r.Pos+1)
	case RecordSeal:
		s.sealed = true
	case RecordTrim:
		s.trimmed = max(s.trimmed, r.Pos)
		s.tail = max(s.tail, r.Pos)
		for len(s.held) > 0 && s.held[0].first < s.trimmed {
			if s.held[0].first = s.trimmed; s.held[0].next <= s.trimmed {
				s.held = s.held[1:]
				continue
			}
			break
		}
	case RecordLost:
		s.lost = true
	case RecordDrop:
		s.over, s.sealed, s.held = true, true, nil
	}
}

// settle brings the queued state in line with the synced one after a restart. What is trimmed was committed; without that, a repair
// would look for entries that nobody has any more.
func (s *server) settle() {
	s.queuedTail, s.queuedSeal, s.queuedTrim, s.queuedOver = s.tail, s.sealed, s.trimmed, s.over
	if s.host.mistakes&mistakeTrimUnknown == 0 {
		s.known = max(s.known, s.trimmed)
	}
}

// hear takes notice of what every message carries.
//
// A Known says that everything below is committed. There are two ways for it to come true. The sequencer has counted a majority: then every sealed tail
// will lie beyond it. Or a client has repaired after a seal: then it may have committed an entry that was never acknowledged, at a
// position that the chain, following another client with another majority, has already given to the next loglet. Such a Known must not come
// to somebody who believes the log open, for he would answer (Known, unsealed): a tail that never was one. With five servers it is not enough that he looks at the seal
// bit of the server which tells him, for that one may be open, and have the Known from elsewhere.
// So a Known that was learned with a seal travels with the seal, and a server to which they come takes the seal to its disk before it
// believes the Known, or tells it.
func (s *server) hear(m *Message, out *Output) {
	if !m.Bit || s.sealed || s.host.mistakes&mistakeBareKnown != 0 {
		s.known = max(s.known, m.Known)
		return
	}
	s.sealedKnown = max(s.sealedKnown, m.Known)
	s.seal(out)
}

func (s *server) seal(out *Output) {
	if !s.queuedSeal {
		s.queuedSeal = true
		s.write(out, Record{Kind: RecordSeal})
	}
}

// step handles a message for this loglet.
func (s *server) step(m Message, out *Output) {
	if m.Kind == Store && s.tail < m.Acked && s.host.mistakes&mistakeForgetAcked == 0 {
		s.lost = true // at once, and for ever when it is on the disk
		s.write(out, Record{Kind: RecordLost})
		return
	}
	if s.queuedOver {
		s.host.over(m, out)
		return
	}
	s.hear(&m, out)
	switch m.Kind {
	case Drop:
		s.queuedOver, s.queuedSeal = true, true
		s.write(out, Record{Kind: RecordDrop})
		s.host.over(m, out)
	case Store:
		s.store(m, out)
	case Repair:
		s.take(m, out)
		s.host.after(s, m, out)
	case Seal:
		s.seal(out)
		s.host.after(s, m, out)
	case Trim:
		// Never beyond what is committed: what is not might be repaired later. But beyond the own tail, if others have gone on.
		if p := min(m.First, s.known); p > s.queuedTrim {
			s.queuedTrim, s.queuedTail = p, max(s.queuedTail, p)
			s.write(out, Record{Kind: RecordTrim, Pos: p})
		}
		s.host.after(s, m, out)
	case Ask, Release, Forget:
		if s.host.mistakes&mistakeUnsyncedTail != 0 {
			r := s.info(m)
			r.Tail, r.Bit = s.queuedTail, s.queuedSeal
			out.send(r)
			break
		}
		out.send(s.info(m))
	case Wait:
		s.wait(m)
	case Fetch:
		s.fetch(m, out)
	}
	s.wake(out)
}

// store is the sequencer's Store. The seal comes first, before any look at what is already held: an entry may be here only because a repair
// has brought it, and to acknowledge it then would acknowledge what the chain may have cut off.
func (s *server) store(m Message, out *Output) {
	r := Message{Kind: Stored, Status: OK, First: m.First, Next: m.First + vlog.Position(len(m.Entries))}
	if s.queuedSeal && (s.host.mistakes&mistakeDuplicateOK == 0 || r.Next > s.queuedTail) {
		r.Status = Sealed
		s.host.answer(s, s.reply(m, r), out)
		return
	}
	if !s.take(m, out) {
		r.Status, r.Tail = Gap, s.queuedTail
		out.send(s.reply(m, r))
		return
	}
	if s.host.mistakes&mistakeUnsyncedAck != 0 {
		out.send(s.reply(m, r))
		return
	}
	s.host.answer(s, s.reply(m, r), out)
}

// take queues the entries of m that are new. An entry is taken if the one before it is here or known to be committed (section 4.2.1): so
// whoever holds position p vouches for everything before it. It reports whether it could take them.
func (s *server) take(m Message, out *Output) bool {
	for i, e := range m.Entries {
		p := m.First + vlog.Position(i)
		if p < s.queuedTail {
			continue // held, or skipped because it was committed
		}
		if p > s.queuedTail && p > max(s.known, s.sealedKnown) && s.host.mistakes&mistakeGaps == 0 {
			return false
		}
		s.queuedTail = p + 1
		s.write(out, Record{Kind: RecordEntry, Pos: p, Payload: e})
	}
	return true
}

func (s *server) fetch(m Message, out *Output) {
	r := s.reply(m, Message{Kind: Fetched, First: m.First, Next: m.First, Tail: s.tail, Trimmed: s.trimmed})
	for _, h := range s.held {
		first, next := max(h.first, m.First), min(h.next, m.Next)
		if first < next {
			r.First, r.Next = first, next
			out.Loads = append(out.Loads, Load{Reply: r, MaxBytes: m.MaxBytes})
			return
		}
	}
	out.send(r)
}

// info tells the synced state.
func (s *server) info(m Message) Message {
	return s.reply(m, Message{Kind: Info, Tail: s.tail, Trimmed: s.trimmed})
}

func (s *server) reply(m, r Message) Message {
	r.From, r.To, r.Ref, r.Loglet, r.Incarnation = m.To, m.From, m.Ref, m.Loglet, m.Incarnation
	r.Known, r.Bit = s.known, s.sealed
	return r
}

// write queues a record of this loglet, and before the first of all that the loglet exists. Who has only been asked writes nothing: what it
// knows without a record, that nothing is here, it will know after a crash too.
func (s *server) write(out *Output, r Record) {
	if !s.opened {
		s.opened = true
		s.host.write(out, Record{Kind: RecordOpen, Key: s.key})
	}
	r.Key = s.key
	s.host.write(out, r)
}

// maxWaits bounds the Waits kept for a loglet. Clients die without a word; those that live repeat a Wait until it is answered, so any may be dropped.
const maxWaits = 1024

// wait keeps a Wait, in place of those that its sender has given up, and of the oldest if there are too many.
func (s *server) wait(m Message) {
	known := false
	s.waiting = slices.DeleteFunc(s.waiting, func(w Message) bool {
		if w.From != m.From {
			return false
		}
		known = known || w.Ref == m.Ref
		return w.Ref < m.Oldest
	})
	if known {
		return
	}
	if len(s.waiting) >= maxWaits {
		s.waiting = slices.Delete(s.waiting, 0, 1)
	}
	s.waiting = append(s.waiting, m)
	s.soonest = min(s.soonest, m.First)
}

// wake answers the Waits that are due.
func (s *server) wake(out *Output) {
	if len(s.waiting) == 0 || !s.sealed && s.known < s.soonest {
		return
	}
	kept := s.waiting[:0]
	s.soonest = math.MaxUint64
	for _, w := range s.waiting {
		if s.sealed || s.known >= w.First {
			out.send(s.info(w))
		} else {
			kept = append(kept, w)
			s.soonest = min(s.soonest, w.First)
		}
	}
	clear(s.waiting[len(kept):])
	s.waiting = kept
}

// synced is called when records of this loglet have been applied.
func (s *server) synced(out *Output) {
	if s.sealed {
		s.known = max(s.known, s.sealedKnown)
	}
	s.wake(out)
}
