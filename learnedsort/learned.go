package learnedsort

import (
	"math"
	"math/bits"
)

// maxBucketBits bounds the number of buckets.
const maxBucketBits = 13

// bucketBits chooses 2^bits buckets for n keys: about a thousand keys in each, which lie
// in the first-level cache with their counters; but no more than a thousand buckets, as
// scattering into more of them costs more than it saves, until they outgrow the
// second-level cache.
func bucketBits(n int) uint {
	b := min(max(bits.Len(uint(n))-11, 4), 10)
	if n > 1<<25 {
		b = min(bits.Len(uint(n))-15, maxBucketBits)
	}
	return uint(b)
}

// misled is the imbalance at which the sample must have been wrong: the size of the bucket
// that a key finds itself in, on average, as a multiple of the mean.
const misled = 192

// learned sorts encoded keys by the model, and decodes them. With direct, the
// feature itself is the model. It returns false, having changed nothing, if the keys
// do not follow the model. Stable.
//
// One pass finds the bucket of each key and counts, one scatters the keys into their
// buckets, then each bucket is spread back to where it belongs in a. What the first
// pass found is kept: two bytes are cheaper than the model.
func (s *sorter[T]) learned(kind kind, a []T, m *spline, direct bool) bool {
	n := len(a)
	b := bucketBits(n)
	ids := s.bucketIDs(n)
	var next [1 << maxBucketBits]int
	classify(m, direct, b, a, ids, &next)
	s.work += n

	starts := make([]int, 1<<b+1)
	sum, most, squares := 0, 0, 0.0
	for i := range 1 << b {
		c := next[i]
		starts[i], next[i] = sum, sum
		sum += c
		most = max(most, c)
		squares += float64(c) * float64(c)
	}
	starts[1<<b] = n
	if squares > misled*float64(n)*float64(n)/float64(uint(1)<<b) || uint64(most) > math.MaxUint32 {
		return false
	}

	buf := s.scratch(n)
	for i := range a {
		id := ids[i] & (1<<maxBucketBits - 1)
		at := next[id]
		next[id] = at + 1
		buf[at] = a[i]
	}
	s.work += n
	for i := range 1 << b {
		from, to := starts[i], starts[i+1]
		s.spread(a[from:to], buf[from:to], 0)
		decode(kind, a[from:to])
	}
	return true
}

// classify sets ids to the keys' buckets, of which there are 2^b, and counts them. The
// loops differ in the feature and in whether the model is asked; they are written out because
// this is where a quarter of the time goes.
func classify[T item](m *spline, direct bool, b uint, a []T, ids []uint16, count *[1 << maxBucketBits]int) {
	ids = ids[:len(a)]
	lo, hi, shift, mult, base, scale := m.lo, m.hi, m.shift&63, m.mult, m.base, m.scale
	ofFeature, ofShare := (featureBits-b)&63, (32-b)&31
	switch {
	case m.feature == affine && direct:
		for i := range a {
			k := min(max(a[i][0], lo), hi)
			f, _ := bits.Mul64((k-lo)<<shift, mult)
			id := uint16(f >> ofFeature)
			ids[i] = id
			count[id&(1<<maxBucketBits-1)]++
		}
	case m.feature == affine:
		for i := range a {
			k := min(max(a[i][0], lo), hi)
			f, _ := bits.Mul64((k-lo)<<shift, mult)
			id := uint16(m.at(f) >> ofShare)
			ids[i] = id
			count[id&(1<<maxBucketBits-1)]++
		}
	case m.feature == value && direct:
		for i := range a {
			k := min(max(a[i][0], lo), hi)
			f := uint64(int64((floatOf(k) - base) * scale))
			id := uint16(f >> ofFeature)
			ids[i] = id
			count[id&(1<<maxBucketBits-1)]++
		}
	case m.feature == value:
		for i := range a {
			k := min(max(a[i][0], lo), hi)
			f := uint64(int64((floatOf(k) - base) * scale))
			id := uint16(m.at(f) >> ofShare)
			ids[i] = id
			count[id&(1<<maxBucketBits-1)]++
		}
	default: // magnitude, of which there is no direct
		for i := range a {
			k := min(max(a[i][0], lo), hi)
			f, _ := bits.Mul64(logOf(k-lo)<<shift, mult)
			id := uint16(m.at(f) >> ofShare)
			ids[i] = id
			count[id&(1<<maxBucketBits-1)]++
		}
	}
}
