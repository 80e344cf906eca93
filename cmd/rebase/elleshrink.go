package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rebase/elle"
	"rebase/elle/history"
	"rebase/elle/model"
	"rebase/elle/shrink"
)

type elleShrinkCmd struct {
	File string `arg:"" help:"A history with an anomaly; \"-\" is standard input." placeholder:"FILE"`

	Workload string   `short:"w" default:"list-append" help:"What the operations do, as for elle check (${default})." placeholder:"NAME"`
	Models   []string `short:"c" help:"Consistency models that the database claims (strict-serializable)." placeholder:"NAME"`
	Anomaly  string   `short:"a" help:"The anomaly to keep (the first that elle check finds)." placeholder:"NAME"`
	Format   string   `short:"f" default:"auto" help:"How the history is written, as for elle check (${default})." placeholder:"NAME"`

	WFRKeys          bool `name:"wfr-keys" help:"As for elle check."`
	SequentialKeys   bool `help:"As for elle check."`
	LinearizableKeys bool `help:"As for elle check."`

	Out string `short:"o" default:"-" help:"Where to write the small history: EDN, or JSON lines if the name ends so; \"-\" is standard output." type:"path" placeholder:"FILE"`
}

// Help is shown by --help below the flags' purpose.
func (*elleShrinkCmd) Help() string {
	return `Leaves out keys, operations and steps for as long as the history still shows the anomaly, and
none that it did not show before. What remains is as it was, with the same processes and indexes;
elements of lists whose appends are left out are left out of what was read, too.
The explanation goes to standard error.`
}

// Run writes the small history.
func (c *elleShrinkCmd) Run(ctx context.Context, std streams) error {
	check := elleCheckCmd{Workload: c.Workload, Models: c.Models, Format: c.Format, Witnesses: 1,
		WFRKeys: c.WFRKeys, SequentialKeys: c.SequentialKeys, LinearizableKeys: c.LinearizableKeys}
	if c.Anomaly != "" {
		check.Anomalies = []string{c.Anomaly}
	}
	o, format, err := check.options()
	if err != nil {
		return err
	}
	h, err := readHistory(std, c.File, format)
	if err != nil {
		fmt.Fprintf(std.err, "rebase: %v\n", inHistory(c.File, err))
		return &silentError{exitUsage}
	}
	r, err := elle.Check(ctx, h, o)
	if err != nil {
		return err
	}
	target := model.Anomaly(c.Anomaly)
	switch {
	case target == "" && len(r.Types) > 0:
		target = r.Types[0]
	case !slices.Contains(r.Types, target):
		if target == "" {
			return errors.New("the history has no anomaly that its models forbid: there is nothing to shrink")
		}
		return fmt.Errorf("the history does not show %s; it shows: %s", target, orNone(joined(r.Types)))
	}
	var hint []int
	for _, a := range r.Anomalies {
		if a.Type == target {
			hint = a.Ops
			break
		}
	}
	// To decide about all orders of versions takes longest. It is left out where something else found the anomaly.
	quick := o
	quick.NoDecision = true
	if q, err := elle.Check(ctx, h, quick); err == nil && slices.Contains(q.Types, target) {
		o, r = quick, q
	}
	var last *elle.Result
	small := shrink.Shrink(ctx, h, hint, func(h *history.History) bool {
		s, err := elle.Check(ctx, h, o)
		if err != nil || !slices.Contains(s.Types, target) ||
			slices.ContainsFunc(s.Types, func(a model.Anomaly) bool { return !slices.Contains(r.Types, a) }) {
			return false
		}
		last = s
		return true
	})
	fmt.Fprintf(std.err, "%d of %d operations still show %s.\n", len(small.Ops), len(h.Ops), target)
	if last != nil {
		for _, a := range last.Anomalies {
			if a.Type == target {
				fmt.Fprint(std.err, last.Explain(a))
				break
			}
		}
	}
	if c.Out == stdio {
		return small.WriteEDN(std.out)
	}
	return writeHistory(c.Out, small)
}
