package graph

// Rel is a relation between transactions, or a set of them.
type Rel uint8

// The relations. "before" is in the order in which transactions took effect.
const (
	WW       Rel = 1 << iota // wrote a version; the other wrote the next one
	WR                       // wrote a version; the other read it
	RW                       // read a version; the other wrote the next one
	Process                  // ended before the other began, in the same process
	Realtime                 // ended before the other began
	Via                      // leaves a hub: it goes on with the relation by which the hub was entered
)

// Sets of relations.
const (
	Data = WW | WR | RW
	All  = Data | Process | Realtime
)

func (r Rel) String() string {
	switch r {
	case WW:
		return "ww"
	case WR:
		return "wr"
	case RW:
		return "rw"
	case Process:
		return "process"
	case Realtime:
		return "realtime"
	case Via:
		return "via"
	}
	name := ""
	for bit := WW; bit <= Via; bit <<= 1 {
		if r&bit != 0 {
			if name != "" {
				name += "+"
			}
			name += bit.String()
		}
	}
	return name
}

// Graph is a graph in compressed rows.
type Graph struct {
	txns int
	off  []uint32 // by vertex: where its edges begin; one more at the end
	to   []uint32
	rel  []Rel
}

// Txns is how many transactions there are: vertices from 0.
func (g *Graph) Txns() int { return g.txns }

// Vertices is how many transactions and hubs there are.
func (g *Graph) Vertices() int { return len(g.off) - 1 }

// Edges is how many edges there are.
func (g *Graph) Edges() int { return len(g.to) }

// From gives the edges that leave v, in the order in which they were added.
func (g *Graph) From(v uint32) (to []uint32, rel []Rel) {
	a, b := g.off[v], g.off[v+1]
	return g.to[a:b], g.rel[a:b]
}

// Builder collects edges.
type Builder struct {
	txns, vertices uint32
	from, to       []uint32
	rel            []Rel
}

// NewBuilder makes one for a graph of so many transactions.
func NewBuilder(txns int) *Builder {
	return &Builder{txns: uint32(txns), vertices: uint32(txns)}
}

// Hub adds a hub and gives its vertex.
func (b *Builder) Hub() uint32 {
	b.vertices++
	return b.vertices - 1
}

// Add adds an edge. From a hub, rel is Via. An edge from a vertex to itself is left out:
// no transaction precedes itself by what it did.
func (b *Builder) Add(from, to uint32, rel Rel) {
	if from == to {
		return
	}
	b.from = append(b.from, from)
	b.to = append(b.to, to)
	b.rel = append(b.rel, rel)
}

// Graph is the graph of all that was added. The Builder must not be used afterwards.
func (b *Builder) Graph() *Graph {
	g := &Graph{txns: int(b.txns), off: make([]uint32, b.vertices+1)}
	for _, v := range b.from {
		g.off[v+1]++
	}
	for v := range b.vertices {
		g.off[v+1] += g.off[v]
	}
	g.to = make([]uint32, len(b.to))
	g.rel = make([]Rel, len(b.to))
	next := make([]uint32, b.vertices)
	copy(next, g.off)
	for i, v := range b.from {
		at := next[v]
		next[v]++
		g.to[at], g.rel[at] = b.to[i], b.rel[i]
	}
	b.from, b.to, b.rel = nil, nil, nil
	return g
}

// Reach adds, for each of the transactions from, an edge to each of the transactions to
// but itself. Where that would be many edges it adds hubs: rows P and S over the targets,
// so that P(i) leads to the first i of them and S(i) to those from i on. A source that is
// itself a target enters P before and S behind its place, any other the whole of P.
func (b *Builder) Reach(from, to []uint32, rel Rel) {
	if len(from)*len(to) <= 4*(len(from)+len(to)) {
		for _, u := range from {
			for _, v := range to {
				b.Add(u, v, rel)
			}
		}
		return
	}
	b.reachByHubs(from, to, rel)
}

func (b *Builder) reachByHubs(from, to []uint32, rel Rel) {
	place := make(map[uint32]int, len(to))
	for i, v := range to {
		place[v] = i
	}
	prefix := make([]uint32, len(to)) // prefix[i] leads to to[:i+1]
	suffix := make([]uint32, len(to)) // suffix[i] leads to to[i:]
	for i, v := range to {
		prefix[i] = b.Hub()
		b.Add(prefix[i], v, Via)
		if i > 0 {
			b.Add(prefix[i], prefix[i-1], Via)
		}
	}
	for i := len(to) - 1; i >= 0; i-- {
		suffix[i] = b.Hub()
		b.Add(suffix[i], to[i], Via)
		if i+1 < len(to) {
			b.Add(suffix[i], suffix[i+1], Via)
		}
	}
	for _, u := range from {
		i, both := place[u]
		if !both {
			b.Add(u, prefix[len(to)-1], rel)
			continue
		}
		if i > 0 {
			b.Add(u, prefix[i-1], rel)
		}
		if i+1 < len(to) {
			b.Add(u, suffix[i+1], rel)
		}
	}
}
