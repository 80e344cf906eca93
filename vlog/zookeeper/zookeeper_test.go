package zookeeper

import (
	"context"
	"sync"
	"testing"
	"time"

	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/logtest"
)

var bg = context.Background()

// world is an ensemble and the loglets that a test makes in it.
type world struct {
	opts Options
	mu   sync.Mutex
	next uint64
}

func newWorld(servers []string) *world {
	return &world{opts: Options{Servers: servers, Timeout: 2 * time.Second}}
}

func (w *world) create(t testing.TB) *Loglet {
	t.Helper()
	w.mu.Lock()
	w.next++
	id := w.next
	w.mu.Unlock()
	l, err := Open(bg, w.opts, vlog.LogletSpec{ID: id, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// open opens another handle on a loglet, as another process would.
func (w *world) open(t testing.TB, l *Loglet) *Loglet {
	t.Helper()
	again, err := Open(bg, w.opts, vlog.LogletSpec{ID: 1, Config: l.Config()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	return again
}

func (w *world) subject() logtest.Subject {
	return logtest.Subject{
		New:     func(t testing.TB) logtest.Log { return w.create(t) },
		Reopen:  func(t testing.TB, closed logtest.Log) logtest.Log { return w.open(t, closed.(*Loglet)) },
		Another: func(t testing.TB, open logtest.Log) logtest.Log { return w.open(t, open.(*Loglet)) },
	}
}

func TestConformance(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(map[int]string{1: "Alone", 3: "Ensemble"}[n], func(t *testing.T) {
			logtest.Run(t, newWorld(engines.ZooKeeper(t, n).Servers()).subject())
		})
	}
}
