package graph

// product is a component times the automaton that remembers whether the last edge was rw
// and forbids a second one: vertex 2v has not come by rw, 2v+1 has. Snapshot isolation is
// that it has no cycle with rw in it (Cerone and Gotsman, "Analysing snapshot isolation",
// theorem 10: a history is SI iff (so + wr + ww) ; rw? is acyclic), and with it the
// question takes linear time.
type product struct {
	k    *Component // of 2n vertices; its hops name vertices of the whole graph
	of   *Component
	from []uint32 // by edge of the product: the edge of the component
	rows []uint32 // by edge of the component: its edge that leaves an even vertex
}

// rwEdge is an edge of the component, and where it begins.
type rwEdge struct{ from, at uint32 }

func (k *Component) product(mask Rel) *product {
	mask |= Via
	n := uint32(k.vertices())
	g := &Graph{off: make([]uint32, 1, 2*n+1)}
	p := &product{of: k, rows: make([]uint32, len(k.g.to))}
	global := make([]uint32, 0, 2*n)
	for v := range n {
		for last := range uint32(2) {
			for e := k.g.off[v]; e < k.g.off[v+1]; e++ {
				rel := k.g.rel[e]
				if rel&mask == 0 {
					continue
				}
				to := 2 * k.g.to[e]
				switch {
				case rel == RW && last == 1:
					continue
				case rel == RW:
					to++
				case rel == Via:
					to += last
				}
				if last == 0 {
					p.rows[e] = uint32(len(g.to))
				}
				g.to = append(g.to, to)
				g.rel = append(g.rel, rel)
				p.from = append(p.from, e)
			}
			g.off = append(g.off, uint32(len(g.to)))
			global = append(global, k.global[v])
		}
	}
	p.k = &Component{g: g, global: global, hub: make([]bool, len(global))}
	return p
}

// rwInCycle are the rw edges of the component that lie in a cycle of the product.
func (p *product) rwInCycle() []rwEdge {
	s := p.k.g.SCC(All, nil)
	var list []rwEdge
	for v := range uint32(p.of.vertices()) {
		if s.Of[2*v] == 0 {
			continue
		}
		for e := p.k.g.off[2*v]; e < p.k.g.off[2*v+1]; e++ {
			if p.k.g.rel[e] == RW && s.Of[p.k.g.to[e]] == s.Of[2*v] {
				list = append(list, rwEdge{v, p.from[e]})
			}
		}
	}
	return list
}
