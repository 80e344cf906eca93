package elle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rebase/elle/model"
)

// Workload says what the operations of a history do.
type Workload string

// The workloads. Of the last ones, which are no transactions, only what a scan can find is
// looked for.
const (
	ListAppend Workload = "list-append" // transactions append to lists and read them
	RWRegister Workload = "rw-register" // transactions write registers and read them
	Set        Workload = "set"         // elements are added, and read in the end
	SetFull    Workload = "set-full"    // elements are added, and read all the time
	SetStrict  Workload = "set-strict"  // the same, and no read may be late
	Counter    Workload = "counter"     // a number is added to, and read
	Bank       Workload = "bank"        // money is moved between accounts, which are read
	LongFork   Workload = "long-fork"   // keys are written once, and read in groups
	Comments   Workload = "comments"    // what was added before must be seen with what was added after

	// RegisterSessions is of transactions on registers, of which only the order within each
	// session is known. It is held against read-committed, read-atomic and causal as Biswas and Enea define
	// them; other models are not looked at.
	RegisterSessions Workload = "register-sessions"

	// Of the following the linearizability of single objects is decided.
	Keys        Workload = "keys"         // list-append or rw-register transactions, each key alone
	Register    Workload = "register"     // one register is read and written
	CASRegister Workload = "cas-register" // also by compare-and-set
	Mutex       Workload = "mutex"        // a lock is acquired and released
	KV          Workload = "kv"           // keys hold strings that are put, appended to and got
)

// Workloads are all of them.
func Workloads() []Workload {
	return []Workload{ListAppend, RWRegister, Set, SetFull, SetStrict, Counter, Bank, LongFork, Comments, RegisterSessions,
		Keys, Register, CASRegister, Mutex, KV}
}

// ParseWorkload finds a workload by its name.
func ParseWorkload(name string) (Workload, error) {
	if w := Workload(name); slices.Contains(Workloads(), w) {
		return w, nil
	}
	names := make([]string, 0, 8)
	for _, w := range Workloads() {
		names = append(names, string(w))
	}
	return "", fmt.Errorf("no workload is called %q; known are %s", name, strings.Join(names, ", "))
}

// Options say what to check. The zero value checks list-append against strict
// serializability.
type Options struct {
	// Workload is ListAppend if empty.
	Workload Workload
	// Models are those that the database claims; strict serializability if there is none
	// and Anomalies is empty. What they do not forbid is not reported.
	Models []model.Model
	// Anomalies are reported too.
	Anomalies []model.Anomaly

	// WFRKeys, SequentialKeys and LinearizableKeys are assumptions about the order of the
	// versions of a register: that a transaction which reads a key and writes it writes a
	// later version; that versions agree with the order of each process; that they agree
	// with real time. An assumption that does not hold makes the result meaningless, unless
	// it shows as cyclic-versions.
	WFRKeys, SequentialKeys, LinearizableKeys bool
	// Order tells the place of an operation (its number in the history) among the commits,
	// where the inside of the database is known. It orders the versions of registers.
	Order func(op int) (commit int64, ok bool)
	// NoDecision leaves out what else can be found in registers: whether any order of
	// versions explains the history. It is the one thing that may take long.
	NoDecision bool

	// Time bounds the search for linearizations; 0 is 30 seconds.
	Time time.Duration

	// Witnesses is how many anomalies of a type the result holds; 0 is 8, negative is all.
	// All are counted.
	Witnesses int
	// Budget is how many steps the only search that is not linear may take; 0 is a billion.
	Budget int
}

const (
	defaultWitnesses = 8
	defaultTime      = 30 * time.Second
)

func (o *Options) witnesses() int {
	switch {
	case o.Witnesses == 0:
		return defaultWitnesses
	case o.Witnesses < 0:
		return 0
	}
	return o.Witnesses
}

// models are those to check.
func (o *Options) models() []model.Model {
	if len(o.Models) == 0 && len(o.Anomalies) == 0 {
		return []model.Model{model.Strictest}
	}
	return o.Models
}

// wanted are the anomalies to report.
func (o *Options) wanted() map[model.Anomaly]bool {
	want := model.Prohibited(o.models()...)
	for _, a := range o.Anomalies {
		want[a] = true
	}
	return want
}
