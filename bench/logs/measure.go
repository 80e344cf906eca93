package logs

import (
	"context"
	"slices"
	"sync"
	"time"
)

// turn is how long an engine, or the reference beside it, is driven before the other's turn.
const turn = 250 * time.Millisecond

// engine is what appends.
type engine struct {
	name   string
	append func(ctx context.Context, payload []byte) error
}

// sample is what a turn, or several, have measured.
type sample struct {
	ops       int
	took      time.Duration
	latencies []time.Duration
}

func (s *sample) add(t sample) {
	s.ops += t.ops
	s.took += t.took
	s.latencies = append(s.latencies, t.latencies...)
}

func (s *sample) rate() float64 { return float64(s.ops) / s.took.Seconds() }

func (s *sample) quantile(q float64) time.Duration {
	if len(s.latencies) == 0 {
		return 0
	}
	slices.Sort(s.latencies)
	return s.latencies[min(int(q*float64(len(s.latencies))), len(s.latencies)-1)]
}

// drive has appenders append for about d.
func drive(ctx context.Context, e *engine, appenders, payload int, d time.Duration) (sample, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		total  sample
		failed error
	)
	begin := time.Now()
	until := begin.Add(d)
	for range appenders {
		wg.Go(func() {
			body := make([]byte, payload)
			var own sample
			for at := time.Now(); at.Before(until); {
				if err := e.append(ctx, body); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				now := time.Now()
				own.ops++
				own.latencies = append(own.latencies, now.Sub(at))
				at = now
			}
			mu.Lock()
			total.add(own)
			mu.Unlock()
		})
	}
	wg.Wait()
	total.took = time.Since(begin)
	return total, failed
}

// median of the values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	if n := len(values); n > 0 {
		return values[n/2]
	}
	return 0
}

// watermark is the longest of some durations.
type watermark struct {
	mu  sync.Mutex
	max time.Duration
}

func newWatermark() *watermark { return &watermark{} }

func (w *watermark) note(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.max = max(w.max, d)
}

// reset returns it and begins anew.
func (w *watermark) reset() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.max
	w.max = 0
	return d
}
