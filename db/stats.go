package db

import "sync/atomic"

// counters are the database's running totals.
type counters struct {
	proposed, groups, applied, refused, denied, stale, replayed atomic.Uint64
}

func (c *counters) count(_ *Op, res *Result) {
	c.applied.Add(1)
	switch {
	case res.Replayed:
		c.replayed.Add(1)
	case res.Err == ErrStale:
		c.stale.Add(1)
	case res.Err == ErrDenied:
		c.denied.Add(1)
	case res.Err != nil:
		c.refused.Add(1)
	}
}

// Stats are totals since Open, and what is under way now.
type Stats struct {
	Proposed uint64 // operations taken
	Groups   uint64 // appends to the log; Proposed/Groups is the mean size of a group
	Applied  uint64 // entries applied, those of other proposers and of the replay included
	Refused  uint64 // of those, refused by the state
	Denied   uint64 // of those, refused by the rules
	Stale    uint64 // of those, whose precondition did not hold
	Replayed uint64 // of those, recognised as applied before

	Position    uint64 // of the last entry applied
	Sessions    int    // alive
	QueuedBytes int    // of operations not yet answered
}

// Stats returns a reading; the numbers are taken one after the other.
func (d *DB) Stats() Stats {
	c := &d.stats
	s := Stats{
		Proposed: c.proposed.Load(), Groups: c.groups.Load(), Applied: c.applied.Load(),
		Refused: c.refused.Load(), Denied: c.denied.Load(), Stale: c.stale.Load(), Replayed: c.replayed.Load(),
	}
	d.sessionsMu.Lock()
	s.Sessions = len(d.sessions)
	d.sessionsMu.Unlock()
	d.prop.mu.Lock()
	s.QueuedBytes = d.prop.bytes
	d.prop.mu.Unlock()
	s.Position = d.store.Applied()
	return s
}
