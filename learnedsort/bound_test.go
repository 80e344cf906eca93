package learnedsort

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// mostWork is the number of visits of each key that no input may exceed. What comes together at worst: an
// insertion given up (2), blocks of which each is spread on every level (under 40) and given up for late keys, a count of distinct
// keys given up (1), a model given up (1), and eight passes of the radix sort (9); or instead of that, buckets that
// are spread on every level. A quadratic sort would visit each key tens of thousands of times.
const mostWork = 100

// Whoever knows the sampler can make the sample lie. Each of these does it to one of the decisions. The work stays bounded.
func TestLyingSamplesDoNotMakeItQuadratic(t *testing.T) {
	const n = 1 << 16
	r := seeded(1)
	sampled := map[int]bool{}
	{
		// The places that sampleOf looks at.
		m := min(max(n/64, 64), 1<<16)
		places := newStretches(n, m)
		for range m {
			sampled[places.next()] = true
		}
		seen := make([][1]uint64, n)
		for i := range sampled {
			seen[i][0] = 1
		}
		for _, k := range sampleOf(seen) {
			if k[0] != 1 {
				t.Fatal("this test does not know where sampleOf looks")
			}
		}
	}
	pairs := map[int]bool{}
	for _, p := range []struct{ gap, probes int }{{8, 64}, {driftGap, 256}} {
		jitter := newJitter(n)
		step := (n - p.gap) / p.probes
		for i := range p.probes {
			at := i*step + jitter.below(step)
			pairs[at], pairs[at+p.gap] = true, true
		}
	}
	lie := func(places map[int]bool, sample, rest func(i int) uint64) []uint64 {
		x := make([]uint64, n)
		for i := range x {
			if places[i] {
				x[i] = sample(i)
			} else {
				x[i] = rest(i)
			}
		}
		return x
	}
	hash := func(int) uint64 { return r.Uint64() }
	ascending := func(i int) uint64 { return uint64(i) << 40 }
	collide := inverse(0x9e3779b97f4a7c15)

	cases := []struct {
		name string
		keys []uint64
	}{
		{"a sample of hashes, the rest in one place", lie(sampled, hash, func(int) uint64 { return 1<<63 + r.Uint64N(1000) })},
		{"a sample of hashes, the rest within a bucket", lie(sampled, hash, func(int) uint64 { return 1<<63 + r.Uint64N(1<<50) })},
		{"a sample of hashes, the rest crowded on every level", lie(sampled, hash, func(int) uint64 { return 1<<63 + nested(r) })},
		{"a sample of few, the rest hashes", lie(sampled, func(i int) uint64 { return uint64(i%100) << 50 }, hash)},
		{"few that collide", lie(nil, nil, func(i int) uint64 { return collide * (5<<54 + uint64(r.IntN(200))) })},
		{"a sample in order, the rest hashes", lie(pairs, ascending, hash)},
		{"a sample in order, the rest falling", lie(pairs, ascending, func(i int) uint64 { return uint64(n-i) << 40 })},
		{"a sample in order, the rest late by a block", lie(pairs, ascending, func(i int) uint64 {
			return uint64(i-i%7*driftBlock/3+4*driftBlock) << 40
		})},
		{"in order but for late ones", lie(nil, nil, func(i int) uint64 {
			if i%17 == 0 {
				return uint64(i/2) << 40
			}
			return uint64(i^3) << 40
		})},
		{"blocks in order, each crowded", lie(nil, nil, func(i int) uint64 { return uint64(i/driftGap)<<52 + nested(r)>>12 })},
		{"long runs, then none", lie(nil, nil, func(i int) uint64 {
			if i < n*9/10 {
				return uint64(i % (n / 10))
			}
			return r.Uint64()
		})},
		{"a hundred bits' worth of scales", lie(nil, nil, func(i int) uint64 { return r.Uint64() >> r.IntN(64) })},
	}
	for _, c := range cases {
		want := slices.Clone(c.keys)
		slices.Sort(want)
		// As keys, and as records, which must be stable as well.
		keys := slices.Clone(c.keys)
		var s sorter[[1]uint64]
		s.sort(unsigned, keysOf(keys))
		if !slices.Equal(keys, want) {
			t.Errorf("%s: not sorted", c.name)
		}
		records := make([]Record, n)
		for i, k := range c.keys {
			records[i] = Record{k, uint64(i)}
		}
		var s2 sorter[[2]uint64]
		s2.sort(unsigned, itemsOf(records))
		for i := 1; i < n; i++ {
			if a, b := records[i-1], records[i]; a.Key > b.Key || a.Key == b.Key && a.Value > b.Value {
				t.Errorf("%s: records are not sorted, or not stably", c.name)
				break
			}
		}
		t.Logf("%-55s %-10v %3d visits of a key; as records %-10v %3d", c.name, s.way, s.work/n, s2.way, s2.work/n)
		if max(s.work, s2.work) > mostWork*n {
			t.Errorf("%s: %d visits of each key", c.name, max(s.work, s2.work)/n)
		}
	}
}

// nested returns keys that crowd in one slot of a hundred however often they are spread.
func nested(r *rand.Rand) uint64 {
	k := uint64(0)
	for width := uint64(1) << 62; width > 1<<8; width >>= 9 {
		if r.IntN(100) == 0 {
			return k + r.Uint64N(width)
		}
	}
	return k + r.Uint64N(1<<8)
}

// inverse returns the inverse of an odd number modulo 2^64.
func inverse(a uint64) uint64 {
	x := a
	for range 6 {
		x *= 2 - a*x
	}
	return x
}

// Work is bounded on ordinary data, too, and a wrong model costs no more.
func TestWorkIsBounded(t *testing.T) {
	n := 100_000
	wrong := Train(dists[0].uints(seeded(1), n))
	for _, d := range dists {
		x := d.uints(seeded(2), n)
		y := slices.Clone(x)
		var s sorter[[1]uint64]
		s.sort(unsigned, keysOf(x))
		if s.work > mostWork*n {
			t.Errorf("%s: %d visits of each key", d.name, s.work/n)
		}
		wrong.Sort(y)
		if !slices.Equal(x, y) {
			t.Errorf("%s: not sorted by the model of something else", d.name)
		}
		f := d.floats(seeded(3), n)
		for i := range f {
			if i%5 == 0 {
				f[i] = math.NaN()
			}
		}
		s = sorter[[1]uint64]{}
		s.sort(float, keysOf(f))
		if s.work > mostWork*n {
			t.Errorf("%s with NaNs: %d visits of each key", d.name, s.work/n)
		}
	}
}

// A model that sends nearly all keys into one of many buckets is dropped before anything has moved.
func TestModelThatMisleadsIsDropped(t *testing.T) {
	const n = 1 << 20
	model := Train(dists[0].uints(seeded(1), n))
	r := seeded(2)
	x := make([]uint64, n)
	for i := range x {
		x[i] = 1<<63 + r.Uint64N(1<<40)
	}
	var s sorter[[1]uint64]
	before := slices.Clone(x)
	if s.learned(unsigned, keysOf(x), &model.model, false) {
		t.Fatal("sorted by a model of something else")
	}
	if !slices.Equal(x, before) {
		t.Error("keys have moved")
	}
}
