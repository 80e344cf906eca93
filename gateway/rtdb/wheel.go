package rtdb

import (
	"sync"
	"time"
)

// wheelStep is how exact the wheel is.
const wheelStep = 250 * time.Millisecond

// wheel calls many things back at coarse times from one goroutine. A runtime timer per connection would cost more memory
// than the rest of its bookkeeping.
type wheel struct {
	begin time.Time
	mu    sync.Mutex
	now   int64 // steps since begin
	slots [512][]*timed
}

// ticker is something on the wheel. tick must not block; it returns when it wants to be called next, in time since the wheel's
// beginning, or 0 for never.
type ticker interface {
	tick(now time.Duration) (next time.Duration)
}

// timed is a ticker's place on the wheel.
type timed struct {
	ticker
	due int64 // the step it is called at, 0: none. Guarded by the wheel.
}

func newWheel() *wheel { return &wheel{begin: time.Now()} }

// elapsed is the time on the wheel's clock.
func (w *wheel) elapsed() time.Duration { return time.Since(w.begin) }

// schedule calls t at the given time or earlier.
func (w *wheel) schedule(t *timed, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	step := max(int64((at+wheelStep-1)/wheelStep), w.now+1)
	step = min(step, w.now+int64(len(w.slots))-1)
	if t.due != 0 && t.due <= step {
		return
	}
	t.due = step
	slot := &w.slots[step%int64(len(w.slots))]
	*slot = append(*slot, t)
}

// run turns the wheel until stop is closed.
func (w *wheel) run(stop <-chan struct{}) {
	ticker := time.NewTicker(wheelStep)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			w.advance(w.elapsed())
		}
	}
}

// advance calls all that is due. Steps that were missed because the process was stopped are caught up with.
func (w *wheel) advance(now time.Duration) {
	for {
		w.mu.Lock()
		if int64(now/wheelStep) <= w.now {
			w.mu.Unlock()
			return
		}
		w.now++
		slot := &w.slots[w.now%int64(len(w.slots))]
		due := *slot
		*slot = nil
		kept := due[:0]
		for _, t := range due {
			if t.due == w.now { // else it was called earlier
				t.due = 0
				kept = append(kept, t)
			}
		}
		w.mu.Unlock()
		for _, t := range kept {
			if next := t.tick(now); next > 0 {
				w.schedule(t, next)
			}
		}
	}
}
