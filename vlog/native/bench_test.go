package native

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/mem"
	"rebase/vlog/native/core"
	"rebase/vlog/rawsync"
)

// What the protocol, its goroutines and the network's queues cost, without disks and sockets.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(appenders), func(b *testing.B) {
			l := open(b, newLocal(b, 3), 1)
			defer l.Close()
			body := make([]byte, 256)
			b.SetParallelism(appenders) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := l.Append(bg, body); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// benchNodes starts nodes with files in dirs of their own on one disk, connected by TCP over loopback.
func benchNodes(b *testing.B, n int) []*Node {
	var candidates []Candidate
	var listeners []net.Listener
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		listeners = append(listeners, l)
		candidates = append(candidates, Candidate{Node: core.Node(i + 1), Address: l.Addr().String(), LogServer: true, Sequencer: true, Alive: true, Prefer: -i})
	}
	var nodes []*Node
	for i, l := range listeners {
		log, err := local.Open(b.TempDir(), local.Options{})
		if err != nil {
			b.Fatal(err)
		}
		node, err := Start(NodeOptions{ID: core.Node(i + 1), Address: l.Addr().String(), Log: log, Candidates: func() []Candidate { return candidates }})
		if err != nil {
			b.Fatal(err)
		}
		nodes = append(nodes, node)
		var served sync.WaitGroup
		served.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				served.Go(func() { node.ServeConn(c) })
			}
		})
		b.Cleanup(func() {
			l.Close()
			if err := node.Close(); err != nil {
				b.Error(err)
			}
			served.Wait()
		})
	}
	for _, n := range nodes {
		for i := range nodes {
			for n.diskOf(core.Node(i+1)) == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	return nodes
}

// drive appends from several goroutines for a time, and returns the rate and the latencies.
func drive(b *testing.B, appenders int, d time.Duration, do func() error) (rate float64, latencies []time.Duration) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	begin := time.Now()
	for range appenders {
		wg.Go(func() {
			var own []time.Duration
			for at := time.Now(); at.Sub(begin) < d; {
				if err := do(); err != nil {
					b.Error(err)
					return
				}
				now := time.Now()
				own = append(own, now.Sub(at))
				at = now
			}
			mu.Lock()
			latencies = append(latencies, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return float64(len(latencies)) / time.Since(begin).Seconds(), latencies
}

func quantile(v []time.Duration, q float64) time.Duration {
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkTCP measures three log servers with files on one disk, over loopback TCP, against the raw reference in turns. Run with -benchtime=1x.
func BenchmarkTCP(b *testing.B) {
	const payload, turns, turn = 256, 9, 250 * time.Millisecond
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			nodes := benchNodes(b, 3)
			loglet, err := nodes[0].open(bg, vlog.LogletSpec{ID: 1, Create: true})
			if err != nil {
				b.Fatal(err)
			}
			defer loglet.Close()
			raw, err := rawsync.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer raw.Close()
			body := make([]byte, payload)
			var ours, ratios, slower []float64
			var p50, p99 []float64
			for range b.N {
				for range turns {
					limit, times := drive(b, appenders, turn, func() error { return raw.Append(body) })
					rate, own := drive(b, appenders, turn, func() error {
						_, err := loglet.Append(bg, body)
						return err
					})
					ours, ratios = append(ours, rate), append(ratios, rate/limit)
					slower = append(slower, float64(quantile(own, 0.5))/float64(quantile(times, 0.5)))
					p50, p99 = append(p50, float64(quantile(own, 0.5))/1e3), append(p99, float64(quantile(own, 0.99))/1e3)
				}
			}
			b.ReportMetric(median(ours), "appends/s")
			b.ReportMetric(median(ratios), "of-raw")
			b.ReportMetric(median(slower), "p50-of-raw")
			b.ReportMetric(median(p50), "p50-us")
			b.ReportMetric(median(p99), "p99-us")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkReconfigure measures from the seal to the first append that the next loglet has acknowledged.
func BenchmarkReconfigure(b *testing.B) {
	nodes := benchNodes(b, 3)
	log, err := vlog.Open(bg, vlog.Options{Meta: new(mem.Meta), Providers: map[string]vlog.Provider{"native": nodes[0].Provider()}, Initial: vlog.Segment{Kind: "native"}})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := log.Reconfigure(context.Background(), vlog.Segment{Kind: "native"}); err != nil {
			b.Fatal(err)
		}
		if _, err := log.Append(bg, []byte("x")); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
	}
	b.ReportMetric(float64(quantile(times, 0.5))/1e6, "p50-ms")
	b.ReportMetric(float64(quantile(times, 0.99))/1e6, "p99-ms")
}
