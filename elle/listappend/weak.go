package listappend

import (
	"fmt"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/model"
)

// Read atomic says: who sees one effect of a transaction sees all of them. Causal
// consistency says: and all that this transaction saw, and so on. Both are broken where a
// transaction R has read a list without an element of W, though W must be visible to it.
// That is a cycle of one rw, from R to W, and of wr from W to R: exactly one for read
// atomic, any number for causal consistency. This rw is not only the usual one to the next
// version, but to every later one; other rw and ww do not count.
//
// So there is a graph of its own, in which such cycles are those with exactly one rw. Each
// transaction is there twice, as one that wrote (w) and as one that has learnt (r = w+n):
//
//	w -> r   wr: the second has read from the first
//	r -> r   wr: and what the first has learnt, the second has (causal consistency only)
//	r -> hub -> w, w, …   rw: has read a list without what they appended
//
// A transaction that reads a list and appends to it leads by a hub to itself, but as the
// one that wrote, which closes no cycle.

// weak searches that graph.
func (s *source) weak(atomic, sessions bool, max int) (found []anomaly.Anomaly, count int) {
	n := uint32(len(s.h.Ops))
	b := graph.NewBuilder(2 * int(n))
	// learn: r knows of w, and of what w knows.
	learn := func(w, r uint32, rel graph.Rel) {
		if w == r {
			return
		}
		b.Add(w, n+r, rel)
		if !atomic {
			b.Add(n+w, n+r, rel)
		}
	}
	c := checker{h: s.h, refs: s.refs, out: &anomaly.Analysis{}}
	for k := range history.Key(s.h.Keys()) {
		c.k = k
		c.collect()
		if len(c.appends) == 0 || len(c.reads) == 0 || !c.unique() {
			continue
		}
		c.versions()
		c.place()
		c.weakEdges(b, n, learn)
	}
	if sessions {
		last := make([]int32, len(s.h.Processes))
		for op := range s.h.Ops {
			if o := &s.h.Ops[op]; o.Type == history.OK && o.Process != history.NoProcess {
				if before := last[o.Process]; before != 0 {
					learn(uint32(before-1), uint32(op), graph.Process)
				}
				last[o.Process] = int32(op + 1)
			}
		}
	}
	g := b.Graph()
	const mask = graph.WR | graph.Process
	sccs := g.SCC(mask|graph.RW, nil)
	t := model.CausalCycle
	if atomic {
		t = model.FracturedRead
	}
	for i := 1; i <= sccs.Len(); i++ {
		walk, _ := g.Component(sccs, i, mask|graph.RW).OneRW(mask, 1_000_000_000)
		if walk == nil {
			continue
		}
		if count++; max == 0 || count <= max {
			found = append(found, s.story(t, walk, n))
		}
	}
	return found, count
}

// weakEdges adds what follows from one key.
func (c *checker) weakEdges(b *graph.Builder, n uint32, learn func(w, r uint32, rel graph.Rel)) {
	// hubs[i] leads to the writers of the versions from the i-th on, the last one to those
	// whose appends nobody has read.
	hubs := make([]uint32, len(c.at)+1)
	for i := range hubs {
		hubs[i] = b.Hub()
		if i > 0 {
			b.Add(hubs[i-1], hubs[i], graph.Via)
		}
	}
	for i, w := range c.at {
		if w >= 0 && c.appends[w].typ != history.Fail {
			b.Add(hubs[i], c.appends[w].op, graph.Via)
		}
	}
	for i := range c.appends {
		if w := &c.appends[i]; !w.observed && w.typ != history.Fail {
			b.Add(hubs[len(c.at)], w.op, graph.Via)
		}
	}
	for i := range c.reads {
		r := &c.reads[i]
		if !c.fits(r) {
			continue
		}
		b.Add(n+r.op, hubs[r.m.Len], graph.RW)
		at := int(r.m.Len) - 1
		for at >= 0 && c.at[at] >= 0 && c.appends[c.at[at]].op == r.op {
			at-- // its own appends: what it has learnt from others is before them
		}
		if at >= 0 && c.at[at] >= 0 && c.appends[c.at[at]].typ != history.Fail {
			learn(c.appends[c.at[at]].op, r.op, graph.WR)
		}
	}
}

// story makes an anomaly of a cycle. It begins with the rw, which is told last.
func (s *source) story(t model.Anomaly, walk []graph.Hop, n uint32) anomaly.Anomaly {
	walk = append(walk[1:len(walk):len(walk)], walk[0])
	a := anomaly.Anomaly{Type: t}
	for i, hop := range walk {
		from, to := int(hop.From%n), int(walk[(i+1)%len(walk)].From%n)
		a.Ops = append(a.Ops, from)
		var step anomaly.Step
		ok := false
		switch hop.Rel {
		case graph.RW:
			step, ok = s.unseen(from, to)
		case graph.WR:
			step, ok = s.Explain(from, to, graph.WR)
		case graph.Process:
			if a.Type == t {
				a.Type = t.Process()
			}
		}
		if !ok {
			step = anomaly.Step{Rel: hop.Rel, A: -1, B: -1, Because: func(t1, t2 string) string {
				return fmt.Sprintf("process %s executed %s before %s", s.h.ProcessName(from), t1, t2)
			}}
		}
		a.Steps = append(a.Steps, step)
	}
	return a
}

// unseen says which append of b a has not read, in whatever place.
func (s *source) unseen(a, b int) (anomaly.Step, bool) {
	for i, x := range s.h.Mops(a) {
		if !x.Kind.IsRead() {
			continue
		}
		list := s.h.List(x)
		for j, y := range s.h.Mops(b) {
			if y.Kind != history.Append || y.Key != x.Key {
				continue
			}
			v := s.key(x.Key)
			if place, placed := v.place[y.Val]; placed && place < len(list) {
				continue
			}
			key, value := s.h.KeyDatum(x.Key), s.h.Datum(y.Val)
			step := anomaly.Step{Rel: graph.RW, Key: key, Next: value, A: i, B: j, Because: func(t1, t2 string) string {
				return fmt.Sprintf("%s did not observe %s's append of %s to key %s", t1, t2, value, key)
			}}
			if len(list) > 0 {
				step.Value = s.h.Datum(list[len(list)-1])
			}
			return step, true
		}
	}
	return anomaly.Step{}, false
}
