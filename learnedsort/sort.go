package learnedsort

import "slices"

// Sort sorts x in ascending order, as [slices.Sort] does: NaNs come first, and 0 equals
// -0. Which of two equal zeroes comes first is not determined, here as there.
//
// It allocates room for x again and a quarter more, or next to nothing if x is sorted, reversed, nearly
// sorted or short.
func Sort[S ~[]E, E Key](x S) {
	if len(x) < smallKeys || !wide[E]() {
		slices.Sort(x)
		return
	}
	s := newSorter[[1]uint64](&keySorters)
	s.sort(kindOf[E](), keysOf(x))
	s.release(&keySorters)
}

// SortRecords sorts x by Key in ascending order. Records with equal keys keep their order. See [Order] for
// keys that are not unsigned.
func SortRecords(x []Record) {
	s := newSorter[[2]uint64](&itemSorters)
	s.sort(unsigned, itemsOf(x))
	s.release(&itemSorters)
}
