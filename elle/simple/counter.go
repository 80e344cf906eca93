package simple

import (
	"rebase/elle/anomaly"
	"rebase/elle/history"
)

// bounds are sums of additions: of positive and of negative numbers, attempted and acknowledged.
type bounds struct{ plusTried, plusDone, minusTried, minusDone int64 }

// counter goes through the events in order. A read lies between what was acknowledged when it began and what was
// attempted when it ended; for negative numbers it is the other way round.
func (c *checker) counter() {
	h := c.h
	var now bounds
	begun := map[int]bounds{} // reads that run, and what was when they began
	c.reads(func(int, history.Datum) {})
	for _, e := range h.Events() {
		op, completion := int(e>>1), e&1 == 1
		o := &h.Ops[op]
		switch {
		case o.Type == history.Fail:
		case h.F(op) == "add" && (!completion || o.Type == history.OK):
			n, ok := c.number(op, h.Datum(o.Arg))
			if !ok {
				continue
			}
			if !completion || o.Invoke == history.NoEvent {
				now.plusTried += max(n, 0)
				now.minusTried += min(n, 0)
			}
			if completion {
				now.plusDone += max(n, 0)
				now.minusDone += min(n, 0)
			}
		case h.F(op) == "read" && !completion:
			begun[op] = now
		case h.F(op) == "read" && o.Type == history.OK:
			got, ok := c.number(op, h.Datum(o.Val))
			before, invoked := begun[op]
			delete(begun, op)
			low, high := before.plusDone+now.minusTried, now.plusTried+before.minusDone
			if ok && invoked && (got < low || got > high) {
				c.found(OutOfBounds, []int{op}, []anomaly.Fact{{Name: "value", Value: got}, {Name: "low", Value: low}, {Name: "high", Value: high}},
					"T1 read %d, but by then the counter was at least %d and at most %d", got, low, high)
			}
		}
	}
}
