package fidge

import (
	"iter"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

// SyncClock is the clock of a process that communicates by rendezvous: sending
// and receiving are one event with two halves, one at each partner. Not safe for
// concurrent use.
type SyncClock struct {
	self clock.Proc
	seen counts.Vector // RS1: empty, which is all zeros
}

// NewSync is the clock of process p, before its first event.
func NewSync(p clock.Proc) *SyncClock { return &SyncClock{self: p} }

// Advance adds n to the process's own component between events. Rule RS2 demands
// one increment before each event, which Event and Offer do; more are allowed.
func (c *SyncClock) Advance(n uint64) { c.seen = c.seen.With(c.self, c.seen.Get(c.self)+n) }

// Event stamps a local event (RS2).
func (c *SyncClock) Event() SyncStamp {
	c.Advance(1)
	return SyncStamp{c.self, c.seen}
}

// Offer begins this process's half of a rendezvous (RS2). The partner gets what
// Offer returns and hands it to Accept. No other event may come between the two.
func (c *SyncClock) Offer() Offer {
	c.Advance(1)
	return Offer{SyncStamp{c.self, c.seen}}
}

// Accept ends this process's half of a rendezvous and stamps it: the maximum of
// both vectors (RS3). Both halves come out with the same vector.
func (c *SyncClock) Accept(partner Offer) SyncStamp {
	c.seen = counts.Max(c.seen, partner.s.seen)
	return SyncStamp{c.self, c.seen}
}

// Meet is a rendezvous of two clocks that are at hand.
func Meet(a, b *SyncClock) (SyncStamp, SyncStamp) {
	x, y := a.Offer(), b.Offer()
	return a.Accept(y), b.Accept(x)
}

// Forget drops the component of a process that has ended; see Clock.Forget.
func (c *SyncClock) Forget(p clock.Proc) {
	if p != c.self {
		c.seen = c.seen.With(p, 0)
	}
}

// Offer is what one partner of a rendezvous tells the other. It is not a stamp.
type Offer struct{ s SyncStamp }

// SyncStamp is the time of an event in a system with rendezvous: of a local event
// or of one half of a rendezvous. The zero SyncStamp is of no event.
//
// SyncStamps are immutable. They do not compare with ==; see Before and Same.
type SyncStamp struct {
	// The names differ from Stamp's, so that neither converts to the other.
	self clock.Proc
	seen counts.Vector
}

// Before tells whether s's event happened before o's: rule ES1. Its second half
// excludes the other half of the same rendezvous: the two halves of one, whose
// vectors are equal, are not before one another.
func (s SyncStamp) Before(o SyncStamp) bool {
	return s.seen.Get(s.self) <= o.seen.Get(s.self) && s.seen.Get(o.self) < o.seen.Get(o.self)
}

// Same tells whether the two stamps are of one event at one process.
func (s SyncStamp) Same(o SyncStamp) bool {
	return s.self == o.self && s.seen.Get(s.self) == o.seen.Get(s.self)
}

// Compare is Equal for one event at one process, Concurrent for independent
// events and for the two halves of a rendezvous.
func (s SyncStamp) Compare(o SyncStamp) clock.Order {
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

// Proc is the process where the event, or this half of it, happened.
func (s SyncStamp) Proc() clock.Proc { return s.self }

// At is the component of process p, for people to look at.
func (s SyncStamp) At(p clock.Proc) uint64 { return s.seen.Get(p) }

// All yields the components that are not 0, by ascending process.
func (s SyncStamp) All() iter.Seq2[clock.Proc, uint64] { return all(s.seen) }
