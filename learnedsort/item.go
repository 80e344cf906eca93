package learnedsort

import "unsafe"

// item is what the kernels move: a key alone, or a key and a value. Generic code can
// index arrays but not select fields, and each array type is compiled on its own, so
// that this costs nothing over two copies of the source.
type item interface{ [1]uint64 | [2]uint64 }

// A Record is a key and a value: 16 bytes, such as a hash and the place that it was
// found at, or a time and a document's number.
type Record struct {
	Key   uint64
	Value uint64
}

// keysOf sees the slice as keys, ordered or not. E has 64 bits.
func keysOf[E Key](x []E) [][1]uint64 {
	return unsafe.Slice((*[1]uint64)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

func itemsOf(x []Record) [][2]uint64 {
	return unsafe.Slice((*[2]uint64)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// encode puts keys into order, decode brings them back.
func encode[T item](kind kind, a []T) {
	switch kind {
	case signed:
		for i := range a {
			a[i][0] ^= sign
		}
	case float:
		for i := range a {
			a[i][0] = orderFloat(a[i][0])
		}
	}
}

func decode[T item](kind kind, a []T) {
	switch kind {
	case signed:
		for i := range a {
			a[i][0] ^= sign
		}
	case float:
		for i := range a {
			a[i][0] = unorderFloat(a[i][0])
		}
	}
}

// extent returns the smallest and the largest key of a non-empty slice.
func extent[T item](a []T) (lo, hi uint64) {
	lo = a[0][0]
	hi = lo
	for i := range a {
		k := a[i][0]
		lo = min(lo, k)
		hi = max(hi, k)
	}
	return lo, hi
}

// itemSize returns the size of an item in bytes.
func itemSize[T item]() int {
	var v T
	return 8 * len(v)
}
