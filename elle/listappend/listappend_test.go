package listappend

import (
	"bytes"
	"testing"

	"rebase/elle/gen"
	"rebase/elle/graph"
	"rebase/elle/history"
)

func generate(t *testing.T, o gen.Options) *history.History {
	t.Helper()
	var text []byte
	err := gen.Run(o, func(e *gen.Event) error {
		text = append(e.AppendEDN(text), '\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := history.Parse(bytes.NewReader(text), history.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Every dependency must be one that can be explained from the history: the explanation is
// worked out anew, so it is a second opinion.
func TestEveryDependencyIsExplained(t *testing.T) {
	for _, level := range gen.Levels() {
		for seed := range uint64(4) {
			h := generate(t, gen.Options{Seed: seed, Level: level, Txns: 150, Processes: 8, Keys: 3, MaxWrites: 40, Info: 0.1, Fail: 0.1})
			a := Check(h, Options{})
			g := a.Build.Graph()
			counts := map[graph.Rel]int{}
			var walk func(from, v uint32, rel graph.Rel)
			walk = func(from, v uint32, rel graph.Rel) {
				if int(v) >= g.Txns() {
					to, _ := g.From(v)
					for _, w := range to {
						walk(from, w, rel)
					}
					return
				}
				counts[rel]++
				step, ok := a.Source.Explain(int(from), int(v), rel)
				if !ok {
					t.Fatalf("%v: nobody knows why %d %v %d", level, from, rel, v)
				}
				if step.Rel != rel || step.Because("T1", "T2") == "" || step.A >= len(h.Mops(int(from))) || step.B >= len(h.Mops(int(v))) {
					t.Fatalf("%v: %+v", level, step)
				}
				if h.Ops[from].Type == history.Fail || h.Ops[v].Type == history.Fail {
					t.Fatalf("%v: a dependency on what failed", level)
				}
			}
			for v := range uint32(g.Txns()) {
				to, rel := g.From(v)
				for i, w := range to {
					walk(v, w, rel[i])
				}
			}
			if counts[graph.WW] == 0 || counts[graph.WR] == 0 || counts[graph.RW] == 0 {
				t.Errorf("%v: %v", level, counts)
			}
		}
	}
}

// Many readers of the last version and many appends that nobody has read are many pairs,
// and must not be as many edges.
func TestUnreadAppendsCostTheirNumber(t *testing.T) {
	const n = 2000
	b := history.NewBuilder()
	for i := range n {
		for _, m := range []history.Micro{history.AppendTo("x", i), history.ReadElements("x")} {
			if err := b.Add(history.Entry{Type: "ok", Process: int64(i), F: "txn", Micros: []history.Micro{m}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if e := Check(b.History(), Options{}).Build.Graph().Edges(); e > 10*n {
		t.Errorf("%d edges for %d readers and as many writers", e, n)
	}
}

func TestTable(t *testing.T) {
	var table table
	for _, values := range [][]history.Value{{1, 2, 3}, {1 << 30, 5, 1<<31 | 7}, {}, {9}} {
		low, high := ^history.Value(0), history.Value(0)
		for _, v := range values {
			low, high = min(low, v), max(high, v)
		}
		table.reset(low, high, len(values))
		for i, v := range values {
			if table.get(v) != -1 {
				t.Errorf("%d is there", v)
			}
			table.set(v, int32(i))
		}
		for i, v := range values {
			if table.get(v) != int32(i) {
				t.Errorf("%d: %d, want %d", v, table.get(v), i)
			}
		}
		if table.get(77) != -1 {
			t.Error("77 is there")
		}
	}
}
