package gen

import "math/bits"

// rng is splitmix64: small, fast, and the same everywhere and forever, which a library's generator need not be.
type rng struct{ state uint64 }

func (r *rng) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// intn returns a number in [0, n), n > 0. The bias is below n/2^64.
func (r *rng) intn(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// chance is true with probability p.
func (r *rng) chance(p float64) bool {
	return p > 0 && float64(r.next()>>11)/(1<<53) < p
}
