package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rebase/vlog/rawsync"
)

// durableWrites measures connections that each write a 100-byte value to a key of its own,
// wait for the answer, and go on; beside it, on the same disk and in turns with it, as many
// appenders that share the syncs of one file.
func durableWrites(ctx context.Context, s *server, r *Report, connections int, d time.Duration) error {
	const rounds = 4
	name := fmt.Sprintf("%s%d durable writers", s.name, connections)
	conns := make([]*conn, connections)
	for i := range conns {
		c, err := dial(ctx, s.target, 4<<10)
		if err != nil {
			return err
		}
		defer c.close()
		conns[i] = c
	}
	value := strings.Repeat("v", payloadBytes)
	put := func(i, r int) string { return fmt.Sprintf(`"p":"/writes/c%d/k%d","d":"%s"`, i, r, value) }
	var ops, raw float64
	var samples []time.Duration
	var cpu time.Duration
	for range rounds {
		before, _ := s.cpu()
		n, lat, err := writeRound(ctx, conns, d/rounds, put)
		if err != nil {
			return err
		}
		after, _ := s.cpu()
		cpu += after - before
		ops += n / rounds
		samples = append(samples, lat...)
		if s.dir == "" {
			continue
		}
		limit, err := rawLimit(s.dir, connections, d/rounds/2)
		if err != nil {
			return err
		}
		raw += limit / rounds
	}
	r.add(name, "acknowledged writes", ops, "1/s", "")
	r.add(name, "latency p50", millis(quantile(samples, 0.5)), "ms", "")
	r.add(name, "latency p99", millis(quantile(samples, 0.99)), "ms", "")
	if cpu > 0 {
		r.add(name, "server CPU per write", cpu.Seconds()*1e6/(ops*d.Seconds()), "µs", "")
	}
	if raw > 0 {
		r.add(name, "raw group-committed syncs", raw, "1/s", "")
		r.add(name, "share of the raw limit", ops/raw, "", ">= 0.3")
	}
	return nil
}

func rawLimit(dir string, writers int, d time.Duration) (float64, error) {
	tmp, err := os.MkdirTemp(dir, "raw-*")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	return rawsync.Measure(tmp, writers, payloadBytes, d)
}

// writeRound has each connection write, wait for the answer, and go on; put makes the body of request r of connection i.
func writeRound(ctx context.Context, conns []*conn, d time.Duration, put func(i, r int) string) (opsPerSecond float64, latencies []time.Duration, err error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		count atomic.Int64
		stop  atomic.Bool
	)
	begin := time.Now()
	for i, c := range conns {
		wg.Go(func() {
			var lat []time.Duration
			for n := 0; !stop.Load(); n++ {
				at := time.Now()
				if e := c.call("p", put(i, c.r), nil); e != nil {
					mu.Lock()
					err = e
					mu.Unlock()
					return
				}
				count.Add(1)
				if n%8 == 0 {
					lat = append(lat, time.Since(at))
				}
			}
			mu.Lock()
			latencies = append(latencies, lat...)
			mu.Unlock()
		})
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		err = ctx.Err()
	}
	stop.Store(true)
	took := time.Since(begin)
	n := count.Load()
	wg.Wait()
	return float64(n) / took.Seconds(), latencies, err
}
