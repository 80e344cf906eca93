package vlog_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

// What the virtual layer costs over its Loglet, call by call: the same calls on a Loglet and on a Log over such a one, in turns of some milliseconds, so that both
// have the same neighbours on the machine. The difference of the percentiles is what is aimed for: 20 µs p50, 150 µs p99. "go test -bench VirtualLayer".
func BenchmarkVirtualLayer(b *testing.B) {
	for _, kind := range []string{"mem", "local"} {
		for _, appenders := range []int{1, 16, 256} {
			b.Run(kind+"/append/"+itoa(appenders), func(b *testing.B) {
				direct, log := benchLogs(b, kind)
				body := make([]byte, 256)
				compare(b, appenders, direct, log, func(l logtest.Log) error {
					_, err := l.Append(bg, body)
					return err
				})
			})
		}
		for _, call := range []string{"tail", "wait", "read"} {
			b.Run(kind+"/"+call, func(b *testing.B) {
				direct, log := benchLogs(b, kind)
				for _, l := range []logtest.Log{direct, log} {
					for range 1000 {
						if _, err := l.Append(bg, make([]byte, 256)); err != nil {
							b.Fatal(err)
						}
					}
				}
				compare(b, 1, direct, log, func(l logtest.Log) (err error) {
					switch call {
					case "tail":
						_, err = l.Tail(bg)
					case "wait":
						ctx, cancel := context.WithTimeout(bg, time.Minute) // as a caller with patience has it
						_, err = l.WaitTail(ctx, 1000)
						cancel()
					case "read":
						_, err = l.Read(bg, 500, 510, 1<<20)
					}
					return err
				})
			})
		}
	}
}

func itoa(n int) string { return map[int]string{1: "1", 16: "16", 256: "256"}[n] }

func benchLogs(b *testing.B, kind string) (direct logtest.Log, log *vlog.Log) {
	provider := mem.Provider()
	if kind == "local" {
		provider = local.Provider(local.Options{Root: b.TempDir()})
	}
	direct, err := provider(bg, vlog.LogletSpec{ID: 1, Config: []byte("direct"), Create: true, Lowest: 1})
	if err != nil {
		b.Fatal(err)
	}
	log, err = vlog.Open(bg, vlog.Options{Meta: new(mem.Meta), Providers: map[string]vlog.Provider{"x": provider}, Initial: vlog.Segment{Kind: "x", Config: []byte("log")}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { direct.Close(); log.Close() })
	return direct, log
}

// compare makes b.N calls of each, in turns, and reports percentiles of their times and of what the second takes longer.
func compare(b *testing.B, callers int, direct, log logtest.Log, call func(logtest.Log) error) {
	turn := time.Duration(5+callers/4) * time.Millisecond // long enough for new goroutines to have grown their stacks
	var took [2][]time.Duration
	for left, round := b.N, 0; left > 0; round++ {
		done := 0
		for i := range 2 {
			i ^= round & 1
			l := []logtest.Log{direct, log}[i]
			var mu sync.Mutex
			var wg sync.WaitGroup
			until := time.Now().Add(turn)
			for range callers {
				wg.Go(func() {
					var mine []time.Duration
					for len(mine) == 0 || time.Now().Before(until) {
						begin := time.Now()
						if err := call(l); err != nil {
							b.Error(err)
							return
						}
						mine = append(mine, time.Since(begin))
					}
					mu.Lock()
					took[i] = append(took[i], mine...)
					done += len(mine)
					mu.Unlock()
				})
			}
			wg.Wait()
		}
		left -= max(1, done/2)
		if len(took[0]) > 2_000_000 {
			break
		}
	}
	at := func(i int, p float64) float64 {
		return float64(took[i][int(p*float64(len(took[i])-1))]) / 1e3
	}
	for i := range took {
		slices.Sort(took[i])
	}
	b.ReportMetric(0, "ns/op")
	for _, p := range []struct {
		name string
		p    float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		b.ReportMetric(at(0, p.p), p.name+"-loglet-µs")
		b.ReportMetric(at(1, p.p)-at(0, p.p), p.name+"-over-µs")
	}
}

// What a reconfiguration takes, and for how long nothing can be appended, where Loglets answer at once: the rest is the register and the Loglets.
func BenchmarkReconfigure(b *testing.B) {
	w := newWorld()
	var stalled time.Duration
	o := w.options()
	o.OnReconfigure = func(e vlog.Reconfigured) { stalled += e.Stalled }
	l, err := vlog.Open(bg, o)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for i := range b.N {
		if err := l.Reconfigure(bg, vlog.Segment{Kind: "mem", Config: []byte("x")}); err != nil {
			b.Fatal(err)
		}
		if p, err := l.Append(bg, []byte("x")); err != nil {
			b.Fatal(err)
		} else if i%50 == 49 {
			if _, err := l.Trim(bg, p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(stalled.Microseconds())/float64(b.N), "stalled-µs/op")
}
