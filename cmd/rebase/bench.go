package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"rebase/bench"
	"rebase/bench/logs"
)

// benchCmd measures a server from outside.
type benchCmd struct {
	Scenario  []string      `arg:"" optional:"" help:"What to measure: fanout, writes, rules, idle, bulk, all of them without one; or log: the engines of the log beside each other."`
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
	Etcd      []string      `help:"log: also measure an etcd that runs there; everything it gets is removed again." placeholder:"http://HOST:PORT"`
	ZooKeeper []string      `name:"zookeeper" help:"log: also measure a ZooKeeper." placeholder:"HOST:PORT"`
	Engine    []string      `help:"log: only these engines: local, native, striped, etcd, zookeeper." placeholder:"NAME"`
	Appenders []int         `help:"log: how many append at once." default:"1,16,256"`
	JSON      string        `name:"json" help:"Also write the figures to this file, as JSON." type:"path" placeholder:"FILE"`
}

// Run implements the command.
func (c *benchCmd) Run(ctx context.Context) error {
	run := c.server
	if slices.Contains(c.Scenario, "log") {
		if len(c.Scenario) > 1 {
			return &usageError{errors.New("\"log\" is measured by itself: leave the other scenarios out")}
		}
		run = c.logs
	}
	report, err := run(ctx)
	return c.print(report, err)
}

// logs measures the engines of the log.
func (c *benchCmd) logs(ctx context.Context) (*bench.Report, error) {
	return logs.Run(ctx, logs.Options{
		Dir: c.Dir, Engines: c.Engine, Etcd: c.Etcd, ZooKeeper: c.ZooKeeper, Appenders: c.Appenders, Duration: c.Duration, Progress: measuring,
	})
}

func measuring(what string) { fmt.Fprintf(os.Stderr, "measuring: %s\n", what) }

// server measures a server.
func (c *benchCmd) server(ctx context.Context) (*bench.Report, error) {
	return bench.Run(ctx, bench.Options{
		Target: bench.Target{URL: c.URL, Namespace: c.Namespace}, PID: c.PID, Dir: c.Dir,
		Scenarios: c.Scenario, Duration: c.Duration, Listeners: c.Listeners, Writers: c.Writers,
		Baseline: bench.Target{URL: c.Baseline, Namespace: c.Namespace}, BaselinePID: c.BasePID,
		Idle: c.Idle, Leaves: c.Leaves, Redis: c.Redis,
		Progress: measuring,
	})
}

// print prints what was measured, also where an error has cut it short.
func (c *benchCmd) print(report *bench.Report, err error) error {
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
