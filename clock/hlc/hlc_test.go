package hlc

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rebase/clock"
	"rebase/clock/history"
	"rebase/clock/internal/codectest"
)

func must(t testing.TB, o Options) *Clock {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The published rules, one by one: what happens, at which physical time, and l and c after it.
func TestRules(t *testing.T) {
	var now int64
	c := must(t, Options{Now: func() int64 { return now }, MaxOffset: 100})
	const local = -1
	for i, s := range []struct {
		now      int64
		lm       int64 // of the message received
		cm       uint16
		l        int64
		c        uint16
		whatRule string
	}{
		{10, local, 0, 10, 0, "physical clock ahead: c = 0"},
		{10, local, 0, 10, 1, "l = l': c+1"},
		{9, local, 0, 10, 2, "physical clock went back: l stays"},
		{12, local, 0, 12, 0, "physical clock ahead again"},
		{12, 12, 7, 12, 8, "l = l' = lm: max(c, cm)+1"},
		{12, 12, 3, 12, 9, "l = l' = lm, c the higher"},
		{12, 5, 99, 12, 10, "l = l' > lm: c+1"},
		{12, 20, 4, 20, 5, "l = lm: cm+1"},
		{30, 25, 4, 30, 0, "physical clock ahead of both"},
		{30, 30, 65535, 31, 0, "counter full: into the next millisecond"},
	} {
		now = s.now
		got, err := c.Now, error(nil)
		if s.lm != local {
			got = func() (Time, error) { return c.Update(At(s.lm, s.cm)) }
		}
		var x Time
		if x, err = got(); err != nil || x != At(s.l, s.c) {
			t.Errorf("step %d (%s): %v, %v, want %v", i, s.whatRule, x, err, At(s.l, s.c))
		}
	}
	if d := c.Drift(); d != 1 {
		t.Errorf("drift %d ms, want 1", d)
	}
}

// Under random skew, jumps and restarts: order, bounds, and no time twice.
func TestBoundsUnderSkew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		h, steps := history.Random(draw(80), false, draw)
		const epsilon = 50 // physical clocks differ from the true time by up to so many ms
		const window = 20
		now, restarts := int64(1000), int64(0)
		type node struct {
			clock *Clock
			skew  int64
			saved Time
		}
		nodes := map[clock.Proc]*node{}
		start := func(n *node) {
			var err error
			n.clock, err = New(Options{
				Now: func() int64 { return now + n.skew }, MaxOffset: 2*epsilon + window + 80, Window: window, Bound: n.saved,
				Save: func(b Time) error {
					if b <= n.saved {
						t.Fatalf("bound %v after %v", b, n.saved)
					}
					n.saved = b
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		at := make([]Time, h.Len())
		used := map[Stamp]bool{}
		for _, s := range steps {
			n := nodes[s.Proc]
			if n == nil {
				n = &node{}
				nodes[s.Proc] = n
				start(n)
			}
			now += int64(draw(4))
			if draw(4) == 0 {
				n.skew = int64(draw(2*epsilon+1)) - epsilon // the clock jumps
			}
			if draw(12) == 0 {
				start(n) // all is lost but the bound
				restarts++
			}
			var err error
			if s.Kind == history.Receive {
				at[s.Event], err = n.clock.Update(at[s.Sent])
			} else {
				at[s.Event], err = n.clock.Now()
			}
			if err != nil {
				t.Fatal(err)
			}
			x := at[s.Event]
			if used[Stamp{x, s.Proc}] {
				t.Fatalf("node %d gave %v twice", s.Proc, x)
			}
			used[Stamp{x, s.Proc}] = true
			if x > n.saved {
				t.Fatalf("%v is above the bound %v", x, n.saved)
			}
			if x.Millis() < now+n.skew {
				t.Fatalf("%v is behind the physical clock, %d", x, now+n.skew)
			}
			// One window for a restart; and one ms for each, since a bound has a full counter.
			if ahead := x.Millis() - now; ahead > epsilon+window+restarts {
				t.Fatalf("%v is %d ms ahead of the true time", x, ahead)
			}
		}
		for e := range at {
			for f := range at {
				if h.Before(e, f) && at[e] >= at[f] {
					t.Fatalf("%v happened before %v", at[e], at[f])
				}
			}
		}
	})
}

func TestFarFutureIsRefused(t *testing.T) {
	c := must(t, Options{Now: func() int64 { return 1000 }, MaxOffset: 500})
	before, _ := c.Now()
	if _, err := c.Update(At(1500, 65535)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	last := c.Last()
	_, err := c.Update(At(1501, 0))
	var offset *OffsetError
	if !errors.As(err, &offset) || offset.Physical != 1000 || !strings.Contains(err.Error(), "501 ms ahead") {
		t.Errorf("beyond the limit: %v", err)
	}
	if c.Last() != last || last <= before {
		t.Errorf("the clock went from %v to %v", last, c.Last())
	}
	free := must(t, Options{Now: func() int64 { return 1000 }, MaxOffset: -1})
	if _, err := free.Update(At(MaxMillis, 0)); err != nil {
		t.Errorf("without a limit: %v", err)
	}
	if _, err := free.Update(At(MaxMillis, 65535)); !errors.Is(err, ErrExhausted) {
		t.Errorf("after the last time: %v", err)
	}
}

// A node that saved a window ahead of its own times, and not of the physical
// clock, went a window ahead with every restart, until nobody took its messages.
func TestCrashLoopDoesNotRunAway(t *testing.T) {
	now := int64(1000)
	var bound Time
	for range 100 {
		c := must(t, Options{Now: func() int64 { return now }, MaxOffset: 500, Window: 250, Bound: bound,
			Save: func(b Time) error { bound = b; return nil }})
		x, err := c.Now()
		if err != nil {
			t.Fatal(err)
		}
		if ahead := x.Millis() - now; ahead > 251 {
			t.Fatalf("%d ms ahead", ahead)
		}
		now++
	}
}

func TestSaveFails(t *testing.T) {
	broken := errors.New("disk full")
	var fails error = broken
	saved := 0
	c := must(t, Options{Now: func() int64 { return 1000 }, MaxOffset: 500, Save: func(Time) error { saved++; return fails }})
	if _, err := c.Now(); !errors.Is(err, broken) {
		t.Errorf("Now without a bound: %v", err)
	}
	if c.Last() != 0 {
		t.Errorf("a time was given: %v", c.Last())
	}
	fails = nil
	for range 1000 {
		if _, err := c.Now(); err != nil {
			t.Fatal(err)
		}
	}
	if saved != 2 {
		t.Errorf("saved %d times, want 2: once in vain, once for a whole window", saved)
	}
}

func TestOptionsThatContradict(t *testing.T) {
	now := func() int64 { return 0 }
	for _, o := range []Options{{}, {MaxOffset: 1}, {Now: now}, {Now: now, MaxOffset: 1, Window: 2}, {Now: now, MaxOffset: 1, Window: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	var bound Time
	c := must(t, Options{Now: func() int64 { return time.Now().UnixMilli() }, MaxOffset: 1000, Window: 1,
		Save: func(b Time) error { bound = b; return nil }}) // no lock: one goroutine at a time
	const each = 5000
	var wg sync.WaitGroup
	got := make([][]Time, 4)
	for i := range got {
		wg.Go(func() {
			for range each {
				x, err := c.Now()
				if err != nil {
					t.Error(err)
					return
				}
				got[i] = append(got[i], x)
			}
		})
	}
	wg.Wait()
	seen := map[Time]bool{}
	for _, list := range got {
		for i, x := range list {
			if seen[x] || i > 0 && x <= list[i-1] || x > bound {
				t.Fatalf("%v was given twice, or out of order, or above the bound", x)
			}
			seen[x] = true
		}
	}
	if len(seen) != len(got)*each {
		t.Errorf("%d times, want %d", len(seen), len(got)*each)
	}
}

func TestForms(t *testing.T) {
	s := Stamp{At(0x0193a1b2c3d4, 5), 7}
	data, _ := s.MarshalBinary()
	if s.String() != "0193a1b2c3d4.0005@7" || string(data) != "\x01\x93\xa1\xb2\xc3\xd4\x00\x05\x00\x00\x00\x00\x00\x00\x00\x07" {
		t.Errorf("%s, %x", s, data)
	}
	if a, b := At(99, 65535), At(100, 0); a.String() >= b.String() || a >= b {
		t.Errorf("%s and %s do not sort as times do", a, b)
	}
}

func TestNothingAllocates(t *testing.T) {
	now := int64(0)
	c := must(t, Options{Now: func() int64 { return now }, MaxOffset: 1000, Save: func(Time) error { return nil }})
	x, y := Stamp{1, 2}, Stamp{2, 1}
	if n := testing.AllocsPerRun(1000, func() {
		now++
		sent, _ := c.Now()
		if got, _ := c.Update(sent + 1); got <= sent || !x.Less(y) {
			t.Fatal("wrong order")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTime(f *testing.F) { codectest.Fuzz[Time](f, 0, At(1, 1), 1<<64-1) }

func FuzzStamp(f *testing.F) {
	codectest.Fuzz[Stamp](f, Stamp{}, Stamp{At(1, 1), 1}, Stamp{1<<64 - 1, 1<<64 - 1})
}

// The aim is 50 ns. The time source is the caller's, so the first is without one.
func BenchmarkNow(b *testing.B) {
	for name, now := range map[string]func() int64{
		"source=injected": func() int64 { return 1000 },
		"source=time.Now": func() int64 { return time.Now().UnixMilli() },
	} {
		b.Run(name, func(b *testing.B) {
			c := must(b, Options{Now: now, MaxOffset: 10000, Save: func(Time) error { return nil }})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Now(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
