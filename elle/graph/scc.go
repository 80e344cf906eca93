package graph

// SCCs are strongly connected components of a part of a graph: those of more than one
// vertex. Components and their vertices are in a fixed order.
type SCCs struct {
	// Of is the component of a vertex, from 1; 0 if the vertex is in no cycle.
	Of []uint32
	// members and ends: component c has members[ends[c-1]:ends[c]].
	members []uint32
	ends    []uint32
}

// Len is how many components there are.
func (s *SCCs) Len() int { return len(s.ends) - 1 }

// Members are the vertices of component c, from 1.
func (s *SCCs) Members(c int) []uint32 { return s.members[s.ends[c-1]:s.ends[c]] }

// SCC finds the strongly connected components of the edges that mask has (edges that leave
// hubs always belong to it), in linear time. within restricts the search to edges inside
// the components of a coarser search; nil is no restriction.
//
// It is Tarjan's algorithm with its recursion on an explicit stack: a component may be as
// long as the history.
func (g *Graph) SCC(mask Rel, within *SCCs) *SCCs {
	n := uint32(g.Vertices())
	s := &SCCs{Of: make([]uint32, n), ends: []uint32{0}}
	mask |= Via
	t := tarjan{g: g, mask: mask, within: within, out: s,
		low: make([]uint32, n), at: make([]uint32, 0, 64)}
	for v := range n {
		if t.low[v] == 0 && g.off[v] != g.off[v+1] && (within == nil || within.Of[v] != 0) {
			t.visit(v)
		}
	}
	return s
}

// tarjan is the state of a search. low is 0 for a vertex that has not been visited, done
// for one whose component is known, and else the usual low link (from 1).
type tarjan struct {
	g      *Graph
	mask   Rel
	within *SCCs
	out    *SCCs
	low    []uint32
	count  uint32
	at     []uint32 // vertices visited whose component is not known
	calls  []call

	singles bool // components of one vertex count
}

// call is a frame of the recursion: a vertex, its number, and its next edge.
type call struct{ v, num, edge uint32 }

const done = ^uint32(0)

func (t *tarjan) visit(root uint32) {
	g := t.g
	t.enter(root)
	for len(t.calls) > 0 {
		c := &t.calls[len(t.calls)-1]
		v := c.v
		end := g.off[v+1]
		down := false
		low := t.low[v]
		for c.edge < end {
			e := c.edge
			c.edge++
			if g.rel[e]&t.mask == 0 {
				continue
			}
			w := g.to[e]
			if t.within != nil && t.within.Of[w] != t.within.Of[v] {
				continue
			}
			if l := t.low[w]; l == 0 {
				t.enter(w)
				down = true
				break
			} else if l < low {
				low = l
			}
		}
		t.low[v] = low
		if down {
			continue
		}
		num := c.num
		t.calls = t.calls[:len(t.calls)-1]
		if low == num {
			t.leave(v)
		}
		if len(t.calls) > 0 && t.low[v] != done {
			if up := t.calls[len(t.calls)-1].v; t.low[v] < t.low[up] {
				t.low[up] = t.low[v]
			}
		}
	}
}

func (t *tarjan) enter(v uint32) {
	t.count++
	t.low[v] = t.count
	t.at = append(t.at, v)
	t.calls = append(t.calls, call{v, t.count, t.g.off[v]})
}

// leave takes the component whose first vertex is v off the stack.
func (t *tarjan) leave(v uint32) {
	i := len(t.at) - 1
	for t.at[i] != v {
		i--
	}
	members := t.at[i:]
	t.at = t.at[:i]
	for _, w := range members {
		t.low[w] = done
	}
	if len(members) == 1 && !t.singles {
		return // an edge from a vertex to itself is not there
	}
	s := t.out
	id := uint32(len(s.ends))
	// In reverse, so that the first one visited comes first.
	for i := len(members) - 1; i >= 0; i-- {
		s.Of[members[i]] = id
	}
	s.members = append(s.members, members...)
	s.ends = append(s.ends, uint32(len(s.members)))
}
