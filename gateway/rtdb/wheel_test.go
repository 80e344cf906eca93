package rtdb

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

type alarm struct {
	timed
	calls []time.Duration
	next  time.Duration
}

func (a *alarm) tick(now time.Duration) time.Duration {
	a.calls = append(a.calls, now)
	next := a.next
	a.next = 0
	return next
}

func TestWheelCallsAtItsSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWheel()
		stop := make(chan struct{})
		go w.run(stop)
		soon, far := &alarm{next: 20 * time.Second}, &alarm{}
		soon.ticker, far.ticker = soon, far
		w.schedule(&soon.timed, 10*time.Second)
		w.schedule(&soon.timed, 12*time.Second) // it is called before that anyway
		w.schedule(&far.timed, time.Hour)       // beyond the wheel's horizon: called early, as documented
		time.Sleep(60 * time.Second)
		close(stop)
		synctest.Wait()
		if len(soon.calls) != 2 || soon.calls[0] != 10*time.Second || soon.calls[1] != 20*time.Second {
			t.Errorf("called at %v", soon.calls)
		}
		if len(far.calls) != 0 {
			t.Errorf("called at %v", far.calls)
		}
	})
}

func TestWheelIsNeverLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWheel()
		var now time.Duration
		alarms := make([]*alarm, 5)
		want := make([]time.Duration, 5) // 0: none
		for i := range alarms {
			alarms[i] = &alarm{}
			alarms[i].ticker = alarms[i]
		}
		t.Repeat(map[string]func(*rapid.T){
			"schedule": func(t *rapid.T) {
				i := rapid.IntRange(0, 4).Draw(t, "alarm")
				at := now + time.Duration(rapid.IntRange(0, 200_000).Draw(t, "ms"))*time.Millisecond
				w.schedule(&alarms[i].timed, at)
				if want[i] == 0 || at < want[i] {
					want[i] = at
				}
			},
			"advance": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, 100_000).Draw(t, "ms")) * time.Millisecond
				w.advance(now)
				for i, a := range alarms {
					if len(a.calls) > 1 {
						t.Fatalf("called %d times", len(a.calls))
					}
					if len(a.calls) == 1 {
						want[i] = 0
					} else if want[i] != 0 && want[i]+wheelStep <= now {
						t.Fatalf("not called at %v by %v", want[i], now)
					}
					a.calls = nil
				}
			},
		})
	})
}
