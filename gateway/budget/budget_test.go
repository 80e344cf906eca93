package budget

import (
	"sync"
	"testing"
)

func TestResize(t *testing.T) {
	var b Budget
	b.Set(100)
	var x, y int64
	for _, step := range []struct {
		held *int64
		n    int64
		ok   bool
		left int64
	}{{&x, 60, true, 40}, {&y, 50, false, 40}, {&y, 40, true, 0}, {&x, 61, false, 0}, {&x, 10, true, 50}, {&y, 90, true, 0}, {&y, 0, true, 90}, {&x, 0, true, 100}} {
		before := *step.held
		if ok := b.Resize(step.held, step.n); ok != step.ok || b.Left() != step.left {
			t.Fatalf("%d: %v with %d left, want %v with %d", step.n, ok, b.Left(), step.ok, step.left)
		}
		if !step.ok && *step.held != before {
			t.Fatal("a refused step changed what is held")
		}
	}
}

func TestNeverMoreThanThereIs(t *testing.T) {
	var b Budget
	b.Set(1000)
	var wg sync.WaitGroup
	var mu sync.Mutex
	sum := int64(0)
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if b.Take(7) {
					mu.Lock()
					sum += 7
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if sum > 1000 || b.Left() != 1000-sum {
		t.Errorf("%d of 1000 were taken, %d are left", sum, b.Left())
	}
}
