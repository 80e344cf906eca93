package register

import (
	"fmt"
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/polygraph"
)

// weak decides the models under which an order of commits must merely exist that explains each read by itself. Such a model
// says of which transactions a read must know; if one of those wrote the key, and the read returned
// another's version, then the other came later. The model holds if all that, together with who read from whom
// (and, with sessions, with the order in which sessions issued), has no cycle.
type weak struct {
	x        *index
	sessions bool
	next     [][]inferred // by operation, and last the initial state
}

// inferred says that one transaction comes before another: by is what was read if one read from the other, none if
// they follow in a session, and otherwise the read that shows it is that of operation witness.
type inferred struct {
	to      uint32
	rel     graph.Rel // WR, Process, or WW if it was inferred
	v       version   // what the later wrote, or, of WR, what was read
	witness uint32
}

func newWeak(x *index, sessions bool) *weak {
	w := &weak{x: x, sessions: sessions, next: make([][]inferred, len(x.h.Ops)+1)}
	last := map[int32]uint32{}
	for op := range uint32(len(x.h.Ops)) {
		if !x.happened(op) {
			continue
		}
		if p := x.h.Ops[op].Process; sessions && p != history.NoProcess {
			if before, ok := last[p]; ok {
				w.next[before] = append(w.next[before], inferred{to: op, rel: graph.Process})
			}
			last[p] = op
		}
		for _, r := range x.readsOf(op) {
			if by, ok := x.committed(r.v); ok && by != op {
				w.next[by] = append(w.next[by], inferred{op, graph.WR, r.v, none})
			}
		}
	}
	return w
}

// source returns who wrote what was read; the number of operations stands for the initial state.
func (w *weak) source(v version) (op uint32, ok bool) {
	if w.x.val[v] == history.None && !w.x.doubled[v] {
		return uint32(len(w.x.h.Ops)), true
	}
	return w.x.committed(v)
}

// knows adds what follows if operation reader knows of operation known, and has read version v.
func (w *weak) knows(reader, known uint32, v version) {
	by, ok := w.source(v)
	if !ok || by == known || known == reader {
		return
	}
	if wrote, ok := w.x.writeOf(known, w.x.key[v]); ok && !w.x.doubled[wrote.v] {
		w.next[known] = append(w.next[known], inferred{by, graph.WW, v, reader})
	}
}

// atomic infers what read atomic demands: a transaction knows those that it read from, and its session.
func (w *weak) atomic() {
	type place struct {
		process int32
		k       history.Key
	}
	wrote := map[place]uint32{} // the last of a session that wrote a key
	for op := range uint32(len(w.x.h.Ops)) {
		for _, r := range w.x.readsOf(op) {
			for _, other := range w.x.readsOf(op) {
				if known, ok := w.x.committed(other.v); ok {
					w.knows(op, known, r.v)
				}
			}
			if p := w.x.h.Ops[op].Process; w.sessions && p != history.NoProcess {
				if known, ok := wrote[place{p, w.x.key[r.v]}]; ok {
					w.knows(op, known, r.v) // those before it are known to be older
				}
			}
		}
		if w.x.happened(op) {
			for _, a := range w.x.writesOf(op) {
				wrote[place{w.x.h.Ops[op].Process, w.x.key[a.v]}] = op
			}
		}
	}
}

// committedReads infers what Biswas and Enea call read committed: a read knows those that the
// same transaction read from before it.
func (w *weak) committedReads() {
	for op := range w.x.h.Ops {
		if w.x.h.Ops[op].Type != history.OK {
			continue
		}
		mops := w.x.h.Mops(op)
		for i, m := range mops {
			if m.Kind != history.Read {
				continue
			}
			for _, earlier := range mops[:i] {
				if earlier.Kind != history.Read {
					continue
				}
				if known, ok := w.x.committed(w.x.version(earlier.Key, earlier.Val)); ok {
					w.knows(uint32(op), known, w.x.version(m.Key, m.Val))
				}
			}
		}
	}
}

// maxClocks bounds the memory for what each transaction knows, in numbers of 4 bytes, or in bits.
const (
	maxClocks = 1 << 26
	maxBits   = 1 << 31
)

// causal infers what causal consistency demands: a transaction knows all that lead to it. ok is false if that
// would take too much memory. Without an order there is nothing to infer: then there is a cycle already.
func (w *weak) causal() (ok bool) {
	order := w.order()
	if order == nil {
		return true
	}
	if w.sessions {
		return w.causalBySessions(order)
	}
	n := len(w.x.h.Ops)
	words := (n + 63) / 64
	if int64(n)*int64(words)*64 > maxBits {
		return false
	}
	known := make([]uint64, n*words) // by operation, those that lead to it
	row := func(op uint32) []uint64 { return known[int(op)*words:][:words] }
	for _, op := range order {
		if int(op) == n {
			continue
		}
		for _, l := range w.next[op] {
			to := row(l.to)
			to[op/64] |= 1 << (op % 64)
			for i, bits := range row(op) {
				to[i] |= bits
			}
		}
	}
	for op := range uint32(n) {
		for _, r := range w.x.readsOf(op) {
			last := none
			for _, v := range w.x.byKey[w.x.key[r.v]] {
				if by, ok := w.x.committed(v); ok && by != last && row(op)[by/64]&(1<<(by%64)) != 0 {
					w.knows(op, by, r.v)
					last = by
				}
			}
		}
	}
	return true
}

// causalBySessions needs of each session only the last transaction that is known: those before it are older.
func (w *weak) causalBySessions(order []uint32) (ok bool) {
	x := w.x
	n := len(x.h.Ops)
	slot := map[int32]int{}
	place := make([]int32, n) // in its session, from 1
	type writes struct {
		slot int
		ops  []uint32
	}
	writers := make([][]writes, x.h.Keys())
	count := map[int32]int32{}
	for op := range uint32(n) {
		p := x.h.Ops[op].Process
		if !x.happened(op) || len(x.writesOf(op)) == 0 {
			continue
		}
		if p == history.NoProcess {
			p = -2 - int32(op) // a session of its own
		}
		s, known := slot[p]
		if !known {
			s = len(slot)
			slot[p] = s
		}
		count[p]++
		place[op] = count[p]
		for _, a := range x.writesOf(op) {
			k := x.key[a.v]
			list := writers[k]
			i := slices.IndexFunc(list, func(l writes) bool { return l.slot == s })
			if i < 0 {
				list = append(list, writes{slot: s})
				i = len(list) - 1
			}
			list[i].ops = append(list[i].ops, op)
			writers[k] = list
		}
	}
	k := len(slot)
	if n*k > maxClocks {
		return false
	}
	slots := make([]int32, n)
	for op := range slots {
		p := x.h.Ops[op].Process
		if p == history.NoProcess {
			p = -2 - int32(op)
		}
		slots[op] = -1
		if s, ok := slot[p]; ok && place[op] > 0 {
			slots[op] = int32(s)
		}
	}
	clocks := make([]int32, n*k) // by operation and session: the last place that leads to it
	clock := func(op uint32) []int32 { return clocks[int(op)*k:][:k] }
	for _, op := range order {
		if int(op) == n {
			continue
		}
		for _, l := range w.next[op] {
			to := clock(l.to)
			for i, at := range clock(op) {
				to[i] = max(to[i], at)
			}
			if s := slots[op]; s >= 0 {
				to[s] = max(to[s], place[op])
			}
		}
	}
	for op := range uint32(n) {
		own := clock(op)
		for _, r := range x.readsOf(op) {
			for _, list := range writers[x.key[r.v]] {
				i, _ := slices.BinarySearchFunc(list.ops, own[list.slot], func(at uint32, limit int32) int {
					if place[at] <= limit {
						return -1
					}
					return 1
				})
				if i > 0 {
					w.knows(op, list.ops[i-1], r.v)
				}
			}
		}
	}
	return true
}

// order returns all vertices so that what is inferred leads forwards, or nil if there is a cycle.
func (w *weak) order() []uint32 {
	in := make([]int32, len(w.next))
	for _, list := range w.next {
		for _, l := range list {
			in[l.to]++
		}
	}
	order := make([]uint32, 0, len(w.next))
	for v, n := range in {
		if n == 0 {
			order = append(order, uint32(v))
		}
	}
	for i := 0; i < len(order); i++ {
		for _, l := range w.next[order[i]] {
			if in[l.to]--; in[l.to] == 0 {
				order = append(order, l.to)
			}
		}
	}
	if len(order) < len(w.next) {
		return nil
	}
	return order
}

// verdict looks for a cycle, and tells it. The initial state comes before everything.
func (w *weak) verdict() (polygraph.Verdict, *anomaly.Anomaly) {
	initial := uint32(len(w.x.h.Ops))
	for op := range initial {
		for _, l := range w.next[op] {
			if l.to == initial {
				return polygraph.Refuted, w.missed(op, l)
			}
		}
	}
	if w.order() != nil {
		return polygraph.Proved, nil
	}
	var best []uint32
	for op, tries := uint32(0), 0; op < initial && tries < 64; op++ {
		if way := w.path(op, op); way != nil {
			tries++
			if best == nil || len(way) < len(best) {
				best = way
			}
		}
	}
	a := &anomaly.Anomaly{}
	for i := 0; i+1 < len(best); i++ {
		a.Ops = append(a.Ops, int(best[i]))
		a.Steps = append(a.Steps, w.step(best[i], best[i+1]))
	}
	return polygraph.Refuted, a
}

// missed tells of a read that found nothing though it knew of a write.
func (w *weak) missed(writer uint32, l inferred) *anomaly.Anomaly {
	a := &anomaly.Anomaly{}
	way := w.pathBy(writer, l.witness, graph.WR|graph.Process)
	for i := 0; i+1 < len(way); i++ {
		a.Ops = append(a.Ops, int(way[i]))
		a.Steps = append(a.Steps, w.step(way[i], way[i+1]))
	}
	x := w.x
	wrote, _ := x.writeOf(writer, x.key[l.v])
	read, _ := x.readOf(l.witness, x.key[l.v])
	a.Ops = append(a.Ops, int(l.witness))
	a.Steps = append(a.Steps, x.step(graph.RW, l.v, wrote.v, read.mop, wrote.mop, func(t1, t2 string) string {
		return fmt.Sprintf("%s read key %v in its initial state, before %s set it to %v", t1, x.keyName(l.v), t2, x.datum(wrote.v))
	}))
	return a
}

func (w *weak) path(from, to uint32) []uint32 {
	return w.pathBy(from, to, graph.WR|graph.Process|graph.WW)
}

// pathBy finds a shortest way.
func (w *weak) pathBy(from, to uint32, rels graph.Rel) []uint32 {
	before := map[uint32]uint32{}
	queue := []uint32{from}
	for i := 0; i < len(queue); i++ {
		v := queue[i]
		for _, l := range w.next[v] {
			if l.rel&rels == 0 {
				continue
			}
			if l.to == to {
				way := []uint32{to}
				for ; v != from; v = before[v] {
					way = append(way, v)
				}
				way = append(way, from)
				slices.Reverse(way)
				return way
			}
			if _, ok := before[l.to]; !ok && l.to != from {
				before[l.to] = v
				queue = append(queue, l.to)
			}
		}
	}
	return nil
}

// step tells why one operation precedes another; data relations are preferred.
func (w *weak) step(from, to uint32) anomaly.Step {
	var by *inferred
	for i := range w.next[from] {
		if l := &w.next[from][i]; l.to == to && (by == nil || by.rel == graph.WW || l.rel == graph.WR && by.rel != graph.WR) {
			by = l
		}
	}
	x := w.x
	switch by.rel {
	case graph.WR:
		read, _ := x.readOf(to, x.key[by.v])
		return x.step(graph.WR, by.v, by.v, x.wmop[by.v], read.mop, func(t1, t2 string) string {
			return fmt.Sprintf("%s observed %s's write of %v to key %v", t2, t1, x.datum(by.v), x.keyName(by.v))
		})
	case graph.Process:
		return anomaly.Step{Rel: graph.Process, A: -1, B: -1, Because: func(t1, t2 string) string {
			return fmt.Sprintf("process %s executed %s before %s", x.h.ProcessName(int(from)), t1, t2)
		}}
	}
	wrote, _ := x.writeOf(from, x.key[by.v])
	return x.step(graph.WW, wrote.v, by.v, wrote.mop, x.wmop[by.v], func(t1, t2 string) string {
		return fmt.Sprintf("%s, which knew of %s's write of %v to key %v, read %s's %v instead, so that must have come later",
			x.name(by.witness), t1, x.datum(wrote.v), x.keyName(by.v), t2, x.datum(by.v))
	})
}

// name is an operation by where its end, or else its beginning, lies in the history.
func (x *index) name(op uint32) string {
	if o := x.h.Ops[op]; o.Complete != history.NoEvent {
		return fmt.Sprintf("the operation that ended at index %d", x.h.Index(o.Complete))
	} else {
		return fmt.Sprintf("the operation that began at index %d", x.h.Index(o.Invoke))
	}
}
