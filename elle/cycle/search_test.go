package cycle

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/model"
)

// plainSource explains every edge by its relation.
type plainSource struct{}

func (plainSource) Explain(_, _ int, rel graph.Rel) (anomaly.Step, bool) {
	return anomaly.Step{Rel: rel, Because: func(t1, t2 string) string { return t1 + " " + rel.String() + " " + t2 }}, true
}

// txns is a history of n transactions, all at once.
func txns(tb interface{ Fatal(...any) }, n int) *history.History {
	b := history.NewBuilder()
	for _, typ := range []string{"invoke", "ok"} {
		for i := range n {
			if err := b.Add(history.Entry{Type: typ, Process: int64(i), F: "txn", Txn: true}); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return b.History()
}

var strictest = model.Prohibited(model.Strictest)

func types(o *Outcome) string {
	var list []string
	for _, a := range o.Found {
		list = append(list, string(a.Type))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func TestNamesOfCycles(t *testing.T) {
	const ww, wr, rw, pr, rt = graph.WW, graph.WR, graph.RW, graph.Process, graph.Realtime
	for _, c := range []struct {
		cycle []graph.Rel
		want  string
	}{
		{[]graph.Rel{ww, ww}, "G0"},
		{[]graph.Rel{ww, wr}, "G1c"},
		{[]graph.Rel{wr, rw, ww}, "G-single-item"},
		{[]graph.Rel{rw, wr, rw, ww}, "G-nonadjacent-item"},
		{[]graph.Rel{rw, rw, wr}, "G2-item"},
		{[]graph.Rel{rw, wr, rw}, "G2-item"}, // the last one is followed by the first
		{[]graph.Rel{ww, pr}, "G0-process"},
		{[]graph.Rel{pr, wr}, "G1c-process"},
		{[]graph.Rel{pr, rw}, "G-single-item-process"},
		{[]graph.Rel{pr, rw, pr, rw}, "G-nonadjacent-item-process"},
		{[]graph.Rel{pr, rw, rw}, "G2-item-process"},
		{[]graph.Rel{ww, rt}, "G0-realtime"},
		{[]graph.Rel{rt, wr, pr}, "G1c-realtime"},
		{[]graph.Rel{rt, rw}, "G-single-item-realtime"},
		{[]graph.Rel{rt, rw, ww, rw}, "G-nonadjacent-item-realtime"},
		{[]graph.Rel{rt, rw, rw}, "G2-item-realtime"},
	} {
		n := len(c.cycle)
		b := graph.NewBuilder(n)
		for i, rel := range c.cycle {
			b.Add(uint32(i), uint32((i+1)%n), rel)
		}
		out := Search(txns(t, n), b.Graph(), plainSource{}, strictest, Options{})
		if types(out) != c.want {
			t.Errorf("%v is %s, want %s", c.cycle, types(out), c.want)
		}
		if len(out.Found) == 1 && (len(out.Found[0].Ops) != n || len(out.Found[0].Steps) != n) {
			t.Errorf("%v: %v", c.cycle, out.Found[0].Ops)
		}
	}
}

// Whatever a graph has: each cycle that is reported is one, and is what its name says.
func TestCyclesAreWhatTheirNamesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "n")
		b := graph.NewBuilder(n)
		edges := map[[2]int]graph.Rel{}
		for range rapid.IntRange(0, 16).Draw(t, "edges") {
			u, v := rapid.IntRange(0, n-1).Draw(t, "from"), rapid.IntRange(0, n-1).Draw(t, "to")
			rel := rapid.SampledFrom([]graph.Rel{graph.WW, graph.WR, graph.RW, graph.RW, graph.Process, graph.Realtime}).Draw(t, "rel")
			b.Add(uint32(u), uint32(v), rel)
			edges[[2]int{u, v}] |= rel
		}
		out := Search(txns(t, n), b.Graph(), plainSource{}, strictest, Options{})
		if len(out.Undecided) > 0 || out.Stopped {
			t.Fatal("given up")
		}
		for _, a := range out.Found {
			var all graph.Rel
			var hops []graph.Hop
			for i, s := range a.Steps {
				u, v := a.Ops[i], a.Ops[(i+1)%len(a.Ops)]
				if edges[[2]int{u, v}]&s.Rel == 0 {
					t.Fatalf("%s: no %v from %d to %d", a.Type, s.Rel, u, v)
				}
				all |= s.Rel
				hops = append(hops, graph.Hop{From: uint32(u), Rel: s.Rel})
			}
			rw, adjacent := graph.CountRW(hops)
			name := model.G2Item
			switch {
			case rw == 0 && all&graph.WR == 0:
				name = model.G0
			case rw == 0:
				name = model.G1c
			case rw == 1:
				name = model.GSingle
			case !adjacent:
				name = model.GNonadjacent
			}
			switch {
			case all&graph.Realtime != 0:
				name = name.Realtime()
			case all&graph.Process != 0:
				name = name.Process()
			}
			if name != a.Type {
				t.Fatalf("%v is called %s, and is %s", hops, a.Type, name)
			}
		}
	})
}

// A search that is given up says so, and what others find stays found.
func TestBudget(t *testing.T) {
	b := graph.NewBuilder(4)
	for i, rel := range []graph.Rel{graph.RW, graph.WR, graph.RW, graph.WR} {
		b.Add(uint32(i), uint32((i+1)%4), rel)
	}
	g := b.Graph()
	out := Search(txns(t, 4), g, plainSource{}, strictest, Options{Budget: 1})
	if types(out) != "G-nonadjacent-item" || !slices.Contains(out.Undecided, model.GSingle) {
		t.Errorf("found %s, not decided %q", types(out), out.Undecided)
	}
	out = Search(txns(t, 4), g, plainSource{}, strictest, Options{Stop: func() bool { return true }})
	if !out.Stopped || len(out.Found) > 0 {
		t.Errorf("%+v", out)
	}
}

// Each component is searched by itself, and of each type only the first cycles are told.
func TestWitnesses(t *testing.T) {
	const n = 100
	b := graph.NewBuilder(2 * n)
	for i := range uint32(n) {
		b.Add(2*i, 2*i+1, graph.RW)
		b.Add(2*i+1, 2*i, graph.RW)
	}
	out := Search(txns(t, 2*n), b.Graph(), plainSource{}, strictest, Options{Witnesses: 3})
	if len(out.Found) != 3 || out.Counts[model.G2Item] != n || out.Components != n || out.Largest != 2 {
		t.Errorf("%d told of %d in %d components of %d", len(out.Found), out.Counts[model.G2Item], out.Components, out.Largest)
	}
}
