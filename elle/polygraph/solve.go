package polygraph

import (
	"slices"
)

// choice is a decision for two writers of an object.
type choice struct {
	object        int
	first, second int // places among the object's writers
	limit         int // arcs that were there when it was forced
	guessed       bool
}

// solver is a search under way.
type solver struct {
	p       *Problem
	s       *state
	choices []choice
	open    [][2]int32 // by object, flattened: pairs that are not chosen yet
	objects []int32    // of open
	tries   int
	work    int
	stopped bool    // because of too much work
	by      []int64 // the solution
}

// Solve answers.
func Solve(p *Problem) Result {
	if p.MaxBytes == 0 {
		p.MaxBytes = 32 << 20
	}
	if p.Began == nil || p.Vertices <= small {
		return p.solve()
	}
	if r := p.repair(); r.Verdict != NotDecided {
		return r
	}
	return p.solve()
}

// edgeBytes is about what an edge takes.
const edgeBytes = 16

const defaultWork = 500_000_000

// small is what is solved as a whole at once.
const small = 500

// solve looks at the problem as a whole.
func (p *Problem) solve() Result {
	n := p.Vertices
	if p.Snapshot {
		n *= 2
	}
	bytes := n * ((n + 63) / 64) * 8
	for _, o := range p.Objects {
		bytes += len(o.Writers) * len(o.Writers) / 2 * edgeBytes
	}
	if bytes > p.MaxBytes {
		return Result{Verdict: NotDecided}
	}
	if p.MaxWork == 0 {
		p.MaxWork = defaultWork
	}
	v := &solver{p: p, s: newState(p)}
	if v.s.order() == nil {
		return Result{Verdict: Refuted, Cycle: v.explain(v.s.cycle(), v.s.arcs, 0)}
	}
	if v.guess(p.Likely) {
		return Result{Verdict: Proved, by: v.by}
	}
	for o, object := range p.Objects {
		for i := range object.Writers {
			for j := range i {
				if object.Writers[i] != object.Writers[j] {
					v.open, v.objects = append(v.open, [2]int32{int32(j), int32(i)}), append(v.objects, int32(o))
				}
			}
		}
	}
	result := Result{Verdict: Refuted}
	if !v.saturate() {
		if result.Cycle = v.explain(v.s.cycle(), v.s.arcs, 0); v.stopped {
			result = Result{Verdict: NotDecided}
		}
	} else if v.search() {
		result.Verdict, result.by = Proved, v.by
	} else if v.stopped {
		result.Verdict = NotDecided
	}
	result.Tries, result.work = v.tries, v.work
	return result
}

// edges calls f for the edges that follow if one writer of an object comes before another.
func (p *Problem) edges(object, first, second int, f func(Edge)) {
	o := &p.Objects[object]
	w := o.Writers[second]
	f(Edge{From: o.Writers[first], To: w})
	for _, r := range o.Readers[first] {
		if r != w {
			f(Edge{From: r, To: w, Anti: true})
		}
	}
}

// impossible tells whether a choice would close a cycle.
func (v *solver) impossible(r *reach, object, first, second int) bool {
	bad := false
	v.p.edges(object, first, second, func(e Edge) {
		if !bad {
			v.s.closes(e, func(from, to uint32) { bad = bad || r.has(from, to) })
		}
	})
	return bad
}

// force makes a choice.
func (v *solver) force(object, first, second int, guessed bool) {
	number := int32(len(v.choices))
	v.choices = append(v.choices, choice{object, first, second, v.s.arcs, guessed})
	v.p.edges(object, first, second, func(e Edge) { v.s.add(e, number) })
}

// saturate makes the choices that are forced, until there are none. It says whether there is still no cycle.
func (v *solver) saturate() bool {
	for {
		order := v.s.order()
		if order == nil {
			return false
		}
		if len(v.open) == 0 {
			return true
		}
		if v.work > v.p.MaxWork {
			v.stopped = true
			return false
		}
		r := v.s.reach(order)
		v.work += v.s.arcs*(r.words+8)/2 + 30*len(v.open)
		kept, objects := v.open[:0:0], v.objects[:0:0]
		for i, pair := range v.open {
			o, a, b := int(v.objects[i]), int(pair[0]), int(pair[1])
			switch {
			case v.impossible(r, o, b, a):
				v.force(o, a, b, false)
			case v.impossible(r, o, a, b):
				v.force(o, b, a, false)
			default:
				kept, objects = append(kept, pair), append(objects, v.objects[i])
			}
		}
		done := len(kept) == len(v.open)
		v.open, v.objects = kept, objects
		if done {
			return true
		}
	}
}

// search decides what nothing forces. It says whether there is a solution.
func (v *solver) search() bool {
	order := v.s.order()
	place := make([]int64, v.p.Vertices)
	for i, node := range order {
		place[v.s.vertex(node)] = int64(i)
	}
	if v.guess(place) || v.guess(v.p.Likely) {
		return true
	}
	if len(v.open) == 0 {
		v.by = place
		return true // all is chosen, and there is no cycle
	}
	v.work += 20 * v.s.arcs // of the guesses
	o, a, b := int(v.objects[0]), int(v.open[0][0]), int(v.open[0][1])
	if w := v.p.Objects[o].Writers; place[w[a]] > place[w[b]] {
		a, b = b, a
	}
	arcs, choices, open, objects := v.s.arcs, len(v.choices), v.open, v.objects
	for range 2 {
		v.tries++
		v.open, v.objects = open[1:], objects[1:]
		v.force(o, a, b, true)
		if v.saturate() && v.search() {
			return true
		}
		if v.stopped {
			return false
		}
		v.s.undo(arcs)
		v.choices = v.choices[:choices]
		a, b = b, a
	}
	v.open, v.objects = open, objects
	return false
}

// guess orders all writers by a number and tells whether that is a solution: together with what is
// chosen already it leaves no cycle.
func (v *solver) guess(by []int64) bool {
	if by == nil {
		return false
	}
	arcs := v.s.arcs
	for o := range v.p.Objects {
		object := &v.p.Objects[o]
		order := make([]int, len(object.Writers))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(i, j int) int {
			a, b := by[object.Writers[i]], by[object.Writers[j]]
			switch {
			case a < b:
				return -1
			case a > b:
				return 1
			}
			return 0
		})
		// Neighbours are enough: an anti-dependency to the next writer goes on to all behind it.
		for i := 1; i < len(order); i++ {
			if object.Writers[order[i-1]] != object.Writers[order[i]] {
				v.p.edges(o, order[i-1], order[i], func(e Edge) { v.s.add(e, -1) })
			}
		}
	}
	good := v.s.order() != nil
	v.s.undo(arcs)
	if good {
		v.by = by
	}
	return good
}

// depth bounds how deep reasons are told.
const depth = 3

// explain turns nodes of a cycle into its steps, by arcs with numbers below limit.
func (v *solver) explain(nodes []uint32, limit, level int) []Step {
	var steps []Step
	for i := 0; i+1 < len(nodes); i++ {
		var by *arc
		for j := range v.s.next[nodes[i]] {
			a := &v.s.next[nodes[i]][j]
			if a.to == nodes[i+1] && int(a.number) < limit {
				by = a // the first: it needs the least
				break
			}
		}
		if by == nil {
			return nil
		}
		steps = append(steps, v.step(nodes[i], nodes[i+1], by, level))
	}
	return steps
}

func (v *solver) step(from, to uint32, by *arc, level int) Step {
	step := Step{From: v.s.vertex(from), To: v.s.vertex(to), Anti: by.anti, Object: -1}
	if by.choice < 0 {
		return step
	}
	c := v.choices[by.choice]
	writers := v.p.Objects[c.object].Writers
	step.Object, step.First, step.Second = c.object, writers[c.first], writers[c.second]
	if c.guessed || level >= depth {
		return step
	}
	// The cycle that the other choice would have closed with what was there.
	v.p.edges(c.object, c.second, c.first, func(e Edge) {
		if step.Otherwise != nil {
			return
		}
		v.s.closes(e, func(from, to uint32) {
			if step.Otherwise != nil {
				return
			}
			if way := v.s.path(from, to, c.limit); way != nil {
				step.Otherwise = append([]Step{{From: e.From, To: e.To, Anti: e.Anti, Object: c.object,
					First: writers[c.second], Second: writers[c.first]}}, v.explain(way, c.limit, level+1)...)
			}
		})
	})
	return step
}
