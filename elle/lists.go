package elle

import (
	"slices"

	"rebase/elle/model"
)

// decidable are the models of which lists tell everything: without a cycle that a model
// forbids, the dependencies can be put in an order that it allows, and in this order every
// read returns what it did (Adya; Cerone and Gotsman; for the weaker two, what is seen is
// what was read from, and what that saw). The serializable ones, which imply others, come
// first.
var decidable = []model.Model{
	"strong-serializable", "strong-session-serializable", "serializable",
	"strong-snapshot-isolation", "strong-session-snapshot-isolation", "snapshot-isolation",
	"causal-cerone", "read-atomic",
}

// decideLists says what a list history proves, of the models that were asked for and those
// that they imply.
//
// Appends to one key that nobody has read are in no order to each other. That does not
// matter to serializability: where there is no cycle there is a serial order, and nobody
// reads behind such an append. It can matter to the others, so these are proved only if
// there are no such appends, no cycles at all, or a serializable model implies them.
func (r *Result) decideLists(models []model.Model) {
	if len(r.Unknown) > 0 {
		return
	}
	var proved []model.Model
	for _, m := range decidable {
		if !slices.ContainsFunc(models, func(asked model.Model) bool { return asked.Implies(m) }) {
			continue
		}
		verdict := "not decided"
		switch {
		case slices.Contains(r.Not, m) || slices.Contains(r.AlsoNot, m):
			verdict = "refuted"
		case len(r.Undecided) > 0:
		case r.complete || r.Stats.Components == 0 || m.Implies("serializable") ||
			slices.ContainsFunc(proved, func(p model.Model) bool { return p.Implies(m) }):
			verdict = "proved"
			proved = append(proved, m)
		}
		r.Decided = append(r.Decided, Decision{m, verdict})
	}
}
