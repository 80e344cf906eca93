package learnedsort

import "slices"

// SortStable sorts x in ascending order of the keys, and keeps the order of elements with equal keys,
// as [slices.SortStableFunc] with a comparison of the keys by [cmp.Compare] does. It calls key once for each element.
//
// There is no faster sort that is not stable. It needs memory for x once more, unless x is nearly sorted, and 40 bytes for
// each element.
func SortStable[S ~[]E, E any, K Key](x S, key func(E) K) {
	if len(x) < 2 {
		return
	}
	// Sort pairs of the key and the place, then fetch the elements from their places.
	order := make([]Record, len(x))
	for i, e := range x {
		order[i] = Record{Order(key(e)), uint64(i)}
	}
	s := newSorter[[2]uint64](&itemSorters)
	s.sort(unsigned, itemsOf(order))
	way := s.way
	s.release(&itemSorters)
	if way == byRuns || way == byInsertion || way == byDrift {
		rotate(x, order)
		return
	}
	old := slices.Clone(x)
	for i, r := range order {
		x[i] = old[r.Value]
	}
}

// rotate puts into each place what is in the place that the record names, one cycle after the other. Where most elements stay or
// move a little, this touches little memory. Otherwise it waits for one read from far away after the other,
// which can all be under way at once if there is a copy to read from.
func rotate[E any](x []E, order []Record) {
	for i := range order {
		from := order[i].Value
		if from == uint64(i) {
			continue
		}
		first, at := x[i], uint64(i)
		for from != uint64(i) {
			x[at] = x[from]
			order[at].Value = at
			at, from = from, order[from].Value
		}
		x[at] = first
		order[at].Value = at
	}
}
