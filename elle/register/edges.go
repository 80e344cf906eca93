package register

import (
	"fmt"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
)

// edges are the dependencies of transactions that follow from an order of versions.
type edges struct {
	x *index
	o *orders
}

var _ anomaly.Source = (*edges)(nil)

// add puts all dependencies into a graph.
func (e *edges) add(b *graph.Builder) {
	x := e.x
	for v := range version(len(x.key)) {
		if w, ok := x.committed(v); ok {
			for _, r := range x.readersOf(v) {
				b.Add(w, r, graph.WR)
			}
		}
		e.after(v, func(next version, _ link) {
			to := x.writer[next]
			if w, ok := x.committed(v); ok {
				b.Add(w, to, graph.WW)
			}
			for _, r := range x.readersOf(v) {
				b.Add(r, to, graph.RW)
			}
		})
	}
	for k, first := range x.initial {
		if first == none || x.doubled[first] {
			continue
		}
		var writers []uint32
		last := none
		for _, v := range x.byKey[k] {
			if w, ok := x.committed(v); ok && w != last {
				writers = append(writers, w)
				last = w
			}
		}
		if from := x.readersOf(first); len(from) > 0 && len(writers) > 0 {
			b.Reach(from, writers, graph.RW)
		}
	}
}

// after calls f for the committed versions that links lead to from v, and with the first link there. Versions
// without a transaction that certainly wrote them are passed through.
func (e *edges) after(v version, f func(next version, by link)) {
	var visited map[version]bool
	var walk func(v version, by *link)
	walk = func(v version, by *link) {
		for _, l := range e.o.from(v) {
			first := by
			if first == nil {
				first = &l
			}
			if _, ok := e.x.committed(l.b); ok {
				f(l.b, *first)
				continue
			}
			if visited == nil {
				visited = map[version]bool{}
			}
			if !visited[l.b] {
				visited[l.b] = true
				walk(l.b, first)
			}
		}
	}
	walk(v, nil)
}

// Explain implements anomaly.Source.
func (e *edges) Explain(a, b int, rel graph.Rel) (step anomaly.Step, ok bool) {
	x, from, to := e.x, uint32(a), uint32(b)
	if a == b {
		return step, false
	}
	switch rel {
	case graph.WR:
		for _, r := range x.readsOf(to) {
			if w, known := x.committed(r.v); known && w == from {
				return x.step(rel, r.v, r.v, x.wmop[r.v], r.mop, func(t1, t2 string) string {
					return fmt.Sprintf("%s observed %s's write of %v to key %v", t2, t1, x.datum(r.v), x.keyName(r.v))
				}), true
			}
		}
	case graph.WW:
		for i, m := range x.h.Mops(a) {
			if m.Kind != history.Write || ok {
				continue
			}
			v := x.version(m.Key, m.Val)
			if w, known := x.committed(v); !known || w != from {
				continue
			}
			e.after(v, func(next version, by link) {
				if x.writer[next] != to || ok {
					return
				}
				ok = true
				step = x.step(rel, v, next, uint32(i), x.wmop[next], func(t1, t2 string) string {
					return fmt.Sprintf("%s set key %v to %v, and %s set it to %v, which came later%s",
						t1, x.keyName(v), x.datum(v), t2, x.datum(next), x.source(by))
				})
			})
		}
	case graph.RW:
		for _, r := range x.readsOf(from) {
			if ok {
				break
			}
			if r.v == x.initial[x.key[r.v]] && !x.doubled[r.v] {
				if w, wrote := x.writeOf(to, x.key[r.v]); wrote {
					if _, known := x.committed(w.v); known {
						return x.step(rel, r.v, w.v, r.mop, w.mop, func(t1, t2 string) string {
							return fmt.Sprintf("%s read key %v in its initial state, before %s set it to %v", t1, x.keyName(r.v), t2, x.datum(w.v))
						}), true
					}
				}
			}
			e.after(r.v, func(next version, by link) {
				if x.writer[next] != to || ok {
					return
				}
				ok = true
				step = x.step(rel, r.v, next, r.mop, x.wmop[next], func(t1, t2 string) string {
					return fmt.Sprintf("%s read %v from key %v, and %s set it to %v, which came later%s",
						t1, x.datum(r.v), x.keyName(r.v), t2, x.datum(next), x.source(by))
				})
			})
		}
	}
	return step, ok
}

func (x *index) step(rel graph.Rel, v, next version, a, b uint32, because func(t1, t2 string) string) anomaly.Step {
	return anomaly.Step{Rel: rel, Key: x.keyName(v), Value: x.datum(v), Next: x.datum(next), A: int(a), B: int(b), Because: because}
}

// source says how one version is known to come before another.
func (x *index) source(l link) string {
	switch l.why {
	case byOrder:
		return " in the order of commits that was given"
	case byWFR:
		return fmt.Sprintf(": %s read %v and wrote %v (writes follow reads)", x.name(l.t1), x.datum(l.a), x.datum(l.b))
	case bySequence:
		return fmt.Sprintf(": a process met %v in %s and then %v in %s (sequential keys)", x.datum(l.a), x.name(l.t1), x.datum(l.b), x.name(l.t2))
	case byRealtime:
		return fmt.Sprintf(": %s met %v and was over before %s met %v (linearizable keys)", x.name(l.t1), x.datum(l.a), x.name(l.t2), x.datum(l.b))
	}
	return ""
}
