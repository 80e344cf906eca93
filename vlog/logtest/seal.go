package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"rebase/vlog"
)

// sealable returns a fresh log as a Loglet, or skips the test.
func sealable(t *testing.T, s Subject) vlog.Loglet {
	l, ok := fresh(t, s).(vlog.Loglet)
	if !ok {
		t.Skip("is no Loglet")
	}
	return l
}

// newSealable is sealable for a test that closes the log itself.
func newSealable(t *testing.T, s Subject) vlog.Loglet {
	l := s.New(t)
	loglet, ok := l.(vlog.Loglet)
	if !ok {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		t.Skip("is no Loglet")
	}
	return loglet
}

func testSeal(t *testing.T, s Subject) {
	l := sealable(t, s)
	mustAppend(t, l, "a", "b")
	waiting := make(chan vlog.Tail)
	go func() {
		tail, err := l.WaitTail(bg, 50)
		if err != nil {
			t.Error(err)
		}
		waiting <- tail
	}()
	for range 3 {
		if err := l.Seal(bg); err != nil {
			t.Fatalf("seal: %v", err)
		}
	}
	if tail := <-waiting; tail != (vlog.Tail{Next: 3, Sealed: true}) {
		t.Fatalf("who waited got %+v", tail)
	}
	if _, err := l.Append(bg, []byte("c")); !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("append to a sealed loglet: %v", err)
	}
	wantTail(t, l, 3, true)
	if got := All(t, l, 1); fmt.Sprint(got) != "[a b]" {
		t.Fatalf("sealed loglet holds %q", got)
	}
	if tail, err := l.WaitTail(bg, 1000); err != nil || !tail.Sealed {
		t.Fatalf("wait on a sealed loglet = %+v, %v", tail, err)
	}
}

// testSealRace has appenders and several sealers at once: whatever was acknowledged lies below the final tail, and
// nothing is acknowledged after a seal has returned.
func testSealRace(t *testing.T, s Subject) {
	for round := range 20 {
		l := newSealable(t, s)
		var wg sync.WaitGroup
		var mu sync.Mutex
		acked := map[vlog.Position]string{}
		sealed := make(chan struct{})
		for w := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					after := false
					select {
					case <-sealed:
						after = true
					default:
					}
					body := fmt.Sprintf("%d/%d", w, i)
					p, err := l.Append(bg, []byte(body))
					if errors.Is(err, vlog.ErrSealed) {
						return
					}
					if err != nil || after {
						t.Errorf("append = %d, %v; begun after the seal: %v", p, err, after)
						return
					}
					mu.Lock()
					acked[p] = body
					mu.Unlock()
				}
			})
		}
		var sealers sync.WaitGroup
		for range 2 {
			sealers.Go(func() {
				if _, err := l.WaitTail(bg, vlog.Position(round)); err != nil {
					t.Error(err)
				}
				if err := l.Seal(context.Background()); err != nil {
					t.Errorf("seal: %v", err)
				}
			})
		}
		sealers.Wait()
		close(sealed)
		tail, err := l.Tail(bg)
		if err != nil || !tail.Sealed {
			t.Fatalf("tail = %+v, %v", tail, err)
		}
		wg.Wait()
		got := All(t, l, 1)
		if vlog.Position(len(got)+1) < tail.Next { // more may have been found since, by a repair
			t.Fatalf("%d entries below the sealed tail %d", len(got), tail.Next)
		}
		for p, body := range acked {
			if p >= tail.Next || got[p-1] != body {
				t.Fatalf("acknowledged entry %d (%s) is not in the sealed log", p, body)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func testTrimSealed(t *testing.T, s Subject) {
	l := sealable(t, s)
	mustAppend(t, l, "a", "b", "c")
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	first, err := l.Trim(bg, 3)
	if err != nil || first > 3 {
		t.Fatalf("trim of a sealed loglet = %d, %v", first, err)
	}
	if got := All(t, l, 3); fmt.Sprint(got) != "[c]" {
		t.Fatalf("after trim: %q", got)
	}
	wantTail(t, l, 4, true)
}

func testSealReopen(t *testing.T, s Subject) {
	if s.Reopen == nil {
		t.Skip("does not outlive its process")
	}
	l := newSealable(t, s)
	mustAppend(t, l, "a")
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = s.Reopen(t, l).(vlog.Loglet)
		wantTail(t, l, 2, true)
		if _, err := l.Append(bg, []byte("b")); !errors.Is(err, vlog.ErrSealed) {
			t.Fatalf("append to a sealed loglet: %v", err)
		}
		if _, err := l.Trim(bg, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// RunMeta runs the suite of vlog.MetaStore. fresh returns an empty store.
func RunMeta(t *testing.T, fresh func(t *testing.T) vlog.MetaStore) {
	t.Run("Register", func(t *testing.T) {
		m := fresh(t)
		if b, v, err := m.Load(bg); len(b) != 0 || v != 0 || err != nil {
			t.Fatalf("load of nothing = %q, %d, %v", b, v, err)
		}
		if _, err := m.Store(bg, []byte("x"), 1); !errors.Is(err, vlog.ErrConflict) {
			t.Fatalf("store on a version that is not there: %v", err)
		}
		v1, err := m.Store(bg, []byte("one"), 0)
		if err != nil || v1 == 0 {
			t.Fatalf("first store = %d, %v", v1, err)
		}
		if _, err := m.Store(bg, []byte("x"), 0); !errors.Is(err, vlog.ErrConflict) {
			t.Fatalf("store over a newer version: %v", err)
		}
		v2, err := m.Store(bg, []byte("two"), v1)
		if err != nil || v2 <= v1 {
			t.Fatalf("second store = %d, %v", v2, err)
		}
		if b, v, err := m.Load(bg); string(b) != "two" || v != v2 || err != nil {
			t.Fatalf("load = %q, %d, %v", b, v, err)
		}
	})
	t.Run("OneWinner", func(t *testing.T) {
		m := fresh(t)
		var version uint64
		for range 20 {
			var wg sync.WaitGroup
			var mu sync.Mutex
			wins := 0
			next := version
			for i := range 4 {
				wg.Go(func() {
					v, err := m.Store(bg, fmt.Appendf(nil, "%d", i), version)
					if err != nil && !errors.Is(err, vlog.ErrConflict) {
						t.Errorf("store: %v", err)
					}
					if err == nil {
						mu.Lock()
						wins++
						next = v
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if wins != 1 {
				t.Fatalf("%d of 4 conditional writes won", wins)
			}
			version = next
		}
	})
}
