package logtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rebase/vlog"
)

// Drive has that many goroutines call do for a time, each waiting for one call before the next, and returns calls per second and how long each
// took. who numbers the goroutine.
func Drive(t testing.TB, goroutines int, d time.Duration, do func(who int) error) (rate float64, took []time.Duration) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	begin := time.Now()
	for who := range goroutines {
		wg.Go(func() {
			var own []time.Duration
			for at := time.Now(); at.Sub(begin) < d; {
				if err := do(who); err != nil {
					t.Error(err)
					return
				}
				now := time.Now()
				own = append(own, now.Sub(at))
				at = now
			}
			mu.Lock()
			took = append(took, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return float64(len(took)) / time.Since(begin).Seconds(), took
}

// Writers append to a log, and remember what was acknowledged.
type Writers struct {
	t     testing.TB
	stop  atomic.Bool
	wg    sync.WaitGroup
	mu    sync.Mutex
	acked map[vlog.Position]string
}

// Write begins n writers. An error, and a position that is acknowledged twice, fail the test.
func Write(t testing.TB, log *vlog.Log, n int) *Writers {
	w := &Writers{t: t, acked: map[vlog.Position]string{}}
	for who := range n {
		w.wg.Go(func() {
			for i := 0; !w.stop.Load(); i++ {
				body := fmt.Sprintf("%d/%d", who, i)
				p, err := log.Append(context.Background(), []byte(body))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				w.mu.Lock()
				if old, twice := w.acked[p]; twice {
					t.Errorf("%d acknowledged for %s and %s", p, old, body)
				}
				w.acked[p] = body
				w.mu.Unlock()
			}
		})
	}
	return w
}

// Stop ends the writers.
func (w *Writers) Stop() {
	w.stop.Store(true)
	w.wg.Wait()
}

// Check says whether the log, whose positions are dense, holds all that was acknowledged, and that there is anything.
func (w *Writers) Check(log *vlog.Log) {
	w.t.Helper()
	got := All(w.t, log, 1)
	for p, body := range w.acked {
		if int(p) > len(got) || got[p-1] != body {
			w.t.Fatalf("%s was acknowledged at %d and is not there", body, p)
		}
	}
	if len(w.acked) == 0 {
		w.t.Fatal("nothing was appended")
	}
	w.t.Logf("%d entries, %d acknowledged", len(got), len(w.acked))
}
