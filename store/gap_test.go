package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/tree"
)

// TestGaps brings in many leaves in nearly their order, in batches that overlap with others as concurrent writers' do, with
// removals, priorities and whole subtrees in between: what an import does, and what makes the knowledge of a gap go stale.
func TestGaps(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5))
			s, err := Open("db", Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler), tune: tuning{smallSubtree: 4}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			declareAndWait(t, s, `{"rules":{"list":{".indexOn":["a","b/c"]},"top":{"$any":{".indexOn":".value"}}}}`)
			model := parse(t, `{"list":{"k5":{"z":1}},"zz":1}`)
			set(t, s, "", model)
			for range 60 {
				b := s.NewBatch()
				before := model
				at, list := rng.IntN(30), []tree.Path{"list", "top", "top/k7", "list/k5"}[rng.IntN(4)]
				for range 1 + rng.IntN(12) {
					p := list.Child(fmt.Sprintf("k%d", at))
					switch rng.IntN(4) {
					case 0:
						p = p.Child("a")
					case 1:
						p = p.Child("b").Child("c")
					}
					v := tree.NewInt(int64(rng.IntN(50)))
					switch rng.IntN(12) {
					case 0:
						v = nil
					case 1:
						v = v.WithPriority(tree.NewInt(1))
					case 2:
						v = parse(t, `{"a":1,"b":{"c":2},"d":{"e":3}}`)
					case 3:
						if err := b.SetPriority("ns", p.Parent(), v); err != nil {
							t.Fatal(err)
						}
						model = model.SetPriority(p.Parent(), v)
						continue
					}
					if err := b.Set("ns", p, v); err != nil {
						t.Fatal(err)
					}
					model = model.Set(p, v)
					if at += rng.IntN(3); rng.IntN(20) == 0 {
						at = rng.IntN(30)
					}
				}
				if rng.IntN(5) == 0 {
					b.Discard()
					model = before
				} else if err := b.Commit(s.Applied() + 1); err != nil {
					t.Fatal(err)
				}
				if got, want := get(t, s, ""), string(tree.AppendExport(nil, model)); got != want {
					t.Fatalf("%s\nwant\n%s", got, want)
				}
				if err := s.Check(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestGapBeforeSiblings: what comes behind a gap tells which ancestors exist, too.
func TestGapBeforeSiblings(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	declareAndWait(t, s, `{"rules":{"list":{".indexOn":"z"}}}`)
	set(t, s, "list", parse(t, `{"k":{"z":1},"y":{"z":2}}`))
	b := s.NewBatch()
	for _, p := range []tree.Path{"list/j/a", "list/k/a", "list/k/b"} {
		if err := b.Set("ns", p, tree.NewInt(9)); err != nil {
			t.Fatal(err)
		}
	}
	if b.inserts != 2 {
		t.Fatalf("%d writes found their gap, want 2", b.inserts)
	}
	if err := b.Commit(s.Applied() + 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestGapOfDiscarded: a discarded batch's last record does not make its ancestors exist.
func TestGapOfDiscarded(t *testing.T) {
	s := openMem(t, nil)
	defer s.Close()
	declareAndWait(t, s, `{"rules":{"list":{".indexOn":"q"}}}`)
	b := s.NewBatch()
	if err := b.Set("ns", "list/j/a", tree.NewInt(1)); err != nil {
		t.Fatal(err)
	}
	b.Discard()
	set(t, s, "list/j/z", tree.NewInt(2))
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// One batch of 100,000 leaves named one by one, into a list that has as many already: the merge that an import of a
// file is made of.
func BenchmarkBulkMerge(b *testing.B) {
	const n = 100_000
	s := openBench(b)
	first := s.NewBatch()
	var paths []tree.Path
	for i := range 2 * n {
		p := tree.Path(fmt.Sprintf("list/k%06d/score", i))
		if i%2 == 0 {
			if err := first.Set("ns", p, tree.NewInt(int64(i))); err != nil {
				b.Fatal(err)
			}
		} else {
			paths = append(paths, p)
		}
	}
	if err := first.Commit(1); err != nil {
		b.Fatal(err)
	}
	for _, where := range []string{"between", "behind"} {
		b.Run(where, func(b *testing.B) {
			b.ReportAllocs()
			defer timeCPU(b)()
			for range b.N {
				batch := s.NewBatch()
				for _, p := range paths {
					if where == "behind" {
						p = "m" + p
					}
					if err := batch.Set("ns", p, tree.NewInt(1)); err != nil {
						b.Fatal(err)
					}
				}
				batch.Discard()
			}
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "leaves/s")
		})
	}
}
