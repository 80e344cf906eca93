package listappend

import "rebase/elle/history"

// ref is a micro-operation: the mop-th of operation op.
type ref struct {
	op  uint32
	mop uint32
}

// refs are the micro-operations of each key, in order of operations and, within one, of
// execution.
type refs struct {
	off  []uint32
	list []ref
}

func (r *refs) of(k history.Key) []ref { return r.list[r.off[k]:r.off[k+1]] }

func group(h *history.History) *refs {
	r := &refs{off: make([]uint32, h.Keys()+1), list: make([]ref, h.MopCount())}
	for op := range h.Ops {
		for _, m := range h.Mops(op) {
			r.off[m.Key+1]++
		}
	}
	for k := 1; k < len(r.off); k++ {
		r.off[k] += r.off[k-1]
	}
	next := make([]uint32, h.Keys())
	copy(next, r.off)
	for op := range h.Ops {
		for i, m := range h.Mops(op) {
			r.list[next[m.Key]] = ref{uint32(op), uint32(i)}
			next[m.Key]++
		}
	}
	return r
}

// table maps the values of one key to small numbers. Values that are mostly small numbers
// themselves, which is how testers number appends, index it directly.
type table struct {
	min   history.Value
	dense []int32 // number+1, by value-min
	rest  map[history.Value]int32
}

// reset makes the table ready for count values between low and high.
func (t *table) reset(low, high history.Value, count int) {
	clear(t.rest)
	if high < low {
		low, high = 0, 0
	}
	span := uint64(high-low) + 1
	if span > uint64(8*count)+1024 {
		span = 0
		if t.rest == nil {
			t.rest = map[history.Value]int32{}
		}
	}
	t.min = low
	if uint64(cap(t.dense)) < span {
		t.dense = make([]int32, span)
	}
	t.dense = t.dense[:span]
	clear(t.dense)
}

// get is the number of a value, or -1.
func (t *table) get(v history.Value) int32 {
	if i := int64(v) - int64(t.min); i >= 0 && i < int64(len(t.dense)) {
		return t.dense[i] - 1
	}
	if n, ok := t.rest[v]; ok {
		return n
	}
	return -1
}

// set gives a value a number.
func (t *table) set(v history.Value, n int32) {
	if i := int64(v) - int64(t.min); i >= 0 && i < int64(len(t.dense)) {
		t.dense[i] = n + 1
		return
	}
	if t.rest == nil {
		t.rest = map[history.Value]int32{}
	}
	t.rest[v] = n
}
