package graph

// Hop is a step of a cycle: From precedes the From of the next hop by Rel. Of the last hop,
// it is the first one's.
type Hop struct {
	From uint32
	Rel  Rel // one relation, never Via
}

// Component is a strongly connected component by itself: a graph of its vertices,
// renumbered, with the edges among them.
type Component struct {
	g      *Graph // g.txns is not used
	global []uint32
	hub    []bool

	// Scratch of path.
	seen  []uint32 // by vertex: the search that has seen it
	epoch uint32
	via   []uint32 // by vertex: the edge by which it was reached
	prev  []uint32
	now   []uint32
	next  []uint32
}

// Component takes component c, from 1, of a search with mask out of the graph.
func (g *Graph) Component(s *SCCs, c int, mask Rel) *Component {
	mask |= Via
	members := s.Members(c)
	local := make(map[uint32]uint32, len(members))
	for i, v := range members {
		local[v] = uint32(i)
	}
	sub := &Graph{off: make([]uint32, 1, len(members)+1)}
	k := &Component{g: sub, global: members, hub: make([]bool, len(members))}
	for i, v := range members {
		k.hub[i] = int(v) >= g.txns
		to, rel := g.From(v)
		for e, w := range to {
			if rel[e]&mask == 0 || s.Of[w] != uint32(c) {
				continue
			}
			sub.to = append(sub.to, local[w])
			sub.rel = append(sub.rel, rel[e])
		}
		sub.off = append(sub.off, uint32(len(sub.to)))
	}
	return k
}

// Txns is how many transactions the component has.
func (k *Component) Txns() int {
	n := 0
	for _, hub := range k.hub {
		if !hub {
			n++
		}
	}
	return n
}

func (k *Component) vertices() int { return len(k.global) }

// tries bounds how many cycles are compared to report a short one.
const tries = 64

// Cycle is a short cycle of edges that mask has, or nil if there is none.
func (k *Component) Cycle(mask Rel) []Hop {
	s := k.g.SCC(mask, nil)
	var best []Hop
	n := 0
	for v := range uint32(k.vertices()) {
		if s.Of[v] == 0 || k.hub[v] {
			continue
		}
		to, rel := k.g.From(v)
		for e := range to {
			if rel[e]&mask == 0 || s.Of[to[e]] != s.Of[v] {
				continue
			}
			best = shorter(best, k.closed(v, k.g.off[v]+uint32(e), mask))
			if n++; n == tries {
				return best
			}
		}
	}
	return best
}

// OneRW is a short cycle with exactly one rw edge and otherwise edges of mask, or nil if
// there is none. decided is false if the search was given up because it would have taken
// more than budget steps.
//
// There is such a cycle where an rw edge leads from u to x and x leads back to u without
// rw. For one edge that is a search, for all of them a quadratic amount; so 64 of them are
// looked at together: each vertex gets a word whose bit i says that it leads to the i-th u.
// Tarjan's algorithm finds components in the order in which the words can be computed.
func (k *Component) OneRW(mask Rel, budget int) (cycle []Hop, decided bool) {
	mask = mask&^RW | Via
	// An rw edge is of interest only if a walk that never takes two rw in succession comes
	// back to it, which takes linear time to find out.
	edges := k.product(mask | RW).rwInCycle()
	if len(edges) == 0 {
		return nil, true
	}
	order, comp := k.g.order(mask)
	word := make([]uint64, len(order.ends)) // by component, in the order of search
	var batch []uint32                      // indexes into edges
	bit := map[uint32]uint{}                // by u
	var best []Hop
	hits := 0
	flush := func() bool {
		if budget -= len(k.g.to) + len(word); budget < 0 {
			return false
		}
		clear(word)
		for u, i := range bit {
			word[comp[u]] |= 1 << i
		}
		for c := 1; c < len(order.ends); c++ {
			w := word[c]
			for _, v := range order.members[order.ends[c-1]:order.ends[c]] {
				to, rel := k.g.From(v)
				for e, x := range to {
					if rel[e]&mask != 0 {
						w |= word[comp[x]]
					}
				}
			}
			word[c] = w
		}
		for _, i := range batch {
			if edge := edges[i]; word[comp[k.g.to[edge.at]]]>>bit[edge.from]&1 != 0 {
				best = shorter(best, k.closed(edge.from, edge.at, mask))
				hits++
			}
		}
		batch = batch[:0]
		clear(bit)
		return true
	}
	for i, edge := range edges {
		if _, ok := bit[edge.from]; !ok {
			if len(bit) == 64 {
				if !flush() {
					return best, best != nil
				}
				if hits >= tries {
					return best, true
				}
			}
			bit[edge.from] = uint(len(bit))
		}
		batch = append(batch, uint32(i))
	}
	if !flush() {
		return best, best != nil
	}
	return best, true
}

// NonadjacentRW is a short cycle with rw edges, no two of them in succession, or nil if
// there is none. Where OneRW has found none it has two or more. It is a walk: a vertex may
// be in it twice, once reached by rw and once not, if no shorter part of it is a proof.
func (k *Component) NonadjacentRW(mask Rel) []Hop {
	p := k.product(mask | RW)
	var best []Hop
	for i, edge := range p.rwInCycle() {
		best = shorter(best, p.k.closed(2*edge.from, p.rows[edge.at], All))
		if i == tries {
			break
		}
	}
	return simplify(best)
}

// AnyRW is a short cycle with an rw edge, or nil if there is none.
func (k *Component) AnyRW(mask Rel) []Hop {
	mask |= RW
	s := k.g.SCC(mask, nil)
	var best []Hop
	n := 0
	for v := range uint32(k.vertices()) {
		if s.Of[v] == 0 {
			continue
		}
		for e := k.g.off[v]; e < k.g.off[v+1]; e++ {
			if k.g.rel[e] != RW || s.Of[k.g.to[e]] != s.Of[v] {
				continue
			}
			best = shorter(best, k.closed(v, e, mask))
			if n++; n == tries {
				return best
			}
		}
	}
	return best
}

// shorter is the shorter of two cycles that are there; a on a tie.
func shorter(a, b []Hop) []Hop {
	if a == nil || b != nil && len(b) < len(a) {
		return b
	}
	return a
}

// simplify cuts a closed walk short where it passes a vertex twice, as long as what is left
// has an rw and no two in succession.
func simplify(walk []Hop) []Hop {
	for i := range walk {
		for j := i + 1; j < len(walk); j++ {
			if walk[i].From != walk[j].From {
				continue
			}
			inner := walk[i:j:j]
			outer := append(walk[:i:i], walk[j:]...)
			for _, part := range [][]Hop{inner, outer} {
				if n, adjacent := CountRW(part); n > 0 && !adjacent {
					return simplify(part)
				}
			}
		}
	}
	return walk
}

// CountRW counts the rw in a cycle and tells whether two of them follow each other. One rw
// does not follow itself.
func CountRW(cycle []Hop) (n int, adjacent bool) {
	for i, hop := range cycle {
		if hop.Rel != RW {
			continue
		}
		n++
		if next := cycle[(i+1)%len(cycle)]; next.Rel == RW && len(cycle) > 1 {
			adjacent = true
		}
	}
	return n, adjacent
}

// closed is a shortest cycle that begins with edge e, which leaves v, and goes on with
// edges of mask; nil if there is none. Its hops name vertices of the whole graph.
func (k *Component) closed(v, e uint32, mask Rel) []Hop {
	x := k.g.to[e]
	if !k.path(x, v, mask|Via) {
		return nil
	}
	var back []uint32 // edges, the last first
	for w := v; w != x; w = k.prev[w] {
		back = append(back, k.via[w])
	}
	hops := []Hop{{k.global[v], k.g.rel[e]}}
	at := x
	for i := len(back) - 1; i >= 0; i-- {
		edge := back[i]
		if k.g.rel[edge] != Via {
			hops = append(hops, Hop{k.global[at], k.g.rel[edge]})
		}
		at = k.g.to[edge]
	}
	return hops
}

// path finds a way from a to b that takes the fewest transactions; edges that leave hubs
// cost nothing. Afterwards prev and via lead back from b.
func (k *Component) path(a, b uint32, mask Rel) bool {
	if k.seen == nil {
		n := k.vertices()
		k.seen, k.via, k.prev = make([]uint32, n), make([]uint32, n), make([]uint32, n)
	}
	k.epoch++
	k.now = append(k.now[:0], a)
	k.seen[a] = k.epoch
	for len(k.now) > 0 {
		k.next = k.next[:0]
		// First all vertices of one distance: hubs lead on at no cost. Only then those of
		// the next, lest one of them be taken for farther away than it is.
		for i := 0; i < len(k.now); i++ {
			v := k.now[i]
			if v == b {
				return true
			}
			k.now = k.reach(k.now, v, mask&Via)
		}
		for _, v := range k.now {
			k.next = k.reach(k.next, v, mask&^Via)
		}
		k.now, k.next = k.next, k.now
	}
	return false
}

// reach adds to list what v leads to by edges of mask and what has not been seen.
func (k *Component) reach(list []uint32, v uint32, mask Rel) []uint32 {
	for e := k.g.off[v]; e < k.g.off[v+1]; e++ {
		w := k.g.to[e]
		if k.g.rel[e]&mask != 0 && k.seen[w] != k.epoch {
			k.seen[w], k.prev[w], k.via[w] = k.epoch, v, e
			list = append(list, w)
		}
	}
	return list
}

// order is Tarjan's order over all vertices: each component, also of a single vertex,
// after those that it leads to. comp is the component of each vertex, from 1.
func (g *Graph) order(mask Rel) (s *SCCs, comp []uint32) {
	n := uint32(g.Vertices())
	s = &SCCs{Of: make([]uint32, n), ends: []uint32{0}}
	t := tarjan{g: g, mask: mask, out: s, low: make([]uint32, n), singles: true}
	for v := range n {
		if t.low[v] == 0 {
			t.visit(v)
		}
	}
	return s, s.Of
}
