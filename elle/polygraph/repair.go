package polygraph

import (
	"cmp"
	"slices"
)

// A history of a million transactions is too large to ask what can be reached from where. But in most databases
// transactions take effect about when they are noticed. So all writers are put into the likely order, and the graph that
// follows from it is searched for cycles, in linear time. There are few, and what is on one ran at about the same time. Of each, the
// transactions that ran at that time make a small problem, which is solved exactly; its solution replaces that part of
// the order. That is repeated with wider windows until no cycle is left.
//
// What is known is known within a window, too. So if a window has no solution, the whole has none.

// rounds is how often windows are widened.
const rounds = 12

// repairer is a search under way.
type repairer struct {
	p      *Problem
	order  [][]int32 // by object: places of its writers, in order
	pos    [][]int32 // by object and place: where in order
	known  rows      // by vertex: places in p.Known
	writes rows      // by vertex: places in uses
	reads  rows
	uses   []use
	byTime []uint32 // vertices by Likely

	local []int32 // by vertex: its number in the present window, or -1
	work  int     // that may still be done
	round int
}

// use is a version: that of the i-th writer of an object.
type use struct{ object, i int32 }

// rows are lists of numbers, by vertex.
type rows struct{ off, items []uint32 }

func (r *rows) of(v uint32) []uint32 { return r.items[r.off[v]:r.off[v+1]] }

func makeRows(n int, each func(func(v uint32, item uint32))) rows {
	r := rows{off: make([]uint32, n+1)}
	each(func(v, _ uint32) { r.off[v+1]++ })
	for v := range n {
		r.off[v+1] += r.off[v]
	}
	r.items = make([]uint32, r.off[n])
	next := slices.Clone(r.off[:n])
	each(func(v, item uint32) {
		r.items[next[v]] = item
		next[v]++
	})
	return r
}

// repair solves what the likely order leaves wrong.
func (p *Problem) repair() Result {
	r := &repairer{p: p, work: p.MaxWork}
	if r.work == 0 {
		r.work = defaultWork
		if p.Timed { // where windows hold what is known, they are seldom hard
			r.work += 20_000 * p.Vertices
		}
	}
	bad := r.cycles()
	if len(bad) == 0 {
		return Result{Verdict: Proved}
	}
	r.index()
	result := Result{Verdict: NotDecided}
	left, stale := weight(bad), 0
	for round := range rounds {
		r.round = round
		for _, cycle := range bad {
			switch w := r.window(cycle, int64(8<<min(round, 8))); w.Verdict {
			case Refuted:
				return w
			default:
				result.Tries += w.Tries
			}
			if r.work <= 0 {
				break
			}
		}
		if bad = r.cycles(); len(bad) == 0 {
			result.Verdict = Proved
			return result
		}
		now := weight(bad)
		if now < left {
			left, stale = now, 0
		} else if stale++; stale == 2 {
			break // it does not get better
		}
		if r.work <= 0 {
			break
		}
	}
	return result
}

// weight is how many vertices are on cycles.
func weight(cycles [][]uint32) (n int) {
	for _, c := range cycles {
		n += len(c)
	}
	return n
}

// cycles are the components of more than one vertex that the present order leaves.
func (r *repairer) cycles() [][]uint32 {
	p := r.p
	if r.order == nil {
		r.order = make([][]int32, len(p.Objects))
		for o := range p.Objects {
			w := p.Objects[o].Writers
			order := make([]int32, len(w))
			for i := range order {
				order[i] = int32(i)
			}
			slices.SortStableFunc(order, func(i, j int32) int { return cmp.Compare(p.Likely[w[i]], p.Likely[w[j]]) })
			r.order[o] = order
		}
	}
	n := p.Vertices
	if p.Snapshot {
		n *= 2
	}
	edges := make([]Edge, 0, 2*len(p.Known))
	add := func(e Edge) {
		switch {
		case e.From == e.To:
		case !p.Snapshot:
			edges = append(edges, e)
		case e.Anti:
			edges = append(edges, Edge{From: 2 * e.From, To: 2*e.To + 1})
		default:
			edges = append(edges, Edge{From: 2 * e.From, To: 2 * e.To}, Edge{From: 2*e.From + 1, To: 2 * e.To})
		}
	}
	for _, e := range p.Known {
		add(e)
	}
	for o, order := range r.order {
		for i := 1; i < len(order); i++ { // neighbours are enough
			p.edges(o, int(order[i-1]), int(order[i]), add)
		}
	}
	component, count := components(n, edges)
	size := make([]int32, count)
	for _, c := range component {
		size[c]++
	}
	place := make([]int32, count)
	var bad [][]uint32
	for node, c := range component {
		if size[c] < 2 {
			continue
		}
		if place[c] == 0 {
			bad = append(bad, nil)
			place[c] = int32(len(bad))
		}
		v := uint32(node)
		if p.Snapshot {
			v /= 2
		}
		list := &bad[place[c]-1]
		if len(*list) == 0 || (*list)[len(*list)-1] != v {
			*list = append(*list, v)
		}
	}
	return bad
}

// windowWork is how much is searched in a window at first; every round doubles it.
const windowWork = 30_000_000

// index prepares what windows need.
func (r *repairer) index() {
	p := r.p
	r.known = makeRows(p.Vertices, func(f func(v, item uint32)) {
		for i, e := range p.Known {
			f(e.From, uint32(i))
		}
	})
	r.pos = make([][]int32, len(p.Objects))
	first := make([]uint32, len(p.Objects))
	for o := range p.Objects {
		first[o] = uint32(len(r.uses))
		r.pos[o] = make([]int32, len(r.order[o]))
		for at, i := range r.order[o] {
			r.pos[o][i] = int32(at)
		}
		for i := range p.Objects[o].Writers {
			r.uses = append(r.uses, use{int32(o), int32(i)})
		}
	}
	r.writes = makeRows(p.Vertices, func(f func(v, item uint32)) {
		for o := range p.Objects {
			for i, w := range p.Objects[o].Writers {
				f(w, first[o]+uint32(i))
			}
		}
	})
	r.reads = makeRows(p.Vertices, func(f func(v, item uint32)) {
		for o := range p.Objects {
			for i, readers := range p.Objects[o].Readers {
				for _, v := range readers {
					f(v, first[o]+uint32(i))
				}
			}
		}
	})
	r.byTime = make([]uint32, p.Vertices)
	r.local = make([]int32, p.Vertices)
	for v := range r.byTime {
		r.byTime[v], r.local[v] = uint32(v), -1
	}
	slices.SortStableFunc(r.byTime, func(a, b uint32) int { return cmp.Compare(p.Likely[a], p.Likely[b]) })
}

// A cycle whose window has more than maxWindow vertices is no single one but many that hang together. Its time is gone through in
// smaller windows that overlap by half.
const (
	maxWindow = 3000
	stride    = 150
)

// window solves what ran at about the time of a cycle, and changes the order accordingly.
func (r *repairer) window(cycle []uint32, margin int64) Result {
	p := r.p
	low, high := p.Likely[cycle[0]], p.Likely[cycle[0]]
	for _, v := range cycle {
		low, high = min(low, p.Likely[v], p.Began[v]), max(high, p.Likely[v])
	}
	find := func(t int64) int {
		at, _ := slices.BinarySearchFunc(r.byTime, t, func(v uint32, t int64) int { return cmp.Compare(p.Likely[v], t) })
		return at
	}
	from, to := find(low-margin), find(high+margin+1)
	size := to - from
	if size > maxWindow {
		size = 2 * stride
	}
	var result Result
	for {
		end := min(from+size, to)
		w := r.solve(r.byTime[from:end])
		w.Tries += result.Tries
		if result = w; result.Verdict == Refuted || end == to || r.work <= 0 {
			return result
		}
		from += stride
	}
}

// solve solves a window. Refuted is certain, anything else no more than progress.
func (r *repairer) solve(names []uint32) Result {
	for i, v := range names {
		r.local[v] = int32(i)
	}
	defer func() {
		for _, v := range names {
			r.local[v] = -1
		}
	}()
	// At first with what the rest of the order entails.
	var result Result
	for _, fixed := range []bool{true, false} {
		part, objects := r.restrict(names, fixed)
		result = part.solve()
		r.work -= result.work
		switch {
		case result.Verdict == Proved:
			r.apply(part, objects, names, result.by)
			return result
		case result.Verdict == Refuted && !fixed:
			result.Cycle = renamed(result.Cycle, names, objects)
			return result
		}
	}
	return result
}

// restrict is the problem of a window alone. fixed adds what follows from the present order of those outside.
func (r *repairer) restrict(names []uint32, fixed bool) (part *Problem, objects []int) {
	p := r.p
	part = &Problem{Vertices: len(names), Snapshot: p.Snapshot, MaxBytes: p.MaxBytes, MaxWork: min(windowWork<<r.round, r.work)}
	at := map[int32]int{}
	for i, v := range names {
		part.Likely = append(part.Likely, p.Likely[v])
		for _, k := range r.known.of(v) {
			if e := p.Known[k]; r.local[e.To] >= 0 {
				part.Known = append(part.Known, Edge{uint32(i), uint32(r.local[e.To]), e.Anti})
			}
		}
		for _, n := range r.writes.of(v) {
			u := r.uses[n]
			o, ok := at[u.object]
			if !ok {
				o = len(objects)
				at[u.object] = o
				objects = append(objects, int(u.object))
				part.Objects = append(part.Objects, Object{})
			}
			var readers []uint32
			for _, reader := range p.Objects[u.object].Readers[u.i] {
				if l := r.local[reader]; l >= 0 {
					readers = append(readers, uint32(l))
				}
			}
			object := &part.Objects[o]
			object.Writers, object.Readers = append(object.Writers, uint32(i)), append(object.Readers, readers)
		}
	}
	for i, v := range names {
		for _, n := range r.writes.of(v) {
			r.seenLater(part, at, names, uint32(i), r.uses[n], fixed)
		}
		for _, n := range r.reads.of(v) {
			u := r.uses[n]
			w := p.Objects[u.object].Writers[u.i]
			o, ok := at[u.object]
			if r.local[w] >= 0 || !ok {
				continue
			}
			for _, writer := range part.Objects[o].Writers {
				other := names[writer]
				certain := p.Began[w] < 0 || p.Timed && p.Ended[w] < p.Began[other]
				if writer != uint32(i) && (certain || fixed && r.before(u, other)) {
					part.Known = append(part.Known, Edge{uint32(i), writer, true})
				}
			}
		}
	}
	return part, objects
}

// seenLater adds what readers outside of the window say of a version in it: what had ended before they began, and
// which they did not read, came before what they read.
func (r *repairer) seenLater(part *Problem, at map[int32]int, names []uint32, writer uint32, u use, fixed bool) {
	p := r.p
	latest := int64(-1)
	for _, reader := range p.Objects[u.object].Readers[u.i] {
		if r.local[reader] < 0 {
			latest = max(latest, p.Began[reader])
		}
	}
	for _, other := range part.Objects[at[u.object]].Writers {
		if other != writer && (p.Timed || fixed) && p.Ended[names[other]] < latest {
			part.Known = append(part.Known, Edge{From: other, To: writer})
		}
	}
}

// before tells whether a version comes before that of another writer, as things are.
func (r *repairer) before(u use, writer uint32) bool {
	for _, n := range r.writes.of(writer) {
		if other := r.uses[n]; other.object == u.object {
			return r.pos[u.object][u.i] < r.pos[u.object][other.i]
		}
	}
	return false
}

// apply puts the writers of a window into a new order, in the places that they had.
func (r *repairer) apply(part *Problem, objects []int, names []uint32, by []int64) {
	for local, o := range objects {
		writers := part.Objects[local].Writers
		places := make([]int32, 0, len(writers)) // of the writers in the object
		slots := make([]int32, 0, len(writers))
		for _, w := range slices.SortedFunc(slices.Values(writers), func(a, b uint32) int { return cmp.Compare(by[a], by[b]) }) {
			for _, n := range r.writes.of(names[w]) {
				if u := r.uses[n]; int(u.object) == o {
					places, slots = append(places, u.i), append(slots, r.pos[o][u.i])
				}
			}
		}
		slices.Sort(slots)
		for i, place := range places {
			r.order[o][slots[i]], r.pos[o][place] = place, slots[i]
		}
	}
}

// renamed gives the steps of a window's contradiction the names they have in the whole.
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
