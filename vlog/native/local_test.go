package native

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rebase/vlog"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newLocal(t testing.TB, n int) *Local {
	l, err := NewLocal(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func open(t testing.TB, l *Local, id uint64) *Loglet {
	loglet, err := l.Open(vlog.LogletSpec{ID: id, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return loglet
}

func TestConformance(t *testing.T) {
	for _, servers := range []int{3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			cluster := newLocal(t, servers)
			var last atomic.Uint64
			logtest.Run(t, logtest.Subject{
				New: func(t testing.TB) logtest.Log { return open(t, cluster, last.Add(1)) },
				Reopen: func(t testing.TB, closed logtest.Log) logtest.Log {
					for i := range servers { // every server has been away
						if err := cluster.Stop(i); err != nil {
							t.Fatal(err)
						}
						if err := cluster.Start(i); err != nil {
							t.Fatal(err)
						}
					}
					return open(t, cluster, closed.(*Loglet).segment)
				},
			})
		})
	}
}

// The same with one server dead from the beginning.
func TestConformanceOfAMajority(t *testing.T) {
	cluster := newLocal(t, 3)
	cluster.Stop(1)
	var last atomic.Uint64
	logtest.Run(t, logtest.Subject{New: func(t testing.TB) logtest.Log { return open(t, cluster, last.Add(1)) }})
}

var bg = context.Background()

// A dead sequencer stops appends and tails; a seal, which needs only a majority, ends the waiting.
func TestSealWithoutSequencer(t *testing.T) {
	cluster := newLocal(t, 3)
	l, other := open(t, cluster, 1), open(t, cluster, 1)
	defer l.Close()
	defer other.Close()
	if p, err := l.Append(bg, []byte("a")); p != 1 || err != nil {
		t.Fatal(p, err)
	}
	cluster.StopSequencer(1)
	cluster.Stop(2)
	hang := make(chan error)
	go func() {
		_, err := l.Append(bg, []byte("b"))
		hang <- err
	}()
	if err := other.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if err := <-hang; !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("append without a sequencer: %v", err)
	}
	for _, h := range []*Loglet{l, other} {
		if tail, err := h.Tail(bg); err != nil || tail != (vlog.Tail{Next: 2, Sealed: true}) {
			t.Fatalf("tail %+v, %v", tail, err)
		}
		if got := logtest.All(t, h, 1); fmt.Sprint(got) != "[a]" {
			t.Fatalf("log is %q", got)
		}
	}
}

// A loglet that the chain has dropped is gone, and stays sealed for those who come too late.
func TestRemove(t *testing.T) {
	cluster := newLocal(t, 3)
	l, late := open(t, cluster, 1), open(t, cluster, 1)
	defer late.Close()
	if _, err := l.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(bg); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Append(bg, []byte("b")); !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("append to a loglet that was removed: %v", err)
	}
	if _, err := cluster.Open(vlog.LogletSpec{ID: 7}); !errors.Is(err, vlog.ErrMissing) {
		t.Fatalf("open of what was never made: %v", err)
	}
}

// A log moves from memory to native loglets and back, under load, while servers go away and come back. Everything acknowledged is in it once or more,
// in an order that agrees with the acknowledgements.
func TestReconfigureUnderLoad(t *testing.T) {
	cluster := newLocal(t, 3)
	log, err := vlog.Open(bg, vlog.Options{
		Meta:      new(mem.Meta),
		Providers: map[string]vlog.Provider{"mem": mem.Provider(), "native": cluster.Provider()},
		Initial:   vlog.Segment{Kind: "mem"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	writers := logtest.Write(t, log, 4)
	for i, kind := range []string{"native", "native", "mem", "native", "native", "mem"} {
		cluster.Stop(i % 3)
		time.Sleep(5 * time.Millisecond) // for some load; nothing depends on it
		if err := log.Reconfigure(bg, vlog.Segment{Kind: kind}); err != nil {
			t.Fatal(err)
		}
		if err := cluster.Start(i % 3); err != nil {
			t.Fatal(err)
		}
	}
	writers.Stop()
	writers.Check(log)
}
