package learnedsort

import "math/bits"

// How a sort chooses its way.
//
// A scan for natural runs comes first, since it costs nothing on data without order. Then some
// pairs of keys tell whether the order of arrival is nearly right, or right but for a few places. Then a sample,
// one key from each of many stretches of equal length, tells about the distribution:
//
//   - Which bytes of the keys differ? Each costs the radix sort a pass. With few of them nothing is faster.
//   - Are there few distinct keys?
//   - In which feature (see feature) are the keys spread most evenly, and do the buckets of a model
//     that is trained on the sample get about equally many? If even the feature alone gives equal
//     buckets, as the top bits of a hash do, the model need not be asked.
//   - If no model does, the radix sort is the one to take.
//
// The stretches are jittered: with a fixed stride, a sample of periodic data can show one phase of it
// only. The jitter is a fixed sequence, so that sorting is deterministic, and somebody who knows it can
// make the sample lie. Then the bounds on the work hold which spread.go and learned.go set.

// way is the road that a sort took.
type way uint8

const (
	byComparison way = iota // too short for anything else
	byRuns
	byInsertion
	byDrift
	byFew
	byFeature // the hash-like case: the feature is the model
	byModel
	byRadix
)

var wayNames = [...]string{"comparison", "runs", "insertion", "drift", "few", "feature", "model", "radix"}

func (w way) String() string { return wayNames[w] }

const (
	// smallKeys and smallItems are the lengths below which comparing is faster than anything else:
	// for plain keys than slices.Sort, for records than the merge sort.
	smallKeys  = 128
	smallItems = 256

	// even is the imbalance up to which a feature alone is good enough, slanted that up to which one line is
	// for keys that are spread at once, uneven that beyond which no model is.
	even    = 1.25
	slanted = 1.6
	uneven  = 8

	// fewPasses of the radix sort are faster than anything else.
	fewPasses = 2

	// minModel is the length from which on scattering into buckets pays; below it the keys
	// are spread at once.
	minModel = 1 << 15
	// minDirect is the same where the model need not be asked.
	minDirect = 1 << 12
	minFew    = 1 << 13
)

// sort sorts keys of the kind, stably in the order of encoded keys.
func (s *sorter[T]) sort(kind kind, a []T) {
	if ends, falling, ok := runs(kind, a, s.ends[:]); ok {
		s.way = byRuns
		s.work += len(a)
		turn(a, ends, falling)
		if len(ends) > 1 {
			encode(kind, a)
			s.mergeRuns(a, ends)
			decode(kind, a)
		}
		return
	}
	encode(kind, a)
	s.sortUnordered(kind, a)
}

// sortEncoded is sort for keys that are encoded and stay so.
func (s *sorter[T]) sortEncoded(a []T) { s.sort(unsigned, a) }

// sortUnordered sorts encoded keys of the kind and decodes them.
func (s *sorter[T]) sortUnordered(kind kind, a []T) {
	if len(a) < smallItems {
		s.way = byComparison
		s.work += len(a) * bits.Len(uint(len(a)))
		mergesort(a, s.scratch(len(a)))
	} else if !s.byArrival(a) && s.bySample(kind, a) {
		return
	}
	decode(kind, a)
}

// byArrival sorts keys that come nearly in order. It returns false if they do not.
func (s *sorter[T]) byArrival(a []T) bool {
	if nearly(a) {
		if s.way = byInsertion; s.touchUp(a) {
			return true
		}
	}
	if drifts(a) && s.drift(a) {
		s.way = byDrift // the late keys went a way of their own
		return true
	}
	return false
}

// bySample sorts keys in the way that a sample recommends. It tells whether it has decoded them, too.
func (s *sorter[T]) bySample(kind kind, a []T) (decoded bool) {
	n := len(a)
	sample := sampleOf(a)
	distinct, differ := census(sample)
	passes := passesFor(differ)

	if distinct <= maxFew && distinct <= len(sample)/4 && passes > fewPasses && n >= minFew {
		if s.way = byFew; s.few(a) {
			return false
		}
	}
	var m spline
	lo, hi := sample[0][0], sample[len(sample)-1][0]
	switch {
	case passes <= fewPasses:
	case n >= minModel:
		cost := radixCost[T](n, passes)
		if cost < cheapest {
			break
		}
		imbalance, direct := m.fit(kind, sample)
		if imbalance > uneven || cost < modelCost[T](n, m.feature, direct, imbalance, float64(distinct)/float64(len(sample))) {
			break
		}
		if s.way = byModel; direct {
			s.way = byFeature
		}
		if s.learned(kind, a, &m, direct) {
			return true
		}
	case m.frame(kind, affine, lo, hi) && m.imbalance(sample, true) <= slanted:
		s.way = byFeature
		buf := s.scratch(n)
		copy(buf, a)
		s.spread(a, buf, 0)
		return false
	case n >= minDirect && m.frame(kind, value, lo, hi) && m.imbalance(sample, true) <= even:
		if s.way = byFeature; s.learned(kind, a, &m, true) {
			return true
		}
	}
	s.way = byRadix
	s.work += n * (1 + radix(a, s.scratch(n)))
	return false
}
