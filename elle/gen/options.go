package gen

import (
	"fmt"
	"strings"
)

// Level is what the simulated store promises.
type Level uint8

// The levels, the weakest first.
const (
	ReadUncommitted Level = iota
	ReadCommitted
	ReadAtomic
	Causal
	ParallelSnapshotIsolation
	Prefix
	SnapshotIsolation
	StrongSessionSnapshotIsolation
	StrongSnapshotIsolation
	Serializable
	StrongSessionSerializable
	StrictSerializable
	levels
)

var levelNames = [levels]string{
	"read-uncommitted", "read-committed", "read-atomic", "causal", "parallel-snapshot-isolation", "prefix",
	"snapshot-isolation", "strong-session-snapshot-isolation", "strong-snapshot-isolation",
	"serializable", "strong-session-serializable", "strict-serializable",
}

// String returns the level's name in the literature, as the checker knows it.
func (l Level) String() string { return levelNames[l] }

// Levels returns all levels, the weakest first.
func Levels() []Level {
	list := make([]Level, levels)
	for i := range list {
		list[i] = Level(i)
	}
	return list
}

// ParseLevel returns the level of a name.
func ParseLevel(name string) (Level, error) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), nil
		}
	}
	return 0, fmt.Errorf("no level %q; there are %s", name, strings.Join(levelNames[:], ", "))
}

// Workload is what the transactions do.
type Workload uint8

// The workloads.
const (
	ListAppend Workload = iota
	Register
	Set
	Counter
	workloads
)

var workloadNames = [workloads]string{"list-append", "rw-register", "set", "counter"}

// String returns the name that the checker knows the workload by.
func (w Workload) String() string { return workloadNames[w] }

// ParseWorkload returns the workload of a name.
func ParseWorkload(name string) (Workload, error) {
	for i, n := range workloadNames {
		if n == name {
			return Workload(i), nil
		}
	}
	return 0, fmt.Errorf("no workload %q; there are %s", name, strings.Join(workloadNames[:], ", "))
}

// Options say what is generated. The zero value is a list-append history of a
// read-uncommitted store without transactions.
type Options struct {
	Seed     uint64
	Workload Workload
	Level    Level // of sets and counters only strict-serializable and "weaker" are told apart: then reads are late

	Txns      int     // how many operations are invoked, those that are put in not counted
	Processes int     // concurrent clients; 0 means 10
	Keys      int     // keys in use at a time; 0 means 10
	KeyBase   float64 // each key in use is this much likelier than the next; 0 means 2, 1 means all alike
	MaxWrites int     // a key is replaced by a fresh one after so many writes; 0 means 256
	MinOps    int     // of a transaction; 0 means 1
	MaxOps    int     // of a transaction; 0 means 4
	Reads     float64 // the share of reads; 0 means 0.5, below 0 none
	Fail      float64 // the share of operations that fail without a conflict
	Info      float64 // the share of operations whose outcome the client never learns
	Lag       int     // how late a weak level may be, in commits; 0 means 20
	FinalRead bool    // at the end, read every key that was in use at the end

	// Inject names anomalies to put in, each once, at a random place, on keys and by processes of their own.
	Inject []string
}

// Check tells whether Run would accept the options.
func (o Options) Check() error {
	if err := o.defaults(); err != nil {
		return err
	}
	for _, name := range o.Inject {
		if _, err := newInjection(o.Workload, name); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) defaults() error {
	if o.Level >= levels {
		return fmt.Errorf("no level %d", o.Level)
	}
	if o.Workload >= workloads {
		return fmt.Errorf("no workload %d", o.Workload)
	}
	set := func(n *int, to int) {
		if *n <= 0 {
			*n = to
		}
	}
	set(&o.Processes, 10)
	set(&o.Keys, 10)
	set(&o.MaxWrites, 256)
	set(&o.MinOps, 1)
	set(&o.MaxOps, max(4, o.MinOps))
	set(&o.Lag, 20)
	if o.MaxOps < o.MinOps {
		return fmt.Errorf("at most %d steps in a transaction are fewer than at least %d", o.MaxOps, o.MinOps)
	}
	if o.KeyBase == 0 {
		o.KeyBase = 2
	}
	if o.KeyBase < 1 {
		return fmt.Errorf("the base of the keys' distribution is %v; it must be at least 1", o.KeyBase)
	}
	if o.Reads == 0 {
		o.Reads = 0.5
	}
	if o.Fail < 0 || o.Info < 0 || o.Fail+o.Info > 1 {
		return fmt.Errorf("the shares of failed and in-doubt operations are %v and %v", o.Fail, o.Info)
	}
	return nil
}
