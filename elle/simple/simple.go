package simple

import (
	"fmt"
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
)

// What is found. These are names of their own, which rule out no consistency model of transactions: the objects
// are not what such models speak of. Long fork and comments report cycles by their usual names.
const (
	LostElement      model.Anomaly = "lost-element"      // acknowledged, and not there afterwards
	StaleRead        model.Anomaly = "stale-read"        // misses an element that was there before, and is there later
	GarbageElement   model.Anomaly = "garbage-element"   // there, and never added
	DuplicateElement model.Anomaly = "duplicate-element" // there twice
	OutOfBounds      model.Anomaly = "out-of-bounds"     // a counter that nothing explains
	WrongTotal       model.Anomaly = "wrong-total"       // money came or went
	NegativeBalance  model.Anomaly = "negative-balance"
	WrongAccounts    model.Anomaly = "wrong-accounts" // one is missing, unknown or nil
	BadValue         model.Anomaly = "bad-value"      // not of the kind that the workload has

	// NoReads is why nothing could be said.
	NoReads model.Anomaly = "no-reads"
)

var checks = map[string]func(*checker){
	"set": (*checker).set, "set-full": (*checker).setFull, "set-strict": (*checker).setStrict, "counter": (*checker).counter,
	"bank": (*checker).bank, "long-fork": (*checker).longFork, "comments": (*checker).comments,
}

// Workloads are the names that Check knows, sorted.
func Workloads() []string {
	var names []string
	for name := range checks {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Check checks a history of a workload; the Analysis has no graph. It panics if there is no such workload.
func Check(h *history.History, workload string) *anomaly.Analysis {
	c := &checker{h: h, out: &anomaly.Analysis{}}
	checks[workload](c)
	return c.out
}

type checker struct {
	h   *history.History
	out *anomaly.Analysis
}

// found reports, up to a number that a person may want to read.
func (c *checker) found(typ model.Anomaly, ops []int, facts []anomaly.Fact, format string, args ...any) {
	c.out.Found = append(c.out.Found, anomaly.Anomaly{Type: typ, Ops: ops, Facts: facts, Text: fmt.Sprintf(format, args...)})
}

// element is what a set may hold, as a map's key.
type element struct {
	n    int64
	text string // of what is no whole number
}

func elementOf(d history.Datum) element {
	if d.Sort == history.Int {
		return element{n: d.Int}
	}
	return element{text: d.String()}
}

// reads calls f for the results of all reads that are ok, in the order in which they ended.
func (c *checker) reads(f func(op int, d history.Datum)) {
	n := 0
	for _, e := range c.h.Events() {
		op := int(e >> 1)
		if e&1 == 1 && c.h.Ops[op].Type == history.OK && c.h.F(op) == "read" {
			n++
			f(op, c.h.Datum(c.h.Ops[op].Val))
		}
	}
	if n == 0 {
		c.out.Unknown = append(c.out.Unknown, NoReads)
	}
}

// collection tells whether a read returned elements; it reports if not.
func (c *checker) collection(op int, d history.Datum) bool {
	if d.Sort == history.Set || d.Sort == history.List || d.Sort == history.Nil {
		return true
	}
	c.found(BadValue, []int{op}, nil, "T1 read %v, which is no collection", d)
	return false
}

// adds calls f for all additions.
func (c *checker) adds(f func(op int, d history.Datum)) {
	for op := range c.h.Ops {
		if c.h.F(op) == "add" {
			f(op, c.h.Datum(c.h.Ops[op].Arg))
		}
	}
}

// number is a whole number; anything else is reported.
func (c *checker) number(op int, d history.Datum) (int64, bool) {
	if d.Sort != history.Int {
		c.found(BadValue, []int{op}, nil, "T1 has the value %v where a whole number must be", d)
		return 0, false
	}
	return d.Int, true
}
