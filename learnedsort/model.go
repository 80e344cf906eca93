package learnedsort

import (
	"math"
	"math/bits"
)

const (
	cellBits = 11
	cells    = 1 << cellBits
)

// featureBits is the width of a feature.
const featureBits = 62

// feature is what a model looks at in a key. A linear root, the usual one, sends a
// heavy tail into a single leaf; the root of this model is linear in one of
// three features instead, whichever spreads the sample best.
type feature uint8

const (
	affine    feature = iota // distance from the smallest key; of floats, in the order of their bits, which is nearly logarithmic
	value                    // distance of float64 values
	magnitude                // logarithm of the distance, for integers
	features
)

// spline is a cumulative distribution function: monotonic, continuous, linear within
// cells of equal width in a feature. Above the feature all arithmetic is on
// integers, so it is monotonic to the last bit and no key can fall outside.
//
// It is the two-layer model of the paper with knots for lines: a leaf ends where the next begins,
// hence keys that the sample did not show cannot come out in the wrong order, and a leaf takes
// four bytes.
type spline struct {
	kind    kind // of the keys before they were encoded
	feature feature
	lo, hi  uint64 // the range that was seen; keys outside count as its ends

	// What turns a key into a feature; derived from the fields above.
	shift uint
	mult  uint64
	base  float64
	scale float64

	// knots[c] is the share of keys, of 2^32, that lie before cell c.
	knots [cells + 1]uint32
}

// frame sets up the feature for keys in [lo, hi]. It reports false if the feature
// makes no sense for them.
func (s *spline) frame(kind kind, f feature, lo, hi uint64) bool {
	s.kind, s.feature = kind, f
	s.shift, s.mult, s.base, s.scale = 0, 0, 0, 0
	if f == value {
		if kind != float {
			return false
		}
		// Infinities and NaNs have no distance.
		lo = max(lo, order(float, math.Float64bits(-math.MaxFloat64)))
		hi = min(hi, order(float, math.Float64bits(math.MaxFloat64)))
	}
	if f == magnitude && kind == float || lo >= hi {
		return false
	}
	s.lo, s.hi = lo, hi
	width := hi - lo
	switch f {
	case value:
		s.base = floatOf(lo)
		span := floatOf(hi) - s.base
		// A little less than all, for the rounding.
		s.scale = (1<<featureBits - 1<<20) / span
		return span > 0 && !math.IsInf(span, 0) && !math.IsInf(s.scale, 0)
	case magnitude:
		width = logOf(width)
		if width == 0 {
			return false
		}
	}
	s.shift = uint(bits.LeadingZeros64(width))
	s.mult, _ = bits.Div64(1<<featureBits-1, 1<<64-1, width<<s.shift)
	return true
}

// floatOf returns the float64 whose encoded bits are k.
func floatOf(k uint64) float64 { return math.Float64frombits(unorderFloat(k)) }

// logOf is a logarithm, linear between the powers of two. Converting signed numbers
// is one instruction; of unsigned ones it is a branch and several.
func logOf(distance uint64) uint64 {
	return math.Float64bits(float64(int64(distance>>1))+1) - 0x3ff0000000000000
}

// of returns the feature of an encoded key, less than 2^featureBits.
func (s *spline) of(k uint64) uint64 {
	k = min(max(k, s.lo), s.hi)
	switch s.feature {
	case value:
		return uint64(int64((floatOf(k) - s.base) * s.scale))
	case magnitude:
		f, _ := bits.Mul64(logOf(k-s.lo)<<(s.shift&63), s.mult)
		return f
	}
	f, _ := bits.Mul64((k-s.lo)<<(s.shift&63), s.mult)
	return f
}

// at returns the share of keys, of 2^32, that lie before a feature.
func (s *spline) at(f uint64) uint32 {
	c := f >> (featureBits - cellBits) & (cells - 1)
	left := s.knots[c]
	return left + uint32(uint64(s.knots[c+1]-left)*(f>>(featureBits-cellBits-32)&(1<<32-1))>>32)
}

// share returns the share of keys, of 2^32, that lie before an encoded key.
func (s *spline) share(k uint64) uint32 { return s.at(s.of(k)) }

// cell returns the cell of an encoded key.
func (s *spline) cell(k uint64) int {
	return int(s.of(k) >> (featureBits - cellBits))
}

// train fits the knots to a sorted sample of encoded keys. If there are fewer than
// about four keys to a cell, its slope would be noise: then neighbouring cells share one.
func (s *spline) train(sample [][1]uint64) {
	shared := 0 // cells that share a slope, as a power of two
	for shared < cellBits-2 && len(sample) < cells*4>>shared {
		shared++
	}
	var count [cells]int
	for _, k := range sample {
		count[s.cell(k[0])>>shared]++
	}
	sum := uint64(0)
	for c := range cells >> shared {
		left := sum * (1<<32 - 1) / uint64(len(sample))
		sum += uint64(count[c])
		right := sum * (1<<32 - 1) / uint64(len(sample))
		for i := range 1 << shared {
			s.knots[c<<shared+i] = uint32(left + (right-left)*uint64(i)>>shared)
		}
	}
	s.knots[cells] = 1<<32 - 1
}

// imbalance is the size of the bucket that a key finds itself in, on average over the keys of a
// sorted sample, as a multiple of the mean. Repeated keys count once, because a
// bucket of equal keys is no work. With direct, the feature itself is the model.
func (s *spline) imbalance(sample [][1]uint64, direct bool) float64 {
	// As many buckets as leave about eight keys in each.
	b := min(max(bits.Len(uint(len(sample)))-4, 2), 10)
	distinct, squares := 0, 0
	bucket, size := uint64(0), 0
	for i, k := range sample {
		if i > 0 && k == sample[i-1] {
			continue
		}
		f := s.of(k[0])
		if !direct {
			f = uint64(s.at(f)) << (featureBits - 32)
		}
		if f >>= featureBits - b; f != bucket {
			squares += size * size
			bucket, size = f, 0
		}
		size++
		distinct++
	}
	squares += size * size
	// The keys of an even bucket of mean size μ see μ+1 of them.
	mean := float64(distinct) / float64(uint(1)<<b)
	return float64(squares) / float64(distinct) / (mean + 1)
}

// misfit is the largest difference between the share that the model gives a key of a sorted sample, and
// the share that lies before it in the sample, as a share of 2^32.
func (s *spline) misfit(sample [][1]uint64) uint64 {
	worst := uint64(0)
	for i, k := range sample {
		if i > 0 && k == sample[i-1] {
			continue
		}
		is, says := uint64(i)<<32/uint64(len(sample)), uint64(s.share(k[0]))
		worst = max(worst, max(is, says)-min(is, says))
	}
	return worst
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
