package zookeeper

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"rebase/vlog"
	"rebase/vlog/logtest"
)

// history is what writers have been told.
type history struct {
	mu      sync.Mutex
	acked   map[vlog.Position]string
	unknown map[string]bool // told ErrSealed
	highest vlog.Position
}

func newHistory() *history {
	return &history{acked: map[vlog.Position]string{}, unknown: map[string]bool{}}
}

// writer appends bodies one by one until stop says so, or the log is sealed.
func (h *history) writer(t *testing.T, l *Loglet, name string, more func(i int) bool) {
	for i := 0; more(i); i++ {
		body := fmt.Sprintf("%s/%06d", name, i)
		h.mu.Lock()
		before := h.highest
		h.mu.Unlock()
		p, err := l.Append(bg, []byte(body))
		h.mu.Lock()
		if errors.Is(err, vlog.ErrSealed) {
			h.unknown[body] = true
			h.mu.Unlock()
			return
		}
		if err != nil {
			t.Errorf("append %s: %v", body, err)
			h.mu.Unlock()
			return
		}
		if p <= before {
			t.Errorf("%s was given position %d after %d had been acknowledged", body, p, before)
		}
		if old, twice := h.acked[p]; twice {
			t.Errorf("position %d was given to %s and %s", p, old, body)
		}
		h.acked[p] = body
		h.highest = max(h.highest, p)
		h.mu.Unlock()
	}
}

// check compares the log with what the writers were told: nothing lost, doubled or reordered.
func (h *history) check(t *testing.T, l *Loglet) {
	t.Helper()
	tail, err := l.Tail(bg)
	if err != nil {
		t.Fatal(err)
	}
	got := logtest.All(t, l, 1)
	if vlog.Position(len(got)+1) != tail.Next {
		t.Fatalf("%d entries below the tail %d", len(got), tail.Next)
	}
	at := map[string]vlog.Position{}
	lastOf := map[string]string{}
	for i, body := range got {
		p := vlog.Position(i + 1)
		if other, twice := at[body]; twice {
			t.Errorf("%s is at %d and at %d", body, other, p)
		}
		at[body] = p
		name := body[:len(body)-7]
		if body <= lastOf[name] {
			t.Errorf("%s stands behind %s", body, lastOf[name])
		}
		lastOf[name] = body
		if h.acked[p] != body && !h.unknown[body] {
			t.Errorf("at %d stands %q, acknowledged was %q", p, body, h.acked[p])
		}
	}
	for p, body := range h.acked {
		if at[body] != p {
			t.Errorf("%s, acknowledged at %d, is at %d", body, p, at[body])
		}
	}
}
