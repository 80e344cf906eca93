package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
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
	// Another returns a second handle on a log that is open, as another process would have it; nil if a log has one user only. The suite closes it.
	Another func(t testing.TB, open Log) Log
	// Sparse says that positions may be left out. What holds of them then is that they rise, and that those of one Append are consecutive.
	Sparse bool
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
		{"LargePayload", testLarge},
		{"ManyPayloads", testMany},
		{"TrimRace", testTrimRace},
		{"ReadersAcrossSeal", testReadersAcrossSeal},
		{"SealUnderLoad", testSealUnderLoad},
		{"AnotherHandle", testAnother},
		{"AnotherHandleWaits", testAnotherWaits},
		{"AnotherHandleSeals", testAnotherSeals},
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
	for _, e := range (Subject{}).entries(t, l, from) {
		out = append(out, string(e.Payload))
	}
	return out
}

// entries reads everything from a position on, up to the tail.
func (s Subject) entries(t testing.TB, l Log, from vlog.Position) []vlog.Entry {
	t.Helper()
	tail, err := l.Tail(bg)
	if err != nil {
		t.Fatalf("tail: %v", err)
	}
	var out []vlog.Entry
	for from < tail.Next {
		es, err := l.Read(bg, from, tail.Next, 1<<20)
		if err != nil {
			t.Fatalf("read from %d: %v", from, err)
		}
		if err := s.run(es, from, tail.Next); err != nil {
			t.Fatalf("read [%d,%d): %v", from, tail.Next, err)
		}
		if len(es) == 0 {
			break
		}
		out = append(out, es...)
		from = es[len(es)-1].Pos + 1
	}
	return out
}

// run checks the positions of what was read from the range [from, to), which lies below the tail and above what is trimmed.
func (s Subject) run(es []vlog.Entry, from, to vlog.Position) error {
	if len(es) == 0 && !s.Sparse && from < to {
		return fmt.Errorf("nothing, at %d", from)
	}
	for _, e := range es {
		if e.Pos != from && !s.Sparse || e.Pos < from || e.Pos >= to {
			return fmt.Errorf("position %d where %d was due", e.Pos, from)
		}
		from = e.Pos + 1
	}
	return nil
}

func bodies(es []vlog.Entry) (out []string) {
	for _, e := range es {
		out = append(out, string(e.Payload))
	}
	return out
}

// at is run for a position that was returned by an Append: it is want, unless positions are sparse; then it is at least that.
func (s Subject) at(t testing.TB, got, want vlog.Position) {
	t.Helper()
	if got != want && !s.Sparse || got < want {
		t.Fatalf("position %d, want %d", got, want)
	}
}

// wantTail wants a tail right behind position last, unless positions are sparse; then, beyond it.
func (s Subject) wantTail(t testing.TB, l Log, last vlog.Position, sealed bool) vlog.Position {
	t.Helper()
	got, err := l.Tail(bg)
	if err != nil || got.Sealed != sealed || got.Next <= last || got.Next != last+1 && !s.Sparse {
		t.Fatalf("tail = %+v, %v; want it behind %d, sealed %v", got, err, last, sealed)
	}
	return got.Next
}

func testEmpty(t *testing.T, s Subject) {
	l := fresh(t, s)
	s.wantTail(t, l, 0, false)
	if es, err := l.Read(bg, 1, 100, 1<<20); len(es) != 0 || err != nil {
		t.Fatalf("read of an empty log = %v, %v", es, err)
	}
	if p, err := l.Trim(bg, 10); p != 1 || err != nil {
		t.Fatalf("trim beyond the tail = %d, %v; want 1", p, err)
	}
	if p, err := l.Append(bg); p != 1 || err != nil {
		t.Fatalf("append of nothing = %d, %v; want the tail", p, err)
	}
	s.wantTail(t, l, 0, false)
}

func testAppendRead(t *testing.T, s Subject) {
	l := fresh(t, s)
	a := mustAppend(t, l, "a")
	s.at(t, a, 1)
	b := mustAppend(t, l, "b", "", "d")
	s.at(t, b, a+1)
	tail := s.wantTail(t, l, b+2, false)
	got := s.entries(t, l, 1)
	if fmt.Sprint(bodies(got)) != "[a b  d]" || got[0].Pos != a || got[1].Pos != b || got[3].Pos != b+2 {
		t.Fatalf("log is %v", got)
	}
	es, err := l.Read(bg, b, b+2, 1<<20)
	if err != nil || len(es) == 0 || len(es) > 2 || string(es[0].Payload) != "b" || es[0].Pos != b {
		t.Fatalf("read [%d,%d) = %v, %v", b, b+2, es, err)
	}
	for _, r := range [][2]vlog.Position{{tail, tail + 4}, {b + 1, b + 1}, {b + 2, a + 1}, {tail + 95, tail + 195}} {
		if es, err := l.Read(bg, r[0], r[1], 1<<20); len(es) != 0 || err != nil {
			t.Fatalf("read %v = %v, %v; want nothing", r, es, err)
		}
	}
}

func testReadLimits(t *testing.T, s Subject) {
	l := fresh(t, s)
	var last vlog.Position
	for range 10 {
		last = mustAppend(t, l, "0123456789")
	}
	for limit, want := range map[int]int{0: 1, 1: 1, 10: 1, 19: 1, 20: 2, 55: 5, 1000: 10} {
		es, err := l.Read(bg, 1, last+1, limit)
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
	if got := bodies(s.entries(t, l, 1)); got[0] != "before" {
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
	s.wantTail(t, l, 0, false)
	mustAppend(t, l, "fits")
}

func testCancelled(t *testing.T, s Subject) {
	l := fresh(t, s)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := l.Append(ctx, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Fatalf("append with an ended context: %v", err)
	}
	s.wantTail(t, l, 0, false)
	if _, err := l.WaitTail(ctx, 2); !errors.Is(err, context.Canceled) {
		t.Fatalf("wait with an ended context: %v", err)
	}
}

func testWaitTail(t *testing.T, s Subject) {
	l := fresh(t, s)
	last := mustAppend(t, l, "a", "b") + 1
	for p := vlog.Position(0); p <= last+1; p++ {
		if got, err := l.WaitTail(bg, p); err != nil || got.Next <= last {
			t.Fatalf("wait for %d = %+v, %v", p, got, err)
		}
	}
	tail := s.wantTail(t, l, last, false)
	got := make(chan vlog.Tail)
	go func() {
		tail, err := l.WaitTail(bg, tail+2)
		if err != nil {
			t.Error(err)
		}
		got <- tail
	}()
	c := mustAppend(t, l, "c")
	if !s.Sparse {
		select {
		case tail := <-got:
			t.Fatalf("wait for %d returned at %+v", last+3, tail)
		default:
		}
	}
	d := mustAppend(t, l, "d")
	if d <= c {
		t.Fatalf("positions %d and %d", c, d)
	}
	if got := <-got; got.Next < tail+2 || got.Next != tail+2 && !s.Sparse {
		t.Fatalf("wait for %d = %+v", tail+2, got)
	}
}

// testManyWaiters has readers that follow the tail entry by entry, as the apply loops of replicas do.
func testManyWaiters(t *testing.T, s Subject) {
	l := fresh(t, s)
	const n = 200
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s.follow(t, l, n, false)
		})
	}
	for i := range n {
		mustAppend(t, l, fmt.Sprint(i))
	}
	wg.Wait()
}

// follow reads n entries (n < 0: up to the seal), each as soon as it is there, and returns them.
func (s Subject) follow(t testing.TB, l Log, n int, slow bool) (out []vlog.Entry) {
	for p := vlog.Position(1); n < 0 || len(out) < n; {
		tail, err := l.WaitTail(bg, p+1)
		if err != nil || tail.Next <= p && !tail.Sealed {
			t.Errorf("wait for %d = %+v, %v", p+1, tail, err)
			return out
		}
		if tail.Next <= p {
			return out
		}
		es, err := l.Read(bg, p, tail.Next, 1<<20)
		if err == nil {
			err = s.run(es, p, tail.Next)
		}
		if err != nil {
			t.Errorf("read [%d,%d) = %d entries, %v", p, tail.Next, len(es), err)
			return out
		}
		if out = append(out, es...); len(es) > 0 {
			p = es[len(es)-1].Pos + 1
		} else {
			p = tail.Next
		}
		if slow {
			runtime.Gosched()
		}
	}
	return out
}

func testTrim(t *testing.T, s Subject) {
	l := fresh(t, s)
	at := []vlog.Position{0}
	for i := 1; i <= 10; i++ {
		at = append(at, mustAppend(t, l, fmt.Sprint(i)))
	}
	first, err := l.Trim(bg, at[6])
	if err != nil || first > at[6] {
		t.Fatalf("trim(%d) = %d, %v", at[6], first, err)
	}
	if first > 1 {
		_, err := l.Read(bg, first-1, at[10], 1<<20)
		var trimmed *vlog.TrimmedError
		if !errors.Is(err, vlog.ErrTrimmed) || !errors.As(err, &trimmed) || trimmed.First != first {
			t.Fatalf("read below the trim point: %v", err)
		}
	}
	if got := bodies(s.entries(t, l, at[6])); len(got) != 5 || got[0] != "6" {
		t.Fatalf("after trim: %q", got)
	}
	if again, err := l.Trim(bg, at[2]); err != nil || again != first {
		t.Fatalf("trim went back: %d, %v; was %d", again, err, first)
	}
	tail := s.wantTail(t, l, at[10], false)
	if all, err := l.Trim(bg, tail+1000); err != nil || all > tail && !s.Sparse {
		t.Fatalf("trim beyond the tail = %d, %v", all, err)
	}
	s.wantTail(t, l, at[10], false)
	p := mustAppend(t, l, "11")
	s.at(t, p, at[10]+1)
	if got := bodies(s.entries(t, l, p)); len(got) != 1 || got[0] != "11" {
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
	es := s.entries(t, l, 1)
	if len(es) != writers*each*2 {
		t.Fatalf("%d entries, want %d", len(es), writers*each*2)
	}
	got := map[vlog.Position]string{}
	for _, e := range es {
		got[e.Pos] = string(e.Payload)
	}
	for w := range writers {
		for i, p := range at[w] {
			if got[p] != fmt.Sprintf("%d/%d/a", w, i) || got[p+1] != fmt.Sprintf("%d/%d/b", w, i) {
				t.Fatalf("at %d stands %q, %q", p, got[p], got[p+1])
			}
		}
	}
}

// testRace lets everything happen at once; it is there for the race detector and for what readers may see.
func testRace(t *testing.T, s Subject) {
	l := fresh(t, s)
	const end = "the end"
	var writers, others sync.WaitGroup
	var mu sync.Mutex
	var acked []vlog.Position
	for w := range 4 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 150 {
				b := bytes.Repeat([]byte{byte('a' + w)}, rng.IntN(700)+1)
				p, err := l.Append(bg, b)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				acked = append(acked, p)
				mu.Unlock()
			}
		})
	}
	for range 2 {
		others.Go(func() {
			for p := vlog.Position(1); ; {
				tail, err := l.WaitTail(bg, p+1)
				if err != nil {
					t.Errorf("wait: %v", err)
					return
				}
				to := min(tail.Next, p+17)
				es, err := l.Read(bg, p, to, 4000)
				var trimmed *vlog.TrimmedError
				if errors.As(err, &trimmed) {
					if trimmed.First <= p {
						t.Errorf("%d is trimmed, but the log begins at %d", p, trimmed.First)
						return
					}
					p = trimmed.First
					continue
				}
				if err == nil {
					err = s.run(es, p, to)
				}
				if err != nil {
					t.Errorf("read [%d,%d) = %d entries, %v", p, to, len(es), err)
					return
				}
				if len(es) == 0 {
					p = tail.Next
					if es, err = l.Read(bg, to, p, 0); err == nil && len(es) > 0 {
						p = es[0].Pos // the gap ends here
					}
					continue
				}
				for _, e := range es {
					if string(e.Payload) == end {
						return
					}
					if len(e.Payload) == 0 || len(bytes.Trim(e.Payload, string(e.Payload[:1]))) != 0 {
						t.Errorf("entry at %d: %q", e.Pos, e.Payload)
						return
					}
					p = e.Pos + 1
				}
			}
		})
	}
	var stop atomic.Bool
	others.Go(func() {
		for !stop.Load() {
			mu.Lock()
			p := vlog.Position(0)
			if len(acked) > 20 {
				p = acked[len(acked)-20]
			}
			mu.Unlock()
			if _, err := l.Trim(bg, p); err != nil {
				t.Errorf("trim: %v", err)
				return
			}
			runtime.Gosched()
		}
	})
	writers.Wait()
	stop.Store(true)
	mustAppend(t, l, end)
	others.Wait()
}

func testClose(t *testing.T, s Subject) {
	l := s.New(t)
	mustAppend(t, l, "a")
	waiting := make(chan error)
	for range 3 {
		go func() {
			_, err := l.WaitTail(bg, 1<<50)
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
		var model []vlog.Entry
		tail := vlog.Position(1) // that is known
		trimmed := vlog.Position(1)
		position := func(rt *rapid.T, name string) vlog.Position {
			i := rapid.IntRange(0, len(model)+1).Draw(rt, name)
			if i < len(model) {
				return model[i].Pos + vlog.Position(rapid.IntRange(0, 1).Draw(rt, "behind"))
			}
			return tail + vlog.Position(i-len(model))
		}
		actions := map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				batch := rapid.SliceOfN(rapid.StringN(0, 3000, 3000), 0, 5).Draw(rt, "batch")
				p := mustAppend(t, l, batch...)
				if p < tail || p != tail && !s.Sparse {
					rt.Fatalf("append at %d, want %d", p, tail)
				}
				for i, b := range batch {
					model = append(model, vlog.Entry{Pos: p + vlog.Position(i), Payload: []byte(b)})
				}
				if len(batch) > 0 {
					tail = p + vlog.Position(len(batch))
				}
			},
			"read": func(rt *rapid.T) {
				from, to := position(rt, "from"), position(rt, "to")
				limit := rapid.IntRange(0, 5000).Draw(rt, "limit")
				var want []vlog.Entry
				for _, e := range model {
					if e.Pos >= from && e.Pos < to {
						want = append(want, e)
					}
				}
				es, err := l.Read(bg, from, to, limit)
				switch {
				case from < trimmed && from < min(to, tail):
					if !errors.Is(err, vlog.ErrTrimmed) {
						rt.Fatalf("read at %d below %d: %v", from, trimmed, err)
					}
				case err != nil || len(es) > len(want) || (len(es) == 0) != (len(want) == 0):
					rt.Fatalf("read [%d,%d) = %d entries, %v; want %d", from, to, len(es), err, len(want))
				default:
					size := 0
					for i, e := range es {
						if size += len(e.Payload); i > 0 && size > limit {
							rt.Fatalf("read of %d bytes gave %d", limit, size)
						}
						if e.Pos != want[i].Pos || string(e.Payload) != string(want[i].Payload) {
							rt.Fatalf("wrong entry %d", e.Pos)
						}
					}
				}
			},
			"trim": func(rt *rapid.T) {
				p := position(rt, "before")
				got, err := l.Trim(bg, p)
				if err != nil || got < trimmed || got > max(p, trimmed) || got > tail && !s.Sparse {
					rt.Fatalf("trim(%d) = %d, %v; was %d", p, got, err, trimmed)
				}
				trimmed = got
			},
			"": func(rt *rapid.T) { tail = s.wantTail(t, l, tail-1, false) },
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
	at := []vlog.Position{0}
	for i := range 20 {
		at = append(at, mustAppend(t, l, fmt.Sprint("entry ", i+1)))
		if i%3 == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = s.Reopen(t, l)
			s.wantTail(t, l, at[i+1], false)
		}
	}
	if _, err := l.Trim(bg, at[8]); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = s.Reopen(t, l)
	defer l.Close()
	if got := bodies(s.entries(t, l, at[8])); len(got) != 13 || got[0] != "entry 8" {
		t.Fatalf("after reopening: %q", got)
	}
	if first, err := l.Trim(bg, 0); err != nil || first > at[8] {
		t.Fatalf("trim point after reopening: %d, %v", first, err)
	}
}

// testLarge: a payload far above what engines take in one piece.
func testLarge(t *testing.T, s Subject) {
	l := fresh(t, s)
	big := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range big {
		big[i] = byte(rng.Uint32())
	}
	mustAppend(t, l, "before")
	p, err := l.Append(bg, big, []byte("beside"))
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, "after")
	got := s.entries(t, l, 1)
	if len(got) != 4 || got[1].Pos != p || !bytes.Equal(got[1].Payload, big) || string(got[2].Payload) != "beside" {
		t.Fatalf("%d entries", len(got))
	}
}

// testMany: many payloads in one Append stay together, and so do those beside them.
func testMany(t *testing.T, s Subject) {
	l := fresh(t, s)
	const n = 3000
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			var batch [][]byte
			for i := range n {
				batch = append(batch, fmt.Appendf(nil, "%d/%d", w, i))
			}
			first, err := l.Append(bg, batch...)
			if err != nil {
				t.Errorf("append: %v", err)
				return
			}
			for p := first; p < first+n; {
				es, err := l.Read(bg, p, first+n, 1<<20)
				if err != nil || len(es) == 0 {
					t.Errorf("read at %d: %d entries, %v", p, len(es), err)
					return
				}
				for _, e := range es {
					if e.Pos != p || string(e.Payload) != fmt.Sprintf("%d/%d", w, p-first) {
						t.Errorf("at %d (%d) stands %q", e.Pos, p, e.Payload)
						return
					}
					p++
				}
			}
		})
	}
	wg.Wait()
	if got := s.entries(t, l, 1); len(got) != 2*n {
		t.Fatalf("%d entries", len(got))
	}
}

// testTrimRace has readers below a trim that moves: each gets the right entry or is told where the log begins.
func testTrimRace(t *testing.T, s Subject) {
	l := fresh(t, s)
	at := map[vlog.Position]string{}
	var order []vlog.Position
	for i := range 200 {
		body := fmt.Sprint("entry ", i)
		p := mustAppend(t, l, body)
		at[p] = body
		order = append(order, p)
	}
	last := order[len(order)-1]
	var wg sync.WaitGroup
	var asked atomic.Uint64
	for r := range 3 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 5))
			for range 300 {
				p := order[rng.IntN(len(order))]
				es, err := l.Read(bg, p, last+1, 300)
				var trimmed *vlog.TrimmedError
				if errors.As(err, &trimmed) {
					if trimmed.First <= p || uint64(trimmed.First) > asked.Load() {
						t.Errorf("%d is trimmed, but the log begins at %d; the furthest trim asked for is %d", p, trimmed.First, asked.Load())
					}
					continue
				}
				if err == nil {
					err = s.run(es, p, last+1)
				}
				if err != nil || len(es) == 0 {
					t.Errorf("read at %d: %d entries, %v", p, len(es), err)
					return
				}
				for _, e := range es {
					if at[e.Pos] != string(e.Payload) {
						t.Errorf("at %d stands %q, want %q", e.Pos, e.Payload, at[e.Pos])
					}
				}
			}
		})
	}
	wg.Go(func() {
		for i := 10; i < len(order); i += 10 {
			asked.Store(uint64(order[i]))
			if _, err := l.Trim(bg, order[i]); err != nil {
				t.Errorf("trim: %v", err)
			}
		}
	})
	wg.Wait()
}
