package vector

import (
	"iter"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

// Clock is the clock of one process. Not safe for concurrent use.
type Clock struct {
	proc clock.Proc
	v    counts.Vector
}

// New is the clock of process p, before its first event.
func New(p clock.Proc) *Clock { return &Clock{proc: p} }

// Event stamps a local event or the sending of a message.
func (c *Clock) Event() Stamp {
	c.v = c.v.With(c.proc, c.v.Get(c.proc)+1)
	return Stamp{c.proc, c.v}
}

// Receive stamps the receipt of a message whose sending was stamped sent.
func (c *Clock) Receive(sent Stamp) Stamp {
	c.v = counts.Max(c.v, sent.v)
	return c.Event()
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

// Stamp is the time of an event. The zero Stamp is of no event. Stamps are
// immutable. They do not compare with ==; see Before and Same.
type Stamp struct {
	proc clock.Proc
	v    counts.Vector
}

// Before tells whether s's event happened before o's. It looks at one component.
func (s Stamp) Before(o Stamp) bool {
	if s.proc == o.proc {
		return s.v.Get(s.proc) < o.v.Get(s.proc)
	}
	return s.v.Get(s.proc) <= o.v.Get(s.proc)
}

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

// Vector is the stamp's vector: the cut of all that happened before its event,
// itself included.
func (s Stamp) Vector() Vector { return Vector{s.v} }

// Vector is a cut of an execution: for each process, how many of its events lie
// in the cut. The zero Vector is the empty cut. Vectors are immutable.
type Vector struct{ v counts.Vector }

// Compare compares component by component: Before if v's cut lies in o's.
func (v Vector) Compare(o Vector) clock.Order { return counts.Compare(v.v, o.v) }

// Join is the least cut that includes both: the component-wise maximum.
func (v Vector) Join(o Vector) Vector { return Vector{counts.Max(v.v, o.v)} }

// Includes tells whether the event that s stamps lies in the cut.
func (v Vector) Includes(s Stamp) bool { return s.v.Get(s.proc) <= v.v.Get(s.proc) }

// At is the component of process p.
func (v Vector) At(p clock.Proc) uint64 { return v.v.Get(p) }

// All yields the components that are not 0, by ascending process.
func (v Vector) All() iter.Seq2[clock.Proc, uint64] {
	return func(yield func(clock.Proc, uint64) bool) {
		for _, e := range v.v {
			if !yield(e.Proc, e.Count) {
				return
			}
		}
	}
}
