package learnedsort

import "math/bits"

// sampleOf draws keys, one from each stretch of a, and sorts them.
func sampleOf[T item](a []T) [][1]uint64 {
	m := min(max(len(a)/64, 64), 1<<16)
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
