package lamport

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
	"rebase/clock/history"
	"rebase/clock/internal/codectest"
)

func TestOrderAgreesWithHappenedBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(0, 80).Draw(t, "steps")
		h, list := history.Random(steps, false, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
		clocks := map[clock.Proc]*Clock{}
		stamps := make([]Stamp, h.Len())
		height := make([]uint64, h.Len()) // the longest path to the event
		last := map[clock.Proc]int{}
		for _, s := range list {
			c := clocks[s.Proc]
			if c == nil {
				c = New(s.Proc)
				clocks[s.Proc] = c
			}
			height[s.Event] = 1
			if e, ok := last[s.Proc]; ok {
				height[s.Event] = height[e] + 1
			}
			last[s.Proc] = s.Event
			if s.Kind == history.Receive {
				stamps[s.Event] = c.Receive(stamps[s.Sent])
				height[s.Event] = max(height[s.Event], height[s.Sent]+1)
			} else {
				stamps[s.Event] = c.Event()
			}
		}
		for e, x := range stamps {
			if x.Time != height[e] { // no clock that ticks in ones shows less
				t.Fatalf("%v, but the longest path has %d events", x, height[e])
			}
			for f, y := range stamps {
				if h.Before(e, f) && !x.Less(y) {
					t.Fatalf("%v happened before %v and is not less", x, y)
				}
				if (x == y) != (e == f) {
					t.Fatalf("two events are stamped %v", x)
				}
				if x.Compare(y) != -y.Compare(x) {
					t.Fatalf("%v and %v are in no order", x, y)
				}
			}
		}
		slices.SortFunc(stamps, Stamp.Compare)
		for i := 2; i < len(stamps); i++ {
			if !stamps[i-2].Less(stamps[i]) {
				t.Fatalf("the order is not transitive at %v", stamps[i])
			}
		}
	})
}

func TestForms(t *testing.T) {
	s := Stamp{300, 2}
	data, _ := s.MarshalBinary()
	if s.String() != "300@2" || string(data) != "L\xac\x02\x02" {
		t.Errorf("%s, %x", s, data)
	}
	if err := new(Stamp).UnmarshalText([]byte("4611686018427387905@1")); err == nil {
		t.Error("a time above the limit was read")
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	x, y := Stamp{1, 2}, Stamp{2, 1}
	if n := testing.AllocsPerRun(100, func() {
		if !x.Less(y) {
			t.Fatal("wrong order")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzStamp(f *testing.F) {
	codectest.Fuzz[Stamp](f, Stamp{}, Stamp{1, 2}, Stamp{clock.Limit, 1<<64 - 1})
}
