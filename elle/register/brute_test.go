package register

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rebase/elle/history"
	"rebase/elle/model"
	"rebase/elle/polygraph"
)

// An oracle that knows nothing of graphs: it tries all orders, and runs the transactions.

// step is a read or write of a small transaction. Value 0 is nil.
type step struct {
	write      bool
	key, value int
}

type small struct {
	process    int
	typ        string // "ok", "fail", "info"
	start, end int    // places in the history; end is very large if it never ended
	steps      []step
}

func (t *small) last(key int) int {
	v := 0
	for _, s := range t.steps {
		if s.write && s.key == key {
			v = s.value
		}
	}
	return v
}

// drawHistory draws a history in which most reads return something that some transaction writes.
func drawHistory(t *rapid.T, most int) []*small {
	n := rapid.IntRange(2, most).Draw(t, "transactions")
	keys := rapid.IntRange(1, 3).Draw(t, "keys")
	written := make([][]int, keys)
	next := 1
	txns := make([]*small, n)
	types := []string{"ok", "ok", "ok", "ok", "ok", "ok", "info", "fail"}
	for i := range txns {
		txns[i] = &small{process: i, typ: rapid.SampledFrom(types).Draw(t, "type")}
		for range rapid.IntRange(1, 3).Draw(t, "steps") {
			s := step{write: rapid.Bool().Draw(t, "write"), key: rapid.IntRange(0, keys-1).Draw(t, "key")}
			if s.write {
				s.value = next
				written[s.key] = append(written[s.key], next)
				next++
			}
			txns[i].steps = append(txns[i].steps, s)
		}
	}
	for _, txn := range txns {
		for i := range txn.steps {
			s := &txn.steps[i]
			if s.write {
				continue
			}
			s.value = rapid.SampledFrom(append([]int{0}, written[s.key]...)).Draw(t, "value")
			for _, earlier := range txn.steps[:i] {
				if earlier.key == s.key {
					s.value = earlier.value // or hardly any history would be of interest
				}
			}
		}
	}
	// Some share a process, and some overlap.
	at, open := 0, []*small{}
	wait := slices.Clone(txns)
	for len(wait) > 0 || len(open) > 0 {
		if len(wait) > 0 && (len(open) == 0 || rapid.Bool().Draw(t, "begin")) {
			txn := wait[0]
			wait = wait[1:]
			if rapid.Bool().Draw(t, "same") {
				for _, other := range txns {
					if other.typ != "info" && other.end > 0 && other != txn && !slices.ContainsFunc(txns, func(o *small) bool {
						return o != other && o.process == other.process && o.start > 0 && (o.end == 0 || o.typ == "info")
					}) {
						txn.process = other.process
					}
				}
			}
			at++
			txn.start = at
			open = append(open, txn)
			continue
		}
		i := rapid.IntRange(0, len(open)-1).Draw(t, "end")
		at++
		open[i].end = at
		open = slices.Delete(open, i, i+1)
	}
	return txns
}

// text writes the history down as EDN.
func text(txns []*small, rename func(key int) string, process func(int) int) string {
	lines := map[int]string{}
	for _, txn := range txns {
		for _, typ := range []string{"invoke", txn.typ} {
			var steps []string
			for _, s := range txn.steps {
				value := fmt.Sprint(s.value)
				if !s.write && (typ != "ok" || s.value == 0) {
					value = "nil"
				}
				f := ":r"
				if s.write {
					f = ":w"
				}
				steps = append(steps, fmt.Sprintf("[%s %s %s]", f, rename(s.key), value))
			}
			at := txn.start
			if typ != "invoke" {
				at = txn.end
			}
			lines[at] = fmt.Sprintf("{:type :%s, :f :txn, :process %d, :value [%s]}\n", typ, process(txn.process), strings.Join(steps, " "))
		}
	}
	var b strings.Builder
	for i := 1; i <= len(lines); i++ {
		b.WriteString(lines[i])
	}
	return b.String()
}

// oracle answers for every choice of what happened to the transactions in doubt.
func oracle(txns []*small, good func([]*small) bool) bool {
	var certain, doubt []*small
	for _, t := range txns {
		switch t.typ {
		case "ok":
			certain = append(certain, t)
		case "info":
			doubt = append(doubt, t)
		}
	}
	for mask := range 1 << len(doubt) {
		chosen := slices.Clone(certain)
		for i, t := range doubt {
			if mask&(1<<i) != 0 {
				chosen = append(chosen, t)
			}
		}
		if good(chosen) {
			return true
		}
	}
	return false
}

// before tells what a model's order must respect.
type before func(a, b *small) bool

func anyOrder(a, b *small) bool { return false }
func inSession(a, b *small) bool {
	return a.process == b.process && a.typ == "ok" && a.end < b.start
}
func inTime(a, b *small) bool { return a.typ == "ok" && a.end < b.start }

// run executes a transaction on a state and tells whether its reads are right. Reads of those in doubt are unknown.
func run(t *small, state map[int]int) bool {
	own := map[int]int{}
	for _, s := range t.steps {
		if s.write {
			own[s.key] = s.value
			continue
		}
		v, wrote := own[s.key]
		if !wrote {
			v = state[s.key]
		}
		if t.typ == "ok" && v != s.value {
			return false
		}
	}
	return true
}

func apply(t *small, state map[int]int) map[int]int {
	next := map[int]int{}
	for k, v := range state {
		next[k] = v
	}
	for _, s := range t.steps {
		if s.write {
			next[s.key] = s.value
		}
	}
	return next
}

// serializable tries all serial executions.
func serializable(rel before) func([]*small) bool {
	var try func(left []*small, state map[int]int) bool
	try = func(left []*small, state map[int]int) bool {
		for i, t := range left {
			if slices.ContainsFunc(left, func(o *small) bool { return rel(o, t) }) || !run(t, state) {
				continue
			}
			rest := slices.Delete(slices.Clone(left), i, i+1)
			if len(rest) == 0 || try(rest, apply(t, state)) {
				return true
			}
		}
		return len(left) == 0
	}
	return func(txns []*small) bool { return try(txns, map[int]int{}) }
}

// snapshotIsolation tries all orders of beginnings and commits: a transaction reads the state at its beginning, and may commit if no
// other has since written what it writes.
func snapshotIsolation(rel before) func([]*small) bool {
	type running struct {
		t     *small
		state map[int]int
	}
	var try func(wait []*small, open []running, state map[int]int) bool
	try = func(wait []*small, open []running, state map[int]int) bool {
		if len(wait)+len(open) == 0 {
			return true
		}
		for i, t := range wait {
			blocked := func(o *small) bool { return rel(o, t) }
			if slices.ContainsFunc(wait, blocked) || slices.ContainsFunc(open, func(r running) bool { return blocked(r.t) }) || !run(t, state) {
				continue
			}
			if try(slices.Delete(slices.Clone(wait), i, i+1), append(slices.Clone(open), running{t, state}), state) {
				return true
			}
		}
		for i, r := range open {
			conflict := slices.ContainsFunc(r.t.steps, func(s step) bool { return s.write && state[s.key] != r.state[s.key] })
			if !conflict && try(wait, slices.Delete(slices.Clone(open), i, i+1), apply(r.t, state)) {
				return true
			}
		}
		return false
	}
	return func(txns []*small) bool { return try(txns, nil, map[int]int{}) }
}

// explained tries all arbitration orders: each read returns the last version, by that order, of those that its
// transaction sees, which are no more than it must.
func explained(causal bool) func([]*small) bool {
	return func(txns []*small) bool {
		n := len(txns)
		sees := make([][]bool, n)
		for i, t := range txns {
			sees[i] = make([]bool, n)
			for _, s := range t.steps {
				for j, o := range txns {
					if t.typ == "ok" && !s.write && i != j && s.value != 0 && o.last(s.key) == s.value {
						sees[i][j] = true
					}
				}
			}
		}
		for k := 0; causal && k < n; k++ {
			for i := range n {
				for j := range n {
					sees[i][j] = sees[i][j] || sees[i][k] && sees[k][j]
				}
			}
		}
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		return permute(order, 0, func() bool {
			for at, i := range order {
				state := map[int]int{}
				for _, j := range order[:at] {
					if sees[i][j] {
						state = apply(txns[j], state)
					}
				}
				for _, j := range order[at:] {
					if sees[i][j] {
						return false
					}
				}
				if !run(txns[i], state) {
					return false
				}
			}
			return true
		})
	}
}

func permute(list []int, from int, f func() bool) bool {
	if from == len(list) {
		return f()
	}
	for i := from; i < len(list); i++ {
		list[from], list[i] = list[i], list[from]
		found := permute(list, from+1, f)
		list[from], list[i] = list[i], list[from]
		if found {
			return true
		}
	}
	return false
}

var oracles = map[model.Model]func([]*small) bool{
	"read-atomic":                       explained(false),
	"causal-cerone":                     explained(true),
	"snapshot-isolation":                snapshotIsolation(anyOrder),
	"strong-session-snapshot-isolation": snapshotIsolation(inSession),
	"strong-snapshot-isolation":         snapshotIsolation(inTime),
	"serializable":                      serializable(anyOrder),
	"strong-session-serializable":       serializable(inSession),
	"strong-serializable":               serializable(inTime),
}

func plainKey(k int) string  { return fmt.Sprint(k) }
func plainProcess(p int) int { return p }

func parsed(t *rapid.T, edn string) *history.History {
	h, err := history.Parse(strings.NewReader(edn), history.ParseOptions{Format: history.EDN})
	if err != nil {
		t.Fatalf("%v\n%s", err, edn)
	}
	return h
}

func TestAgreesWithBruteForce(t *testing.T) {
	counts := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		txns := drawHistory(t, 5)
		edn := text(txns, plainKey, plainProcess)
		for _, d := range Decide(parsed(t, edn), Limits{}) {
			want := polygraph.Refuted
			if oracle(txns, oracles[d.Model]) {
				want = polygraph.Proved
			}
			if d.Verdict != want {
				t.Fatalf("%s is %v, not %v:\n%s", d.Model, want, d.Verdict, edn)
			}
			counts[fmt.Sprint(d.Model, " ", want)]++
		}
	})
	for m := range oracles {
		for _, v := range []polygraph.Verdict{polygraph.Proved, polygraph.Refuted} {
			if counts[fmt.Sprint(m, " ", v)] == 0 {
				t.Errorf("%s was never %v", m, v)
			}
		}
	}
}

func TestNamesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		txns := drawHistory(t, 8)
		names := rapid.Permutation([]string{`"a"`, ":b", "7"}).Draw(t, "names")
		shift := rapid.IntRange(1, 1000).Draw(t, "shift")
		a := Decide(parsed(t, text(txns, plainKey, plainProcess)), Limits{})
		b := Decide(parsed(t, text(txns, func(k int) string { return names[k] }, func(p int) int { return shift - p })), Limits{})
		for i := range a {
			if a[i].Verdict != b[i].Verdict {
				t.Fatalf("%s: %v becomes %v", a[i].Model, a[i].Verdict, b[i].Verdict)
			}
		}
	})
}
