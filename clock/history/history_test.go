package history

import (
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
)

// The bit sets agree with a search through the edges.
func TestBeforeIsReachability(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rendezvous := rapid.Bool().Draw(t, "rendezvous")
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		h, steps := Random(draw(90), rendezvous, draw)
		next := make([][]int, h.Len())
		half := map[int]int{}
		last := map[clock.Proc]int{}
		at := func(p clock.Proc, e int) {
			if f, ok := last[p]; ok {
				next[f] = append(next[f], e)
			}
			last[p] = e
		}
		for _, s := range steps {
			at(s.Proc, s.Event)
			switch s.Kind {
			case Receive:
				next[s.Sent] = append(next[s.Sent], s.Event)
			case Meet:
				at(s.With, s.Other)
				half[s.Event], half[s.Other] = s.Other, s.Event
			}
		}
		for e := range h.Len() {
			reached := make([]bool, h.Len())
			var walk func(f int)
			walk = func(f int) { // f is left by the edges of both halves
				from := [][]int{next[f]}
				if g, ok := half[f]; ok {
					from = append(from, next[g])
				}
				for _, list := range from {
					for _, g := range list {
						for _, g := range []int{g, other(half, g)} {
							if !reached[g] {
								reached[g] = true
								walk(g)
							}
						}
					}
				}
			}
			walk(e)
			past := 0
			for f := range h.Len() {
				if h.Before(e, f) != reached[f] {
					t.Fatalf("Before(%d, %d) = %t; steps %+v", e, f, h.Before(e, f), steps)
				}
				if h.Before(f, e) {
					past++
				}
				if h.Compare(e, f) != h.Compare(f, e).Reverse() {
					t.Fatalf("Compare(%d, %d) is not the reverse of its reverse", e, f)
				}
			}
			if h.Past(e) != past {
				t.Fatalf("Past(%d) = %d, but %d events are before it", e, h.Past(e), past)
			}
		}
	})
}

func other(half map[int]int, e int) int {
	if f, ok := half[e]; ok {
		return f
	}
	return e
}

func TestTheFutureIsNoCause(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an event was accepted as its own cause")
		}
	}()
	new(History).Event(1, 0)
}
