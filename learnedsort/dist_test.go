package learnedsort

import (
	"math"
	"math/rand/v2"
)

// dist is one of the distributions that everything here is tested and measured on.
type dist struct {
	name   string
	floats func(r *rand.Rand, n int) []float64
	// scale makes integers of the floats; 0 is for full64.
	scale float64
}

// dists are the sixteen.
var dists = []dist{
	{"uniform", each(func(r *rand.Rand) float64 { return r.Float64() }), 0},
	{"normal", each(func(r *rand.Rand) float64 { return r.NormFloat64() }), 1e15},
	{"lognormal", each(func(r *rand.Rand) float64 { return math.Exp(2 * r.NormFloat64()) }), 1e9},
	{"mixture", each(func(r *rand.Rand) float64 {
		centre := []float64{-40, -3, 0, 11, 900}[r.IntN(5)]
		return centre + r.NormFloat64()*math.Abs(centre+1)/20
	}), 1e12},
	// Infinite mean: the largest of a million is about 10^20 times the median.
	{"pareto", each(func(r *rand.Rand) float64 { return math.Pow(1-r.Float64(), -1/0.3) }), 1},
	{"zipf", zipf, 1},
	{"clusters", each(func(r *rand.Rand) float64 {
		return float64(r.IntN(20))*1e6 + r.NormFloat64()*1e-3
	}), 1e9},
	{"rootdups", indexed(func(r *rand.Rand, i, n int) float64 {
		return float64(i % int(math.Sqrt(float64(n))))
	}), 1},
	{"few", each(func(r *rand.Rand) float64 { return math.Sqrt(float64(r.IntN(100))) }), 1e15},
	{"one", each(func(r *rand.Rand) float64 { return 42 }), 1},
	{"sorted", indexed(func(r *rand.Rand, i, n int) float64 { return float64(i) * math.Pi }), 1e6},
	{"reversed", indexed(func(r *rand.Rand, i, n int) float64 { return float64(n-i) * math.Pi }), 1e6},
	{"organpipe", indexed(func(r *rand.Rand, i, n int) float64 { return float64(min(i, n-i)) * math.Pi }), 1e6},
	{"periodic", indexed(func(r *rand.Rand, i, n int) float64 {
		return math.Sin(float64(i)*2*math.Pi/1000) + r.Float64()*1e-3
	}), 1e15},
	{"time", times, 1e9},
	{"timeshuffled", func(r *rand.Rand, n int) []float64 {
		x := times(r, n)
		r.Shuffle(n, func(i, j int) { x[i], x[j] = x[j], x[i] })
		return x
	}, 1e9},
}

func each(f func(*rand.Rand) float64) func(*rand.Rand, int) []float64 {
	return indexed(func(r *rand.Rand, _, _ int) float64 { return f(r) })
}

func indexed(f func(r *rand.Rand, i, n int) float64) func(*rand.Rand, int) []float64 {
	return func(r *rand.Rand, n int) []float64 {
		x := make([]float64, n)
		for i := range x {
			x[i] = f(r, i, n)
		}
		return x
	}
}

func zipf(r *rand.Rand, n int) []float64 {
	z := rand.NewZipf(r, 1.1, 1, 1<<40)
	x := make([]float64, n)
	for i := range x {
		x[i] = float64(z.Uint64())
	}
	return x
}

// times are seconds of one day as events arrive: more by day than by night, bursts, up to
// 0.2 s late, a third of them rounded to milliseconds.
func times(r *rand.Rand, n int) []float64 {
	const day = 86400
	x := make([]float64, n)
	now := 0.0
	for i := range x {
		rate := float64(n) / day * (1 + 0.8*math.Sin(now/day*2*math.Pi))
		if r.IntN(1000) == 0 {
			rate *= 50
		}
		now += r.ExpFloat64() / rate
		x[i] = now + r.Float64()*0.2
		if r.Float64() < 0.3 {
			x[i] = math.Floor(x[i]*1e3) / 1e3
		}
	}
	return x
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// uints are the distribution as unsigned integers; ints the same around zero.
func (d dist) uints(r *rand.Rand, n int) []uint64 {
	x := make([]uint64, n)
	if d.scale == 0 {
		for i := range x {
			x[i] = r.Uint64()
		}
		return x
	}
	for i, f := range d.floats(r, n) {
		// What is too large for 63 bits is the largest; zero lies in the middle if there are negative ones.
		v := int64(max(min(f*d.scale, 1<<62), -1<<62))
		x[i] = uint64(v)
		if d.name == "normal" || d.name == "mixture" || d.name == "periodic" {
			x[i] ^= sign
		}
	}
	return x
}

func (d dist) ints(r *rand.Rand, n int) []int64 {
	x := make([]int64, n)
	for i, u := range d.uints(r, n) {
		x[i] = int64(u)
	}
	return x
}

func (d dist) records(r *rand.Rand, n int) []Record {
	x := make([]Record, n)
	for i, u := range d.uints(r, n) {
		x[i] = Record{u, uint64(i)}
	}
	return x
}
