package learnedsort

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"
)

// The benchmarks compare ways to sort; docs/learnedsort.md has the tables. Their names are made for benchstat:
//
//	for i in 1 2 3 4 5 6; do go test -run '^$' -bench /n=1000000 -benchtime 2x ./learnedsort; done > out
//	benchstat -filter '.unit:ns/key' -col /by -row '.name /type /dist' out
//
// ns/key is CPU time, of the garbage collector, too. The loop is outside, so that what a busy machine does to
// one it does to the others.

// contender is one way to sort.
type contender[E any] struct {
	by   string
	sort func([]E)
}

// compare runs the contenders on pieces of n elements of base, which is longer if n is small, so that no branch
// predictor learns the data by heart.
func compare[E any](b *testing.B, base []E, n int, contenders []contender[E]) {
	x := make([]E, len(base))
	for _, c := range contenders {
		b.Run("by="+c.by, func(b *testing.B) {
			copy(x, base)
			c.sort(x[:n]) // so that scratch memory is there
			var took time.Duration
			for b.Loop() {
				copy(x, base)
				start := cpuTime()
				for from := 0; from < len(x); from += n {
					c.sort(x[from : from+n])
				}
				took += cpuTime() - start
			}
			b.ReportMetric(float64(took)/float64(b.N)/float64(len(x)), "ns/key")
		})
	}
}

// pieces makes at least a million elements of pieces of n, each with data of its own.
func pieces[E any](n int, piece func(seed uint64) []E) []E {
	var base []E
	for seed := uint64(1); len(base) < 1_000_000/n*n || len(base) < n; seed++ {
		base = append(base, piece(seed)...)
	}
	return base
}

var benchSizes = []int{1000, 10_000, 100_000, 1_000_000, 10_000_000}

// radixKeys and radixRecords are the radix sort alone, with the same scratch memory.
func radixKeys[E Key](x []E) {
	s := newSorter[[1]uint64](&keySorters)
	kind, a := kindOf[E](), keysOf(x)
	encode(kind, a)
	radix(a, s.scratch(len(a)))
	decode(kind, a)
	s.release(&keySorters)
}

func radixRecords(x []Record) {
	s := newSorter[[2]uint64](&itemSorters)
	radix(itemsOf(x), s.scratch(len(x)))
	s.release(&itemSorters)
}

func BenchmarkSort(b *testing.B) {
	for _, n := range benchSizes {
		for _, d := range dists {
			b.Run(fmt.Sprintf("n=%d/type=float64/dist=%s", n, d.name), func(b *testing.B) {
				compare(b, pieces(n, func(seed uint64) []float64 { return d.floats(seeded(seed), n) }), n, []contender[float64]{
					{"slices", slices.Sort[[]float64]}, {"radix", radixKeys[float64]}, {"learnedsort", Sort[[]float64]},
				})
			})
			b.Run(fmt.Sprintf("n=%d/type=int64/dist=%s", n, d.name), func(b *testing.B) {
				compare(b, pieces(n, func(seed uint64) []int64 { return d.ints(seeded(seed), n) }), n, []contender[int64]{
					{"slices", slices.Sort[[]int64]}, {"radix", radixKeys[int64]}, {"learnedsort", Sort[[]int64]},
				})
			})
		}
	}
}

func BenchmarkSortRecords(b *testing.B) {
	for _, n := range benchSizes {
		for _, d := range dists {
			b.Run(fmt.Sprintf("n=%d/type=record/dist=%s", n, d.name), func(b *testing.B) {
				compare(b, pieces(n, func(seed uint64) []Record { return d.records(seeded(seed), n) }), n, []contender[Record]{
					{"slices", func(x []Record) {
						slices.SortFunc(x, func(a, b Record) int { return cmp.Compare(a.Key, b.Key) })
					}},
					{"radix", radixRecords},
					{"learnedsort", SortRecords},
				})
			})
		}
	}
}

func BenchmarkSortStable(b *testing.B) {
	type event struct {
		at      float64
		message string
		number  int
	}
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for _, name := range []string{"normal", "time", "timeshuffled"} {
			d := dists[slices.IndexFunc(dists, func(d dist) bool { return d.name == name })]
			b.Run(fmt.Sprintf("n=%d/type=event/dist=%s", n, name), func(b *testing.B) {
				base := pieces(n, func(seed uint64) (x []event) {
					for i, f := range d.floats(seeded(seed), n) {
						x = append(x, event{f, "something happened", i})
					}
					return x
				})
				compare(b, base, n, []contender[event]{
					{"slices", func(x []event) {
						slices.SortStableFunc(x, func(a, b event) int { return cmp.Compare(a.at, b.at) })
					}},
					{"learnedsort", func(x []event) { SortStable(x, func(e event) float64 { return e.at }) }},
				})
			})
		}
	}
}

func BenchmarkSortStrings(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		for _, text := range texts[:3] {
			b.Run(fmt.Sprintf("n=%d/type=string/dist=%s", n, text.name), func(b *testing.B) {
				base := pieces(n, func(seed uint64) []string {
					r := seeded(seed)
					x := make([]string, n)
					for i := range x {
						x[i] = text.make(r, i)
					}
					return x
				})
				compare(b, base, n, []contender[string]{
					{"slices", slices.Sort[[]string]}, {"learnedsort", SortStrings[[]string]},
				})
			})
		}
	}
}

// BenchmarkLookup finds keys in a sorted run of ten million.
func BenchmarkLookup(b *testing.B) {
	for _, name := range []string{"uniform", "normal", "time", "lognormal"} {
		d := dists[slices.IndexFunc(dists, func(d dist) bool { return d.name == name })]
		run := d.floats(seeded(1), 10_000_000)
		probes := d.floats(seeded(2), 1_000_000)
		Sort(run)
		x := Train(run).Index(run)
		sum, width := 0, 0
		for _, k := range probes {
			lo, hi := x.Position(k)
			width += hi - lo
		}
		for _, c := range []struct {
			by   string
			find func(k float64) int
		}{
			{"slices", func(k float64) int { i, _ := slices.BinarySearch(run, k); return i }},
			{"learnedsort", func(k float64) int { i, _ := x.Search(run, k); return i }},
		} {
			b.Run(fmt.Sprintf("n=10000000/type=float64/dist=%s/by=%s", name, c.by), func(b *testing.B) {
				start, i := cpuTime(), 0
				for b.Loop() {
					sum += c.find(probes[i%len(probes)])
					i++
				}
				b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "ns/key")
				if c.by == "learnedsort" {
					b.ReportMetric(float64(width)/float64(len(probes)), "keys-in-bounds")
				}
			})
		}
	}
}
