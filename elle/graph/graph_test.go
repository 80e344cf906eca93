package graph

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// edges of a small graph, hubs replaced by what they stand for.
type edge struct {
	from, to uint32
	rel      Rel
}

// plain are the edges between transactions that g stands for, by walking through its hubs.
func plain(g *Graph) map[edge]bool {
	set := map[edge]bool{}
	var walk func(from, v uint32, rel Rel)
	walk = func(from, v uint32, rel Rel) {
		if int(v) < g.Txns() {
			set[edge{from, v, rel}] = true
			return
		}
		to, _ := g.From(v)
		for _, w := range to {
			walk(from, w, rel)
		}
	}
	for v := range uint32(g.Txns()) {
		to, rel := g.From(v)
		for i, w := range to {
			walk(v, w, rel[i])
		}
	}
	return set
}

// cycles are all simple cycles, as lists of edges.
func cycles(edges map[edge]bool, n int) [][]edge {
	var list []edge
	for e := range edges {
		list = append(list, e)
	}
	var found [][]edge
	var path []edge
	var walk func(start, v uint32, used map[uint32]bool)
	walk = func(start, v uint32, used map[uint32]bool) {
		for _, e := range list {
			if e.from != v || e.to < start {
				continue
			}
			if e.to == start {
				found = append(found, append(slices.Clone(path), e))
			} else if !used[e.to] {
				used[e.to] = true
				path = append(path, e)
				walk(start, e.to, used)
				path = path[:len(path)-1]
				delete(used, e.to)
			}
		}
	}
	for v := range uint32(n) {
		walk(v, v, map[uint32]bool{v: true})
	}
	return found
}

// nonadjacent tells by closing a relation over pairs whether a closed walk with an rw and
// without two rw in succession exists.
func nonadjacent(edges map[edge]bool, mask Rel, n int) bool {
	reach := make([][]bool, 2*n)
	for i := range reach {
		reach[i] = make([]bool, 2*n)
	}
	for e := range edges {
		if e.rel&mask == 0 {
			continue
		}
		if e.rel == RW {
			reach[2*e.from][2*e.to+1] = true
		} else {
			reach[2*e.from][2*e.to] = true
			reach[2*e.from+1][2*e.to] = true
		}
	}
	for k := range reach {
		for i := range reach {
			for j := range reach {
				reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
			}
		}
	}
	for e := range edges {
		if e.rel == RW && reach[2*e.to+1][2*e.from] {
			return true
		}
	}
	return false
}

// draw makes a small graph of transactions, some of its edges by hubs.
func draw(t *rapid.T) *Graph {
	n := rapid.IntRange(2, 6).Draw(t, "n")
	b := NewBuilder(n)
	vertex := rapid.Map(rapid.IntRange(0, n-1), func(v int) uint32 { return uint32(v) })
	rel := rapid.SampledFrom([]Rel{WW, WR, RW, RW, Process, Realtime})
	for range rapid.IntRange(0, 8).Draw(t, "edges") {
		b.Add(vertex.Draw(t, "from"), vertex.Draw(t, "to"), rel.Draw(t, "rel"))
	}
	if rapid.Bool().Draw(t, "hubs") {
		set := rapid.SliceOfNDistinct(vertex, 1, 3, rapid.ID[uint32])
		b.reachByHubs(set.Draw(t, "sources"), set.Draw(t, "targets"), rel.Draw(t, "rel"))
	}
	return b.Graph()
}

// A cycle that is reported must consist of edges that are there.
func verify(t *rapid.T, what string, walk []Hop, edges map[edge]bool, mask Rel) {
	for i, hop := range walk {
		next := walk[(i+1)%len(walk)]
		if hop.Rel&mask == 0 || !edges[edge{hop.From, next.From, hop.Rel}] {
			t.Fatalf("%s: %v: no edge %v from %d to %d", what, walk, hop.Rel, hop.From, next.From)
		}
	}
}

func TestSearchesAgreeWithEnumeration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := draw(t)
		edges := plain(g)
		all := cycles(edges, g.Txns())
		for _, base := range []Rel{WW | WR, WW | WR | Process, WW | WR | Process | Realtime} {
			exists := func(allowed Rel, ok func(rw int) bool) bool {
				return slices.ContainsFunc(all, func(c []edge) bool {
					rw := 0
					for _, e := range c {
						if e.rel&allowed == 0 {
							return false
						}
						if e.rel == RW {
							rw++
						}
					}
					return ok(rw)
				})
			}
			want := map[string]bool{
				"no rw":       exists(base, func(int) bool { return true }),
				"one rw":      exists(base|RW, func(rw int) bool { return rw == 1 }),
				"any rw":      exists(base|RW, func(rw int) bool { return rw > 0 }),
				"nonadjacent": nonadjacent(edges, base|RW, g.Txns()),
			}
			got := map[string]bool{}
			s := g.SCC(base|RW, nil)
			for c := 1; c <= s.Len(); c++ {
				k := g.Component(s, c, base|RW)
				if walk := k.Cycle(base); walk != nil {
					got["no rw"] = true
					verify(t, "no rw", walk, edges, base)
				}
				one, decided := k.OneRW(base, 1<<30)
				if !decided {
					t.Fatal("given up")
				}
				if one != nil {
					got["one rw"] = true
					verify(t, "one rw", one, edges, base|RW)
					if n, _ := CountRW(one); n != 1 {
						t.Fatalf("%v has %d rw", one, n)
					}
				}
				if walk := k.NonadjacentRW(base); walk != nil {
					got["nonadjacent"] = true
					verify(t, "nonadjacent", walk, edges, base|RW)
					if n, adjacent := CountRW(walk); n == 0 || adjacent || one == nil && n == 1 {
						t.Fatalf("%v has %d rw, adjacent %v", walk, n, adjacent)
					}
				}
				if walk := k.AnyRW(base); walk != nil {
					got["any rw"] = true
					verify(t, "any rw", walk, edges, base|RW)
					if n, _ := CountRW(walk); n == 0 {
						t.Fatalf("%v has no rw", walk)
					}
				}
			}
			for what, want := range want {
				if got[what] != want {
					t.Fatalf("%s by %v: found %v, is there %v; edges %v", what, base, got[what], want, edges)
				}
			}
		}
	})
}

func TestReachIsEveryPair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfDistinct(rapid.Map(rapid.IntRange(0, 19), func(v int) uint32 { return uint32(v) }), rapid.ID[uint32])
		from, to := set.Draw(t, "from"), set.Draw(t, "to")
		b := NewBuilder(20)
		b.Reach(from, to, RW)
		hubs := NewBuilder(20)
		if len(to) > 0 {
			hubs.reachByHubs(from, to, RW)
		}
		want := map[edge]bool{}
		for _, u := range from {
			for _, v := range to {
				if u != v {
					want[edge{u, v, RW}] = true
				}
			}
		}
		for _, g := range []*Graph{b.Graph(), hubs.Graph()} {
			got := plain(g)
			if len(got) != len(want) {
				t.Fatalf("%d edges, want %d", len(got), len(want))
			}
			for e := range want {
				if !got[e] {
					t.Fatalf("%v is missing", e)
				}
			}
		}
	})
}

func TestReachIsLinear(t *testing.T) {
	const n = 10_000
	b := NewBuilder(n)
	all := make([]uint32, n)
	for i := range all {
		all[i] = uint32(i)
	}
	b.Reach(all, all, RW)
	if e := b.Graph().Edges(); e > 8*n {
		t.Errorf("%d edges for %d sources and targets", e, n)
	}
}

// A component as long as the history must not need a stack of its length, and what is
// searched in it must not take more than linear time where nothing is found.
func TestLongCycle(t *testing.T) {
	const n = 200_000
	b := NewBuilder(n)
	for v := range uint32(n) {
		rel := WR
		if v%2 == 0 {
			rel = RW
		}
		if v < 2 {
			rel = RW // two in succession
		}
		b.Add(v, (v+1)%n, rel)
	}
	g := b.Graph()
	if s := g.SCC(WW|WR, nil); s.Len() != 0 {
		t.Fatal("a cycle without rw")
	}
	s := g.SCC(Data, nil)
	if s.Len() != 1 || len(s.Members(1)) != n {
		t.Fatalf("%d components", s.Len())
	}
	k := g.Component(s, 1, Data)
	if walk, decided := k.OneRW(WW|WR, 1<<20); walk != nil || !decided {
		t.Errorf("one rw: %d hops, decided %v", len(walk), decided)
	}
	if walk := k.NonadjacentRW(WW | WR); walk != nil {
		t.Errorf("nonadjacent: %d hops", len(walk))
	}
}

func BenchmarkSCC(b *testing.B) {
	const n = 1_000_000
	build := NewBuilder(n)
	for v := range uint32(n) {
		for _, d := range []uint32{1, 7, 100} {
			if v+d < n {
				build.Add(v, v+d, WW)
			}
		}
	}
	g := build.Graph()
	for b.Loop() {
		if g.SCC(All, nil).Len() != 0 {
			b.Fatal("a cycle")
		}
	}
}
