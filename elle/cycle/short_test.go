package cycle

import (
	"testing"

	"rebase/elle/graph"
	"rebase/elle/history"
)

// A way through many hubs is one step, and must be preferred to one through transactions:
// a search that took hubs that it had seen from farther away for farther away gave a cycle
// of sixteen transactions where two suffice.
func TestRealTimeIsOneStep(t *testing.T) {
	const n = 20
	b := history.NewBuilder()
	for i := range n {
		for _, typ := range []string{"invoke", "ok"} {
			if err := b.Add(history.Entry{Type: typ, Process: int64(i), F: "txn", Txn: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := b.History()
	g := graph.NewBuilder(n)
	for i := range uint32(n - 1) {
		g.Add(i, i+1, graph.WW)
	}
	g.Add(n-1, 0, graph.RW)
	Realtime(h, g)
	built := g.Graph()
	walk, _ := built.Component(built.SCC(graph.All, nil), 1, graph.All).OneRW(graph.All&^graph.RW, 1<<30)
	if len(walk) != 2 || walk[0].Rel != graph.RW || walk[1].Rel != graph.Realtime {
		t.Errorf("%v", walk)
	}
}
