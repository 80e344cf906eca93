package logtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"rebase/vlog"
)

// another returns a second handle, or skips the test.
func another(t *testing.T, s Subject, l Log) Log {
	if s.Another == nil {
		t.Skip("has one user only")
	}
	a := s.Another(t, l)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("close the other handle: %v", err)
		}
	})
	return a
}

// testAnother has two handles append and read: there is one order, and what one was told the other finds.
func testAnother(t *testing.T, s Subject) {
	l := fresh(t, s)
	handles := []Log{l, another(t, s, l)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := map[vlog.Position]string{}
	var top atomic.Uint64
	for w := range 4 {
		wg.Go(func() {
			mine, other := handles[w%2], handles[1-w%2]
			for i := range 40 {
				before := top.Load()
				body := fmt.Sprintf("%d/%d", w, i)
				p, err := mine.Append(bg, []byte(body))
				if err != nil || uint64(p) <= before {
					t.Errorf("append = %d, %v, when %d had been acknowledged", p, err, before)
					return
				}
				for now := top.Load(); now < uint64(p) && !top.CompareAndSwap(now, uint64(p)); now = top.Load() {
				}
				mu.Lock()
				acked[p] = body
				mu.Unlock()
				if tail, err := other.Tail(bg); err != nil || tail.Next <= p {
					t.Errorf("the other handle's tail is %+v, %v, after an append at %d", tail, err, p)
					return
				}
				if es, err := other.Read(bg, p, p+1, 100); err != nil || len(es) != 1 || string(es[0].Payload) != body {
					t.Errorf("the other handle reads %v, %v at %d, want %q", es, err, p, body)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, h := range handles {
		es := s.entries(t, h, 1)
		if len(es) != len(acked) {
			t.Fatalf("%d entries, want %d", len(es), len(acked))
		}
		for _, e := range es {
			if acked[e.Pos] != string(e.Payload) {
				t.Fatalf("at %d stands %q, want %q", e.Pos, e.Payload, acked[e.Pos])
			}
		}
	}
	// What one handle trims is trimmed for both.
	p := vlog.Position(top.Load())
	first, err := handles[0].Trim(bg, p)
	if err != nil || first > p {
		t.Fatalf("trim = %d, %v", first, err)
	}
	if again, err := handles[1].Trim(bg, p); err != nil || again < first || again > p {
		t.Fatalf("the other handle's trim point is %d, %v; want %d to %d", again, err, first, p)
	}
	for _, h := range handles {
		if got := s.entries(t, h, p); len(got) != 1 || string(got[0].Payload) != acked[p] {
			t.Fatalf("what is left is %v", got)
		}
	}
}

// testAnotherWaits has a handle wait for what another one appends.
func testAnotherWaits(t *testing.T, s Subject) {
	l := fresh(t, s)
	other := another(t, s, l)
	const n = 50
	done := make(chan []vlog.Entry)
	go func() { done <- s.follow(t, other, n, false) }()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		mustAppend(t, l, want[i])
	}
	if got := bodies(<-done); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("the other handle saw %q", got)
	}
}

// testAnotherSeals has one handle seal the log under the other's appends and waits.
func testAnotherSeals(t *testing.T, s Subject) {
	l := sealable(t, s)
	other, ok := another(t, s, l).(vlog.Loglet)
	if !ok {
		t.Skip("is no Loglet")
	}
	acked := mustAppend(t, l, "a")
	waiting := make(chan vlog.Tail)
	go func() {
		tail, err := l.WaitTail(bg, 1<<50)
		if err != nil {
			t.Error(err)
		}
		waiting <- tail
	}()
	appending := make(chan error)
	begun := make(chan struct{})
	go func() {
		for i := 0; ; i++ {
			p, err := l.Append(bg, fmt.Append(nil, i))
			if err != nil {
				appending <- err
				return
			}
			if acked = p; i == 5 {
				close(begun)
			}
		}
	}()
	<-begun
	if err := other.Seal(bg); err != nil {
		t.Fatal(err)
	}
	tail, err := other.Tail(bg)
	if err != nil || !tail.Sealed {
		t.Fatalf("tail = %+v, %v", tail, err)
	}
	if err := <-appending; !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("append to a loglet that another handle has sealed: %v", err)
	}
	if tail := <-waiting; !tail.Sealed {
		t.Fatalf("who waited got %+v", tail)
	}
	if acked >= tail.Next {
		t.Fatalf("%d was acknowledged; the tail after the seal is %d", acked, tail.Next)
	}
}
