package physical

import (
	"cmp"

	"rebase/clock"
)

// Stamp is a time and the process whose clock showed it. Stamps are immutable, and
// == tells whether two events are one.
type Stamp struct {
	Time int64 // in nanoseconds, since whatever the system's clocks agreed on
	Proc clock.Proc
}

// Compare is the total order: by time, and by process where times are equal.
// It returns -1, 0 or 1.
func (s Stamp) Compare(o Stamp) int {
	if c := cmp.Compare(s.Time, o.Time); c != 0 {
		return c
	}
	return cmp.Compare(s.Proc, o.Proc)
}

// Less tells whether s comes before o in the total order.
func (s Stamp) Less(o Stamp) bool { return s.Compare(o) < 0 }

// Clock is the clock of one process. Not safe for concurrent use.
//
// All methods take the oscillator's reading in nanoseconds. It must never go back,
// and its rate must not differ from 1 by κ or more (condition PC1).
type Clock struct {
	proc  clock.Proc
	ahead int64 // of the oscillator; only ever grows (rule IR1')
	last  int64 // the time of the last event
	begun bool
}

// New is the clock of process p, which shows time at the oscillator's reading now.
func New(p clock.Proc, now, time int64) *Clock {
	return &Clock{proc: p, ahead: time - now}
}

// Read is the time shown. It is not an event.
func (c *Clock) Read(now int64) int64 { return now + c.ahead }

// Event stamps a local event or the sending of a message (rules IR1', IR2'a). Where the
// oscillator has not moved since the last event, the clock is set forward by 1 ns: to
// the paper, time goes on between two events.
func (c *Clock) Event(now int64) Stamp {
	t := c.Read(now)
	if c.begun && t <= c.last {
		c.ahead += c.last + 1 - t
		t = c.last + 1
	}
	c.last, c.begun = t, true
	return Stamp{t, c.proc}
}

// Receive stamps the receipt of a message that was sent at the given time and was on its
// way for at least minDelay nanoseconds, μ in the paper (rule IR2'b). minDelay is at least 1,
// or else a receipt could have the time of the sending; lower counts as 1.
func (c *Clock) Receive(now int64, sent Stamp, minDelay int64) Stamp {
	if late := sent.Time + max(minDelay, 1) - c.Read(now); late > 0 {
		c.ahead += late
	}
	return c.Event(now)
}

// Network is what is known of processes and the arcs between them. Times are in nanoseconds.
type Network struct {
	Diameter int     // d: from every process to every other there is a path of at most so many arcs
	Kappa    float64 // κ: rates of clocks differ from 1 by less
	Tau      int64   // τ: on every arc a message is sent at least so often
	Mu       int64   // μ: no message is faster
	Xi       int64   // ξ: no message is slower than μ+ξ
}

// Approximation is the paper's ε ≈ d(2κτ + ξ), in nanoseconds: how far two clocks are
// apart at most, from about τd after the messages began to flow. It holds for μ+ξ
// much smaller than τ.
func (n Network) Approximation() float64 {
	return float64(n.Diameter) * (2*n.Kappa*float64(n.Tau) + float64(n.Xi))
}

// Skew is the bound without that assumption, in nanoseconds: d(2κ(τ+μ+ξ) + ξ), from
// d(τ+μ+ξ) after the messages began to flow. From the fastest clock a path of d
// messages leads to any other; each waits τ at most and is on its way for μ+ξ at most, while two
// clocks come apart by 2κ; and each may lose ξ, which the receiver cannot know of.
// minDelay of Receive must be μ(1-κ) at most, for the time that a message takes by a slow clock.
func (n Network) Skew() float64 {
	return float64(n.Diameter) * (2*n.Kappa*float64(n.Tau+n.Mu+n.Xi) + float64(n.Xi))
}

// Sound tells whether no anomaly can be: an event that comes after another by some way outside of
// the system, and later than it by μ at least, always has the higher time.
// The paper's condition is ε/(1-κ) ≤ μ.
func (n Network) Sound() bool { return n.Skew()/(1-n.Kappa) <= float64(n.Mu) }
