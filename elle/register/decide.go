package register

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/model"
	"rebase/elle/polygraph"
)

// Decision is whether a history satisfies a model, in any order of versions whatsoever.
type Decision struct {
	Model   model.Model
	Verdict polygraph.Verdict
	// Witness shows why not, where the verdict is Refuted. Its steps may rest on each other: an order of two
	// writes that is not seen but forced says so, and why. It is nil where the search found nothing in
	// any branch, and where a weaker model is refuted already.
	Witness *anomaly.Anomaly
}

// Limits bound Decide. The zero value has the bounds of package polygraph.
type Limits struct {
	MaxBytes, MaxWork int
	// Want are the anomalies whose absence is of interest: a model is decided only if the name of its refutation
	// is among them. Nil means all.
	Want map[model.Anomaly]bool
}

// The models that Decide knows, and what their refutation is called. Weaker ones come first.
var decided = []struct {
	model    model.Model
	anomaly  model.Anomaly
	weak     bool // of the kind of type weak
	causal   bool
	snapshot bool
	rel      graph.Rel // Process, Realtime or 0
}{
	{"read-atomic", model.FracturedRead, true, false, false, 0},
	{"causal-cerone", model.CausalCycle, true, true, false, 0},
	{"snapshot-isolation", "PL-SI-cycle-exists", false, false, true, 0},
	{"serializable", "PL-3-cycle-exists", false, false, false, 0},
	{"strong-session-snapshot-isolation", "strong-session-snapshot-isolation-cycle-exists", false, false, true, graph.Process},
	{"strong-session-serializable", "strong-session-serializable-cycle-exists", false, false, false, graph.Process},
	{"strong-snapshot-isolation", "strong-snapshot-isolation-cycle-exists", false, false, true, graph.Realtime},
	{"strong-serializable", "PL-SS-cycle-exists", false, false, false, graph.Realtime},
}

// Decide decides read atomic, causal consistency, snapshot isolation and serializability, the last two also with the order
// in sessions and with real time.
func Decide(h *history.History, l Limits) []Decision {
	return newIndex(h).decide(l)
}

func (x *index) decide(l Limits) []Decision {
	out := make([]Decision, len(decided))
	done := make([]bool, len(decided))
	for i, m := range decided {
		out[i].Model = m.model
		done[i] = l.Want != nil && !l.Want[m.anomaly]
	}
	asked := slices.Clone(done)
	settle := func(i int, v polygraph.Verdict, a *anomaly.Anomaly) {
		out[i].Verdict, out[i].Witness, done[i] = v, a, true
		for j := range out { // what holds there holds for all that is weaker, and what fails there fails for all that is stronger
			switch {
			case done[j]:
			case v == polygraph.Proved && decided[i].model.Implies(decided[j].model),
				v == polygraph.Refuted && decided[j].model.Implies(decided[i].model):
				out[j].Verdict, done[j] = v, true
			}
		}
	}
	if verdict, a := x.obvious(); verdict != polygraph.Proved {
		for i := range out {
			out[i].Verdict, out[i].Witness, done[i] = verdict, a, true
		}
	}
	solve := func(i int) {
		m := decided[i]
		if m.weak {
			v, a := x.weak(m.causal, false)
			if a != nil {
				a.Type = m.anomaly
			}
			settle(i, v, a)
			return
		}
		r := polygraph.Solve(x.problem(m.snapshot, m.rel, l))
		var a *anomaly.Anomaly
		if r.Verdict == polygraph.Refuted {
			a = x.contradiction(m.anomaly, m.rel, r)
		}
		settle(i, r.Verdict, a)
	}
	if last := len(out) - 1; !done[last] {
		solve(last) // it may settle them all
		done[last] = true
	}
	for i := range out {
		if !done[i] {
			solve(i)
		}
	}
	kept := out[:0]
	for i, d := range out {
		if !asked[i] {
			kept = append(kept, d)
		}
	}
	return kept
}

// obvious says what can be said without looking at more than one transaction: Proved means nothing.
func (x *index) obvious() (polygraph.Verdict, *anomaly.Anomaly) {
	for _, a := range append(x.insides(), x.badReads()...) {
		return polygraph.Refuted, &a // contradicts all of them
	}
	for v := range x.key {
		if x.doubled[v] && x.readersAt[v] < x.readersAt[v+1] {
			return polygraph.NotDecided, nil // nobody can tell what was read
		}
	}
	return polygraph.Proved, nil
}

// weak decides read atomic or causal consistency.
func (x *index) weak(causal, sessions bool) (polygraph.Verdict, *anomaly.Anomaly) {
	w := newWeak(x, sessions)
	if causal {
		if !w.causal() {
			if !sessions { // with sessions it is cheaper, and says more
				if v, _ := x.weak(true, true); v == polygraph.Proved {
					return v, nil
				}
			}
			return polygraph.NotDecided, nil
		}
	} else {
		w.atomic()
	}
	return w.verdict()
}

// Sessions decides read committed, read atomic and causal consistency as Biswas and Enea define them: with
// the order of sessions, and with read committed so that a read must not be older than what an earlier read of
// its transaction shows. Their causal consistency is what others call that with session guarantees.
func Sessions(h *history.History) []Decision {
	x := newIndex(h)
	committed := newWeak(x, true)
	committed.committedReads()
	v, a := committed.verdict()
	for _, bad := range x.badReads() {
		if v != polygraph.Refuted && bad.Type != model.G1b {
			v, a = polygraph.Refuted, &bad
		}
	}
	out := []Decision{{"read-committed", v, a}}
	for _, m := range []struct {
		model   model.Model
		anomaly model.Anomaly
		causal  bool
	}{{"read-atomic", model.FracturedRead, false}, {"causal", model.CausalCycle, true}} {
		v, a := x.weak(m.causal, true)
		if a != nil {
			a.Type = m.anomaly
		}
		for _, bad := range append(x.insides(), x.badReads()...) {
			if v != polygraph.Refuted {
				v, a = polygraph.Refuted, &bad
			}
		}
		out = append(out, Decision{m.model, v, a})
	}
	if out[0].Witness != nil && out[0].Witness.Type == "" {
		out[0].Witness.Type = "PL-2-cycle-exists"
	}
	return out
}

// problem states what is known, for a solver.
func (x *index) problem(snapshot bool, rel graph.Rel, l Limits) *polygraph.Problem {
	initial := uint32(len(x.h.Ops))
	p := &polygraph.Problem{Vertices: len(x.h.Ops) + 1, Snapshot: snapshot, MaxBytes: l.MaxBytes, MaxWork: l.MaxWork}
	x.objects = nil
	for k := range x.h.Keys() {
		var o polygraph.Object
		if first := x.initial[k]; first != none && len(x.readersOf(first)) > 0 {
			o.Writers, o.Readers = append(o.Writers, initial), append(o.Readers, x.readersOf(first))
		}
		for _, v := range x.byKey[k] {
			w, ok := x.committed(v)
			if !ok || x.between[v] {
				continue
			}
			if len(o.Writers) > 0 && o.Writers[0] == initial {
				p.Known = append(p.Known, polygraph.Edge{From: initial, To: w})
			}
			o.Writers, o.Readers = append(o.Writers, w), append(o.Readers, x.readersOf(v))
			for _, r := range x.readersOf(v) {
				p.Known = append(p.Known, polygraph.Edge{From: w, To: r})
			}
		}
		if len(o.Writers) > 1 {
			p.Objects = append(p.Objects, o)
			x.objects = append(x.objects, history.Key(k))
		}
	}
	var moments []int64
	switch rel {
	case graph.Process:
		x.knowSessions(p)
	case graph.Realtime:
		moments = x.knowRealtime(p)
	}
	p.Likely = make([]int64, p.Vertices)
	p.Began, p.Ended = make([]int64, p.Vertices), make([]int64, p.Vertices)
	for op := range x.h.Ops {
		o := &x.h.Ops[op]
		p.Likely[op], p.Began[op], p.Ended[op] = int64(o.Complete), int64(o.Invoke), int64(o.Complete)
		if o.Type == history.Info || o.Invoke == history.NoEvent {
			p.Ended[op] = math.MaxInt64
		}
		if o.Type == history.Info {
			p.Likely[op] = math.MaxInt64 // until somebody has seen it
		}
	}
	for v := range version(len(x.key)) { // what was read had been written by then
		if w, ok := x.committed(v); ok {
			for _, r := range x.readersOf(v) {
				p.Likely[w] = min(p.Likely[w], max(p.Likely[r]-1, p.Began[w]))
			}
		}
	}
	p.Likely[initial], p.Began[initial], p.Ended[initial] = -1, -2, -2
	for i, at := range moments {
		v := int(initial) + 1 + i
		p.Likely[v], p.Began[v], p.Ended[v] = at, at, at
	}
	p.Timed = rel == graph.Realtime
	return p
}

func (x *index) knowSessions(p *polygraph.Problem) {
	last := map[int32]uint32{}
	for op := range uint32(len(x.h.Ops)) {
		process := x.h.Ops[op].Process
		if !x.happened(op) || process == history.NoProcess {
			continue
		}
		if before, ok := last[process]; ok {
			p.Known = append(p.Known, polygraph.Edge{From: before, To: op})
		}
		last[process] = op
	}
}

// knowRealtime adds a chain of vertices, a moment each: what has ended leads to the next moment, and the last moment
// to what begins. It returns when the moments are.
func (x *index) knowRealtime(p *polygraph.Problem) (moments []int64) {
	moment, open := none, false // open: nothing has begun since the moment
	for at, e := range x.h.Events() {
		op := e >> 1
		if !x.happened(op) {
			continue
		}
		switch {
		case e&1 == 0:
			if moment != none {
				p.Known = append(p.Known, polygraph.Edge{From: moment, To: op})
			}
			open = false
		case x.h.Ops[op].Type == history.OK && x.h.Ops[op].Invoke != history.NoEvent:
			if !open {
				next := uint32(p.Vertices)
				p.Vertices++
				moments = append(moments, int64(at))
				if moment != none {
					p.Known = append(p.Known, polygraph.Edge{From: moment, To: next})
				}
				moment, open = next, true
			}
			p.Known = append(p.Known, polygraph.Edge{From: op, To: moment})
		}
	}
	return moments
}

// contradiction tells a refutation.
func (x *index) contradiction(name model.Anomaly, rel graph.Rel, r polygraph.Result) *anomaly.Anomaly {
	a := &anomaly.Anomaly{Type: name}
	if r.Cycle == nil {
		a.Text = fmt.Sprintf("No order of the versions satisfies the model: each of %d ways to choose among those that nothing forces ends in a cycle", r.Tries)
		return a
	}
	steps := x.collapse(r.Cycle)
	initial := uint32(len(x.h.Ops))
	for i := range steps {
		s := &steps[i]
		if s.To == initial {
			return x.neverSeen(name, s.From)
		}
		if s.From == initial { // the initial state has no operation: pass over it
			continue
		}
		a.Ops = append(a.Ops, int(s.From))
		a.Steps = append(a.Steps, x.told(s, rel))
	}
	return a
}

// collapse makes one step of those that lead through moments of real time.
func (x *index) collapse(cycle []polygraph.Step) []polygraph.Step {
	n := uint32(len(x.h.Ops))
	start := 0
	for start < len(cycle) && cycle[start].From > n {
		start++ // begin at a transaction
	}
	if start == len(cycle) {
		return cycle
	}
	var out []polygraph.Step
	for i := range cycle {
		s := cycle[(start+i)%len(cycle)]
		if s.From > n {
			out[len(out)-1].To = s.To
			continue
		}
		out = append(out, s)
	}
	return out
}

// told puts a step into words.
func (x *index) told(s *polygraph.Step, rel graph.Rel) anomaly.Step {
	if s.Object < 0 {
		if !s.Anti {
			if step, ok := (&edges{x, &orders{at: make([]uint32, len(x.key)+1)}}).Explain(int(s.From), int(s.To), graph.WR); ok {
				return step
			}
		}
		if s.Anti {
			return x.missedInTime(s)
		}
		if rel == graph.Realtime && !x.before(s.From, s.To) {
			return x.seenLater(s)
		}
		r, why := graph.Process, fmt.Sprintf("process %s executed", x.h.ProcessName(int(s.From)))
		if rel == graph.Realtime {
			r, why = graph.Realtime, ""
		}
		return anomaly.Step{Rel: r, A: -1, B: -1, Because: func(t1, t2 string) string {
			if why == "" {
				return fmt.Sprintf("%s was over before %s began", t1, t2)
			}
			return fmt.Sprintf("%s %s before %s", why, t1, t2)
		}}
	}
	k := x.objects[s.Object]
	second, _ := x.writeOf(s.Second, k)
	first := access{v: x.initial[k]}
	initial := s.First == uint32(len(x.h.Ops))
	if !initial {
		first, _ = x.writeOf(s.First, k)
	}
	forced := ""
	if !initial {
		forced = fmt.Sprintf("; that %v came before %v is forced%s", x.datum(first.v), x.datum(second.v), x.otherwise(s, rel))
	}
	if s.Anti {
		read, _ := x.readOf(s.From, k)
		return x.step(graph.RW, first.v, second.v, read.mop, second.mop, func(t1, t2 string) string {
			return fmt.Sprintf("%s read %v from key %v, and %s set it to %v later%s", t1, x.datum(first.v), x.h.KeyDatum(k), t2, x.datum(second.v), forced)
		})
	}
	return x.step(graph.WW, first.v, second.v, first.mop, second.mop, func(t1, t2 string) string {
		return fmt.Sprintf("%s set key %v to %v before %s set it to %v%s", t1, x.h.KeyDatum(k), x.datum(first.v), t2, x.datum(second.v), forced)
	})
}

// before tells whether an operation was over before another began.
func (x *index) before(a, b uint32) bool {
	return x.h.Ops[a].Type == history.OK && x.h.Ops[a].Complete < x.h.Ops[b].Invoke
}

// neverSeen tells of a write that was over before somebody read its key in the initial state.
func (x *index) neverSeen(name model.Anomaly, writer uint32) *anomaly.Anomaly {
	for _, w := range x.writesOf(writer) {
		first := x.initial[x.key[w.v]]
		if first == none {
			continue
		}
		for _, r := range x.readersOf(first) {
			if !x.before(writer, r) {
				continue
			}
			read, _ := x.readOf(r, x.key[w.v])
			return &anomaly.Anomaly{Type: name, Ops: []int{int(writer), int(r)}, Steps: []anomaly.Step{
				{Rel: graph.Realtime, A: -1, B: -1, Because: func(t1, t2 string) string { return t1 + " was over before " + t2 + " began" }},
				x.step(graph.RW, first, w.v, read.mop, w.mop, func(t1, t2 string) string {
					return fmt.Sprintf("%s read key %v in its initial state, before %s set it to %v", t1, x.keyName(first), t2, x.datum(w.v))
				})}}
		}
	}
	return &anomaly.Anomaly{Type: name, Ops: []int{int(writer)}, Text: "T1 was over before its key was read in its initial state"}
}

// seenLater tells of two writes of which the first was over before somebody read the second.
func (x *index) seenLater(s *polygraph.Step) anomaly.Step {
	for _, second := range x.writesOf(s.To) {
		first, ok := x.writeOf(s.From, x.key[second.v])
		if !ok {
			continue
		}
		for _, r := range x.readersOf(second.v) {
			if x.before(s.From, r) {
				return x.step(graph.WW, first.v, second.v, first.mop, second.mop, func(t1, t2 string) string {
					return fmt.Sprintf("%s set key %v to %v and was over before %s began, which read %s's %v, so that came later",
						t1, x.keyName(first.v), x.datum(first.v), x.name(r), t2, x.datum(second.v))
				})
			}
		}
	}
	return anomaly.Step{Rel: graph.WW, A: -1, B: -1, Because: func(t1, t2 string) string { return t2 + " overwrote what " + t1 + " wrote" }}
}

// missedInTime tells of a read of a version whose writer had ended before another writer of the key began.
func (x *index) missedInTime(s *polygraph.Step) anomaly.Step {
	for _, read := range x.readsOf(s.From) {
		wrote, ok := x.writeOf(s.To, x.key[read.v])
		if !ok {
			continue
		}
		by, known := x.committed(read.v)
		if known && (x.h.Ops[by].Type != history.OK || x.h.Ops[by].Complete > x.h.Ops[s.To].Invoke) || !known && x.val[read.v] != history.None {
			continue
		}
		return x.step(graph.RW, read.v, wrote.v, read.mop, wrote.mop, func(t1, t2 string) string {
			if !known {
				return fmt.Sprintf("%s read key %v in its initial state, before %s set it to %v", t1, x.keyName(read.v), t2, x.datum(wrote.v))
			}
			return fmt.Sprintf("%s read %v from key %v, which was written before %s began, which set it to %v", t1, x.datum(read.v), x.keyName(read.v), t2, x.datum(wrote.v))
		})
	}
	return anomaly.Step{Rel: graph.RW, A: -1, B: -1, Because: func(t1, t2 string) string { return t1 + " read what " + t2 + " replaced" }}
}

// otherwise says which cycle the other order would have closed.
func (x *index) otherwise(s *polygraph.Step, rel graph.Rel) string {
	if len(s.Otherwise) == 0 {
		return ""
	}
	var names []string
	for _, o := range x.collapse(s.Otherwise) {
		if o.From < uint32(len(x.h.Ops)) {
			names = append(names, x.name(o.From))
		}
	}
	return ", because otherwise these would precede each other in a circle: " + strings.Join(names, ", ")
}
