package elle

import (
	"slices"

	"rebase/elle/model"
)

// decidable are the models of which lists tell everything: without a cycle that a model
// forbids, the dependencies can be put in an order that it allows, and in this order every
// read returns what it did (Adya; Cerone and Gotsman; for the weaker two, what is seen is
// what was read from, and what that saw).
var decidable = []model.Model{
	"read-atomic", "causal-cerone",
	"snapshot-isolation", "strong-session-snapshot-isolation", "strong-snapshot-isolation",
	"serializable", "strong-session-serializable", "strong-serializable",
}

// decideLists says what a list history proves, of the models that were asked for and those
// that they imply.
func (r *Result) decideLists(models []model.Model) {
	if len(r.Unknown) > 0 {
		return
	}
	for _, m := range decidable {
		if !slices.ContainsFunc(models, func(asked model.Model) bool { return asked.Implies(m) }) {
			continue
		}
		verdict := "not decided"
		switch {
		case slices.Contains(r.Not, m) || slices.Contains(r.AlsoNot, m):
			verdict = "refuted"
		case r.complete && len(r.Undecided) == 0:
			verdict = "proved"
		}
		r.Decided = append(r.Decided, Decision{m, verdict})
	}
}
