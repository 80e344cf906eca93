package learnedsort

import "slices"

// SortStable sorts x in ascending order of the keys, and keeps the order of elements with equal keys,
// as [slices.SortStableFunc] with a comparison of the keys by [cmp.Compare] does. It calls key once for each element.
//
// There is no faster sort that is not stable. It needs memory for x once more, and 40 bytes for each element.
func SortStable[S ~[]E, E any, K Key](x S, key func(E) K) {
	if len(x) < 2 {
		return
	}
	// Sort pairs of the key and the place, then fetch the elements from their places.
	order := make([]Record, len(x))
	for i, e := range x {
		order[i] = Record{Order(key(e)), uint64(i)}
	}
	SortRecords(order)
	for i, r := range order {
		if r.Value != uint64(i) { // what is before stays where it is
			permute(x[i:], order[i:], uint64(i))
			return
		}
	}
}

// permute puts into each place what is in the place, less first, that the record names.
func permute[E any](x []E, order []Record, first uint64) {
	old := slices.Clone(x)
	for i, r := range order {
		x[i] = old[r.Value-first]
	}
}
