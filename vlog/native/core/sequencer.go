package core

import (
	"cmp"
	"math/bits"
	"slices"

	"rebase/vlog"
)

// SequencerOptions bound what a Sequencer has under way. The zero value is ready for use.
type SequencerOptions struct {
	// Window is the number of Stores that may be unanswered by one server. While it is full, entries gather and leave together in the next:
	// it is both the depth of the pipeline and what makes batches. Zero means 4.
	Window int
	// BatchBytes bounds the payload of one Store; an entry that is larger goes alone. Zero means 1 MiB.
	BatchBytes int
	// Retry is the number of ticks after which a Store without an answer is sent again. Zero means 20.
	Retry int
	// PendingBytes bounds what has no majority yet, but for the last Append that was let in: beyond it Appends are dropped, and their clients ask again.
	// Zero means 64 MiB.
	PendingBytes int
	// Clients bounds the clients that are remembered without anything under way, for the sake of requests that come twice. Zero means 4096.
	Clients int
}

// Sequencer gives every entry its position and brings it to the log servers (section 4.2.1). It lives as long as its process; there is no
// way to start it again. It holds an entry until a majority has it, and no longer: a server that was away is not brought up to date, it
// skips what is committed. So a dead server costs no memory here and no time.
type Sequencer struct {
	cfg     Config
	opts    SequencerOptions
	next    vlog.Position
	known   vlog.Position // the global tail: everything below has been counted on a majority
	pending []pending     // [known, next)
	bytes   int           // of their payloads
	calls   []call        // appends not yet committed, in order of position
	askers  map[Node]*asker
	forgot  bool   // some asker who may ask again
	heard   uint64 // Appends that have come
	servers []follower
	sealed  bool // a majority has said so: nothing is acknowledged any more
	ref     uint64

	mistakes mistakes
}

type pending struct {
	payload []byte
	on      uint64 // bit i: server i has it on its disk
}

// call is an Append under way.
type call struct {
	from  Node
	ref   uint64
	first vlog.Position
	next  vlog.Position
}

// asker is what is remembered of a client so that a request which comes twice is appended once.
type asker struct {
	last   uint64 // Append that has come from it, in the order of all
	since  uint64 // what was before this Ref, and is not in seen, may have been forgotten
	oldest uint64
	seen   map[uint64]vlog.Position // first position by Ref
}

// follower is what the sequencer knows of a log server.
type follower struct {
	sent   vlog.Position // the next to be sent
	acked  vlog.Position
	known  vlog.Position // how far the server knows the log to be committed
	open   []uint64      // Refs of Stores without an answer
	idle   int           // ticks since it last answered while something was open
	sealed bool
}

// NewSequencer returns the sequencer of a new loglet. It is the caller's duty to be the process with cfg's Incarnation and to call this once.
func NewSequencer(cfg Config, o SequencerOptions) *Sequencer {
	if o.Window <= 0 {
		o.Window = 4
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = 1 << 20
	}
	if o.Retry <= 0 {
		o.Retry = 20
	}
	if o.PendingBytes <= 0 {
		o.PendingBytes = 64 << 20
	}
	if o.Clients <= 0 {
		o.Clients = 4096
	}
	s := &Sequencer{cfg: cfg, opts: o, next: 1, known: 1, askers: map[Node]*asker{}, servers: make([]follower, len(cfg.Servers))}
	for i := range s.servers {
		s.servers[i] = follower{sent: 1, acked: 1, known: 1}
	}
	return s
}

// Step handles a message.
func (s *Sequencer) Step(m Message) (out Output) {
	if m.Loglet != s.cfg.Loglet || m.Incarnation != s.cfg.Incarnation && s.mistakes&mistakeAnySequencer == 0 {
		return out // meant for, or an answer to, the process that was here before
	}
	switch m.Kind {
	case Append:
		s.append(m, &out)
	case Ask:
		r := s.appended(m.From, m.Ref, OK, 0)
		r.Kind = Info
		out.send(r)
	case Stored, Info:
		s.stored(m, &out)
	}
	s.pump(&out)
	return out
}

func (s *Sequencer) append(m Message, out *Output) {
	a := s.askers[m.From]
	if a == nil {
		a = &asker{seen: map[uint64]vlog.Position{}}
		if s.forgot {
			a.since = m.Ref
			if m.Again {
				a.since++
			}
		}
		s.askers[m.From] = a
		s.forget(m.From)
	}
	s.heard++
	a.last = s.heard
	if m.Oldest > a.oldest {
		a.oldest = m.Oldest
		for ref := range a.seen {
			if ref < a.oldest {
				delete(a.seen, ref)
			}
		}
	}
	if m.Ref < a.oldest {
		return // nobody waits for it any more
	}
	if first, again := a.seen[m.Ref]; again && s.mistakes&mistakeTwice == 0 {
		switch {
		case first+vlog.Position(len(m.Entries)) <= s.known:
			out.send(s.appended(m.From, m.Ref, OK, first))
		case s.sealed:
			out.send(s.appended(m.From, m.Ref, Sealed, 0))
		}
		return // else it is under way
	}
	switch {
	case s.sealed:
		out.send(s.appended(m.From, m.Ref, Sealed, 0))
		return
	case m.Again && m.Ref < a.since && s.mistakes&mistakeTwice == 0:
		out.send(s.appended(m.From, m.Ref, Refused, 0))
		return
	case s.bytes >= s.opts.PendingBytes:
		return
	}
	a.seen[m.Ref] = s.next
	s.calls = append(s.calls, call{from: m.From, ref: m.Ref, first: s.next, next: s.next + vlog.Position(len(m.Entries))})
	for _, e := range m.Entries {
		s.pending = append(s.pending, pending{payload: e})
		s.bytes += len(e)
		s.next++
	}
	s.advance(out) // an append of nothing is committed when what is before it is
}

// forget makes room for a client, if there are too many: an eighth of those that have nothing under way, the longest silent, are forgotten. Such a one
// may still repeat a request whose answer was lost. It is told that nobody knows any more.
func (s *Sequencer) forget(but Node) {
	if len(s.askers) <= s.opts.Clients {
		return
	}
	busy := map[Node]bool{but: true}
	for _, c := range s.calls {
		busy[c.from] = true
	}
	var silent []Node
	for n := range s.askers {
		if !busy[n] {
			silent = append(silent, n)
		}
	}
	slices.SortFunc(silent, func(a, b Node) int { return cmp.Compare(s.askers[a].last, s.askers[b].last) })
	for _, n := range silent[:min(len(silent), 1+s.opts.Clients/8)] {
		delete(s.askers, n)
		s.forgot = true
	}
}

// stored takes a server's answer.
//
// Nothing but the answers to its own Stores makes an entry committed here. The Known of a server would not do: with a seal it can be one
// that a repair has made up, beyond where the chain has cut the log.
func (s *Sequencer) stored(m Message, out *Output) {
	i := s.cfg.index(m.From)
	if i < 0 || s.sealed {
		return
	}
	f := &s.servers[i]
	f.known = max(f.known, m.Known)
	if s.mistakes&mistakeAckOnKnown != 0 && m.Known > s.known {
		for p := s.known; p < min(m.Known, s.next); p++ {
			s.pending[p-s.known].on = ^uint64(0)
		}
	}
	if m.Bit || m.Kind == Stored && m.Status == Sealed {
		f.sealed = true
	}
	if m.Kind == Info {
		f.idle = 0
	}
	if m.Kind == Stored {
		for j, ref := range f.open {
			if ref == m.Ref {
				f.open = append(f.open[:j], f.open[j+1:]...)
				f.idle = 0
				break
			}
		}
		switch m.Status {
		case OK:
			for p := max(m.First, s.known); p < min(m.Next, s.next); p++ {
				s.pending[p-s.known].on |= 1 << i
			}
			f.acked = max(f.acked, min(m.Next, s.next))
		case Gap:
			if m.Tail < f.sent {
				f.sent = max(m.Tail, s.known)
			}
		}
	}
	s.advance(out)
	s.end(out)
}

// advance moves the global tail over what a majority has and acknowledges it.
func (s *Sequencer) advance(out *Output) {
	if s.sealed {
		return
	}
	n := 0
	for n < len(s.pending) && bits.OnesCount64(s.pending[n].on) >= s.cfg.majority() {
		n++
	}
	for i := range n {
		s.bytes -= len(s.pending[i].payload)
	}
	clear(s.pending[:n])
	s.pending = s.pending[n:]
	s.known += vlog.Position(n)
	done := 0
	for ; done < len(s.calls) && s.calls[done].next <= s.known; done++ {
		c := s.calls[done]
		out.send(s.appended(c.from, c.ref, OK, c.first))
	}
	s.calls = s.calls[done:]
}

// end looks whether the log is sealed: when a majority says so, and not before. A minority may belong to a seal that was given up, and then
// the others still make a majority for what is under way.
func (s *Sequencer) end(out *Output) {
	n := 0
	for i := range s.servers {
		if s.servers[i].sealed {
			n++
		}
	}
	if s.sealed || n < s.cfg.majority() {
		return
	}
	s.sealed = true
	for _, c := range s.calls {
		out.send(s.appended(c.from, c.ref, Sealed, 0))
	}
	s.calls, s.pending = nil, nil
}

func (s *Sequencer) appended(to Node, ref uint64, status Status, first vlog.Position) Message {
	return Message{Kind: Appended, From: s.cfg.Sequencer, To: to, Loglet: s.cfg.Loglet, Incarnation: s.cfg.Incarnation, Ref: ref,
		Status: status, First: first, Known: s.known}
}

// pump sends what the windows allow.
func (s *Sequencer) pump(out *Output) {
	if s.sealed {
		return
	}
	for i := range s.servers {
		f := &s.servers[i]
		f.sent = max(f.sent, s.known)
		for !f.sealed && len(f.open) < s.opts.Window && f.sent < s.next {
			size := 0
			var batch [][]byte
			for p := f.sent; p < s.next; p++ {
				e := s.pending[p-s.known].payload
				if size += len(e); size > s.opts.BatchBytes && len(batch) > 0 {
					break
				}
				batch = append(batch, e)
			}
			m := s.message(i, Store)
			m.First, m.Entries, m.Acked = f.sent, batch, f.acked
			f.sent += vlog.Position(len(batch))
			f.open = append(f.open, m.Ref)
			out.send(m)
		}
	}
}

// message carries the sequencer's Known without a seal, even if it has heard of one: it has counted this Known itself, so every sealed tail
// lies beyond it. A minority's seal need not stop what is under way.
func (s *Sequencer) message(i int, k Kind) Message {
	s.ref++
	return Message{Kind: k, From: s.cfg.Sequencer, To: s.cfg.Servers[i].Node, Disk: s.cfg.Servers[i].Disk, Loglet: s.cfg.Loglet,
		Incarnation: s.cfg.Incarnation, Ref: s.ref, Known: s.known}
}

// Tick repeats what was lost, and tells servers of commits that no Store has told them: the last entries of a burst are committed when
// nothing follows that could carry the word, and who follows the log at a server would wait for them until the next burst.
func (s *Sequencer) Tick() (out Output) {
	if s.sealed {
		return out
	}
	for i := range s.servers {
		f := &s.servers[i]
		if f.sealed {
			continue
		}
		if len(f.open) > 0 {
			if f.idle++; f.idle >= s.opts.Retry {
				f.idle, f.open = 0, f.open[:0]
				f.sent = s.known
				for f.sent < s.next && s.pendingOn(f.sent, i) {
					f.sent++
				}
			}
		} else if f.known < s.known && s.mistakes&mistakeNoRelease == 0 {
			if f.idle%s.opts.Retry == 0 { // at once, and then now and then if it does not answer
				out.send(s.message(i, Release))
			}
			f.idle++
		}
	}
	s.pump(&out)
	return out
}

func (s *Sequencer) pendingOn(p vlog.Position, i int) bool {
	return s.pending[p-s.known].on&(1<<i) != 0
}

// Idle says that there is nothing to repeat, so that Tick need not be called until the next message.
func (s *Sequencer) Idle() bool {
	if s.sealed {
		return true
	}
	for i := range s.servers {
		if f := &s.servers[i]; !f.sealed && (len(f.open) > 0 || f.known < s.known) {
			return false
		}
	}
	return true
}

// Gone forgets a client that will not ask again.
func (s *Sequencer) Gone(n Node) { delete(s.askers, n) }

// Known is the global tail.
func (s *Sequencer) Known() vlog.Position { return s.known }

// Pending is the number of entries without a majority.
func (s *Sequencer) Pending() int { return len(s.pending) }

// Sealed says that a majority is sealed, so that this sequencer will acknowledge nothing any more.
func (s *Sequencer) Sealed() bool { return s.sealed }
