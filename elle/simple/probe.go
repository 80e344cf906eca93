package simple

import (
	"fmt"
	"slices"
	"strings"

	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
)

// longFork compares all reads of the same keys, each of which is written at most once. One that saw x but not y and one that saw y
// but not x have seen two writes in different orders.
func (c *checker) longFork() {
	type read struct {
		op   int
		mops []history.Mop // sorted by key
	}
	groups := map[string][]read{}
	var names []string
	n := 0
	for op := range c.h.Ops {
		mops := slices.Clone(c.h.Mops(op))
		if c.h.Ops[op].Type != history.OK || len(mops) < 2 || slices.ContainsFunc(mops, func(m history.Mop) bool { return m.Kind != history.Read }) {
			continue
		}
		n++
		slices.SortFunc(mops, func(a, b history.Mop) int { return int(a.Key) - int(b.Key) })
		var name strings.Builder
		for _, m := range mops {
			fmt.Fprintf(&name, "%d ", m.Key)
		}
		if groups[name.String()] == nil {
			names = append(names, name.String())
		}
		// Reads that saw the same need not be compared twice.
		group := groups[name.String()]
		if !slices.ContainsFunc(group, func(r read) bool { return slices.Equal(r.mops, mops) }) {
			groups[name.String()] = append(group, read{op, mops})
		}
	}
	if n == 0 {
		c.out.Unknown = append(c.out.Unknown, NoReads)
	}
	for _, name := range names {
		group := groups[name]
		for i := range group {
			for j := range i {
				a, b := group[j], group[i]
				onlyA, onlyB := -1, -1
				for k := range a.mops {
					switch va, vb := a.mops[k].Val, b.mops[k].Val; {
					case va == vb:
					case va != history.None && vb != history.None:
						c.found(BadValue, []int{a.op, b.op}, nil, "T1 and T2 read different values of key %v, which is written once", c.h.KeyDatum(a.mops[k].Key))
					case vb == history.None:
						onlyA = k
					default:
						onlyB = k
					}
				}
				if onlyA >= 0 && onlyB >= 0 {
					x, y := c.h.KeyDatum(a.mops[onlyA].Key), c.h.KeyDatum(a.mops[onlyB].Key)
					c.found(model.GNonadjacent, []int{a.op, b.op}, []anomaly.Fact{{Name: "keys", Value: []history.Datum{x, y}}},
						"A long fork: T1 saw the write of %v and not yet that of %v, T2 saw that of %v and not yet that of %v", x, y, y, x)
				}
			}
		}
	}
}

// comments looks for a read that saw a write but not another that had ended before the first began.
func (c *checker) comments() {
	h := c.h
	writer := map[element]int{}
	var ended []int // writes that are ok, in the order of their ends
	for _, e := range h.Events() {
		op := int(e >> 1)
		if h.F(op) != "write" {
			continue
		}
		if e&1 == 0 {
			writer[elementOf(h.Datum(h.Ops[op].Arg))] = op
		} else if h.Ops[op].Type == history.OK {
			ended = append(ended, op)
		}
	}
	c.reads(func(op int, d history.Datum) {
		if !c.collection(op, d) {
			return
		}
		seen := map[element]bool{}
		latest := -1 // of the writes seen, the one that began last
		for _, item := range d.Items {
			e := elementOf(item)
			seen[e] = true
			if w, ok := writer[e]; ok && (latest < 0 || h.Ops[w].Invoke > h.Ops[latest].Invoke) {
				latest = w // what was there before the history began has no writer
			}
		}
		for _, w := range ended {
			value := h.Datum(h.Ops[w].Arg)
			if seen[elementOf(value)] {
				continue
			}
			switch {
			case latest >= 0 && h.Ops[w].Complete < h.Ops[latest].Invoke:
				c.found(model.GSingle.Realtime(), []int{op, w, latest}, []anomaly.Fact{{Name: "element", Value: value}},
					"T1 saw %v, which T3 wrote, but not %v, which T2 had written before T3 began", h.Datum(h.Ops[latest].Arg), value)
			case h.Ops[w].Complete < h.Ops[op].Invoke:
				c.found(model.GSingle.Realtime(), []int{op, w}, []anomaly.Fact{{Name: "element", Value: value}},
					"T1 did not see %v, which T2 had written before T1 began", value)
			default:
				continue
			}
			break // one is enough of a read
		}
	})
}
