package elle

import (
	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
)

// Verdict is the answer to the question whether a history is what its database claims.
type Verdict uint8

// The verdicts. Consistent means that nothing was found which the models forbid.
const (
	Consistent Verdict = iota
	Inconsistent
	Unknown
)

func (v Verdict) String() string { return [...]string{"true", "false", "unknown"}[v] }

// MarshalJSON writes true, false or "unknown".
func (v Verdict) MarshalJSON() ([]byte, error) {
	if v == Unknown {
		return []byte(`"unknown"`), nil
	}
	return []byte(v.String()), nil
}

// Result is what Check has found.
type Result struct {
	Workload Workload
	Valid    Verdict
	// Types are the anomalies that were found and that the models forbid, sorted.
	Types []model.Anomaly
	// Anomalies are the findings, sorted by type; of each type the first few.
	Anomalies []anomaly.Anomaly
	// Not are the weakest models that are ruled out, AlsoNot those that imply one of them.
	Not, AlsoNot []model.Model
	// Possible are the strongest models that nothing of what was found rules out, among
	// those that Options asked for and what they imply: nothing else was looked for.
	Possible []model.Model
	// Unknown are the reasons for which the history, or a part of it, cannot be judged.
	Unknown []model.Anomaly
	// Undecided are anomalies that were not looked for to the end: see Options.Budget.
	Undecided []model.Anomaly
	// Decided tells which models some execution explains the history in ("proved"), and
	// which none does ("refuted").
	Decided []Decision
	// Warnings tell what had to be assumed.
	Warnings []string
	Stats    Stats

	h        *history.History
	complete bool // see anomaly.Analysis
	counts   map[model.Anomaly]int
}

// Stats are sizes.
type Stats struct {
	Operations, OK, Failed, InDoubt int
	Edges                           int
	Components                      int // parts of the history that have cycles
	Largest                         int // the largest of them
}

// Count is how many anomalies of a type there are. Cycles are counted once for each part of
// the history that has one.
func (r *Result) Count(t model.Anomaly) int { return r.counts[t] }

// History is what was checked.
func (r *Result) History() *history.History { return r.h }
