package elle

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/cycle"
	"rebase/elle/history"
	"rebase/elle/linear"
	"rebase/elle/listappend"
	"rebase/elle/model"
	"rebase/elle/register"
	"rebase/elle/simple"
)

// Check checks a history. Its error is ctx's, or says what is wrong with the options: a
// history that can be read can be checked.
func Check(ctx context.Context, h *history.History, o Options) (*Result, error) {
	if o.Workload == "" {
		o.Workload = ListAppend
	}
	for _, a := range o.Anomalies {
		if !a.Known() {
			return nil, fmt.Errorf("no anomaly is called %q", a)
		}
	}
	want := o.wanted()
	r := &Result{h: h, Workload: o.Workload, counts: map[model.Anomaly]int{},
		Warnings: slices.Clone(h.Warnings)}
	if err := r.check(ctx, want, &o); err != nil {
		return nil, err
	}
	r.conclude(want, o.models(), o.witnesses())
	if o.Workload == ListAppend {
		r.decideLists(o.models())
	}
	return r, nil
}

func (r *Result) check(ctx context.Context, want map[model.Anomaly]bool, o *Options) error {
	var a *anomaly.Analysis
	switch o.Workload {
	case ListAppend:
		a = listappend.Check(r.h, listappend.Options{Witnesses: o.witnesses()})
	case RWRegister:
		a = register.Check(r.h, register.Options{WFRKeys: o.WFRKeys, SequentialKeys: o.SequentialKeys,
			LinearizableKeys: o.LinearizableKeys, Order: o.Order})
	case RegisterSessions:
		a = &anomaly.Analysis{}
		if slices.Contains(o.Models, "causal") { // with sessions, as this workload has it
			for t := range model.Prohibited("causal-cerone") {
				want[t] = true
			}
		}
		r.takeDecisions(register.Sessions(r.h))
	case Set, SetFull, SetStrict, Counter, Bank, LongFork, Comments:
		a = simple.Check(r.h, string(o.Workload))
		wantAll(want, a)
		if o.Workload == Counter && len(a.Unknown) > 0 {
			a.Unknown = nil // additions alone contradict nothing
			r.Warnings = append(r.Warnings, "the counter is never read")
		}
	case Keys, Register, CASRegister, Mutex, KV:
		bound := o.Time
		if bound <= 0 {
			bound = defaultTime
		}
		a = linear.Check(r.h, string(o.Workload), bound)
		wantAll(want, a)
	default:
		return fmt.Errorf("no workload is called %q", o.Workload)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.take(a.Found, a.Counts)
	r.Unknown, r.complete = a.Unknown, a.Complete
	if o.Workload == ListAppend || o.Workload == RWRegister {
		r.suits(o.Workload)
	}
	if a.Build != nil {
		sessions, realtime := cycle.Needs(want)
		if sessions {
			cycle.Sessions(r.h, a.Build)
		}
		if realtime {
			cycle.Realtime(r.h, a.Build)
		}
		g := a.Build.Graph()
		if err := ctx.Err(); err != nil {
			return err
		}
		search := want
		if a.Weak != nil { // where there is none of these, there is nothing weaker
			search = maps.Clone(want)
			if want[model.FracturedRead] || want[model.CausalCycle] {
				search[model.GSingle] = true
			}
			if want[model.CausalCycle.Process()] {
				search[model.GSingle.Process()] = true
			}
		}
		out := cycle.Search(r.h, g, a.Source, search, cycle.Options{
			Witnesses: o.witnesses(), Budget: o.Budget, Stop: func() bool { return ctx.Err() != nil }})
		if out.Stopped {
			return ctx.Err()
		}
		r.take(out.Found, out.Counts)
		r.Undecided = out.Undecided
		r.Stats.Components, r.Stats.Largest = out.Components, out.Largest
		r.Stats.Edges = g.Edges()
		if a.Weak != nil && out.Components > 0 {
			r.weak(a, want, o.witnesses())
		}
	}
	if o.Workload == RWRegister && !o.NoDecision && !slices.Contains(r.Unknown, model.WrongWorkload) {
		r.decide(want)
	}
	return ctx.Err()
}

// weak looks for what the weaker models rule out, where cycles with one rw have been found:
// the strong models are known to be ruled out then, these may be or not.
func (r *Result) weak(a *anomaly.Analysis, want map[model.Anomaly]bool, max int) {
	plain := r.counts[model.GSingle] > 0
	sessions := plain || r.counts[model.GSingle.Process()] > 0
	for _, search := range []struct {
		t                 model.Anomaly
		worth             bool
		atomic, processes bool
	}{
		{model.FracturedRead, plain, true, false},
		{model.CausalCycle, plain, false, false},
		{model.CausalCycle.Process(), sessions, false, true},
	} {
		if !search.worth || !want[search.t] {
			continue
		}
		if found, n := a.Weak(search.atomic, search.processes, max); n > 0 {
			r.take(found, map[model.Anomaly]int{search.t: n})
			return // what is broken here is broken in the stronger ones
		}
	}
}

// take takes over what was found; counts has the number of those types of which not all
// were kept.
func (r *Result) take(found []anomaly.Anomaly, counts map[model.Anomaly]int) {
	r.Anomalies = append(r.Anomalies, found...)
	for _, a := range found {
		if counts[a.Type] == 0 {
			r.counts[a.Type]++
		}
	}
	for t, n := range counts {
		r.counts[t] += n
	}
}

// conclude draws the conclusions from what was found.
func (r *Result) conclude(want map[model.Anomaly]bool, models []model.Model, witnesses int) {
	reported := func(t model.Anomaly) bool {
		return want[t] || slices.ContainsFunc(t.Implied(), func(b model.Anomaly) bool { return want[b] })
	}
	reasons := func(t model.Anomaly) bool { return slices.Contains(r.Unknown, t) }
	r.Anomalies = slices.DeleteFunc(r.Anomalies, func(a anomaly.Anomaly) bool {
		return !reported(a.Type) && !reasons(a.Type)
	})
	for t := range r.counts {
		if !reported(t) {
			delete(r.counts, t)
			continue
		}
		r.Types = append(r.Types, t)
	}
	slices.Sort(r.Types)
	slices.SortStableFunc(r.Anomalies, func(a, b anomaly.Anomaly) int {
		switch {
		case a.Type < b.Type:
			return -1
		case a.Type > b.Type:
			return 1
		}
		return 0
	})
	// Of each type the first few; they are sorted by it.
	shown := map[model.Anomaly]int{}
	r.Anomalies = slices.DeleteFunc(r.Anomalies, func(a anomaly.Anomaly) bool {
		shown[a.Type]++
		return witnesses > 0 && shown[a.Type] > witnesses
	})
	r.Undecided = slices.DeleteFunc(r.Undecided, func(t model.Anomaly) bool { return !reported(t) })
	r.Not, r.AlsoNot = model.Refuted(r.Types)
	r.Possible = model.Possible(r.Types, models...)
	switch {
	case len(r.Types) > 0:
		r.Valid = Inconsistent
	case len(r.Unknown) > 0 || len(r.Undecided) > 0:
		r.Valid = Unknown
	default:
		r.Valid = Consistent
	}
	r.Stats.Operations = len(r.h.Ops)
	for op := range r.h.Ops {
		switch r.h.Ops[op].Type {
		case history.OK:
			r.Stats.OK++
		case history.Fail:
			r.Stats.Failed++
		case history.Info:
			r.Stats.InDoubt++
		}
	}
}
