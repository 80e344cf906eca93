package fidge

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
	"rebase/clock/history"
	"rebase/clock/internal/counts"
)

// figure is one figure of the paper: what happens, the stamps, and the relation.
type figure struct {
	Procs  int
	Script []struct {
		Kind, Event, Msg string
		Proc, Inc        int
		Events           [2][2]any // of a rendezvous: name, process
	}
	Timestamps    map[string][]uint64
	HappensBefore map[string][]string `json:"happens_before"`
	RelationsES1  map[string][]string `json:"relations_ES1"`
}

func figures(t testing.TB) (fig3, fig4, fig7 figure) {
	t.Helper()
	text, err := os.ReadFile("testdata/figures.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Fig3, Fig4, Fig7 figure }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all.Fig3, all.Fig4, all.Fig7
}

// replay runs a figure of the asynchronous world.
func (f figure) replay(t testing.TB) map[string]Stamp {
	t.Helper()
	clocks := map[int]*Clock{}
	for p := 1; p <= f.Procs; p++ {
		clocks[p] = New(clock.Proc(p))
	}
	sent, stamps := map[string]Stamp{}, map[string]Stamp{}
	for _, e := range f.Script {
		c := clocks[e.Proc]
		if e.Inc > 1 {
			c.Advance(uint64(e.Inc - 1))
		}
		switch e.Kind {
		case "local":
			stamps[e.Event] = c.Event()
		case "send":
			stamps[e.Event] = c.Event()
			sent[e.Msg] = stamps[e.Event]
		case "recv":
			stamps[e.Event] = c.Receive(sent[e.Msg])
		default:
			t.Fatalf("kind %q", e.Kind)
		}
	}
	return stamps
}

func (f figure) replaySync(t testing.TB) map[string]SyncStamp {
	t.Helper()
	clocks := map[int]*SyncClock{}
	for p := 1; p <= f.Procs; p++ {
		clocks[p] = NewSync(clock.Proc(p))
	}
	stamps := map[string]SyncStamp{}
	for _, e := range f.Script {
		switch e.Kind {
		case "local":
			stamps[e.Event] = clocks[e.Proc].Event()
		case "sync":
			a, b := e.Events[0], e.Events[1]
			stamps[a[0].(string)], stamps[b[0].(string)] =
				Meet(clocks[int(a[1].(float64))], clocks[int(b[1].(float64))])
		default:
			t.Fatalf("kind %q", e.Kind)
		}
	}
	return stamps
}

func TestFigures3And4(t *testing.T) {
	fig3, fig4, _ := figures(t)
	for name, f := range map[string]figure{"figure 3": fig3, "figure 4": fig4} {
		stamps := f.replay(t)
		if len(stamps) != len(f.Timestamps) || len(stamps) < 6 {
			t.Fatalf("%s: %d events, want %d", name, len(stamps), len(f.Timestamps))
		}
		for e, want := range f.Timestamps {
			for i, n := range want {
				if got := stamps[e].At(clock.Proc(i + 1)); got != n {
					t.Errorf("%s: %s is %v, want %v", name, e, stamps[e], want)
				}
			}
			for g := range f.Timestamps {
				if want := slices.Contains(f.HappensBefore[e], g); stamps[e].Before(stamps[g]) != want {
					t.Errorf("%s: %s before %s: %t", name, e, g, !want)
				}
			}
		}
	}
}

func TestFigure7(t *testing.T) {
	_, _, f := figures(t)
	stamps := f.replaySync(t)
	if len(stamps) != len(f.Timestamps) || len(stamps) < 6 {
		t.Fatalf("%d events, want %d", len(stamps), len(f.Timestamps))
	}
	for e, want := range f.Timestamps {
		for i, n := range want {
			if got := stamps[e].At(clock.Proc(i + 1)); got != n {
				t.Errorf("%s is %v, want %v", e, stamps[e], want)
			}
		}
		for g := range f.Timestamps {
			if want := slices.Contains(f.RelationsES1[e], g); stamps[e].Before(stamps[g]) != want {
				t.Errorf("%s before %s: %t", e, g, !want)
			}
		}
	}
}

// In figure 3, x and n are independent though no component of x is above n's: this
// is why there is no component-wise comparison here.
func TestComponentsDoNotTell(t *testing.T) {
	fig3, _, _ := figures(t)
	stamps := fig3.replay(t)
	x, n := stamps["x"], stamps["n"]
	if counts.Compare(x.v, n.v) != clock.Before {
		t.Errorf("%v is not less than %v in its components, as it is in the paper", x, n)
	}
	if x.Compare(n) != clock.Concurrent {
		t.Errorf("%v is %v %v", x, x.Compare(n), n)
	}
}

func execution(t *rapid.T, rendezvous bool) (*history.History, []history.Step) {
	steps := rapid.IntRange(0, 80).Draw(t, "steps")
	return history.Random(steps, rendezvous, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") })
}

func TestOrderIsHappenedBefore(t *testing.T) {
	misled := 0 // pairs that component-wise comparison gets wrong
	rapid.Check(t, func(t *rapid.T) {
		h, steps := execution(t, false)
		clocks := map[clock.Proc]*Clock{}
		stamps := make([]Stamp, h.Len())
		for _, s := range steps {
			c := clocks[s.Proc]
			if c == nil {
				c = New(s.Proc)
				clocks[s.Proc] = c
			}
			c.Advance(uint64(s.Event % 3)) // RA2: "at least once"
			if s.Kind == history.Receive {
				stamps[s.Event] = c.Receive(stamps[s.Sent])
			} else {
				stamps[s.Event] = c.Event()
			}
		}
		for e := range stamps {
			for f := range stamps {
				if got, want := stamps[e].Compare(stamps[f]), h.Compare(e, f); got != want {
					t.Fatalf("%v is %v %v, but the event is %v the other", stamps[e], got, stamps[f], want)
				}
				if counts.Compare(stamps[e].v, stamps[f].v) != h.Compare(e, f) {
					misled++
				}
			}
		}
	})
	if misled == 0 {
		t.Error("component-wise comparison was always right: the executions are too tame to show anything")
	}
}

func TestSyncOrderIsHappenedBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, steps := execution(t, true)
		clocks := map[clock.Proc]*SyncClock{}
		at := func(p clock.Proc) *SyncClock {
			if clocks[p] == nil {
				clocks[p] = NewSync(p)
			}
			return clocks[p]
		}
		stamps := make([]SyncStamp, h.Len())
		for _, s := range steps {
			at(s.Proc).Advance(uint64(s.Event % 3))
			if s.Kind == history.Meet {
				stamps[s.Event], stamps[s.Other] = Meet(at(s.Proc), at(s.With))
				if counts.Compare(stamps[s.Event].seen, stamps[s.Other].seen) != clock.Equal {
					t.Fatalf("the halves %v and %v differ", stamps[s.Event], stamps[s.Other])
				}
			} else {
				stamps[s.Event] = at(s.Proc).Event()
			}
		}
		for e := range stamps {
			for f := range stamps {
				if got, want := stamps[e].Compare(stamps[f]), h.Compare(e, f); got != want {
					t.Fatalf("%v is %v %v, but the event is %v the other", stamps[e], got, stamps[f], want)
				}
			}
		}
	})
}

func TestForget(t *testing.T) {
	a, b := New(1), New(2)
	b.Receive(a.Event())
	if s := b.Event(); len(maps.Collect(s.All())) != 2 {
		t.Fatalf("%v has not two components", s)
	}
	b.Forget(1)
	b.Forget(2) // its own stays
	if s := b.Event(); s.At(1) != 0 || s.At(2) != 3 {
		t.Errorf("after Forget: %v", s)
	}
}

func TestStampsDoNotChange(t *testing.T) {
	c, d := New(1), New(2)
	first := c.Event()
	text := first.String()
	c.Advance(7)
	c.Receive(d.Event())
	c.Forget(2)
	c.Event()
	if first.String() != text {
		t.Errorf("%s became %v", text, first)
	}
}

func TestCompareDoesNotAllocate(t *testing.T) {
	a, b := New(1), New(2)
	x := a.Event()
	y := b.Receive(x)
	p, q := Meet(NewSync(1), NewSync(2))
	if n := testing.AllocsPerRun(100, func() {
		if x.Compare(y) != clock.Before || y.Before(x) || x.Same(y) || p.Compare(q) != clock.Concurrent {
			t.Fatal("wrong order")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
