package vlog

import (
	"context"
	"slices"
	"sync"
)

// Status is what a Log and its Loglets say of themselves.
type Status struct {
	// Version is the register's, Chain what it holds, as this Log has it in use.
	Version uint64
	Chain   Chain
	// Err says why the register could not be asked whether that is the newest. Nil if it was.
	Err error
	// Segments is in the order of Chain.Segments.
	Segments []SegmentStatus
}

// SegmentStatus is what a Loglet says of itself.
type SegmentStatus struct {
	Segment
	// Tail is where the Loglet says that it ends, as a virtual position, and whether it says that it is sealed. In a segment that is over it may lie beyond
	// the segment's end: what is there was never acknowledged.
	Tail Tail
	// Err says why the Loglet did not tell. Nil if it did.
	Err error
}

// Status asks the register and all Loglets at once. It returns when all have answered, or when ctx ends, with what it has been told by then: so give
// it a deadline, of a second or so.
func (l *Log) Status(ctx context.Context) Status {
	_, err := l.refresh(ctx)
	v := l.view.Load()
	st := Status{Version: v.version, Chain: v.chain, Err: err, Segments: make([]SegmentStatus, len(v.slots))}
	st.Chain.Segments = slices.Clone(v.chain.Segments)
	var wg sync.WaitGroup
	for i, s := range v.slots {
		seg := v.chain.Segments[i]
		st.Segments[i].Segment = seg
		wg.Go(func() {
			loglet, err := s.get(ctx)
			var t Tail
			if err == nil {
				t, err = loglet.Tail(ctx)
			}
			if err != nil {
				st.Segments[i].Err = err
				return
			}
			st.Segments[i].Tail = Tail{Next: seg.toVirtual(t.Next), Sealed: t.Sealed}
		})
	}
	wg.Wait()
	return st
}
