package zookeeper

import (
	"context"
	"flag"
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

// TestAlone runs everything that needs no other server on one.
func TestAlone(t *testing.T) {
	servers := engines.ZooKeeper(t, 1).Servers()
	t.Run("Conformance", func(t *testing.T) { logtest.Run(t, newWorld(servers).subject()) })
	for _, tc := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"SeveralWriters", testSeveralWriters},
		{"NobodyStarves", testNobodyStarves},
		{"LostAnswers", testLostAnswers},
		{"Large", testLarge},
		{"Chunks", testChunks},
		{"Pipelined", testPipelined},
		{"Full", testFull},
		{"Password", testPassword},
		{"TwoCreations", testTwoCreations},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, newWorld(servers)) })
	}
}

// TestEnsemble runs what is about servers that fail on three, and the conformance suite before.
func TestEnsemble(t *testing.T) {
	e := engines.ZooKeeper(t, 3)
	t.Run("Conformance", func(t *testing.T) {
		checks := flag.Lookup("rapid.checks")
		usual := checks.Value.String()
		checks.Value.Set("20") // a transaction takes three servers' disks
		defer checks.Value.Set(usual)
		logtest.Run(t, newWorld(e.Servers()).subject())
	})
	t.Run("MembersFail", func(t *testing.T) { testMembersFail(t, e) })
	t.Run("NoQuorum", func(t *testing.T) { testNoQuorum(t, e) })
	t.Run("StaleServer", func(t *testing.T) { testStaleServer(t, e) })
}

// leaderOf waits for a leader.
func leaderOf(t *testing.T, e engines.ZooKeeperEnsemble) *engines.ZooKeeperServer {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if l := e.Leader(); l != nil {
			return l
		}
	}
	t.Fatal("no leader")
	return nil
}
