package db

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rebase/store"
	"rebase/tree"
	"rebase/vlog/local"
	"rebase/vlog/mem"
)

// benchDB is a database on a log, with the store on a real disk.
func benchDB(b *testing.B, l Log) *DB {
	b.Helper()
	s, err := store.Open(b.TempDir(), store.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	d, err := Open(b.Context(), Options{Log: l, Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return d
}

// BenchmarkProposeSmallSet is 64 clients that each wait for one small set after the other to be
// durable and applied: the log's group commit decides.
func BenchmarkProposeSmallSet(b *testing.B) {
	l, err := local.Open(b.TempDir(), local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	d := benchDB(b, l)
	const clients = 64
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for c := range clients {
		wg.Go(func() {
			s := d.NewSession("bench", "", Root)
			p := tree.Path(fmt.Sprintf("users/u%d/score", c))
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				op := &Op{Kind: OpSet, Path: p, Value: tree.NewInt(n), Fingerprint: uint64(n + 1)}
				if res := s.Do(context.Background(), op); res.Err != nil {
					b.Error(res.Err)
					return
				}
				s.Confirm(s.LastSeq())
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if g := d.Stats().Groups; g > 0 {
		b.ReportMetric(float64(b.N)/float64(g), "ops/group")
	}
	d.Close(context.Background())
}

// BenchmarkApplySmallSet is the way of a small set through queue, log in memory, machine and store.
func BenchmarkApplySmallSet(b *testing.B) {
	d := benchDB(b, mem.New())
	s := d.NewSession("bench", "", Root)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		op := &Op{Kind: OpSet, Path: "users/u1/score", Value: tree.NewInt(int64(i)), Fingerprint: uint64(i + 1)}
		s.Propose(op, func(r Result) {
			if r.Err != nil {
				b.Error(r.Err)
			}
		})
		if i%64 == 63 {
			s.Confirm(s.LastSeq() - 32)
		}
	}
	if err := s.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkApplyUnderRules is BenchmarkApplySmallSet for a caller whom rules let in after a look elsewhere.
func BenchmarkApplyUnderRules(b *testing.B) {
	d := benchDB(b, mem.New())
	ctx := context.Background()
	rules := `{"rules":{"rooms":{"$room":{"$m":{
		".write":"root.child('members').child($room).child(auth.uid).val() === true && (!data.exists() || data.isNumber())",
		".validate":"newData.isNumber()"}}}}}`
	for _, op := range []*Op{{Kind: OpSetRules, Rules: []byte(rules)}, {Kind: OpSet, Path: "members/r/ann", Value: tree.NewBool(true)}} {
		op.NS, op.Caller = "bench", Root
		if res := d.Do(ctx, op); res.Err != nil {
			b.Fatal(res.Err)
		}
	}
	s := d.NewSession("bench", "", caller(b, `{"uid":"ann"}`))
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		op := &Op{Kind: OpSet, Path: "rooms/r/m", Value: tree.NewInt(int64(i)), Fingerprint: uint64(i + 1)}
		s.Propose(op, func(r Result) {
			if r.Err != nil {
				b.Error(r.Err)
			}
		})
		if i%64 == 63 {
			s.Confirm(s.LastSeq() - 32)
		}
	}
	if err := s.Wait(ctx); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReplicated is 64 writers on a log whose appends take a millisecond, as one over a network may: what they get is what one group
// holds, times how many groups there are in a second.
func BenchmarkReplicated(b *testing.B) {
	c := newCluster(b, 1)
	defer c.stop()
	c.nodes[0].wire.latency = time.Millisecond
	d := c.nodes[0].db
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range 64 {
		wg.Go(func() {
			s := d.NewSession("bench", "", Root)
			p := tree.Path(fmt.Sprintf("users/u%d/score", w))
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				if res := s.Do(context.Background(), &Op{Kind: OpSet, Path: p, Value: tree.NewInt(n)}); res.Err != nil {
					b.Error(res.Err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/float64(d.Stats().Groups), "ops/group")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(d.Stats().Groups)/b.Elapsed().Seconds(), "groups/s")
}

// BenchmarkSync is a strong read where everything is applied already.
func BenchmarkSync(b *testing.B) {
	c := newCluster(b, 1)
	defer c.stop()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := c.nodes[0].db.Sync(context.Background()); err != nil {
				b.Error(err)
			}
		}
	})
}
