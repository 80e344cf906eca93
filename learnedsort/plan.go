package learnedsort

import (
	"math"
	"math/bits"
)

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

	// minModel is the length from which on scattering into buckets pays; below it the keys
	// are spread at once.
	minModel = 1 << 15
	// minDirect is the same where the model need not be asked.
	minDirect = 1 << 12
	minFew    = 1 << 13
)

// sort sorts keys of the kind, stably in the order of encoded keys.
func (s *sorter[T]) sort(kind kind, a []T) {
	if ends, falling, ok := runs(kind, a); ok {
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
	n := len(a)
	if n < smallItems {
		s.way = byComparison
		s.work += n * bits.Len(uint(n))
		mergesort(a, s.scratch(n))
		decode(kind, a)
		return
	}
	if nearly(a) {
		if s.way = byInsertion; s.touchUp(a) {
			decode(kind, a)
			return
		}
	}
	if drifts(a) {
		s.way = byDrift
		if s.drift(a) {
			s.way = byDrift // sorting the late keys took a way of its own
			decode(kind, a)
			return
		}
	}
	sample := sampleOf(a)
	distinct, differ := census(sample)
	passes := 0
	for d := differ; d != 0; d >>= 8 {
		if d&0xff != 0 {
			passes++
		}
	}
	if distinct <= maxFew && distinct <= len(sample)/4 && passes > 2 && n >= minFew {
		if s.way = byFew; s.few(a) {
			decode(kind, a)
			return
		}
	}
	var m spline
	if n < minModel {
		lo, hi := sample[0][0], sample[len(sample)-1][0]
		if passes > 2 && m.frame(kind, affine, lo, hi) && m.imbalance(sample, true) <= slanted {
			s.way = byFeature
			buf := s.scratch(n)
			copy(buf, a)
			s.spread(a, buf, 0)
			decode(kind, a)
			return
		}
		if n >= minDirect && m.frame(kind, value, lo, hi) && m.imbalance(sample, true) <= even {
			if s.way = byFeature; s.learned(kind, a, &m, true) {
				return
			}
		}
	} else if cost := radixCost[T](n, passes); cost > cheapest {
		imbalance, direct := m.fit(kind, sample)
		if imbalance < uneven && modelCost[T](n, m.feature, direct, imbalance, float64(distinct)/float64(len(sample))) < cost {
			if s.way = byModel; direct {
				s.way = byFeature
			}
			if s.learned(kind, a, &m, direct) {
				return
			}
		}
	}
	s.way = byRadix
	s.work += n * (1 + radix(a, s.scratch(n)))
	decode(kind, a)
}

// The costs of a radix sort and of a model, in nanoseconds for a key on the machine that this was tuned on;
// what counts is how they compare. A pass of the radix sort moves all keys over the whole of memory,
// so its cost grows with their size; a model moves them twice.

// cheapest is less than what any model costs.
const cheapest = 8

func radixCost[T item](n, passes int) float64 {
	p := float64(passes)
	switch size := n * itemSize[T](); {
	case itemSize[T]() == 8 && size < 4<<20:
		return 3 + 1.0*p
	case itemSize[T]() == 8 && size < 32<<20:
		return 2 + 1.5*p
	case itemSize[T]() == 8:
		return 3.2 + 1.7*p
	case size < 4<<20:
		return 3 + 1.3*p
	default:
		return 2 + 2.5*p
	}
}

// modelCost takes the share of keys that are distinct, too: equal ones are in order when they have found their bucket.
func modelCost[T item](n int, f feature, direct bool, imbalance, distinct float64) float64 {
	cost := 13.3
	if itemSize[T]() > 8 && n*itemSize[T]() >= 4<<20 {
		cost = 16.5
	}
	if f == magnitude {
		cost += 0.7
	}
	if direct {
		cost -= 2.5
	}
	return cost*(0.6+0.4*distinct) + 2*max(imbalance-1, 0)*distinct
}

// fit trains the model in the feature that suits the sample best. It returns the imbalance that remains, and
// whether the feature alone is good enough.
func (s *spline) fit(kind kind, sample [][1]uint64) (imbalance float64, direct bool) {
	lo, hi := sample[0][0], sample[len(sample)-1][0]
	best, choice := math.Inf(1), features
	for f := range features {
		if !s.frame(kind, f, lo, hi) {
			continue
		}
		if f != magnitude {
			if i := s.imbalance(sample, true); i <= even {
				return i, true
			}
		}
		s.train(sample)
		// The first ones are cheaper.
		if i := s.imbalance(sample, false); i < 0.8*best {
			best, choice = i, f
		}
	}
	if choice < features {
		s.frame(kind, choice, lo, hi)
		s.train(sample)
	}
	return best, false
}

// sampleOf draws keys, one from each stretch of a, and sorts them.
func sampleOf[T item](a []T) [][1]uint64 {
	m := min(max(len(a)/64, 128), 1<<16)
	sample := make([][1]uint64, m, 2*m)
	stretches := newStretches(len(a), m)
	for i := range sample {
		sample[i][0] = a[stretches.next()][0]
	}
	if m < 1024 {
		mergesort(sample, sample[m:2*m])
	} else {
		radix(sample, sample[m:2*m])
	}
	return sample
}

// census counts the distinct keys of a sorted sample and returns the bits in which keys differ.
func census(sample [][1]uint64) (distinct int, differ uint64) {
	distinct = 1
	for i := 1; i < len(sample); i++ {
		if d := sample[i][0] ^ sample[i-1][0]; d != 0 {
			distinct++
			differ |= d
		}
	}
	return distinct, differ
}

// jitter is a sequence of numbers without pattern, the same for the same length.
type jitter uint64

func newJitter(n int) jitter { return jitter(n) }

// below returns a number in [0, n). (SplitMix64, Steele, Lea and Flood 2014.)
func (j *jitter) below(n int) int {
	*j += 0x9e3779b97f4a7c15
	z := uint64(*j)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	hi, _ := bits.Mul64(z^z>>31, uint64(n))
	return int(hi)
}

// stretches draws one place from each of m stretches that together are n long.
type stretches struct {
	jitter  jitter
	i, m, n uint64
}

func newStretches(n, m int) *stretches {
	return &stretches{jitter: newJitter(n), m: uint64(m), n: uint64(n)}
}

func (s *stretches) next() int {
	from := s.i * s.n / s.m
	s.i++
	return int(from) + s.jitter.below(int(s.i*s.n/s.m-from))
}
