package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"rebase/bench"
)

// benchCmd measures a server from outside.
type benchCmd struct {
	Scenario  []string      `arg:"" optional:"" help:"What to measure: fanout, writes, rules, idle, bulk. All of it without one."`
	URL       string        `help:"The server to drive, http://HOST:PORT: any that speaks the protocol. Without it a server of this program is started for each scenario." placeholder:"URL"`
	Namespace string        `help:"The database to use." default:"bench"`
	PID       int           `name:"pid" help:"The server's process id, to read its CPU time and memory, with --url." placeholder:"N"`
	Dir       string        `help:"Where to make data folders: the disk that is measured." type:"path" placeholder:"DIR"`
	Duration  time.Duration `help:"How long each measurement takes." default:"6s"`
	Listeners []int         `help:"Fan-out: how many listeners." default:"100,1000"`
	Writers   int           `help:"Durable writes: how many connections." default:"64"`
	Idle      int           `help:"Idle connections: how many." default:"10000"`
	Leaves    int           `help:"Import, query and start: how many leaves." default:"1000000"`
	Baseline  string        `help:"Another server to measure beside, in fan-out and writes." placeholder:"URL"`
	BasePID   int           `name:"baseline-pid" help:"Its process id." placeholder:"N"`
	Redis     bool          `help:"Also measure Redis with appendfsync always, if it is installed."`
	JSON      string        `name:"json" help:"Also write the figures to this file, as JSON." type:"path" placeholder:"FILE"`
}

// Run implements the command.
func (c *benchCmd) Run(ctx context.Context) error {
	report, err := bench.Run(ctx, bench.Options{
		Target: bench.Target{URL: c.URL, Namespace: c.Namespace}, PID: c.PID, Dir: c.Dir,
		Scenarios: c.Scenario, Duration: c.Duration, Listeners: c.Listeners, Writers: c.Writers,
		Baseline: bench.Target{URL: c.Baseline, Namespace: c.Namespace}, BaselinePID: c.BasePID,
		Idle: c.Idle, Leaves: c.Leaves, Redis: c.Redis,
		Progress: func(s string) { fmt.Fprintf(os.Stderr, "measuring: %s\n", s) },
	})
	if report == nil {
		return err
	}
	if e := report.WriteTable(os.Stdout); err == nil {
		err = e
	}
	if c.JSON == "" {
		return err
	}
	f, e := os.Create(c.JSON)
	if e != nil {
		return e
	}
	if e := report.WriteJSON(f); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
