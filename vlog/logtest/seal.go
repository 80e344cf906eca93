package logtest

import (
	"bytes"
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
	b := mustAppend(t, l, "a", "b") + 1
	waiting := make(chan vlog.Tail)
	go func() {
		tail, err := l.WaitTail(bg, 1<<50)
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
	if tail := <-waiting; tail.Next <= b || tail.Next != b+1 && !s.Sparse || !tail.Sealed {
		t.Fatalf("who waited got %+v", tail)
	}
	before := s.wantTail(t, l, b, true)
	if _, err := l.Append(bg, []byte("c")); !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("append to a sealed loglet: %v", err)
	}
	// What was refused may be in the log; that is why a chain cuts it at the first tail that it was given.
	after, err := l.Tail(bg)
	if err != nil || !after.Sealed || after.Next < before {
		t.Fatalf("the tail was %d, now it is %+v, %v", before, after, err)
	}
	if got := bodies(s.entries(t, l, 1)); len(got) < 2 || len(got) > 3 || got[0] != "a" || got[1] != "b" {
		t.Fatalf("sealed loglet holds %q", got)
	}
	if tail, err := l.WaitTail(bg, 1<<50); err != nil || !tail.Sealed {
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
		got := map[vlog.Position]string{}
		for _, e := range s.entries(t, l, 1) {
			got[e.Pos] = string(e.Payload)
		}
		for p, body := range acked {
			if p >= tail.Next || got[p] != body {
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
	last := mustAppend(t, l, "a", "b", "c") + 2
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	first, err := l.Trim(bg, last)
	if err != nil || first > last {
		t.Fatalf("trim of a sealed loglet = %d, %v", first, err)
	}
	if got := bodies(s.entries(t, l, last)); fmt.Sprint(got) != "[c]" {
		t.Fatalf("after trim: %q", got)
	}
	s.wantTail(t, l, last, true)
}

func testSealReopen(t *testing.T, s Subject) {
	if s.Reopen == nil {
		t.Skip("does not outlive its process")
	}
	l := newSealable(t, s)
	a := mustAppend(t, l, "a")
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = s.Reopen(t, l).(vlog.Loglet)
		if tail, err := l.Tail(bg); err != nil || !tail.Sealed || tail.Next <= a {
			t.Fatalf("tail = %+v, %v; want it sealed behind %d", tail, err, a)
		}
		if _, err := l.Append(bg, []byte("b")); !errors.Is(err, vlog.ErrSealed) {
			t.Fatalf("append to a sealed loglet: %v", err)
		}
		if _, err := l.Trim(bg, a+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// testReadersAcrossSeal has readers that follow the log until it is sealed: they all see everything acknowledged, in the same order, and their
// waiting ends.
func testReadersAcrossSeal(t *testing.T, s Subject) {
	for round := range 5 {
		l := newSealable(t, s)
		const readers = 4
		var wg sync.WaitGroup
		var seen [readers][]vlog.Entry
		for r := range readers {
			wg.Go(func() { seen[r] = s.follow(t, l, -1, r%2 == 1) })
		}
		acked := map[vlog.Position]string{}
		for i := range 10 + 7*round {
			body := fmt.Sprint("entry ", i)
			acked[mustAppend(t, l, body)] = body
		}
		if err := l.Seal(bg); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for r := range readers {
			got := map[vlog.Position]string{}
			for i, e := range seen[r] {
				got[e.Pos] = string(e.Payload)
				if i < len(seen[0]) && (seen[0][i].Pos != e.Pos || !bytes.Equal(seen[0][i].Payload, e.Payload)) {
					t.Fatalf("two readers see %q at %d and %q at %d", seen[0][i].Payload, seen[0][i].Pos, e.Payload, e.Pos)
				}
			}
			for p, body := range acked {
				if got[p] != body {
					t.Fatalf("reader %d has %q at %d, want %q", r, got[p], p, body)
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testSealUnderLoad seals while appends of several payloads and waits are under way: every call ends, and what
// was acknowledged is, as a whole, below the tail that was asked for after the seal.
func testSealUnderLoad(t *testing.T, s Subject) {
	for range 5 {
		l := newSealable(t, s)
		var wg sync.WaitGroup
		var mu sync.Mutex
		acked := map[vlog.Position]string{}
		const writers = 8
		started := make(chan struct{}, writers)
		for w := range writers {
			wg.Go(func() {
				for i := 0; ; i++ {
					body := fmt.Sprintf("%d/%d", w, i)
					p, err := l.Append(bg, []byte(body+"a"), []byte(body+"b"), []byte(body+"c"))
					if errors.Is(err, vlog.ErrSealed) {
						return
					}
					if err != nil {
						t.Errorf("append: %v", err)
						return
					}
					mu.Lock()
					acked[p], acked[p+1], acked[p+2] = body+"a", body+"b", body+"c"
					mu.Unlock()
					if i == 2 {
						started <- struct{}{}
					}
				}
			})
			wg.Go(func() {
				if tail, err := l.WaitTail(bg, 1<<50); err != nil || !tail.Sealed {
					t.Errorf("wait = %+v, %v", tail, err)
				}
			})
		}
		for range writers {
			<-started
		}
		if err := l.Seal(bg); err != nil {
			t.Fatal(err)
		}
		tail, err := l.Tail(bg)
		if err != nil || !tail.Sealed {
			t.Fatalf("tail = %+v, %v", tail, err)
		}
		wg.Wait()
		got := map[vlog.Position]string{}
		for _, e := range s.entries(t, l, 1) {
			got[e.Pos] = string(e.Payload)
		}
		for p, body := range acked {
			if p >= tail.Next || got[p] != body {
				t.Fatalf("at %d stands %q, acknowledged was %q; the tail after the seal is %d", p, got[p], body, tail.Next)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
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
