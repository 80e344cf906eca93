package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"rebase/query"
	"rebase/rules"
	"rebase/tree"
)

func openBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.TempDir(), Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func message(i int) *tree.Node {
	return tree.NewObject([]tree.Child{
		{Key: "name", Node: tree.NewString("somebody")},
		{Key: "text", Node: tree.NewString("a message of usual length, as people write them")},
		{Key: "time", Node: tree.NewInt(int64(i))},
	})
}

func fill(b *testing.B, s *Store, p tree.Path, n int, leaf bool) {
	b.Helper()
	const step = 10_000
	for at := 0; at < n; at += step {
		batch := s.NewBatch()
		if at == 0 {
			var children []tree.Child
			for i := range min(step, n) {
				children = append(children, tree.Child{Key: listKey(i), Node: item(i, leaf)})
			}
			if err := batch.Set("ns", p, tree.NewObject(children)); err != nil {
				b.Fatal(err)
			}
		} else {
			for i := at; i < min(at+step, n); i++ {
				if err := batch.Set("ns", p.Child(listKey(i)), item(i, leaf)); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := batch.Commit(s.Applied() + 1); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
}

func item(i int, leaf bool) *tree.Node {
	if leaf {
		return tree.NewInt(int64(i))
	}
	return message(i)
}

func listKey(i int) string { return fmt.Sprintf("-K%08d", i) }

func setOne(b *testing.B, s *Store, p tree.Path, v *tree.Node) {
	batch := s.NewBatch()
	if err := batch.Set("ns", p, v); err != nil {
		b.Fatal(err)
	}
	if err := batch.Commit(s.Applied() + 1); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkSetSameLeaf(b *testing.B) {
	s := openBench(b)
	defer timeCPU(b)()
	for i := range b.N {
		setOne(b, s, "rooms/one/typing/someone", tree.NewInt(int64(i)))
	}
}

func BenchmarkSetRandomLeaf(b *testing.B) {
	s := openBench(b)
	const n = 200_000
	fill(b, s, "list", n, true)
	defer timeCPU(b)()
	for i := range b.N {
		setOne(b, s, tree.Path("list").Child(listKey(rand.IntN(n))), tree.NewInt(int64(i)))
	}
}

func BenchmarkPushMessage(b *testing.B) {
	for _, indexed := range []bool{false, true} {
		b.Run(fmt.Sprintf("indexed=%v", indexed), func(b *testing.B) {
			s := openBench(b)
			fill(b, s, "list", 200_000, false)
			if indexed {
				declareAndWait(b, s, `{"rules":{"list":{".indexOn":"time"}}}`)
			}
			defer timeCPU(b)()
			for i := range b.N {
				setOne(b, s, tree.Path("list").Child(listKey(200_000+i)), message(i))
			}
		})
	}
}

func BenchmarkReplaceMessage(b *testing.B) {
	s := openBench(b)
	const n = 200_000
	fill(b, s, "list", n, false)
	defer timeCPU(b)()
	for i := range b.N {
		setOne(b, s, tree.Path("list").Child(listKey(rand.IntN(n))), message(i))
	}
}

// One batch of 100,000 messages, 300,000 leaves.
func BenchmarkBulkSet(b *testing.B) {
	var children []tree.Child
	for i := range 100_000 {
		children = append(children, tree.Child{Key: listKey(i), Node: message(i)})
	}
	n := tree.NewObject(children)
	s := openBench(b)
	b.ReportAllocs()
	defer timeCPU(b)()
	for range b.N {
		batch := s.NewBatch()
		if err := batch.Set("ns", "list", n); err != nil {
			b.Fatal(err)
		}
		batch.Discard()
	}
	b.ReportMetric(float64(b.N)*300_000/b.Elapsed().Seconds(), "leaves/s")
}

func BenchmarkGet100k(b *testing.B) {
	s := openBench(b)
	fill(b, s, "list", 100_000, false)
	b.ReportAllocs()
	defer timeCPU(b)()
	for range b.N {
		if n, err := s.Get("ns", "list"); err != nil || n.NumChildren() != 100_000 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*300_000/b.Elapsed().Seconds(), "leaves/s")
}

func BenchmarkGetMessage(b *testing.B) {
	s := openBench(b)
	const n = 200_000
	fill(b, s, "list", n, false)
	defer timeCPU(b)()
	for range b.N {
		if _, err := s.Get("ns", tree.Path("list").Child(listKey(rand.IntN(n)))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChildren100k(b *testing.B) {
	s := openBench(b)
	fill(b, s, "list", 100_000, false)
	defer timeCPU(b)()
	for range b.N {
		count := 0
		err := s.Children("ns", "list", "", func(string, bool, *tree.Node) bool { count++; return true })
		if err != nil || count != 100_000 {
			b.Fatal(count, err)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "children/s")
}

func BenchmarkSnapshot(b *testing.B) {
	s := openBench(b)
	fill(b, s, "list", 1000, false)
	defer timeCPU(b)()
	for range b.N {
		s.Snapshot().Close()
	}
}

func declareAndWait(b testing.TB, s *Store, text string) {
	b.Helper()
	r, err := rules.Parse([]byte(text))
	if err != nil {
		b.Fatal(err)
	}
	if err := s.SetIndexes("ns", r); err != nil {
		b.Fatal(err)
	}
	waitReady(b, s)
}

func waitReady(b testing.TB, s *Store) {
	b.Helper()
	for {
		ns, id, any := s.definitions().unfinished()
		if !any {
			return
		}
		if _, err := s.buildChunk(ns, id); err != nil {
			b.Fatal(err)
		}
	}
}

// Limited queries over a list of a million children.
func BenchmarkScanMillion(b *testing.B) {
	s := openBench(b)
	fill(b, s, "list", 1_000_000, false)
	declareAndWait(b, s, `{"rules":{"list":{".indexOn":"time"}}}`)
	if err := s.Flush(); err != nil {
		b.Fatal(err)
	}
	for _, ix := range []query.Index{{Kind: query.ByKey}, {Kind: query.ByPriority}, {Kind: query.ByChild, Path: "time"}} {
		for _, last := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/last=%v", ix, last), func(b *testing.B) {
				q := query.Query{Index: ix, Limit: 100, Last: last}
				defer timeCPU(b)()
				for range b.N {
					src, indexed, err := s.Source("ns", "list", &q)
					if err != nil || !indexed {
						b.Fatal(err)
					}
					if es, err := src.Scan(nil, last, 100); err != nil || len(es) != 100 {
						b.Fatal(len(es), err)
					}
				}
			})
		}
	}
	b.Run("unindexed", func(b *testing.B) {
		q := query.Query{Index: query.Index{Kind: query.ByChild, Path: "name"}, Limit: 100}
		for range b.N {
			src, _, err := s.Source("ns", "list", &q)
			if err != nil {
				b.Fatal(err)
			}
			if es, err := src.Scan(nil, false, 100); err != nil || len(es) != 100 {
				b.Fatal(len(es), err)
			}
		}
	})
}

func BenchmarkBuildIndex(b *testing.B) {
	s := openBench(b)
	const n = 100_000
	fill(b, s, "list", n, false)
	defer timeCPU(b)()
	for range b.N {
		declareAndWait(b, s, `{"rules":{"list":{".indexOn":"time"}}}`)
		declareAndWait(b, s, `{"rules":{}}`)
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "children/s")
}
