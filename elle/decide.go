package elle

import (
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/model"
	"rebase/elle/polygraph"
	"rebase/elle/register"
)

// Decision says whether a history of registers satisfies a model in any order of versions whatsoever, without
// assumptions about keys.
type Decision struct {
	Model   model.Model `json:"model"`
	Verdict string      `json:"verdict"` // "proved", "refuted" or "not decided"
}

// decide asks for all orders of versions. What refutes a model is reported, unless something else does already.
func (r *Result) decide(want map[model.Anomaly]bool) {
	r.takeDecisions(register.Decide(r.h, register.Limits{Want: want}))
}

func (r *Result) takeDecisions(decisions []register.Decision) {
	for _, d := range decisions {
		r.Decided = append(r.Decided, Decision{d.Model, d.Verdict.String()})
		if d.Verdict != polygraph.Refuted || d.Witness == nil {
			continue
		}
		var types []model.Anomaly
		for t := range r.counts {
			types = append(types, t)
		}
		not, also := model.Refuted(types)
		if !slices.Contains(not, d.Model) && !slices.Contains(also, d.Model) {
			r.take([]anomaly.Anomaly{*d.Witness}, nil)
		}
	}
}

// wantAll adds what a checker found to what is to be reported: it is not about models.
func wantAll(want map[model.Anomaly]bool, a *anomaly.Analysis) {
	for _, f := range a.Found {
		want[f.Type] = true
	}
}
