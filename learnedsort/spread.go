package learnedsort

import "math/bits"

const (
	// crowded is the number of keys in a slot from which on insertion is not good
	// enough. It bounds the work of insertion to crowded/2 moves for a key.
	crowded = 32

	// dense is the number of keys from which on a slot is spread again.
	dense = 256

	// levels is how often keys are spread again before the radix sort takes over.
	levels = 3
)

// spread sorts src into dst, which is as long. It is the last step of the learned
// sort, for keys that fit into the cache: a counting sort whose counters are positions
// predicted by one line from the smallest key to the largest, with about one key
// to a slot, and insertion to put right what lies within a slot.
//
// The line is exact arithmetic on integers, so the slots are in order whatever the
// keys are. Where keys crowd in a slot the line did not fit them; they are spread
// again with a line of their own, which adapts to clusters as a deeper model would, and at the bottom
// is a sort that does not depend on a model. The keys of src are lost. Stable.
func (s *sorter[T]) spread(dst, src []T, level int) {
	n := len(src)
	dst = dst[:n]
	s.work += n
	if n <= 16 {
		copy(dst, src)
		insertion(dst)
		return
	}
	lo, hi := extent(src)
	if lo == hi {
		copy(dst, src)
		return
	}
	width := hi - lo
	if width < uint64(n) {
		s.tally(dst, src, lo, int(width)+1, level)
		return
	}
	// (hi-lo)·mult stays below n·2^64.
	mult, _ := bits.Div64(uint64(n-1), 1<<64-1, width)
	count := s.counters(level, n)
	for i := range src {
		slot, _ := bits.Mul64(src[i][0]-lo, mult)
		count[slot]++
	}
	var sum, most uint32
	for i, c := range count {
		count[i] = sum
		sum += c
		most = max(most, c)
	}
	for i := range src {
		slot, _ := bits.Mul64(src[i][0]-lo, mult)
		at := count[slot]
		count[slot] = at + 1
		dst[at] = src[i]
	}
	if most <= crowded {
		s.work += n * int(most) / 2
		insertion(dst)
		return
	}
	from := uint32(0)
	for _, to := range count { // each slot's end by now
		switch c := to - from; {
		case c <= 1:
		case c <= crowded:
			s.work += int(c * c / 2)
			insertion(dst[from:to])
		case c < dense:
			s.work += int(c) * bits.Len32(c)
			mergesort(dst[from:to], src[from:to])
		case level < levels:
			s.work += int(c)
			copy(src[from:to], dst[from:to])
			s.spread(dst[from:to], src[from:to], level+1)
		default:
			s.work += int(c) * (1 + radix(dst[from:to], src[from:to]))
		}
		from = to
	}
}

// tally is spread for keys that are not more than there are slots: a counting sort.
func (s *sorter[T]) tally(dst, src []T, lo uint64, slots, level int) {
	count := s.counters(level, slots)
	for i := range src {
		count[src[i][0]-lo]++
	}
	sum := uint32(0)
	for i, c := range count {
		count[i] = sum
		sum += c
	}
	for i := range src {
		slot := src[i][0] - lo
		at := count[slot]
		count[slot] = at + 1
		dst[at] = src[i]
	}
}
