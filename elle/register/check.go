package register

import (
	"fmt"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/model"
)

// Options are what the caller is willing to assume about single keys, whatever is claimed of transactions. That nil
// was there before anything was written is always assumed.
type Options struct {
	// WFRKeys: writes follow reads. If a transaction reads a version and then writes, it writes a later one.
	WFRKeys bool
	// SequentialKeys: each key goes through its versions in an order that every process agrees with.
	SequentialKeys bool
	// LinearizableKeys: each key goes through its versions in the order of real time.
	LinearizableKeys bool
	// Order tells the place of an operation among the commits, where it is known from the inside of the
	// database. Nil if nothing is.
	Order func(op int) (commit int64, ok bool)
}

// Check finds what is no cycle, and makes the graph of data dependencies for what is.
func Check(h *history.History, o Options) *anomaly.Analysis {
	return newIndex(h).check(o)
}

func (x *index) check(o Options) *anomaly.Analysis {
	a := &anomaly.Analysis{Build: graph.NewBuilder(len(x.h.Ops))}
	txns := 0
	for op := range x.h.Ops {
		if x.h.Ops[op].Type == history.OK && len(x.h.Mops(op)) > 0 {
			txns++
		}
	}
	if txns == 0 {
		a.Unknown = append(a.Unknown, model.EmptyGraph)
	}
	for _, doubled := range x.doubled {
		if doubled {
			a.Unknown = append(a.Unknown, model.DuplicateWrites)
			break
		}
	}
	orders := x.orderVersions(o)
	a.Found = append(a.Found, x.insides()...)
	a.Found = append(a.Found, x.badReads()...)
	a.Found = append(a.Found, x.lostUpdates()...)
	for _, c := range orders.cyclic {
		a.Found = append(a.Found, x.cyclicVersions(c))
	}
	e := &edges{x, orders}
	e.add(a.Build)
	a.Source = e
	return a
}

// datum is a version's value as it was written.
func (x *index) datum(v version) history.Datum { return x.h.Datum(x.val[v]) }

func (x *index) keyName(v version) history.Datum { return x.h.KeyDatum(x.key[v]) }

// insides are the reads that disagree with their own transactions.
func (x *index) insides() []anomaly.Anomaly {
	var found []anomaly.Anomaly
	for _, i := range x.internal {
		mops := x.h.Mops(int(i.op))
		read, earlier := mops[i.read], mops[i.earlier]
		did := "read"
		if earlier.Kind == history.Write {
			did = "set it to"
		}
		key, got, had := x.h.KeyDatum(read.Key), x.h.Datum(read.Val), x.h.Datum(earlier.Val)
		found = append(found, anomaly.Anomaly{Type: model.Internal, Ops: []int{int(i.op)},
			Text:  fmt.Sprintf("T1 read %v from key %v, but it had %s %v before", got, key, did, had),
			Facts: []anomaly.Fact{{Name: "key", Value: key}, {Name: "value", Value: got}, {Name: "expected", Value: had}}})
	}
	for _, i := range x.futurities {
		read := x.h.Mops(int(i.op))[i.read]
		key, got := x.h.KeyDatum(read.Key), x.h.Datum(read.Val)
		found = append(found, anomaly.Anomaly{Type: model.FutureRead, Ops: []int{int(i.op)},
			Text:  fmt.Sprintf("T1 read %v from key %v before it wrote that itself", got, key),
			Facts: []anomaly.Fact{{Name: "key", Value: key}, {Name: "value", Value: got}}})
	}
	return found
}

// badReads are reads of what nobody has committed so.
func (x *index) badReads() []anomaly.Anomaly {
	var found []anomaly.Anomaly
	for op := range uint32(len(x.h.Ops)) {
		for _, r := range x.readsOf(op) {
			if x.val[r.v] == history.None || x.doubled[r.v] {
				continue
			}
			key, val := x.keyName(r.v), x.datum(r.v)
			facts := []anomaly.Fact{{Name: "key", Value: key}, {Name: "value", Value: val}}
			w := x.writer[r.v]
			switch {
			case w == none:
				found = append(found, anomaly.Anomaly{Type: model.GarbageRead, Ops: []int{int(op)}, Facts: facts,
					Text: fmt.Sprintf("T1 read %v from key %v, which nobody ever wrote to it", val, key)})
			case x.h.Ops[w].Type == history.Fail:
				found = append(found, anomaly.Anomaly{Type: model.G1a, Ops: []int{int(op), int(w)}, Facts: facts,
					Text: fmt.Sprintf("T1 read %v from key %v, which T2 wrote, and T2 failed", val, key)})
			case x.between[r.v] && w != op:
				found = append(found, anomaly.Anomaly{Type: model.G1b, Ops: []int{int(op), int(w)}, Facts: facts,
					Text: fmt.Sprintf("T1 read %v from key %v, which T2 wrote and replaced before it ended", val, key)})
			}
		}
	}
	return found
}

// lostUpdates are versions that several transactions read and replaced.
func (x *index) lostUpdates() []anomaly.Anomaly {
	var found []anomaly.Anomaly
	for v := range version(len(x.key)) {
		if x.doubled[v] {
			continue
		}
		var ops []int
		for _, op := range x.readersOf(v) {
			if _, wrote := x.writeOf(op, x.key[v]); wrote {
				ops = append(ops, int(op))
			}
		}
		if len(ops) < 2 {
			continue
		}
		key, val := x.keyName(v), x.datum(v)
		found = append(found, anomaly.Anomaly{Type: model.LostUpdate, Ops: ops,
			Text:  fmt.Sprintf("%d transactions read %v from key %v and then wrote to it, so that all updates but one were lost", len(ops), val, key),
			Facts: []anomaly.Fact{{Name: "key", Value: key}, {Name: "value", Value: val}}})
	}
	return found
}

func (x *index) cyclicVersions(c cyclic) anomaly.Anomaly {
	var ops []int
	values := make([]history.Datum, len(c.versions))
	text := ""
	for i, v := range c.versions {
		values[i] = x.datum(v)
		text += values[i].String() + " < "
		if w := x.writer[v]; w != none {
			ops = append(ops, int(w))
		}
		for _, r := range x.readersOf(v) {
			ops = append(ops, int(r))
			break
		}
	}
	key := x.h.KeyDatum(c.key)
	return anomaly.Anomaly{Type: model.CyclicVersions, Ops: ops,
		Text: fmt.Sprintf("The versions of key %v would have to precede themselves: %s%v", key, text, values[0]),
		Facts: []anomaly.Fact{{Name: "key", Value: key}, {Name: "scc", Value: values},
			{Name: "sources", Value: c.sources}}}
}
