package lamport

import (
	"cmp"

	"rebase/clock"
)

// Clock is the clock of one process. The zero value is process 0's, before its
// first event. Not safe for concurrent use.
type Clock struct {
	proc clock.Proc
	time uint64
}

// New is the clock of process p, before its first event.
func New(p clock.Proc) *Clock { return &Clock{proc: p} }

// Event stamps a local event or the sending of a message (rules IR1, IR2a).
func (c *Clock) Event() Stamp {
	c.time++
	return Stamp{c.time, c.proc}
}

// Receive stamps the receipt of a message whose sending was stamped sent: the
// clock is set to no less than it was and more than sent (rules IR1, IR2b).
func (c *Clock) Receive(sent Stamp) Stamp {
	c.time = max(c.time, sent.Time) + 1
	return Stamp{c.time, c.proc}
}

// Stamp is the time of an event and the process where it happened. No two events
// of a system have the same, so == tells whether two events are one.
type Stamp struct {
	Time uint64
	Proc clock.Proc
}

// Compare is the total order "⇒" of the paper: by time, and by process where
// times are equal. It returns -1, 0 or 1.
func (s Stamp) Compare(o Stamp) int {
	if c := cmp.Compare(s.Time, o.Time); c != 0 {
		return c
	}
	return cmp.Compare(s.Proc, o.Proc)
}

// Less tells whether s ⇒ o. It holds if s happened before o, but also for half of
// the pairs of independent events.
func (s Stamp) Less(o Stamp) bool { return s.Compare(o) < 0 }
