package elle_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/elle"
	"rebase/elle/history"
	"rebase/elle/model"
)

// The oracle: it tries every order in which the transactions of a small list-append history
// can have happened, by executing them. It shares nothing with the checker: no graph, no
// order of versions, no anomaly.

// oracle is a history as plain data.
type oracle struct {
	txns []oracleTxn
}

type oracleTxn struct {
	micros         []history.Micro
	typ            history.Type
	process        int32
	invoke, finish int32
}

func newOracle(h *history.History) *oracle {
	o := &oracle{}
	for op := range h.Ops {
		t := oracleTxn{typ: h.Ops[op].Type, process: h.Ops[op].Process, invoke: h.Ops[op].Invoke, finish: h.Ops[op].Complete}
		for _, m := range h.Mops(op) {
			t.micros = append(t.micros, h.Micro(m))
		}
		if t.typ != history.Fail {
			o.txns = append(o.txns, t)
		}
	}
	return o
}

// before tells whether a must come before b: 0 asks nothing, 1 the order of sessions, 2
// real time.
func (o *oracle) before(a, b *oracleTxn, order int) bool {
	return order > 0 && a.typ == history.OK && a.finish < b.invoke && (order == 2 || a.process == b.process)
}

type state map[string][]string

// run executes a transaction on a copy of s, and gives the new state. ok is false if it
// has read something else.
func (t *oracleTxn) run(s state) (next state, ok bool) {
	next = state{}
	for k, v := range s {
		next[k] = v
	}
	for _, m := range t.micros {
		k := m.Key.String()
		if m.Kind == history.Append {
			next[k] = append(slices.Clip(next[k]), m.Value.String())
			continue
		}
		if t.typ == history.OK {
			var read []string
			for _, d := range m.List {
				read = append(read, d.String())
			}
			if !slices.Equal(read, next[k]) {
				return nil, false
			}
		}
	}
	return next, true
}

func (t *oracleTxn) writes() map[string]bool {
	keys := map[string]bool{}
	for _, m := range t.micros {
		if m.Kind == history.Append {
			keys[m.Key.String()] = true
		}
	}
	return keys
}

// serializable tries all orders; what is in doubt may be left out.
func (o *oracle) serializable(order int) bool {
	used := make([]bool, len(o.txns))
	var try func(s state) bool
	try = func(s state) bool {
		all := true
		for i := range o.txns {
			t := &o.txns[i]
			if used[i] {
				continue
			}
			all = all && t.typ != history.OK
			ready := true
			for j := range o.txns {
				if !used[j] && j != i && o.before(&o.txns[j], t, order) {
					ready = false
				}
			}
			if !ready {
				continue
			}
			if next, ok := t.run(s); ok {
				used[i] = true
				if try(next) {
					return true
				}
				used[i] = false
			}
		}
		return all
	}
	return try(state{})
}

// snapshot tries all orders of commits, and for each transaction all snapshots: it sees
// what had committed then, and nothing that it writes has been written since.
func (o *oracle) snapshot(order int) bool {
	used := make([]bool, len(o.txns))
	var committed []*oracleTxn
	states := []state{{}} // after so many commits
	var try func() bool
	try = func() bool {
		all := true
		for i := range o.txns {
			t := &o.txns[i]
			if used[i] {
				continue
			}
			all = all && t.typ != history.OK
			// Nothing that must have come before may still be to come.
			ready := true
			for j := range o.txns {
				if !used[j] && j != i && o.before(&o.txns[j], t, order) {
					ready = false
				}
			}
			if !ready {
				continue
			}
			writes := t.writes()
			for at := len(committed); at >= 0; at-- {
				if at < len(committed) {
					// The snapshot leaves out committed[at].
					left := committed[at]
					if o.before(left, t, order) {
						break
					}
					conflict := false
					for k := range left.writes() {
						conflict = conflict || writes[k]
					}
					if conflict {
						break
					}
				}
				own, ok := t.run(states[at])
				if !ok {
					continue
				}
				next := state{}
				for k, v := range states[len(committed)] {
					next[k] = v
				}
				for k := range writes {
					next[k] = own[k]
				}
				used[i] = true
				committed, states = append(committed, t), append(states, next)
				if try() {
					return true
				}
				used[i] = false
				committed, states = committed[:len(committed)-1], states[:len(states)-1]
			}
		}
		return all
	}
	return try()
}

// visible tries all orders in which versions can have been made. A transaction sees those
// from which it has read, if causal also those that they saw, and must read of each key the
// last version of those that it sees.
func (o *oracle) visible(causal bool) bool {
	used := make([]bool, len(o.txns))
	var before []*oracleTxn // in order
	saw := map[*oracleTxn]map[*oracleTxn]bool{}
	var try func() bool
	try = func() bool {
		all := true
		for i := range o.txns {
			t := &o.txns[i]
			if used[i] {
				continue
			}
			all = all && t.typ != history.OK
			sees, ok := t.sees(before, saw, causal)
			if !ok {
				continue
			}
			used[i], saw[t] = true, sees
			before = append(before, t)
			if try() {
				return true
			}
			used[i] = false
			before = before[:len(before)-1]
		}
		return all
	}
	return try()
}

// sees is what t must see if the transactions before it made their versions in this order.
// ok is false if that is not what it has read.
func (t *oracleTxn) sees(before []*oracleTxn, saw map[*oracleTxn]map[*oracleTxn]bool, causal bool) (sees map[*oracleTxn]bool, ok bool) {
	sees = map[*oracleTxn]bool{}
	if t.typ != history.OK {
		return sees, true // it may have seen anything, and nobody knows
	}
	// versions[k][i] is the list after i writers of k, writers[k][i] the last of them.
	versions, writers := map[string][][]string{}, map[string][]*oracleTxn{}
	for _, w := range before {
		for k := range w.writes() {
			if versions[k] == nil {
				versions[k], writers[k] = [][]string{nil}, []*oracleTxn{nil}
			}
			list := slices.Clone(versions[k][len(versions[k])-1])
			for _, m := range w.micros {
				if m.Kind == history.Append && m.Key.String() == k {
					list = append(list, m.Value.String())
				}
			}
			versions[k], writers[k] = append(versions[k], list), append(writers[k], w)
		}
	}
	own := map[string][]string{}
	at := map[string]int{} // which version it has read
	for _, m := range t.micros {
		k := m.Key.String()
		if m.Kind == history.Append {
			own[k] = append(own[k], m.Value.String())
			continue
		}
		var read []string
		for _, d := range m.List {
			read = append(read, d.String())
		}
		if versions[k] == nil {
			versions[k], writers[k] = [][]string{nil}, []*oracleTxn{nil}
		}
		which := slices.IndexFunc(versions[k], func(v []string) bool { return slices.Equal(slices.Concat(v, own[k]), read) })
		if earlier, again := at[k]; which < 0 || again && earlier != which {
			return nil, false
		}
		if own[k] != nil && which != len(versions[k])-1 {
			return nil, false // what it reads behind its own append is the version that it made
		}
		at[k] = which
		if w := writers[k][which]; w != nil {
			sees[w] = true
			for v := range saw[w] {
				if causal {
					sees[v] = true
				}
			}
		}
	}
	for k, which := range at {
		for _, later := range writers[k][which+1:] {
			if sees[later] {
				return nil, false
			}
		}
	}
	return sees, true
}

// drawHistory makes a small history in which reads return mostly, but not always, what some
// order of the appends could give.
func drawHistory(t *rapid.T) *history.History {
	keys := rapid.IntRange(1, 2).Draw(t, "keys")
	n := rapid.IntRange(1, 5).Draw(t, "txns")
	type planned struct {
		micros []history.Micro
	}
	plan := make([]planned, n)
	written := make([][]int, keys)
	next := 1
	for i := range plan {
		for range rapid.IntRange(1, 3).Draw(t, "mops") {
			k := rapid.IntRange(0, keys-1).Draw(t, "key")
			if rapid.Bool().Draw(t, "append") {
				plan[i].micros = append(plan[i].micros, history.AppendTo(k, next))
				written[k] = append(written[k], next)
				next++
			} else {
				plan[i].micros = append(plan[i].micros, history.ReadOf(k))
			}
		}
	}
	for k := range written {
		if rapid.IntRange(0, 2).Draw(t, "shuffle") == 0 {
			written[k] = rapid.Permutation(written[k]).Draw(t, "order")
		}
	}
	for i := range plan {
		for j, m := range plan[i].micros {
			if m.Kind != history.Read {
				continue
			}
			order := written[int(m.Key.Int)]
			list := slices.Clone(order[:rapid.IntRange(0, len(order)).Draw(t, "read")])
			if rapid.IntRange(0, 30).Draw(t, "odd") == 0 && len(list) > 0 {
				at := rapid.IntRange(0, len(list)-1).Draw(t, "at")
				list[at] = rapid.IntRange(1, next).Draw(t, "instead")
			}
			values := make([]any, len(list))
			for x, v := range list {
				values[x] = v
			}
			plan[i].micros[j] = history.ReadElements(m.Key, values...)
		}
	}
	b := history.NewBuilder()
	open := map[int64]int{} // transaction, by process
	started := 0
	add := func(e history.Entry) {
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	process := int64(0)
	for started < n || len(open) > 0 {
		p := rapid.Int64Range(0, 2).Draw(t, "process") + process
		i, isOpen := open[p]
		switch {
		case isOpen:
			typ := rapid.SampledFrom([]string{"ok", "ok", "ok", "ok", "ok", "ok", "info", "fail"}).Draw(t, "type")
			e := history.Entry{Type: typ, Process: p, F: "txn", Micros: plan[i].micros}
			if typ != "ok" {
				e.Micros = nil
			}
			add(e)
			delete(open, p)
		case started < n:
			e := history.Entry{Type: "invoke", Process: p, F: "txn", Txn: true}
			for _, m := range plan[started].micros {
				if m.Kind.IsRead() {
					m = history.ReadOf(m.Key)
				}
				e.Micros = append(e.Micros, m)
			}
			add(e)
			open[p] = started
			started++
		}
	}
	return b.History()
}

// complete tells whether the history shows the order of all appends that matter: of each
// key, at most one transaction has appended what nobody has read. The order of two such
// transactions can be forced by other keys, and the checker does not try out orders.
func (o *oracle) complete() bool {
	read := map[string]bool{}
	for _, t := range o.txns {
		for _, m := range t.micros {
			for _, d := range m.List {
				read[m.Key.String()+" "+d.String()] = true
			}
		}
	}
	unread := map[string]int{}
	for i, t := range o.txns {
		for _, m := range t.micros {
			k := m.Key.String()
			if m.Kind != history.Append || read[k+" "+m.Value.String()] {
				continue
			}
			if other, ok := unread[k]; ok && other != i {
				return false
			}
			unread[k] = i
		}
	}
	return true
}

// The checker must not rule out a model that some execution explains; and where the history
// shows the order of versions, it must rule out every other.
func TestAgreesWithBruteForce(t *testing.T) {
	valid, invalid := map[model.Model]int{}, map[model.Model]int{}
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		o := newOracle(h)
		for i, m := range []model.Model{"serializable", "strong-session-serializable", "strong-serializable"} {
			compare(t, h, m, o.serializable(i), true, valid, invalid)
		}
		for i, m := range []model.Model{"snapshot-isolation", "strong-session-snapshot-isolation", "strong-snapshot-isolation"} {
			compare(t, h, m, o.snapshot(i), o.complete(), valid, invalid)
		}
		compare(t, h, "read-atomic", o.visible(false), o.complete(), valid, invalid)
		compare(t, h, "causal-cerone", o.visible(true), o.complete(), valid, invalid)
	})
	for m, n := range valid {
		t.Logf("%s: %d hold, %d do not", m, n, invalid[m])
		if n == 0 || invalid[m] == 0 {
			t.Errorf("%s was not put to the test", m)
		}
	}
}

func compare(t *rapid.T, h *history.History, m model.Model, want, complete bool, valid, invalid map[model.Model]int) {
	r, err := elle.Check(t.Context(), h, elle.Options{Models: []model.Model{m}})
	if err != nil {
		t.Fatal(err)
	}
	if want {
		valid[m]++
	} else {
		invalid[m]++
	}
	if got := r.Valid != elle.Inconsistent; got != want && (want || complete) {
		t.Fatalf("%s: %v by brute force, %v (%q) by the checker\n%s", m, want, r.Valid, r.Types, lines(h, r))
	}
	for _, d := range r.Decided {
		if d.Model == m && (d.Verdict == "proved" && !want || d.Verdict != "proved" && want && complete) {
			t.Fatalf("%s is %s; by brute force %v\n%s", m, d.Verdict, want, lines(h, r))
		}
	}
	for _, a := range r.Anomalies {
		for i, s := range a.Steps {
			text := s.Because("A", "B")
			if text == "" || s.A < 0 && s.Rel&7 != 0 {
				t.Fatalf("step %d of %s has no reason\n%s", i, a.Type, lines(h, r))
			}
		}
	}
}

// lines are a history and what was found in it, for messages.
func lines(h *history.History, r *elle.Result) string {
	text := ""
	for op := range h.Ops {
		text += fmt.Sprintf("%d..%d %s\n", h.Ops[op].Invoke, h.Ops[op].Complete, r.Describe(op))
	}
	for _, a := range r.Anomalies {
		text += string(a.Type) + "\n" + r.Explain(a)
	}
	return text
}
