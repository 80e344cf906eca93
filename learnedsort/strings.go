package learnedsort

import (
	"cmp"
	"slices"
	"strings"
)

// SortStrings sorts x in ascending order, byte by byte, as [slices.Sort] does.
//
// What strings have in common is skipped, the next eight bytes of each are a number to sort by, and strings
// that agree in these go on with the eight after them. It needs memory for x once more, and 40 bytes for
// each string.
func SortStrings[S ~[]E, E ~string](x S) {
	if len(x) < smallKeys {
		slices.Sort(x)
		return
	}
	if slices.IsSorted(x) {
		return
	}
	sortFrom(x, make([]Record, len(x)), make([]E, len(x)), 0)
}

// fewStrings is the number of strings up to which comparing them is faster than numbering them.
const fewStrings = 48

// sortFrom sorts strings that agree in the first depth bytes, and have as many.
func sortFrom[E ~string](x []E, order []Record, old []E, depth int) {
	depth += common(x, depth)
	for i, s := range x {
		order[i] = Record{prefix(string(s[depth:])), uint64(i)}
	}
	SortRecords(order)
	copy(old, x)
	for i, r := range order {
		x[i] = old[r.Value]
	}
	for from := 0; from < len(x); {
		to := from + 1
		for to < len(x) && order[to].Key == order[from].Key {
			to++
		}
		if to-from > 1 {
			settle(x[from:to], order[from:to], old[from:to], depth)
		}
		from = to
	}
}

// settle sorts strings that agree in the eight bytes from depth on, if a string that ends is followed by zeroes.
func settle[E ~string](x []E, order []Record, old []E, depth int) {
	if len(x) <= fewStrings {
		slices.SortFunc(x, func(a, b E) int { return strings.Compare(string(a[depth:]), string(b[depth:])) })
		return
	}
	// Those that end come first; of them a shorter one is followed by more zeroes that are not there.
	ended := 0
	for i, s := range x {
		if len(s) <= depth+8 {
			x[i], x[ended] = x[ended], s
			ended++
		}
	}
	slices.SortFunc(x[:ended], func(a, b E) int { return cmp.Compare(len(a), len(b)) })
	if x = x[ended:]; len(x) > 1 {
		sortFrom(x, order[ended:], old[ended:], depth+8)
	}
}

// prefix returns the first eight bytes of s as a number that sorts as they do.
func prefix(s string) uint64 {
	if len(s) >= 8 {
		return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 |
			uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
	}
	var k uint64
	for i := range len(s) {
		k |= uint64(s[i]) << (56 - 8*i)
	}
	return k
}

// common returns how many bytes after the first depth all strings have in common.
func common[E ~string](x []E, depth int) int {
	first := x[0][depth:]
	n := len(first)
	for _, s := range x[1:] {
		s = s[depth:]
		n = min(n, len(s))
		if s[:n] == first[:n] {
			continue
		}
		i := 0
		for s[i] == first[i] {
			i++
		}
		if n = i; n == 0 {
			break
		}
	}
	return n
}
