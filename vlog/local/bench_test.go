package local

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"rebase/vlog"
	"rebase/vlog/rawsync"
)

// BenchmarkAppend prints appends per second, and their ratio to the raw reference measured in turns with it, so that
// both see the same disk. Run with -benchtime=1x: one iteration is several such turns.
func BenchmarkAppend(b *testing.B) {
	const payload, turns, turn = 256, 7, 250 * time.Millisecond
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("appenders=%d", writers), func(b *testing.B) {
			dir := b.TempDir()
			l, err := Open(dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			var ours, ratios []float64
			for range b.N {
				for range turns {
					raw, err := rawsync.Measure(dir, writers, payload, turn)
					if err != nil {
						b.Fatal(err)
					}
					ops := measure(b, l, writers, payload, turn)
					ours = append(ours, ops)
					ratios = append(ratios, ops/raw)
				}
			}
			slices.Sort(ours)
			slices.Sort(ratios)
			b.ReportMetric(ours[len(ours)/2], "appends/s")
			b.ReportMetric(ratios[len(ratios)/2], "of-raw")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// measure appends as rawsync.Measure does, while somebody trims, as the owner of a log does.
func measure(b *testing.B, l *Loglet, writers, payload int, d time.Duration) float64 {
	ctx := context.Background()
	before, _ := l.Tail(ctx)
	var wg sync.WaitGroup
	start := time.Now()
	deadline := start.Add(d)
	body := make([]byte, payload)
	for range writers {
		wg.Go(func() {
			for time.Now().Before(deadline) {
				if _, err := l.Append(ctx, body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	after, _ := l.Tail(ctx)
	if after.Next > 1000 {
		if _, err := l.Trim(ctx, after.Next-1000); err != nil {
			b.Error(err)
		}
	}
	return float64(after.Next-before.Next) / elapsed.Seconds()
}

// BenchmarkRead reads a tail from memory and an old stretch from files.
func BenchmarkRead(b *testing.B) {
	for _, from := range []string{"cache", "file"} {
		b.Run(from, func(b *testing.B) {
			o := Options{}
			if from == "file" {
				o.TailCacheBytes = 1
			}
			l, err := Open(b.TempDir(), o)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			const n = 10000
			batch := make([][]byte, 100)
			for i := range batch {
				batch[i] = make([]byte, 256)
			}
			for range n / len(batch) {
				if _, err := l.Append(context.Background(), batch...); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(n * 256)
			b.ReportAllocs()
			for b.Loop() {
				for p := vlog.Position(1); p <= n; {
					es, err := l.Read(context.Background(), p, n+1, 128<<10)
					if err != nil {
						b.Fatal(err)
					}
					p += vlog.Position(len(es))
				}
			}
		})
	}
}

// BenchmarkOpen opens logs of several sizes that nobody has trimmed. The files are in the kernel's memory.
func BenchmarkOpen(b *testing.B) {
	for _, mib := range []int{64, 256, 1024} {
		b.Run(fmt.Sprintf("MiB=%d", mib), func(b *testing.B) {
			dir := b.TempDir()
			l, err := Open(dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			batch := make([][]byte, 4096) // 1 MiB and a little
			for i := range batch {
				batch[i] = make([]byte, 256)
			}
			for range mib {
				if _, err := l.Append(context.Background(), batch...); err != nil {
					b.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				l, err := Open(dir, Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := l.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
