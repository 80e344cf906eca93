package learnedsort

import (
	"encoding"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var (
	_ encoding.BinaryAppender    = (*CDF[float64])(nil)
	_ encoding.BinaryMarshaler   = (*CDF[float64])(nil)
	_ encoding.BinaryUnmarshaler = (*CDF[float64])(nil)
	_ encoding.BinaryAppender    = (*Index[float64])(nil)
	_ encoding.BinaryMarshaler   = (*Index[float64])(nil)
	_ encoding.BinaryUnmarshaler = (*Index[float64])(nil)
)

// odd mixes in what is no ordinary number, and no key of the distribution.
func odd(r *rand.Rand, x []float64, share int) []float64 {
	x = slices.Clone(x)
	for i := range x {
		if r.IntN(share) == 0 {
			x[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64, -1e300, 1e-300}[r.IntN(8)]
		}
	}
	return x
}

func TestCDFIsMonotonic(t *testing.T) {
	for _, d := range dists {
		r := seeded(1)
		x := odd(r, d.floats(r, 5000), 50)
		c := Train(x)
		probes := append(odd(r, d.floats(seeded(2), 5000), 20), x...)
		slices.Sort(probes)
		last, part := 0.0, 0
		for _, k := range probes {
			if at := c.At(k); at < last || at >= 1 {
				t.Fatalf("%s: At(%v) is %v after %v", d.name, k, at, last)
			} else {
				last = at
			}
			if p := c.Part(k, 37); p < part || p > 36 {
				t.Fatalf("%s: Part(%v) is %d after %d", d.name, k, p, part)
			} else {
				part = p
			}
		}
	}
}

// A model that is linear within cells of a feature cannot be near everything, but what it says of smooth
// distributions must be near what is.
func TestQuantilesAndPartsOfSmoothData(t *testing.T) {
	const n = 400_000
	for _, name := range []string{"uniform", "normal", "lognormal", "pareto", "time", "timeshuffled"} {
		i := slices.IndexFunc(dists, func(d dist) bool { return d.name == name })
		x := dists[i].floats(seeded(1), n)
		c := Train(x)
		if c.Len() != n {
			t.Errorf("Len is %d", c.Len())
		}
		count := make([]int, 20)
		for _, k := range x {
			count[c.Part(k, len(count))]++
		}
		for i, c := range count {
			if math.Abs(float64(c)/(n/20)-1) > 0.1 {
				t.Errorf("%s: part %d of 20 has %d keys of %d", name, i, c, n)
			}
		}
		slices.Sort(x)
		for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999, 1} {
			rank, _ := slices.BinarySearch(x, c.Quantile(q))
			if math.Abs(float64(rank)/n-q) > 0.005 {
				t.Errorf("%s: quantile %v has rank %v", name, q, float64(rank)/n)
			}
		}
	}
}

func TestSplitAgreesWithPart(t *testing.T) {
	for _, d := range dists {
		r := seeded(3)
		x := odd(r, d.floats(r, 1500), 40)
		splitAgrees(t, d.name, x, r)
		splitAgrees(t, d.name, d.uints(r, 1500), r)
		splitAgrees(t, d.name, d.ints(r, 1500), r)
	}
}

func splitAgrees[K Key](t *testing.T, name string, x []K, r *rand.Rand) {
	t.Helper()
	for _, trained := range [][]K{x, x[:1], x[:0]} {
		c := Train(trained)
		for _, parts := range []int{0, 1, 2, 3, 10, 60} {
			bounds := c.Split(parts)
			if len(bounds) != max(parts-1, 0) {
				t.Fatalf("%s: %d bounds of %d parts", name, len(bounds), parts)
			}
			if parts < 1 {
				continue
			}
			for _, k := range x {
				part, atMost := c.Part(k, parts), 0
				for _, b := range bounds {
					if Order(b) <= Order(k) {
						atMost++
					}
				}
				if part != atMost {
					t.Fatalf("%s, %T: key %v is in part %d of %d, but %d bounds are at most that", name, k, k, part, parts, atMost)
				}
			}
		}
	}
}

func TestIndexFindsWhatBinarySearchFinds(t *testing.T) {
	for _, d := range dists {
		r := seeded(4)
		run := odd(r, d.floats(r, 10_000), 100)
		Sort(run)
		indexFinds(t, d.name, run, odd(r, d.floats(seeded(5), 1000), 10))
		u := d.uints(r, 10_000)
		Sort(u)
		indexFinds(t, d.name, u, append(d.uints(seeded(6), 1000), 0, math.MaxUint64))
		i := d.ints(r, 3000)
		Sort(i)
		indexFinds(t, d.name, i, append(d.ints(seeded(6), 1000), math.MinInt64, math.MaxInt64))
		indexFinds(t, d.name, i[:0], i[:5])
		indexFinds(t, d.name, i[:1], i[:5])
	}
}

func indexFinds[K Key](t *testing.T, name string, run, probes []K) {
	t.Helper()
	for _, c := range []*CDF[K]{Train(run), Train(probes), Train(run[:0])} {
		x := c.Index(run)
		if x.Len() != len(run) || x.CDF() != c {
			t.Fatal("an index that does not know its run")
		}
		for _, k := range append(slices.Clone(probes), run[:min(1000, len(run))]...) {
			want, found := slices.BinarySearch(run, k)
			if lo, hi := x.Position(k); want < lo || want > hi || lo < 0 || hi > len(run) {
				t.Fatalf("%s: %v is at %d, not within [%d, %d]", name, k, want, lo, hi)
			}
			if got, ok := x.Search(run, k); got != want || ok != found {
				t.Fatalf("%s: Search(%v) = %d, %v; it is %d, %v", name, k, got, ok, want, found)
			}
		}
	}
}

// Property: for any run and any key, the bounds hold.
func TestIndexProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-20, 20), rapid.Int64Range(math.MaxInt64-1000, math.MaxInt64))
		run := rapid.SliceOf(key).Draw(t, "run")
		model := Train(rapid.SliceOf(key).Draw(t, "model"))
		slices.Sort(run)
		x := model.Index(run)
		k := key.Draw(t, "k")
		want, found := slices.BinarySearch(run, k)
		if got, ok := x.Search(run, k); got != want || ok != found {
			t.Fatalf("Search = %d, %v; it is %d, %v", got, ok, want, found)
		}
	})
}

func TestModelsComeBackFromTheirBytes(t *testing.T) {
	for _, d := range dists {
		comesBack(t, d.floats(seeded(1), 2000))
		comesBack(t, d.uints(seeded(1), 2000))
		comesBack(t, d.ints(seeded(1), 100))
		comesBack(t, d.ints(seeded(1), 0))
	}
}

func comesBack[K Key](t *testing.T, run []K) {
	t.Helper()
	Sort(run)
	c := Train(run)
	b, _ := c.MarshalBinary()
	var c2 CDF[K]
	if err := c2.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if c2 != *c {
		t.Error("a CDF came back as another")
	}
	x := c.Index(run)
	b, _ = x.MarshalBinary()
	var x2 Index[K]
	if err := x2.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if *x2.cdf != *x.cdf || x2.n != x.n || x2.errs != x.errs {
		t.Error("an Index came back as another")
	}
	for _, n := range []int{0, 1, 5, len(b) / 2, len(b) - 1} {
		if err := x2.UnmarshalBinary(b[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if err := x2.UnmarshalBinary(append(b, 0)); !errors.Is(err, ErrFormat) {
		t.Errorf("one byte more: %v", err)
	}
	if *x2.cdf != *x.cdf {
		t.Error("a failure has changed the index")
	}
}

func TestModelOfAnotherTypeIsRefused(t *testing.T) {
	b, _ := Train([]int64{1, 2, 3}).MarshalBinary()
	if err := new(CDF[uint64]).UnmarshalBinary(b); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

func TestTrainedModelSorts(t *testing.T) {
	for _, d := range dists {
		c := Train(d.floats(seeded(1), 10_000))
		for _, n := range []int{0, 100, minDirect, 20_000} {
			x := odd(seeded(2), d.floats(seeded(2), n), 100)
			want := slices.Clone(x)
			slices.Sort(want)
			c.Sort(x)
			if slices.CompareFunc(x, want, func(a, b float64) int {
				if a == b || a != a && b != b {
					return 0
				}
				return 1
			}) != 0 {
				t.Errorf("%s, %d keys: not sorted", d.name, n)
			}
		}
	}
}
