package simple

import (
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/history"
)

// set looks at the last read alone.
func (c *checker) set() {
	last := -1
	var result history.Datum
	c.reads(func(op int, d history.Datum) { last, result = op, d })
	if last < 0 || !c.collection(last, result) {
		return
	}
	seen := map[element]bool{}
	for _, d := range result.Items {
		seen[elementOf(d)] = true
	}
	attempted := map[element]bool{}
	c.adds(func(op int, d history.Datum) {
		o := c.h.Ops[op]
		if o.Type != history.Fail {
			attempted[elementOf(d)] = true
		}
		if o.Type == history.OK && o.Complete < c.h.Ops[last].Invoke && !seen[elementOf(d)] {
			c.found(LostElement, []int{op, last}, []anomaly.Fact{{Name: "element", Value: d}},
				"T1 added %v, which was acknowledged, and the last read T2 does not have it", d)
		}
	})
	c.elements(last, result, attempted)
}

// elements reports what a read should not have.
func (c *checker) elements(op int, result history.Datum, attempted map[element]bool) {
	counted := map[element]bool{}
	for _, d := range result.Items {
		e := elementOf(d)
		facts := []anomaly.Fact{{Name: "element", Value: d}}
		if counted[e] {
			c.found(DuplicateElement, []int{op}, facts, "T1 read %v twice in one set", d)
		}
		counted[e] = true
		if !attempted[e] {
			c.found(GarbageElement, []int{op}, facts, "T1 read %v, which nobody added", d)
		}
	}
}

// setFull follows each element through all reads. From when it was acknowledged, or seen by a read that has
// ended, every read that begins must have it. A read that misses it is a loss if no later read has it: otherwise it
// was late, which is no more than stale. If all that is known of an element is lost reads, it is lost.
func (c *checker) setFull() { c.follow(false) }

// setStrict is setFull for sets that are linearizable.
func (c *checker) setStrict() { c.follow(true) }

func (c *checker) follow(strict bool) {
	h := c.h
	type fate struct {
		add           int
		known         int32 // from here on it must be seen
		present       int   // the last read, by its beginning, that has it, or -1
		absent        int   // the last read, by its beginning, of those that had to have it and do not, or -1
		lastPresentAt int32
	}
	fates := map[element]*fate{}
	attempted := map[element]bool{}
	var order []element
	c.adds(func(op int, d history.Datum) {
		e := elementOf(d)
		attempted[e] = attempted[e] || h.Ops[op].Type != history.Fail
		if h.Ops[op].Type == history.Fail || fates[e] != nil {
			return
		}
		f := &fate{add: op, known: -1, present: -1, absent: -1}
		if h.Ops[op].Type == history.OK {
			f.known = h.Ops[op].Complete
		}
		fates[e] = f
		order = append(order, e)
	})
	type read struct {
		op  int
		has map[element]bool
	}
	var reads []read
	c.reads(func(op int, d history.Datum) {
		if !c.collection(op, d) {
			return
		}
		r := read{op, make(map[element]bool, len(d.Items))}
		for _, item := range d.Items {
			e := elementOf(item)
			r.has[e] = true
			if f := fates[e]; f != nil && (f.known < 0 || h.Ops[op].Complete < f.known) {
				f.known = h.Ops[op].Complete
			}
		}
		c.elements(op, d, attempted)
		reads = append(reads, r)
	})
	slices.SortStableFunc(reads, func(a, b read) int { return int(h.Ops[a.op].Invoke - h.Ops[b.op].Invoke) })
	for i := range reads {
		r := &reads[i]
		for e, f := range fates {
			switch {
			case r.has[e]:
				f.present, f.lastPresentAt = r.op, h.Ops[r.op].Invoke
			case f.known >= 0 && f.known < h.Ops[r.op].Invoke:
				f.absent = r.op
			}
		}
	}
	for _, e := range order {
		f := fates[e]
		if strict && f.absent >= 0 && f.present >= 0 && f.lastPresentAt >= h.Ops[f.absent].Invoke {
			d := h.Datum(h.Ops[f.add].Arg)
			c.found(StaleRead, []int{f.add, f.absent, f.present}, []anomaly.Fact{{Name: "element", Value: d}},
				"T1 added %v, which was known before T2 began; T2 misses it and T3 has it", d)
		}
		if f.absent >= 0 && (f.present < 0 || f.lastPresentAt < h.Ops[f.absent].Invoke) {
			d := h.Datum(h.Ops[f.add].Arg)
			c.found(LostElement, []int{f.add, f.absent}, []anomaly.Fact{{Name: "element", Value: d}},
				"T1 added %v, which was known before T2 began, and T2 and all reads after it miss it", d)
		}
	}
}
