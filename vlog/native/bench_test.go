package native

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/logtest"
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

// commits and committed count what the disks of benchNodes do, and the entries in it.
var commits, committed atomic.Int64

// benchNodes starts nodes with files in dirs of their own on one disk, connected by TCP over loopback.
func benchNodes(b *testing.B, n int) []*Node {
	return benchNodesOn(b, n, func() (vlog.Loglet, error) {
		return local.Open(b.TempDir(), local.Options{OnCommit: func(c local.Commit) {
			commits.Add(1)
			committed.Add(int64(c.Entries))
		}})
	})
}

func benchNodesOn(b *testing.B, n int, open func() (vlog.Loglet, error)) []*Node {
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
		log, err := open()
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

func quantile(v []time.Duration, q float64) time.Duration {
	slices.Sort(v)
	return v[min(len(v)-1, int(q*float64(len(v))))]
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkTCPInMemory is what the network and the goroutines cost: three log servers over loopback TCP, with nothing that waits for a disk.
func BenchmarkTCPInMemory(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			nodes := benchNodesOn(b, 3, func() (vlog.Loglet, error) { return mem.New(), nil })
			loglet, err := nodes[0].open(bg, vlog.LogletSpec{ID: 1, Create: true})
			if err != nil {
				b.Fatal(err)
			}
			defer loglet.Close()
			body := make([]byte, 256)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			before := cpuTime()
			for range appenders {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := loglet.Append(bg, body); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(cpuTime()-before)/1e3/float64(b.N), "cpu-us/append")
		})
	}
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
			var cpu time.Duration
			ops := 0
			commits.Store(0)
			committed.Store(0)
			for range b.N {
				for range turns {
					limit, times := logtest.Drive(b, appenders, turn, func(int) error { return raw.Append(body) })
					before := cpuTime()
					rate, own := logtest.Drive(b, appenders, turn, func(int) error {
						_, err := loglet.Append(bg, body)
						return err
					})
					cpu, ops = cpu+cpuTime()-before, ops+len(own)
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
			b.ReportMetric(float64(cpu)/1e3/float64(ops), "cpu-us/append")
			b.ReportMetric(float64(committed.Load())/float64(commits.Load()), "entries/commit")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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

// BenchmarkSequencerKilled measures, from the moment at which the death of the sequencer's process is known, how long it takes until the log is
// writable again, and until an append that was under way is acknowledged.
func BenchmarkSequencerKilled(b *testing.B) {
	c := newClusterIn(b, []string{b.TempDir(), b.TempDir(), b.TempDir()})
	log := c.logOn(0, new(mem.Meta))
	defer log.Close()
	var fresh, stuck []time.Duration
	for b.Loop() {
		if err := log.Reconfigure(bg, vlog.Segment{Kind: "native", Config: Wish{Count: 3, Sequencer: c.nodes[1].id}.Encode()}); err != nil {
			b.Fatal(err)
		}
		if _, err := log.Append(bg, []byte("before")); err != nil {
			b.Fatal(err)
		}
		c.stop(1)
		under := make(chan error)
		go func() {
			_, err := log.Append(bg, []byte("under way"))
			under <- err
		}()
		for c.flying(0) == 0 { // until it has left
			time.Sleep(time.Millisecond)
		}
		begin := time.Now()
		if err := log.Reconfigure(bg, vlog.Segment{Kind: "native", Config: Wish{Count: 3, Sequencer: c.nodes[0].id}.Encode()}); err != nil {
			b.Fatal(err)
		}
		if _, err := log.Append(bg, []byte("after")); err != nil {
			b.Fatal(err)
		}
		fresh = append(fresh, time.Since(begin))
		if err := <-under; err != nil {
			b.Fatal(err)
		}
		stuck = append(stuck, time.Since(begin))
		c.start(1)
		c.settle()
	}
	b.ReportMetric(float64(quantile(fresh, 0.5))/1e6, "p50-ms")
	b.ReportMetric(float64(quantile(fresh, 0.99))/1e6, "p99-ms")
	b.ReportMetric(float64(quantile(stuck, 0.5))/1e6, "stuck-p50-ms")
	b.ReportMetric(float64(quantile(stuck, 0.99))/1e6, "stuck-p99-ms")
	b.ReportMetric(0, "ns/op")
}

// flying is the number of batches on their way from a node.
func (c *cluster) flying(i int) (n int) {
	node := c.node(i)
	node.mu.Lock()
	handles := slices.Collect(maps.Keys(node.handles))
	node.mu.Unlock()
	for _, l := range handles { // a handle's lock is taken before its node's
		l.mu.Lock()
		n += len(l.batches.flying)
		l.mu.Unlock()
	}
	return n
}
