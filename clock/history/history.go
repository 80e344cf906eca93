// Package history is executions of distributed systems as graphs: events, the order
// at each process, the messages and rendezvous between them. It answers whether one
// event happened before another by walking the graph, and so is the truth that the
// stamps of clocks are held against. It knows nothing of clocks.
package history

import (
	"math/bits"

	"rebase/clock"
)

// History is an execution, built event by event in an order in which it could have
// happened. Events are numbered from 0. The zero History is empty. Not safe for
// concurrent use.
type History struct {
	past [][]uint64         // of each event, the set of those that happened before it
	half map[int]int        // of each half of a rendezvous, the other one
	last map[clock.Proc]int // each process's latest event
}

// Len is the number of events.
func (h *History) Len() int { return len(h.past) }

// Event adds an event at process p that comes after p's earlier events and, directly,
// after each of causes: of a receive event, the send event. Causes that do not exist
// are a mistake of the caller's, and panic.
func (h *History) Event(p clock.Proc, causes ...int) int {
	e := h.add()
	h.after(e, p, causes)
	return e
}

// Meet adds a rendezvous of p and q, two different processes: an event of two halves,
// neither of them before the other.
func (h *History) Meet(p, q clock.Proc) (int, int) {
	e, f := h.add(), h.add()
	h.after(e, p, nil)
	h.after(f, q, nil)
	union(h.past[e], h.past[f])
	union(h.past[f], h.past[e])
	if h.half == nil {
		h.half = map[int]int{}
	}
	h.half[e], h.half[f] = f, e
	return e, f
}

func (h *History) add() int {
	e := len(h.past)
	h.past = append(h.past, make([]uint64, e/64+2)) // room for the other half of a rendezvous
	return e
}

func (h *History) after(e int, p clock.Proc, causes []int) {
	if h.last == nil {
		h.last = map[clock.Proc]int{}
	}
	if f, ok := h.last[p]; ok {
		h.cause(e, f)
	}
	for _, f := range causes {
		h.cause(e, f)
	}
	h.last[p] = e
}

func (h *History) cause(e, f int) {
	if f < 0 || f >= e {
		panic("history: an event comes after one that has not happened")
	}
	union(h.past[e], h.past[f])
	h.past[e][f/64] |= 1 << (f % 64)
	if g, ok := h.half[f]; ok {
		h.past[e][g/64] |= 1 << (g % 64) // the past of both is the same
	}
}

func union(dst, src []uint64) {
	for i, w := range src {
		if i < len(dst) {
			dst[i] |= w
		}
	}
}

// Before tells whether e happened before f: whether a path leads from e to f.
func (h *History) Before(e, f int) bool {
	return e/64 < len(h.past[f]) && h.past[f][e/64]>>(e%64)&1 == 1
}

// Compare is Concurrent for independent events, and for the two halves of a rendezvous.
func (h *History) Compare(e, f int) clock.Order {
	switch {
	case e == f:
		return clock.Equal
	case h.Before(e, f):
		return clock.Before
	case h.Before(f, e):
		return clock.After
	}
	return clock.Concurrent
}

// Past is the number of events that happened before e.
func (h *History) Past(e int) int {
	n := 0
	for _, w := range h.past[e] {
		n += bits.OnesCount64(w)
	}
	return n
}
