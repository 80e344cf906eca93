package learnedsort

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sizes lie on both sides of every threshold. Those above long are for one type of each distribution.
func sizes() []int {
	all := []int{0, 1, 2, 3, 5, 1000, minModel - 1, minModel, 1 << 17}
	for _, n := range []int{16, crowded, smallKeys, dense, minDirect, minFew, 4 * driftBlock} {
		all = append(all, n-1, n, n+1)
	}
	return all
}

const long = minFew + 1

func forDists(t *testing.T, check func(t *testing.T, which int, d dist, n int)) {
	for i, d := range dists {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			for _, n := range sizes() {
				check(t, i, d, n)
			}
		})
	}
}

func TestSortIsSlicesSort(t *testing.T) {
	forDists(t, func(t *testing.T, which int, d dist, n int) {
		r := seeded(uint64(n))
		if n <= long || which%3 == n%3 {
			equalSort(t, d, n, d.floats(r, n))
		}
		if n <= long || (which+1)%3 == n%3 {
			equalSort(t, d, n, d.uints(r, n))
		}
		if n <= long || (which+2)%3 == n%3 {
			equalSort(t, d, n, d.ints(r, n))
		}
	})
}

func equalSort[K Key](t *testing.T, d dist, n int, x []K) {
	t.Helper()
	got, want := slices.Clone(x), slices.Clone(x)
	Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s, %d keys of type %T: not what slices.Sort gives", d.name, n, x)
	}
}

func TestSortRecordsIsStable(t *testing.T) {
	forDists(t, func(t *testing.T, which int, d dist, n int) {
		if n > long && which%3 != n%3 {
			return
		}
		x := d.records(seeded(uint64(n)), n)
		want := slices.Clone(x)
		slices.SortStableFunc(want, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
		SortRecords(x)
		if !slices.Equal(x, want) {
			t.Errorf("%s, %d records: not what slices.SortStableFunc gives", d.name, n)
		}
	})
}

// Every way is one that some input takes, and gives a sorted result where it is taken.
func TestEveryWayIsTaken(t *testing.T) {
	r := seeded(1)
	n := 100_000
	hashes := func() []uint64 { return dists[0].uints(r, n) }
	cases := []struct {
		name string
		keys []uint64
		want way
	}{
		{"a hundred records", hashes()[:100], byComparison},
		{"an organ pipe", dists[12].uints(r, n), byRuns},
		{"neighbours swapped", swapped(n), byInsertion},
		{"late by some places", jittered(r, n, 50), byDrift},
		{"a hundred values", dists[8].uints(r, n), byFew},
		{"hashes", hashes(), byFeature},
		{"two humps", humps(r, n), byModel},
		{"small numbers", dists[7].uints(r, n), byRadix},
		{"clusters", dists[6].uints(r, n), byRadix},
	}
	for _, c := range cases {
		items := make([][2]uint64, len(c.keys))
		for i, k := range c.keys {
			items[i] = [2]uint64{k, uint64(i)}
		}
		var s sorter[[2]uint64]
		s.sort(unsigned, items)
		if s.way != c.want {
			t.Errorf("%s: sorted by %v, not by %v", c.name, s.way, c.want)
		}
		if !slices.IsSortedFunc(items, func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) }) {
			t.Errorf("%s: not sorted, or not stably", c.name)
		}
	}
}

func swapped(n int) []uint64 {
	x := make([]uint64, n)
	for i := range x {
		x[i] = uint64(i ^ 1)
	}
	return x
}

func jittered(r *rand.Rand, n, by int) []uint64 {
	x := make([]uint64, n)
	for i := range x {
		x[i] = uint64(i)<<20 + r.Uint64N(uint64(by)<<20)
	}
	return x
}

func humps(r *rand.Rand, n int) []uint64 {
	x := make([]uint64, n)
	for i := range x {
		x[i] = uint64(int64(r.NormFloat64()*1e17)) + 1<<62 + 1<<61*r.Uint64N(2)
	}
	return x
}

func TestFloatsThatAreNoOrdinaryNumbers(t *testing.T) {
	negativeZero := math.Copysign(0, -1)
	odd := []float64{
		math.NaN(), math.Float64frombits(0xfff8000000000001), math.Float64frombits(0x7ff0000000000001),
		math.Float64frombits(0xffffffffffffffff), math.Float64frombits(0x7fffffffffffffff),
		math.Inf(1), math.Inf(-1), 0, negativeZero, math.MaxFloat64, -math.MaxFloat64,
		math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 1, -1,
	}
	for _, d := range dists {
		for _, n := range []int{20, 300, 5000, 40_000} {
			for _, share := range []int{2, 1000} {
				r := seeded(uint64(n))
				x := d.floats(r, n)
				for range n/share + 1 {
					x[r.IntN(n)] = odd[r.IntN(len(odd))]
				}
				checkFloats(t, fmt.Sprintf("%s, %d, 1 of %d odd", d.name, n, share), x)
			}
		}
	}
	nans := make([]float64, 5000)
	for i := range nans {
		nans[i] = math.Float64frombits(0x7ff8000000000000 | uint64(i*7919%5000))
	}
	nans[4999] = 1
	nans[2000] = -1
	checkFloats(t, "nearly all NaN", nans)
}

// checkFloats sorts x and checks order and that the bits of all keys are still there.
func checkFloats(t *testing.T, name string, x []float64) {
	t.Helper()
	want := slices.Clone(x)
	slices.Sort(want)
	before := bitsOfAll(x)
	Sort(x)
	if slices.CompareFunc(x, want, cmp.Compare) != 0 {
		t.Errorf("%s: not what slices.Sort gives", name)
	}
	if !slices.Equal(before, bitsOfAll(x)) {
		t.Errorf("%s: the bits of some keys have changed", name)
	}
}

func bitsOfAll(x []float64) []uint64 {
	b := make([]uint64, len(x))
	for i, f := range x {
		b[i] = math.Float64bits(f)
	}
	slices.Sort(b)
	return b
}

func TestKeysBeyondTheMantissa(t *testing.T) {
	r := seeded(3)
	for _, n := range []int{300, 10_000, 100_000} {
		u, i := make([]uint64, n), make([]int64, n)
		for j := range u {
			u[j] = math.MaxUint64 - r.Uint64N(uint64(n))*3
			i[j] = math.MinInt64 + r.Int64N(int64(n))*3
			if j%3 == 0 {
				u[j] = 1<<53 + r.Uint64N(1000)
				i[j] = math.MaxInt64 - r.Int64N(1000)
			}
		}
		equalSort(t, dist{name: "beyond 2^53"}, n, u)
		equalSort(t, dist{name: "at both ends"}, n, i)
	}
}

type celsius float64
type id uint64
type delta int64

// Types with these underlying types are keys too.
func TestNamedTypes(t *testing.T) {
	r := seeded(4)
	d := dists[1]
	var c []celsius
	var u []id
	var s []delta
	var i []int
	for _, f := range d.floats(r, 20_000) {
		c = append(c, celsius(f))
		u = append(u, id(f*1e6+1e12))
		s = append(s, delta(f*1e6))
		i = append(i, int(f*1e6))
	}
	equalSort(t, d, len(c), c)
	equalSort(t, d, len(u), u)
	equalSort(t, d, len(s), s)
	equalSort(t, d, len(i), i)
}

func TestOrderIsCompare(t *testing.T) {
	floats := []float64{math.NaN(), math.Float64frombits(1<<64 - 1), math.Inf(-1), -math.MaxFloat64, -1.5, -5e-324, math.Copysign(0, -1), 0, 5e-324, 1, 2, math.MaxFloat64, math.Inf(1)}
	for _, a := range floats {
		for _, b := range floats {
			if got, want := cmp.Compare(Order(a), Order(b)), cmp.Compare(a, b); got != want {
				t.Errorf("Order: %v and %v compare as %d, not %d", a, b, got, want)
			}
		}
	}
	ints := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64}
	for _, a := range ints {
		for _, b := range ints {
			if got, want := cmp.Compare(Order(a), Order(b)), cmp.Compare(a, b); got != want {
				t.Errorf("Order: %v and %v compare as %d, not %d", a, b, got, want)
			}
		}
	}
	for _, kind := range []kind{unsigned, signed, float} {
		r := seeded(5)
		for range 10_000 {
			if b := r.Uint64(); unorder(kind, order(kind, b)) != b {
				t.Fatalf("kind %d: %x does not come back", kind, b)
			}
		}
	}
}

func TestSortStable(t *testing.T) {
	type event struct {
		at   float64
		name string
	}
	for _, d := range dists {
		for _, n := range []int{0, 1, 2, 100, 3000, 20_000} {
			x := make([]event, n)
			for i, f := range d.floats(seeded(6), n) {
				x[i] = event{math.Floor(f), fmt.Sprint(i)}
				switch i % 97 {
				case 0:
					x[i].at = math.NaN()
				case 1:
					x[i].at = 0
				case 2:
					x[i].at = math.Copysign(0, -1)
				}
			}
			want := slices.Clone(x)
			slices.SortStableFunc(want, func(a, b event) int { return cmp.Compare(a.at, b.at) })
			calls := 0
			SortStable(x, func(e event) float64 { calls++; return e.at })
			if !slices.EqualFunc(x, want, func(a, b event) bool { return a.name == b.name }) {
				t.Errorf("%s, %d elements: not what slices.SortStableFunc gives", d.name, n)
			}
			if n > 1 && calls != n {
				t.Errorf("%s: key was called %d times for %d elements", d.name, calls, n)
			}
		}
	}
}

func TestSortAllocatesNothingWhereItNeedNot(t *testing.T) {
	sorted := dists[10].uints(seeded(7), 100_000)
	if n := testing.AllocsPerRun(5, func() { Sort(sorted) }); n > 1 { // one, if the pool has let go of its sorter
		t.Errorf("sorting what is sorted allocates %v times", n)
	}
	short := dists[0].uints(seeded(7), 100)
	if n := testing.AllocsPerRun(5, func() { Sort(short) }); n > 0 {
		t.Errorf("sorting a hundred keys allocates %v times", n)
	}
}
