package fidge

import (
	"iter"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

// Clock is the clock of a process that sends and receives messages. Not safe for
// concurrent use.
type Clock struct {
	proc clock.Proc
	v    counts.Vector // RA1: empty, which is all zeros
}

// New is the clock of process p, before its first event.
func New(p clock.Proc) *Clock { return &Clock{proc: p} }

// Advance adds n to the process's own component between events. Rule RA2 demands
// one increment before each event, which Event and Receive do; more are allowed.
func (c *Clock) Advance(n uint64) { c.v = c.v.With(c.proc, c.v.Get(c.proc)+n) }

// Event stamps a local event or the sending of a message (RA2). The stamp of a
// send event is what the message carries (RA3); it may go to many receivers.
func (c *Clock) Event() Stamp {
	c.Advance(1)
	return Stamp{c.proc, c.v}
}

// Receive stamps the receipt of a message whose sending was stamped sent (RA2, RA4).
// A message that was overtaken by a later one of the same sender does no harm.
func (c *Clock) Receive(sent Stamp) Stamp {
	c.Advance(1)
	q := sent.proc
	if n := sent.v.Get(q); c.v.Get(q) <= n {
		c.v = c.v.With(q, n+1)
	}
	c.v = counts.Max(c.v, sent.v)
	return Stamp{c.proc, c.v}
}

// Forget drops the component of a process that has ended, so that vectors do not
// grow with every process that ever was. From then on its events look independent
// of this process's, so it must be of no interest any more how they relate.
// The component returns with any message that still has it: forget it everywhere.
// A clock's own component stays.
func (c *Clock) Forget(p clock.Proc) {
	if p != c.proc {
		c.v = c.v.With(p, 0)
	}
}

// Stamp is the time of an event in a system with messages. It carries the process
// where the event happened, which comparison needs. The zero Stamp is of no event.
//
// Stamps are immutable. They do not compare with ==; see Before and Same.
type Stamp struct {
	proc clock.Proc
	v    counts.Vector
}

// Before tells whether s's event happened before o's: rule EA1, which looks at
// the component of s's process alone.
func (s Stamp) Before(o Stamp) bool { return s.v.Get(s.proc) < o.v.Get(s.proc) }

// Same tells whether the two stamps are of one event.
func (s Stamp) Same(o Stamp) bool {
	return s.proc == o.proc && s.v.Get(s.proc) == o.v.Get(s.proc)
}

// Compare is Equal for one event, Concurrent for independent events.
func (s Stamp) Compare(o Stamp) clock.Order {
	switch {
	case s.Same(o):
		return clock.Equal
	case s.Before(o):
		return clock.Before
	case o.Before(s):
		return clock.After
	}
	return clock.Concurrent
}

// Proc is the process where the event happened.
func (s Stamp) Proc() clock.Proc { return s.proc }

// At is the component of process p, for people to look at.
func (s Stamp) At(p clock.Proc) uint64 { return s.v.Get(p) }

// All yields the components that are not 0, by ascending process.
func (s Stamp) All() iter.Seq2[clock.Proc, uint64] { return all(s.v) }

func all(v counts.Vector) iter.Seq2[clock.Proc, uint64] {
	return func(yield func(clock.Proc, uint64) bool) {
		for _, e := range v {
			if !yield(e.Proc, e.Count) {
				return
			}
		}
	}
}
