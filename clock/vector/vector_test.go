package vector

import (
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
	"rebase/clock/history"
	"rebase/clock/internal/codectest"
)

func TestOrderIsHappenedBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(0, 80).Draw(t, "steps")
		h, list := history.Random(steps, false, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		clocks := map[clock.Proc]*Clock{}
		stamps := make([]Stamp, h.Len())
		for _, s := range list {
			c := clocks[s.Proc]
			if c == nil {
				c = New(s.Proc)
				clocks[s.Proc] = c
			}
			if s.Kind == history.Receive {
				stamps[s.Event] = c.Receive(stamps[s.Sent])
			} else {
				stamps[s.Event] = c.Event()
			}
		}
		var all Vector
		for e, x := range stamps {
			all = all.Join(x.Vector())
			// A vector counts the events of the past.
			past := uint64(0)
			for _, n := range x.Vector().All() {
				past += n
			}
			if past != uint64(h.Past(e))+1 {
				t.Fatalf("%v counts %d events, but %d are before it", x, past, h.Past(e))
			}
			for f, y := range stamps {
				want := h.Compare(e, f)
				if got := x.Compare(y); got != want {
					t.Fatalf("%v is %v %v, but the event is %v the other", x, got, y, want)
				}
				// Here, other than with Fidge's, one component tells what all do.
				if got := x.Vector().Compare(y.Vector()); got != want {
					t.Fatalf("%v is %v %v by components, but the event is %v the other", x, got, y, want)
				}
				if got := y.Vector().Includes(x); got != (want == clock.Before || want == clock.Equal) {
					t.Fatalf("%v includes %v: %t", y, x, got)
				}
			}
		}
		for _, x := range stamps {
			if !all.Includes(x) {
				t.Fatalf("the join of all, %v, is without %v", all, x)
			}
		}
	})
}

func TestForms(t *testing.T) {
	a, b := New(1), New(2)
	s := b.Receive(a.Event())
	if got, want := s.String(), "v2[1:1,2:1]"; got != want {
		t.Errorf("text %s, want %s", got, want)
	}
	if got, want := s.Vector().String(), "cut[1:1,2:1]"; got != want {
		t.Errorf("text %s, want %s", got, want)
	}
	b.Forget(1)
	b.Forget(2)
	if got, want := b.Event().String(), "v2[2:2]"; got != want {
		t.Errorf("after Forget %s, want %s", got, want)
	}
	if err := new(Stamp).UnmarshalText([]byte("f2[1:1,2:1]")); err == nil {
		t.Error("a stamp of Fidge's was read")
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	a, b := New(1), New(2)
	x := a.Event()
	y := b.Receive(x)
	if n := testing.AllocsPerRun(100, func() {
		if x.Compare(y) != clock.Before || x.Vector().Compare(y.Vector()) != clock.Before {
			t.Fatal("wrong order")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzStamp(f *testing.F) {
	x := New(1).Event()
	codectest.Fuzz[Stamp](f, x, New(70000).Receive(x), New(0).Event())
}

func FuzzVector(f *testing.F) {
	x := New(1).Event()
	codectest.Fuzz[Vector](f, Vector{}, x.Vector(), New(70000).Receive(x).Vector())
}
