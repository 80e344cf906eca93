// Package anomaly says what checkers of histories find: an Anomaly is a type, the
// operations that show it, and the reason in words that a person can hold against the
// history. The checkers of workloads (lists, registers …) make them; reports, pictures and
// machines read them. It knows no workload.
package anomaly

import (
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/model"
)

// Anomaly is one finding.
type Anomaly struct {
	Type model.Anomaly
	// Ops are the operations (numbers in the history) that show it. Of a cycle they are in
	// its order, each once, unless the shortest proof passes one twice.
	Ops []int
	// Steps are those of a cycle: Steps[i] leads from Ops[i] to the next one, the last to
	// Ops[0]. Nil if it is not a cycle.
	Steps []Step
	// Text says in one or two sentences what is wrong. For a cycle it may be empty: the
	// steps say it.
	Text string
	// Facts are the particulars for machines, such as "key" and "element".
	Facts []Fact
}

// Fact is a particular of an anomaly. Value is what encoding/json can write: most often a
// history.Datum, a number or a string.
type Fact struct {
	Name  string
	Value any
}

// Step says why one operation of a cycle precedes the next.
type Step struct {
	// Rel is one relation: graph.WW, WR, RW, Process or Realtime.
	Rel graph.Rel
	// Key, Value and Next are of data relations: the version that the first operation
	// wrote or read (nil: the initial one), and the one that the second wrote, if another.
	Key, Value, Next history.Datum
	// A and B are the micro-operations of the two operations that show it, or -1.
	A, B int
	// Because completes "T1 < T2, because …"; it names the operations as the arguments say.
	Because func(t1, t2 string) string
}

// Source explains the edges of a graph it has made.
type Source interface {
	// Explain says why operation a precedes b by rel, which is one relation. ok is false
	// if it does not: a searcher asks for several and takes the first that holds.
	Explain(a, b int, rel graph.Rel) (step Step, ok bool)
}

// Analysis is what the checker of a workload makes of a history: the anomalies that are no
// cycles, and a graph in which to look for those that are.
type Analysis struct {
	Found []Anomaly
	// Build has the edges of data; its transactions are the operations of the history.
	// Whoever asked for the analysis adds the order within sessions and real time.
	Build  *graph.Builder
	Source Source
	// Weak looks for what read-atomic and causal consistency rule out: fractured-read if
	// atomic, else causal-cycle, with sessions also by the order within processes. Nil if
	// the checker has no such search. It finds nothing where there is no cycle with exactly
	// one rw, so it is for those who have found one.
	Weak func(atomic, sessions bool, max int) (found []Anomaly, count int)
	// Counts are how many anomalies of a type there are, where Found has only the first.
	Counts map[model.Anomaly]int
	// Complete says that the history shows the order of all versions.
	Complete bool
	// Unknown are reasons why the history could not be judged: a type such as
	// "empty-transaction-graph".
	Unknown []model.Anomaly
}

// Add counts an anomaly, and keeps what makes gives if fewer than max (0: any number) of
// its type are kept already.
func (a *Analysis) Add(t model.Anomaly, max int, makes func() Anomaly) {
	if a.Counts == nil {
		a.Counts = map[model.Anomaly]int{}
	}
	a.Counts[t]++
	if max == 0 || a.Counts[t] <= max {
		found := makes()
		found.Type = t
		a.Found = append(a.Found, found)
	}
}
