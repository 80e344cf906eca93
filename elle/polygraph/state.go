package polygraph

// state is a graph that has a cycle if and only if the model is violated. For serializability its nodes are the vertices.
// For snapshot isolation each vertex has two: node 2v is v when it was entered by a plain dependency, which any edge may
// follow, node 2v+1 is v when it was entered by an anti-dependency, which only a plain one may follow.
type state struct {
	snapshot bool
	next     [][]arc
	arcs     int // added so far: each has a number
}

// arc leads to a node. choice is the number of the choice that it is there for, or -1.
type arc struct {
	to     uint32
	number int32
	choice int32
	anti   bool
}

func newState(p *Problem) *state {
	n := p.Vertices
	if p.Snapshot {
		n *= 2
	}
	s := &state{snapshot: p.Snapshot, next: make([][]arc, n)}
	for _, e := range p.Known {
		if e.From != e.To {
			s.add(e, -1)
		}
	}
	return s
}

func (s *state) arc(from, to uint32, e Edge, choice int32) {
	s.next[from] = append(s.next[from], arc{to, int32(s.arcs), choice, e.Anti})
}

func (s *state) add(e Edge, choice int32) {
	switch {
	case !s.snapshot:
		s.arc(e.From, e.To, e, choice)
	case e.Anti:
		s.arc(2*e.From, 2*e.To+1, e, choice)
	default:
		s.arc(2*e.From, 2*e.To, e, choice)
		s.arc(2*e.From+1, 2*e.To, e, choice)
	}
	s.arcs++
}

// undo takes back all arcs with numbers from n on.
func (s *state) undo(n int) {
	for v, list := range s.next {
		for len(list) > 0 && int(list[len(list)-1].number) >= n {
			list = list[:len(list)-1]
		}
		s.next[v] = list
	}
	s.arcs = n
}

func (s *state) vertex(node uint32) uint32 {
	if s.snapshot {
		return node / 2
	}
	return node
}

// closes calls f for the pairs of nodes of which the first must not reach the second if edge e
// is to close no cycle.
func (s *state) closes(e Edge, f func(from, to uint32)) {
	switch {
	case !s.snapshot:
		f(e.To, e.From)
	case e.Anti:
		f(2*e.To+1, 2*e.From)
	default:
		f(2*e.To, 2*e.From)
		f(2*e.To, 2*e.From+1)
	}
}

// order returns the nodes so that all arcs lead forwards, or nil if there is a cycle. Among those that could
// come next, those that are likely to be earlier do, roughly.
func (s *state) order() []uint32 {
	in := make([]int32, len(s.next))
	for _, list := range s.next {
		for _, a := range list {
			in[a.to]++
		}
	}
	order := make([]uint32, 0, len(s.next))
	for v := range s.next {
		if in[v] == 0 {
			order = append(order, uint32(v))
		}
	}
	for i := 0; i < len(order); i++ {
		for _, a := range s.next[order[i]] {
			if in[a.to]--; in[a.to] == 0 {
				order = append(order, a.to)
			}
		}
	}
	if len(order) < len(s.next) {
		return nil
	}
	return order
}

// reach are sets of nodes, by node: what can be reached from it.
type reach struct {
	words int
	bits  []uint64
}

func (s *state) reach(order []uint32) *reach {
	n := len(s.next)
	r := &reach{words: (n + 63) / 64}
	r.bits = make([]uint64, n*r.words)
	for i := len(order) - 1; i >= 0; i-- {
		v := int(order[i])
		row := r.bits[v*r.words:][:r.words]
		for _, a := range s.next[v] {
			if row[a.to/64]&(1<<(a.to%64)) != 0 {
				continue // and so has all that lies behind it
			}
			row[a.to/64] |= 1 << (a.to % 64)
			for w, bits := range r.bits[int(a.to)*r.words:][:r.words] {
				row[w] |= bits
			}
		}
	}
	return r
}

func (r *reach) has(from, to uint32) bool {
	return r.bits[int(from)*r.words+int(to/64)]&(1<<(to%64)) != 0
}

// path finds a shortest way over arcs with numbers below limit.
func (s *state) path(from, to uint32, limit int) []uint32 {
	before := map[uint32]uint32{}
	queue := []uint32{from}
	for i := 0; i < len(queue); i++ {
		v := queue[i]
		for _, a := range s.next[v] {
			if int(a.number) >= limit {
				break
			}
			if a.to == to {
				way := []uint32{to}
				for ; v != from; v = before[v] {
					way = append(way, v)
				}
				way = append(way, from)
				for i, j := 0, len(way)-1; i < j; i, j = i+1, j-1 {
					way[i], way[j] = way[j], way[i]
				}
				return way
			}
			if _, ok := before[a.to]; !ok && a.to != from {
				before[a.to] = v
				queue = append(queue, a.to)
			}
		}
	}
	return nil
}

// cycle returns the nodes of a short cycle, the first also at the end, or nil.
func (s *state) cycle() []uint32 {
	in := make([]int32, len(s.next))
	for _, list := range s.next {
		for _, a := range list {
			in[a.to]++
		}
	}
	var ready []uint32
	for v, n := range in {
		if n == 0 {
			ready = append(ready, uint32(v))
		}
	}
	for len(ready) > 0 {
		v := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, a := range s.next[v] {
			if in[a.to]--; in[a.to] == 0 {
				ready = append(ready, a.to)
			}
		}
	}
	// What is left is on a cycle or behind one. A few places to start from give a short one.
	var best []uint32
	tries := 0
	for v, n := range in {
		if n == 0 || tries == 64 {
			continue
		}
		if way := s.path(uint32(v), uint32(v), s.arcs); way != nil {
			tries++
			if best == nil || len(way) < len(best) {
				best = way
			}
		}
	}
	return best
}
