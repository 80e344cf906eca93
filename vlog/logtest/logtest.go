// Package logtest is the conformance suite of vlog.Loglet and vlog.MetaStore: what their comments promise, as tests. Every
// implementation runs it, and so does vlog.Log, which has a Loglet's methods.
//
// It knows nothing of how a log is stored; what only a disk can do wrong is tested beside the one that uses it.
package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rebase/vlog"
)

// Log is what is tested: a Loglet without the seal, which a vlog.Log does not have.
type Log interface {
	Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error)
	Tail(ctx context.Context) (vlog.Tail, error)
	WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error)
	Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error)
	Trim(ctx context.Context, before vlog.Position) (vlog.Position, error)
	Close() error
}

// Subject is an implementation under test.
type Subject struct {
	// New returns a fresh log. The suite closes it.
	New func(t testing.TB) Log
	// Reopen opens again a log that New or Reopen made and that has been closed; nil if there is no such thing.
	Reopen func(t testing.TB, closed Log) Log
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	tests := []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"Empty", testEmpty},
		{"AppendRead", testAppendRead},
		{"ReadLimits", testReadLimits},
		{"PayloadsAreCopied", testPayloadsAreCopied},
		{"TooLarge", testTooLarge},
		{"CancelledContext", testCancelled},
		{"WaitTail", testWaitTail},
		{"ManyWaiters", testManyWaiters},
		{"Trim", testTrim},
		{"ConcurrentAppends", testConcurrent},
		{"AppendReadTrimRace", testRace},
		{"CloseReleasesWaiters", testClose},
		{"Model", testModel},
		{"Reopen", testReopen},
		{"Seal", testSeal},
		{"SealRace", testSealRace},
		{"TrimSealed", testTrimSealed},
		{"SealSurvivesReopen", testSealReopen},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) { tc.run(t, s) })
	}
}

var bg = context.Background()

func fresh(t testing.TB, s Subject) Log {
	l := s.New(t)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func mustAppend(t testing.TB, l Log, payloads ...string) vlog.Position {
	t.Helper()
	var b [][]byte
	for _, p := range payloads {
		b = append(b, []byte(p))
	}
	first, err := l.Append(bg, b...)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return first
}

// All reads everything from a position on and checks that positions are dense.
func All(t testing.TB, l Log, from vlog.Position) []string {
	t.Helper()
	var out []string
	for {
		es, err := l.Read(bg, from, 1<<60, 1<<20)
		if err != nil {
			t.Fatalf("read from %d: %v", from, err)
		}
		if len(es) == 0 {
			return out
		}
		for _, e := range es {
			if e.Pos != from {
				t.Fatalf("read: position %d where %d was due", e.Pos, from)
			}
			out = append(out, string(e.Payload))
			from++
		}
	}
}

func wantTail(t testing.TB, l Log, next vlog.Position, sealed bool) {
	t.Helper()
	got, err := l.Tail(bg)
	if want := (vlog.Tail{Next: next, Sealed: sealed}); err != nil || got != want {
		t.Fatalf("tail = %+v, %v; want %+v", got, err, want)
	}
}

func testEmpty(t *testing.T, s Subject) {
	l := fresh(t, s)
	wantTail(t, l, 1, false)
	if es, err := l.Read(bg, 1, 100, 1<<20); len(es) != 0 || err != nil {
		t.Fatalf("read of an empty log = %v, %v", es, err)
	}
	if p, err := l.Trim(bg, 10); p != 1 || err != nil {
		t.Fatalf("trim beyond the tail = %d, %v; want 1", p, err)
	}
	if p, err := l.Append(bg); p != 1 || err != nil {
		t.Fatalf("append of nothing = %d, %v; want the tail", p, err)
	}
	wantTail(t, l, 1, false)
}

func testAppendRead(t *testing.T, s Subject) {
	l := fresh(t, s)
	if p := mustAppend(t, l, "a"); p != 1 {
		t.Fatalf("first position is %d", p)
	}
	if p := mustAppend(t, l, "b", "", "d"); p != 2 {
		t.Fatalf("second append at %d, want 2", p)
	}
	wantTail(t, l, 5, false)
	if got := All(t, l, 1); fmt.Sprint(got) != "[a b  d]" {
		t.Fatalf("log is %q", got)
	}
	es, err := l.Read(bg, 2, 4, 1<<20)
	if err != nil || len(es) == 0 || len(es) > 2 || string(es[0].Payload) != "b" || es[0].Pos != 2 {
		t.Fatalf("read [2,4) = %v, %v", es, err)
	}
	for _, r := range [][2]vlog.Position{{5, 9}, {3, 3}, {4, 2}, {100, 200}} {
		if es, err := l.Read(bg, r[0], r[1], 1<<20); len(es) != 0 || err != nil {
			t.Fatalf("read %v = %v, %v; want nothing", r, es, err)
		}
	}
}

func testReadLimits(t *testing.T, s Subject) {
	l := fresh(t, s)
	for range 10 {
		mustAppend(t, l, "0123456789")
	}
	for limit, want := range map[int]int{0: 1, 1: 1, 10: 1, 19: 1, 20: 2, 55: 5, 1000: 10} {
		es, err := l.Read(bg, 1, 100, limit)
		if err != nil || len(es) == 0 || len(es) > want {
			t.Errorf("read of %d bytes gave %d entries, %v; want 1 to %d", limit, len(es), err, want)
		}
	}
}

func testPayloadsAreCopied(t *testing.T, s Subject) {
	l := fresh(t, s)
	b := []byte("before")
	if _, err := l.Append(bg, b); err != nil {
		t.Fatal(err)
	}
	copy(b, "AFTER!")
	if got := All(t, l, 1); got[0] != "before" {
		t.Fatalf("the log kept the caller's slice: %q", got[0])
	}
}

func testTooLarge(t *testing.T, s Subject) {
	if testing.Short() {
		t.Skip("needs much memory")
	}
	l := fresh(t, s)
	half := make([]byte, vlog.MaxEntryBytes/2+1) // zero pages, never touched
	if _, err := l.Append(bg, half, half); !errors.Is(err, vlog.ErrTooLarge) {
		t.Fatalf("append over the limit: %v", err)
	}
	wantTail(t, l, 1, false)
	mustAppend(t, l, "fits")
}

func testCancelled(t *testing.T, s Subject) {
	l := fresh(t, s)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := l.Append(ctx, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Fatalf("append with an ended context: %v", err)
	}
	wantTail(t, l, 1, false)
	if _, err := l.WaitTail(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Fatalf("wait with an ended context: %v", err)
	}
}

func testWaitTail(t *testing.T, s Subject) {
	l := fresh(t, s)
	mustAppend(t, l, "a", "b")
	for p := vlog.Position(0); p <= 3; p++ {
		if got, err := l.WaitTail(bg, p); err != nil || got.Next != 3 {
			t.Fatalf("wait for %d = %+v, %v", p, got, err)
		}
	}
	got := make(chan vlog.Tail)
	go func() {
		tail, err := l.WaitTail(bg, 5)
		if err != nil {
			t.Error(err)
		}
		got <- tail
	}()
	mustAppend(t, l, "c")
	select {
	case tail := <-got:
		t.Fatalf("wait for 5 returned at %+v", tail)
	default:
	}
	mustAppend(t, l, "d")
	if tail := <-got; tail.Next != 5 {
		t.Fatalf("wait for 5 = %+v", tail)
	}
}

// testManyWaiters has readers that follow the tail entry by entry, as the apply loops of replicas do.
func testManyWaiters(t *testing.T, s Subject) {
	l := fresh(t, s)
	const n = 200
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for p := vlog.Position(1); p <= n; {
				tail, err := l.WaitTail(bg, p+1)
				if err != nil || tail.Next <= p {
					t.Errorf("wait for %d = %+v, %v", p+1, tail, err)
					return
				}
				es, err := l.Read(bg, p, tail.Next, 1<<20)
				if err != nil || len(es) == 0 {
					t.Errorf("read [%d,%d) = %d entries, %v", p, tail.Next, len(es), err)
					return
				}
				p += vlog.Position(len(es))
			}
		})
	}
	for i := range n {
		mustAppend(t, l, fmt.Sprint(i))
	}
	wg.Wait()
}

func testTrim(t *testing.T, s Subject) {
	l := fresh(t, s)
	for i := 1; i <= 10; i++ {
		mustAppend(t, l, fmt.Sprint(i))
	}
	first, err := l.Trim(bg, 6)
	if err != nil || first > 6 {
		t.Fatalf("trim(6) = %d, %v", first, err)
	}
	if first > 1 {
		_, err := l.Read(bg, first-1, 10, 1<<20)
		var trimmed *vlog.TrimmedError
		if !errors.Is(err, vlog.ErrTrimmed) || !errors.As(err, &trimmed) || trimmed.First != first {
			t.Fatalf("read below the trim point: %v", err)
		}
	}
	if got := All(t, l, 6); len(got) != 5 || got[0] != "6" {
		t.Fatalf("after trim: %q", got)
	}
	if again, err := l.Trim(bg, 2); err != nil || again != first {
		t.Fatalf("trim went back: %d, %v; was %d", again, err, first)
	}
	wantTail(t, l, 11, false)
	if all, err := l.Trim(bg, 1000); err != nil || all > 11 {
		t.Fatalf("trim beyond the tail = %d, %v", all, err)
	}
	wantTail(t, l, 11, false)
	if p := mustAppend(t, l, "11"); p != 11 {
		t.Fatalf("append after trim at %d", p)
	}
	if got := All(t, l, 11); len(got) != 1 || got[0] != "11" {
		t.Fatalf("after trim of everything: %q", got)
	}
}

func testConcurrent(t *testing.T, s Subject) {
	l := fresh(t, s)
	const writers, each = 16, 50
	var wg sync.WaitGroup
	at := make([][]vlog.Position, writers)
	var acked atomic.Uint64 // highest position acknowledged so far
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				before := acked.Load()
				p, err := l.Append(bg, fmt.Appendf(nil, "%d/%d/a", w, i), fmt.Appendf(nil, "%d/%d/b", w, i))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				if uint64(p) <= before {
					t.Errorf("position %d was given after %d had been acknowledged", p, before)
				}
				for now := acked.Load(); now < uint64(p)+1 && !acked.CompareAndSwap(now, uint64(p)+1); now = acked.Load() {
				}
				if tail, err := l.Tail(bg); err != nil || tail.Next < p+2 {
					t.Errorf("tail %+v, %v after append at %d", tail, err, p)
				}
				at[w] = append(at[w], p)
			}
		})
	}
	wg.Wait()
	got := All(t, l, 1)
	if len(got) != writers*each*2 {
		t.Fatalf("%d entries, want %d", len(got), writers*each*2)
	}
	for w := range writers {
		for i, p := range at[w] {
			if got[p-1] != fmt.Sprintf("%d/%d/a", w, i) || got[p] != fmt.Sprintf("%d/%d/b", w, i) {
				t.Fatalf("at %d stands %q, %q", p, got[p-1], got[p])
			}
		}
	}
}

// testRace lets everything happen at once; it is there for the race detector and for what readers may see.
func testRace(t *testing.T, s Subject) {
	l := fresh(t, s)
	const total = 600
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(total)
	for w := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for left.Add(-1) >= 0 {
				b := bytes.Repeat([]byte{byte('a' + w)}, rng.IntN(700)+1)
				if _, err := l.Append(bg, b); err != nil {
					t.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for p := vlog.Position(1); p <= total; {
				if _, err := l.WaitTail(bg, p+1); err != nil {
					t.Errorf("wait: %v", err)
					return
				}
				es, err := l.Read(bg, p, p+17, 4000)
				var trimmed *vlog.TrimmedError
				if errors.As(err, &trimmed) {
					if trimmed.First <= p {
						t.Errorf("%d is trimmed, but the log begins at %d", p, trimmed.First)
						return
					}
					p = trimmed.First
					continue
				}
				if err != nil || len(es) == 0 {
					t.Errorf("read at %d: %d entries, %v", p, len(es), err)
					return
				}
				for _, e := range es {
					if e.Pos != p || len(e.Payload) == 0 || len(bytes.Trim(e.Payload, string(e.Payload[:1]))) != 0 {
						t.Errorf("entry %d at %d: %q", e.Pos, p, e.Payload)
						return
					}
					p++
				}
			}
		})
	}
	wg.Go(func() {
		for p := vlog.Position(50); p < total; p += 50 {
			if _, err := l.WaitTail(bg, p); err != nil {
				t.Errorf("wait: %v", err)
				return
			}
			if _, err := l.Trim(bg, p-20); err != nil {
				t.Errorf("trim: %v", err)
				return
			}
		}
	})
	wg.Wait()
}

func testClose(t *testing.T, s Subject) {
	l := s.New(t)
	mustAppend(t, l, "a")
	waiting := make(chan error)
	for range 3 {
		go func() {
			_, err := l.WaitTail(bg, 100)
			waiting <- err
		}()
	}
	time.Sleep(time.Millisecond) // so that some do wait; it matters to none
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-waiting; !errors.Is(err, vlog.ErrClosed) {
			t.Errorf("wait on a closed log: %v", err)
		}
	}
	if err := l.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	_, appendErr := l.Append(bg, []byte("x"))
	_, tailErr := l.Tail(bg)
	_, readErr := l.Read(bg, 1, 2, 100)
	_, trimErr := l.Trim(bg, 1)
	for i, err := range []error{appendErr, tailErr, readErr, trimErr} {
		if !errors.Is(err, vlog.ErrClosed) {
			t.Errorf("call %d on a closed log: %v", i, err)
		}
	}
}

// testModel compares random calls with a slice.
func testModel(t *testing.T, s Subject) {
	rapid.Check(t, func(rt *rapid.T) {
		l := s.New(t)
		defer func() { l.Close() }()
		var model []string
		trimmed := vlog.Position(1)
		actions := map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				batch := rapid.SliceOfN(rapid.StringN(0, 3000, 3000), 0, 5).Draw(rt, "batch")
				if p := mustAppend(t, l, batch...); int(p) != len(model)+1 {
					rt.Fatalf("append at %d, want %d", p, len(model)+1)
				}
				model = append(model, batch...)
			},
			"read": func(rt *rapid.T) {
				from := vlog.Position(rapid.IntRange(1, len(model)+2).Draw(rt, "from"))
				to := vlog.Position(rapid.IntRange(1, len(model)+2).Draw(rt, "to"))
				limit := rapid.IntRange(0, 5000).Draw(rt, "limit")
				es, err := l.Read(bg, from, to, limit)
				to = min(to, vlog.Position(len(model)+1))
				switch {
				case from >= to:
					if err != nil || len(es) != 0 {
						rt.Fatalf("read [%d,%d) = %d entries, %v; want none", from, to, len(es), err)
					}
				case from < trimmed:
					if !errors.Is(err, vlog.ErrTrimmed) {
						rt.Fatalf("read at %d below %d: %v", from, trimmed, err)
					}
				default:
					if err != nil || len(es) == 0 || len(es) > int(to-from) {
						rt.Fatalf("read [%d,%d) = %d entries, %v", from, to, len(es), err)
					}
					size := 0
					for i, e := range es {
						if size += len(e.Payload); i > 0 && size > limit {
							rt.Fatalf("read of %d bytes gave %d", limit, size)
						}
						if e.Pos != from+vlog.Position(i) || string(e.Payload) != model[e.Pos-1] {
							rt.Fatalf("wrong entry %d", e.Pos)
						}
					}
				}
			},
			"trim": func(rt *rapid.T) {
				p := vlog.Position(rapid.IntRange(0, len(model)+2).Draw(rt, "before"))
				got, err := l.Trim(bg, p)
				if err != nil || got < trimmed || got > max(p, trimmed) || int(got) > len(model)+1 {
					rt.Fatalf("trim(%d) = %d, %v; was %d", p, got, err, trimmed)
				}
				trimmed = got
			},
			"": func(rt *rapid.T) { wantTail(t, l, vlog.Position(len(model)+1), false) },
		}
		if s.Reopen != nil {
			actions["reopen"] = func(rt *rapid.T) {
				if err := l.Close(); err != nil {
					rt.Fatal(err)
				}
				l = s.Reopen(t, l)
			}
		}
		rt.Repeat(actions)
	})
}

func testReopen(t *testing.T, s Subject) {
	if s.Reopen == nil {
		t.Skip("does not outlive its process")
	}
	l := s.New(t)
	for i := range 20 {
		mustAppend(t, l, fmt.Sprint("entry ", i+1))
		if i%3 == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = s.Reopen(t, l)
			wantTail(t, l, vlog.Position(i+2), false)
		}
	}
	if _, err := l.Trim(bg, 8); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = s.Reopen(t, l)
	defer l.Close()
	if got := All(t, l, 8); len(got) != 13 || got[0] != "entry 8" {
		t.Fatalf("after reopening: %q", got)
	}
	if first, err := l.Trim(bg, 0); err != nil || first > 8 {
		t.Fatalf("trim point after reopening: %d, %v", first, err)
	}
}
