package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"rebase/bench"
	"rebase/vlog"
	"rebase/vlog/rawsync"
)

// Engines are the names of what can be measured: files on the local disk; the native loglet on three log servers, each with files of its own on that
// disk, joined by TCP over the loopback; two stripes of it with a sequencer each; and the engines that run elsewhere.
var Engines = []string{"local", "native", "striped", "etcd", "zookeeper"}

// Options say what to measure. Zero values stand for the documented defaults.
type Options struct {
	Dir       string        // where files are made: the disk that is measured; "" is the system's temporary folder
	Engines   []string      // nil: local, native and striped, and those that have endpoints
	Etcd      []string      // endpoints, http://HOST:PORT
	ZooKeeper []string      // addresses, HOST:PORT
	Appenders []int         // nil: 1, 16 and 256
	Payload   int           // bytes; 0: 256
	Duration  time.Duration // of each measurement, half of it the reference's; 0: 3 s
	Switches  int           // reconfigurations to measure; 0: 60
	Progress  func(string)  // told what is being measured; may be nil

	// Peers are other ways to make something durable that are measured beside the engines: what a client gets of one without a log over it.
	Peers []Peer
}

// Peer makes a payload durable, for many callers at once.
type Peer struct {
	Name   string
	Append func(ctx context.Context, payload []byte) error
}

func (o *Options) defaults() error {
	if o.Engines == nil {
		o.Engines = []string{"local", "native", "striped"}
		if len(o.Etcd) > 0 {
			o.Engines = append(o.Engines, "etcd")
		}
		if len(o.ZooKeeper) > 0 {
			o.Engines = append(o.Engines, "zookeeper")
		}
	}
	for _, e := range o.Engines {
		if !slices.Contains(Engines, e) {
			return fmt.Errorf("there is no engine %q; there are %v", e, Engines)
		}
	}
	if slices.Contains(o.Engines, "etcd") && len(o.Etcd) == 0 || slices.Contains(o.Engines, "zookeeper") && len(o.ZooKeeper) == 0 {
		return errors.New("etcd and ZooKeeper are measured where they run: give their addresses")
	}
	if o.Appenders == nil {
		o.Appenders = []int{1, 16, 256}
	}
	if o.Payload == 0 {
		o.Payload = 256
	}
	if o.Duration == 0 {
		o.Duration = 3 * time.Second
	}
	if o.Switches == 0 {
		o.Switches = 60
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return nil
}

// Run measures. After an error the report holds what was measured before.
func Run(ctx context.Context, o Options) (_ *bench.Report, err error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "rebase-logs-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &bench.Report{Target: "engines of the log", Started: time.Now(), CPUs: runtime.NumCPU()}
	raw, err := rawsync.Open(dir)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	reference := &engine{name: "raw", append: func(_ context.Context, p []byte) error { return raw.Append(p) }}
	for _, name := range o.Engines {
		if err := o.engine(ctx, r, reference, name, filepath.Join(dir, name)); err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, p := range o.Peers {
		for _, n := range o.Appenders {
			o.Progress(fmt.Sprintf("%s, %d appenders", p.Name, n))
			if err := o.beside(ctx, r, reference, &engine{name: p.Name, append: p.Append}, n); err != nil {
				return r, fmt.Errorf("%s: %w", p.Name, err)
			}
		}
	}
	return r, nil
}

// engine measures one engine.
func (o *Options) engine(ctx context.Context, r *bench.Report, reference *engine, name, dir string) (err error) {
	s, err := o.open(ctx, name, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	loglet := &engine{name: name, append: func(ctx context.Context, p []byte) error {
		_, err := s.loglet.Append(ctx, p)
		return err
	}}
	for _, n := range o.Appenders {
		o.Progress(fmt.Sprintf("%s, %d appenders", name, n))
		if err := o.beside(ctx, r, reference, loglet, n); err != nil {
			return err
		}
	}
	o.Progress(name + ", the virtual log over it")
	if err := o.virtual(ctx, r, s); err != nil {
		return err
	}
	if s.again == nil {
		return nil
	}
	o.Progress(name + ", reconfigurations under load")
	return o.switches(ctx, r, s)
}

// beside measures an engine in turns with the reference.
func (o *Options) beside(ctx context.Context, r *bench.Report, reference, e *engine, appenders int) error {
	var own, limit sample
	var ratios, p50s []float64
	if _, err := drive(ctx, e, appenders, o.Payload, turn); err != nil { // to warm up
		return err
	}
	for range max(int(o.Duration/(2*turn)), 1) {
		a, err := drive(ctx, reference, appenders, o.Payload, turn)
		if err != nil {
			return err
		}
		b, err := drive(ctx, e, appenders, o.Payload, turn)
		if err != nil {
			return err
		}
		ratios = append(ratios, b.rate()/a.rate())
		p50s = append(p50s, float64(b.quantile(0.5))/float64(a.quantile(0.5)))
		limit.add(a)
		own.add(b)
	}
	scenario := fmt.Sprintf("%s, %d appenders", e.name, appenders)
	aim := aims[e.name][appenders]
	row := func(metric string, v float64, unit, aim string) {
		r.Rows = append(r.Rows, bench.Row{Scenario: scenario, Metric: metric, Value: v, Unit: unit, Aim: aim})
	}
	row("appends", own.rate(), "1/s", "")
	row("share of the raw limit", median(ratios), "", aim.share)
	row("latency p50", micros(own.quantile(0.5)), "µs", "")
	row("latency p99", micros(own.quantile(0.99)), "µs", "")
	row("latency p50 against the limit's", median(p50s), "", aim.p50)
	row("the limit, in turns with it", limit.rate(), "1/s", "")
	return nil
}

// aims are what this project sets itself, by engine and appenders.
var aims = map[string]map[int]struct{ share, p50 string }{
	"local":  {16: {">= 0.9", ""}, 256: {">= 0.8", ""}},
	"native": {1: {">= 0.45", "<= 2.2"}, 16: {">= 0.6", ""}, 256: {">= 0.3", ""}},
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// virtual measures what the virtual log costs: one appender calls the loglet and the log over it in turns, call by call.
func (o *Options) virtual(ctx context.Context, r *bench.Report, s *subject) error {
	var direct, through sample
	body := make([]byte, o.Payload)
	for until := time.Now().Add(o.Duration); time.Now().Before(until); {
		for _, side := range []struct {
			to  *sample
			log interface {
				Append(context.Context, ...[]byte) (vlog.Position, error)
			}
		}{{&direct, s.loglet}, {&through, s.log}} {
			at := time.Now()
			if _, err := side.log.Append(ctx, body); err != nil {
				return err
			}
			side.to.latencies = append(side.to.latencies, time.Since(at))
		}
	}
	for _, q := range []struct {
		name string
		q    float64
		aim  string
	}{{"p50", 0.5, "<= 20"}, {"p99", 0.99, "<= 150"}} {
		r.Rows = append(r.Rows, bench.Row{
			Scenario: s.name + ", 1 appender", Metric: "virtual log over the loglet, " + q.name,
			Value: micros(through.quantile(q.q) - direct.quantile(q.q)), Unit: "µs", Aim: q.aim,
		})
	}
	return nil
}

// switches reconfigures the log, to another loglet of the same kind, while 16 appenders append.
func (o *Options) switches(ctx context.Context, r *bench.Report, s *subject) error {
	run, stop := context.WithCancel(ctx)
	defer stop()
	stalls := make([]time.Duration, 0, o.Switches)
	loads := make(chan error, 16)
	worst := newWatermark()
	for range cap(loads) {
		go func() {
			body := make([]byte, o.Payload)
			for run.Err() == nil {
				at := time.Now()
				if _, err := s.log.Append(run, body); err != nil && run.Err() == nil {
					loads <- err
					return
				}
				worst.note(time.Since(at))
			}
			loads <- nil
		}()
	}
	var took sample
	for range o.Switches {
		time.Sleep(30 * time.Millisecond)
		worst.reset()
		var at time.Time
		next, err := s.again(ctx)
		if err == nil {
			err = s.log.Reconfigure(ctx, next)
			at = time.Now()
		}
		if err == nil {
			_, err = s.log.Append(ctx, make([]byte, o.Payload)) // acknowledged by the new loglet
		}
		if err != nil {
			return err
		}
		took.latencies = append(took.latencies, s.stalled+time.Since(at))
		time.Sleep(5 * time.Millisecond)
		stalls = append(stalls, worst.reset())
	}
	stop()
	for range cap(loads) {
		if err := <-loads; err != nil {
			return err
		}
	}
	stall := sample{latencies: stalls}
	for _, row := range []bench.Row{
		{Metric: "seal to the first append in the next loglet, p50", Value: micros(took.quantile(0.5)) / 1000, Unit: "ms", Aim: "<= 5"},
		{Metric: "seal to the first append in the next loglet, p99", Value: micros(took.quantile(0.99)) / 1000, Unit: "ms", Aim: "<= 30"},
		{Metric: "longest append during one, p50", Value: micros(stall.quantile(0.5)) / 1000, Unit: "ms"},
		{Metric: "longest append during one, worst", Value: micros(stall.quantile(1)) / 1000, Unit: "ms", Aim: "<= 100"},
	} {
		row.Scenario = s.name + ", 16 appenders"
		r.Rows = append(r.Rows, row)
	}
	return nil
}
