package cycle

import (
	"testing"

	"pgregory.net/rapid"

	"rebase/elle/graph"
	"rebase/elle/history"
)

// draw makes a history of transactions without content.
func draw(t *rapid.T) *history.History {
	b := history.NewBuilder()
	open := map[int64]bool{}
	for range rapid.IntRange(0, 40).Draw(t, "events") {
		p := rapid.Int64Range(0, 5).Draw(t, "process")
		e := history.Entry{Type: "invoke", Process: p, F: "txn", Txn: true}
		if open[p] {
			e.Type = rapid.SampledFrom([]string{"ok", "ok", "ok", "fail", "info"}).Draw(t, "type")
		}
		open[p] = !open[p]
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.History()
}

// precedes are the transactions that a graph's edges of rel, with hubs in between, lead to.
func precedes(g *graph.Graph, op uint32, rel graph.Rel) map[uint32]bool {
	found := map[uint32]bool{}
	var walk func(v uint32, mask graph.Rel)
	walk = func(v uint32, mask graph.Rel) {
		to, rels := g.From(v)
		for i, w := range to {
			if rels[i]&mask == 0 || found[w] {
				continue
			}
			found[w] = true
			if int(w) >= g.Txns() {
				walk(w, graph.Via)
			}
		}
	}
	walk(op, rel)
	for v := range found {
		if int(v) >= g.Txns() {
			delete(found, v)
		}
	}
	return found
}

func TestRealtimeIsTheOrderOfCompletionsAndInvocations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := draw(t)
		b := graph.NewBuilder(len(h.Ops))
		Realtime(h, b)
		g := b.Graph()
		for x, a := range h.Ops {
			got := precedes(g, uint32(x), graph.Realtime)
			for y, b := range h.Ops {
				want := a.Type == history.OK && b.Type != history.Fail && a.Complete < b.Invoke
				if got[uint32(y)] != want {
					t.Fatalf("%d before %d: %v, want %v", x, y, got[uint32(y)], want)
				}
			}
		}
		if g.Edges() > 4*len(h.Ops) {
			t.Fatalf("%d edges for %d operations", g.Edges(), len(h.Ops))
		}
	})
}

func TestSessionsAreChains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := draw(t)
		b := graph.NewBuilder(len(h.Ops))
		Sessions(h, b)
		g := b.Graph()
		for x, a := range h.Ops {
			next := -1
			for y := x + 1; y < len(h.Ops) && a.Type == history.OK; y++ {
				b := h.Ops[y]
				if b.Process != a.Process || b.Type == history.Fail {
					continue
				}
				if next < 0 {
					next = y
				}
				if b.Type == history.OK {
					break
				}
			}
			got := precedes(g, uint32(x), graph.Process)
			if (next >= 0) != (len(got) > 0) || next >= 0 && !got[uint32(next)] {
				t.Fatalf("%d: %v, want %d", x, got, next)
			}
		}
	})
}
