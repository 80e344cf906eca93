package core

import (
	"maps"
	"slices"
)

// Host is a log server: one disk and the loglets on it. It is a deterministic machine without input and output.
//
// A loglet comes into being on a server with the first message that leaves something to be kept. That is safe only because of two refusals: of
// messages for another disk than this one, so that a server which has lost its loglets does not begin them anew; and of loglets below the lowest of
// their chain, which are over, and which a client or sequencer that slept through their end would bring back unsealed.
type Host struct {
	disk    uint64
	lowest  map[uint16]uint64 // the lowest number that is not over, by chain
	loglets map[Key]*server

	written uint64 // records given out
	durable uint64 // of them, those on the disk
	queue   []queued

	mistakes mistakes
}

// queued is a record or an answer in the order of the disk.
type queued struct {
	seq    uint64 // applied, or sent, when so many records are durable
	record *Record
	reply  Message // complete but for Known and Bit, which are as of the moment of sending
	server *server
	ask    *Message // to be answered with Info
}

// NewHost returns the log server of an empty disk with this identity, drawn at random. For a disk that is not empty, call Replay
// with every record on it, in order, and Ready.
func NewHost(disk uint64) *Host {
	return &Host{disk: disk, lowest: map[uint16]uint64{}, loglets: map[Key]*server{}}
}

// Replay takes a record back from the disk.
func (h *Host) Replay(r Record) {
	switch r.Kind {
	case RecordLow:
		h.drop(r.Loglet)
	case RecordOpen:
		if r.Loglet >= h.lowest[chainOf(r.Loglet)] {
			s := newServer(h, r.Key)
			s.opened = true
			h.loglets[h.key(r.Key)] = s
		}
	default:
		if s := h.loglets[h.key(r.Key)]; s != nil {
			s.apply(r)
		}
	}
}

// Ready ends the replay.
func (h *Host) Ready() {
	for _, s := range h.loglets {
		s.settle()
	}
}

// key is where a loglet is found.
func (h *Host) key(k Key) Key {
	if h.mistakes&mistakeAnySequencer != 0 {
		k.Incarnation = 0
	}
	return k
}

// drop forgets the loglets of a chain that are over.
func (h *Host) drop(lowest uint64) {
	chain := chainOf(lowest)
	h.lowest[chain] = max(h.lowest[chain], lowest)
	maps.DeleteFunc(h.loglets, func(k Key, _ *server) bool { return chainOf(k.Loglet) == chain && k.Loglet < lowest })
}

// Step handles a message. What must wait for the disk comes out of Synced.
func (h *Host) Step(m Message) (out Output) {
	if m.Disk != h.disk && h.mistakes&mistakeAnyDisk == 0 {
		return out
	}
	lowest := h.lowest[chainOf(m.Loglet)]
	if m.Kind == Forget && m.Loglet > lowest {
		h.drop(m.Loglet)
		h.write(&out, Record{Kind: RecordLow, Key: Key{Loglet: m.Loglet}})
	}
	if m.Loglet < lowest && h.mistakes&mistakeResurrect == 0 {
		h.over(m, &out)
		return out
	}
	if m.Kind == Forget {
		h.answer(nil, Message{Kind: Info, From: m.To, To: m.From, Ref: m.Ref, Loglet: m.Loglet}, &out)
		return out
	}
	k := h.key(Key{m.Loglet, m.Incarnation})
	s := h.loglets[k]
	if s == nil {
		s = newServer(h, Key{m.Loglet, m.Incarnation})
	}
	if !s.lost {
		s.step(m, &out)
	}
	if s.opened || len(s.waiting) > 0 {
		h.loglets[k] = s
	} else {
		delete(h.loglets, k)
	}
	return out
}

// over answers for a loglet that was dropped, or trimmed as a whole: sealed, and nothing of it left.
func (h *Host) over(m Message, out *Output) {
	r := Message{From: m.To, To: m.From, Ref: m.Ref, Loglet: m.Loglet, Incarnation: m.Incarnation, Bit: true, Kind: Info, Status: Over, First: m.First, Next: m.First}
	switch m.Kind {
	case Store:
		r.Kind, r.Status = Stored, Sealed
	case Fetch:
		r.Kind, r.Trimmed = Fetched, m.Next
	}
	h.answer(nil, r, out)
}

// write queues a record.
func (h *Host) write(out *Output, r Record) {
	h.written++
	h.queue = append(h.queue, queued{seq: h.written, record: &r})
	out.Records = append(out.Records, r)
}

// answer sends r, of s if it is not nil, when everything queued so far is on the disk.
func (h *Host) answer(s *server, r Message, out *Output) {
	if h.durable == h.written {
		out.send(r)
		return
	}
	h.queue = append(h.queue, queued{seq: h.written, reply: r, server: s})
}

// after sends s's Info in answer to m when everything queued so far is on the disk.
func (h *Host) after(s *server, m Message, out *Output) {
	if h.durable == h.written || h.mistakes&mistakeUnsyncedTail != 0 && m.Kind == Seal {
		r := s.info(m)
		if h.durable != h.written {
			r.Bit = true
		}
		out.send(r)
		return
	}
	h.queue = append(h.queue, queued{seq: h.written, server: s, ask: &m})
}

// Synced says that the first n records that this machine has given out, since it was made, are durable.
func (h *Host) Synced(n uint64) (out Output) {
	h.durable = max(h.durable, min(n, h.written))
	i := 0
	for ; i < len(h.queue) && h.queue[i].seq <= h.durable; i++ {
		q := h.queue[i]
		switch {
		case q.record != nil:
			if s := h.loglets[h.key(q.record.Key)]; s != nil && q.record.Kind != RecordLow {
				s.apply(*q.record)
				s.synced(&out)
			}
		case q.ask != nil:
			out.send(q.server.info(*q.ask))
		default:
			if s := q.server; s != nil {
				q.reply.Known, q.reply.Bit = s.known, s.sealed
			}
			out.send(q.reply)
		}
	}
	h.queue = slices.Delete(h.queue, 0, i)
	return out
}

// Gone says that a node will read no more answers: its Waits are dropped.
func (h *Host) Gone(n Node) {
	for k, s := range h.loglets {
		s.waiting = slices.DeleteFunc(s.waiting, func(w Message) bool { return w.From == n })
		if !s.opened && len(s.waiting) == 0 {
			delete(h.loglets, k)
		}
	}
}
