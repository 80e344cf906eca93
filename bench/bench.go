package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// Scenarios are the names of what can be measured, in the order in which it is.
var Scenarios = []string{"fanout", "writes", "rules", "idle", "bulk"}

// Options say what to measure. Zero values stand for the documented defaults.
type Options struct {
	Target    Target        // empty URL: start a server for each scenario
	PID       int           // of the target's process, for its CPU time and memory
	Binary    string        // of the server to start; "" is the running program
	Dir       string        // where data folders are made; "" is the system's temporary folder
	Scenarios []string      // nil: all
	Duration  time.Duration // of each measurement; 0: 6 s
	Listeners []int         // nil: 100 and 1000
	Writers   int           // 0: 64
	Idle      int           // 0: 10000 connections
	Leaves    int           // 0: 1000000
	Redis     bool          // measure Redis beside the durable writes

	// Baseline is another server to measure with the same scenarios, fan-out and durable
	// writes, in the same run; empty URL: none.
	Baseline    Target
	BaselinePID int
	Progress    func(string) // told what is being measured; may be nil
}

func (o *Options) defaults() error {
	if o.Scenarios == nil {
		o.Scenarios = Scenarios
	}
	for _, s := range o.Scenarios {
		if !slices.Contains(Scenarios, s) {
			return fmt.Errorf("there is no scenario %q; there are %v", s, Scenarios)
		}
	}
	if o.Duration == 0 {
		o.Duration = 6 * time.Second
	}
	if o.Listeners == nil {
		o.Listeners = []int{100, 1000}
	}
	if o.Writers == 0 {
		o.Writers = 64
	}
	if o.Idle == 0 {
		o.Idle = 10_000
	}
	if o.Leaves == 0 {
		o.Leaves = 1_000_000
	}
	for _, t := range []*Target{&o.Target, &o.Baseline} {
		if t.Namespace == "" {
			t.Namespace = "bench"
		}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return nil
}

// Run measures. After an error the report holds what was measured before.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	r := &Report{Target: o.Target.URL, Started: time.Now(), CPUs: runtime.NumCPU()}
	if r.Target == "" {
		r.Target = "a server started for each scenario"
	}
	for _, name := range o.Scenarios {
		o.Progress(name)
		if err := o.scenario(ctx, name, r); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	return r, nil
}

func (o *Options) scenario(ctx context.Context, name string, r *Report) (err error) {
	s := &server{target: o.Target, pid: o.PID}
	if o.Target.URL == "" {
		bin := o.Binary
		if bin == "" {
			if bin, err = os.Executable(); err != nil {
				return err
			}
		}
		dir, err := os.MkdirTemp(o.Dir, "rebase-bench-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if s, err = startServer(ctx, bin, filepath.Join(dir, "data")); err != nil {
			return err
		}
		defer func() { s.stop(syscall.SIGKILL) }()
	}
	servers := []*server{s}
	if o.Baseline.URL != "" {
		servers = append(servers, &server{name: "baseline: ", target: o.Baseline, pid: o.BaselinePID})
	}
	switch name {
	case "fanout":
		for _, n := range o.Listeners {
			for _, s := range servers {
				if err := fanout(ctx, s, r, n, o.Duration); err != nil {
					return fmt.Errorf("%s%w", s.name, err)
				}
			}
		}
	case "writes":
		from := len(r.Rows)
		for _, s := range servers {
			if err := durableWrites(ctx, s, r, o.Writers, o.Duration); err != nil {
				return fmt.Errorf("%s%w", s.name, err)
			}
		}
		if o.Redis {
			return redisWrites(ctx, r, o.Dir, o.Writers, o.Duration, r.Rows[from].Value)
		}
	case "rules":
		return underRules(ctx, s, r, o.Writers, o.Listeners[0], 4*o.Duration)
	case "idle":
		return idleConnections(ctx, s, r, o.Idle)
	case "bulk":
		s, err = bulk(ctx, s, r, o.Leaves)
		return err
	}
	return nil
}
