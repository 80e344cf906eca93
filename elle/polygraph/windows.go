package polygraph

import "slices"

// A history of a million transactions is too large to ask what can be reached from where. But in most
// databases what ran long ago also took effect long ago. So the order of writers that did not overlap is taken from time,
// which leaves only those that did to be chosen. All edges of all choices that are left make a graph whose
// components are small, a few transactions that ran at about the same time, and no cycle leaves its
// component. Each is solved on its own.
//
// If time is known to be the order (Timed), that loses nothing. Otherwise it is a guess, and only an answer Proved means anything.

// edgeBytes is about what an edge takes, here and in the solver.
const edgeBytes = 16

// solveByTime solves each window.
func (p *Problem) solveByTime() Result {
	known := slices.Clone(p.Known)
	var choices []Edge
	for o := range p.Objects {
		if known, choices = p.overlaps(o, known, choices); len(known)+len(choices) > p.MaxBytes/edgeBytes {
			return Result{Verdict: NotDecided}
		}
	}
	component, count := components(p.Vertices, known, choices)
	// Components of one vertex have no cycle. The others are numbered anew.
	size := make([]int32, count)
	for _, c := range component {
		size[c]++
	}
	parts := make([]*Problem, count)
	names := make([][]uint32, count)    // of their vertices
	local := make([]uint32, p.Vertices) // their number
	for v, c := range component {
		if size[c] < 2 {
			continue
		}
		if parts[c] == nil {
			parts[c] = &Problem{Snapshot: p.Snapshot, MaxBytes: p.MaxBytes, MaxTries: p.MaxTries}
		}
		local[v] = uint32(parts[c].Vertices)
		parts[c].Vertices++
		parts[c].Likely = append(parts[c].Likely, p.Likely[v])
		names[c] = append(names[c], uint32(v))
	}
	for _, e := range known {
		if c := component[e.From]; c == component[e.To] && parts[c] != nil && e.From != e.To {
			parts[c].Known = append(parts[c].Known, Edge{local[e.From], local[e.To], e.Anti})
		}
	}
	objects := make([][]int, count) // of the parts: their numbers here
	for o := range p.Objects {
		p.divide(o, component, parts, local, objects)
	}
	result := Result{Verdict: Proved}
	for c, part := range parts {
		if part == nil {
			continue
		}
		r := part.solve()
		result.Tries += r.Tries
		switch r.Verdict {
		case Refuted:
			r.Cycle = renamed(r.Cycle, names[c], objects[c])
			return r
		case NotDecided:
			result.Verdict = NotDecided
		}
	}
	return result
}

// overlaps sorts the pairs of an object's writers into those whose order is taken from time and those that remain. Of the
// former those are left out that follow from others.
func (p *Problem) overlaps(o int, known, choices []Edge) (k, c []Edge) {
	object := &p.Objects[o]
	order := make([]int, len(object.Writers))
	for i := range order {
		order[i] = i
	}
	began := func(i int) int64 { return p.Began[object.Writers[i]] }
	ended := func(i int) int64 { return p.Ended[object.Writers[i]] }
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case began(i) < began(j):
			return -1
		case began(i) > began(j):
			return 1
		}
		return i - j
	})
	for at, i := range order {
		first := int64(1<<63 - 1) // when the first of those ended that began when i had
		for _, j := range order[at+1:] {
			if began(j) > first {
				break // behind one that is behind i
			}
			if ended(i) < began(j) {
				p.edges(o, i, j, func(e Edge) { known = append(known, e) })
				first = min(first, ended(j))
				continue
			}
			p.edges(o, i, j, func(e Edge) { choices = append(choices, e) })
			p.edges(o, j, i, func(e Edge) { choices = append(choices, e) })
		}
	}
	return known, choices
}

// divide gives every component its share of an object. All that order two of its writers can entail is among
// those in one component; writers in different ones are ordered by time.
func (p *Problem) divide(o int, component []int32, parts []*Problem, local []uint32, objects [][]int) {
	object := &p.Objects[o]
	var at map[int32]int
	for i, w := range object.Writers {
		c := component[w]
		if parts[c] == nil {
			continue
		}
		if at == nil {
			at = map[int32]int{}
		}
		place, ok := at[c]
		if !ok {
			place = len(parts[c].Objects)
			at[c] = place
			parts[c].Objects = append(parts[c].Objects, Object{})
			objects[c] = append(objects[c], o)
		}
		var readers []uint32
		for _, r := range object.Readers[i] {
			if component[r] == c {
				readers = append(readers, local[r])
			}
		}
		part := &parts[c].Objects[place]
		part.Writers, part.Readers = append(part.Writers, local[w]), append(part.Readers, readers)
	}
}

// renamed gives the steps of a part's contradiction the names they have in the whole.
func renamed(steps []Step, names []uint32, objects []int) []Step {
	for i := range steps {
		s := &steps[i]
		s.From, s.To = names[s.From], names[s.To]
		if s.Object >= 0 {
			s.Object, s.First, s.Second = objects[s.Object], names[s.First], names[s.Second]
		}
		s.Otherwise = renamed(s.Otherwise, names, objects)
	}
	return steps
}

// components numbers the strongly connected components of a graph (Tarjan, "Depth-First Search and Linear Graph
// Algorithms", 1972), without recursion.
func components(n int, lists ...[]Edge) (component []int32, count int) {
	off := make([]uint32, n+1)
	for _, list := range lists {
		for _, e := range list {
			off[e.From+1]++
		}
	}
	for v := range n {
		off[v+1] += off[v]
	}
	to := make([]uint32, off[n])
	next := slices.Clone(off[:n])
	for _, list := range lists {
		for _, e := range list {
			to[next[e.From]] = e.To
			next[e.From]++
		}
	}
	copy(next, off[:n])
	component = make([]int32, n)
	index, low := make([]uint32, n), make([]uint32, n) // index 0: not visited
	for v := range component {
		component[v] = -1
	}
	var stack, path []uint32
	var clock uint32
	for root := range uint32(n) {
		if index[root] != 0 {
			continue
		}
		path = append(path, root)
		for len(path) > 0 {
			v := path[len(path)-1]
			if index[v] == 0 {
				clock++
				index[v], low[v] = clock, clock
				stack = append(stack, v)
			}
			if next[v] < off[v+1] {
				w := to[next[v]]
				next[v]++
				if index[w] == 0 {
					path = append(path, w)
				} else if component[w] < 0 {
					low[v] = min(low[v], index[w])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				low[path[len(path)-1]] = min(low[path[len(path)-1]], low[v])
			}
			if low[v] < index[v] {
				continue
			}
			for {
				w := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				component[w] = int32(count)
				if w == v {
					break
				}
			}
			count++
		}
	}
	return component, count
}
