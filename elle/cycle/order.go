package cycle

import (
	"rebase/elle/graph"
	"rebase/elle/history"
)

// Sessions adds that operations of a process follow each other. What failed is left out,
// and what is in doubt ends a session: it is known to begin after what came before, and not
// known to end.
func Sessions(h *history.History, b *graph.Builder) {
	last := make([]int32, len(h.Processes)) // operation+1
	for op := range h.Ops {
		o := &h.Ops[op]
		if o.Process == history.NoProcess || o.Type == history.Fail {
			continue
		}
		if before := last[o.Process]; before != 0 {
			b.Add(uint32(before-1), uint32(op), graph.Process)
		}
		if o.Type == history.OK {
			last[o.Process] = int32(op + 1)
		}
	}
}

// Realtime adds that an operation which completed before another was invoked precedes it.
// Written out, that is an edge for each pair; reduced to those that do not follow from
// others, it is still the number of clients for each operation. Here it is a chain of hubs
// along the history: completions lead to the next hub, a hub leads to the next one and to
// the invocations before that. A hub is made when an invocation follows a completion, so
// the way from one transaction to another through the chain exists exactly if the first
// completed before the second was invoked.
//
// What is in doubt has no known end; what has no invocation, no known beginning.
func Realtime(h *history.History, b *graph.Builder) {
	var done []uint32 // completed since the last hub
	hub, any := uint32(0), false
	for _, e := range h.Events() {
		op, completion := e>>1, e&1 == 1
		switch t := h.Ops[op].Type; {
		case t == history.Fail:
		case completion && t == history.OK:
			done = append(done, op)
		case !completion:
			if len(done) > 0 {
				next := b.Hub()
				if any {
					b.Add(hub, next, graph.Via)
				}
				for _, before := range done {
					b.Add(before, next, graph.Realtime)
				}
				hub, any, done = next, true, done[:0]
			}
			if any {
				b.Add(hub, op, graph.Via)
			}
		}
	}
}
