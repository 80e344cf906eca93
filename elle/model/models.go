package model

import (
	"fmt"
	"slices"
	"strings"
)

// Model is a consistency model, by the name that is said.
type Model string

// implies are the models that each model directly implies: a history that satisfies the
// left one satisfies the right ones.
var implies = map[Model][]Model{
	"1SR":                               {},
	"PRAM":                              {"monotonic-reads", "monotonic-writes", "read-your-writes"},
	"causal":                            {"PRAM", "writes-follow-reads"},
	"causal-cerone":                     {"read-atomic"},
	"consistent-view":                   {"cursor-stability", "monotonic-view"},
	"cursor-stability":                  {"read-committed"},
	"forward-consistent-view":           {"consistent-view"},
	"linearizable":                      {"sequential"},
	"monotonic-atomic-view":             {"read-committed"},
	"monotonic-reads":                   {},
	"monotonic-snapshot-read":           {"read-committed"},
	"monotonic-view":                    {"read-committed"},
	"monotonic-writes":                  {},
	"parallel-snapshot-isolation":       {"causal-cerone", "update-atomic"},
	"prefix":                            {"causal-cerone"},
	"read-atomic":                       {"monotonic-atomic-view"},
	"read-committed":                    {"read-uncommitted"},
	"read-uncommitted":                  {},
	"read-your-writes":                  {},
	"repeatable-read":                   {"cursor-stability", "monotonic-atomic-view"},
	"sequential":                        {"causal"},
	"serializable":                      {"repeatable-read", "snapshot-isolation", "update-serializable", "view-serializable"},
	"session-serializable":              {"1SR"},
	"snapshot-isolation":                {"forward-consistent-view", "monotonic-atomic-view", "monotonic-snapshot-read", "parallel-snapshot-isolation", "prefix"},
	"strong-read-committed":             {"strong-read-uncommitted", "strong-session-read-committed"},
	"strong-read-uncommitted":           {"strong-session-read-uncommitted"},
	"strong-serializable":               {"linearizable", "serializable", "session-serializable", "snapshot-isolation", "strong-session-serializable", "strong-snapshot-isolation"},
	"strong-session-read-committed":     {"read-committed", "strong-session-read-uncommitted"},
	"strong-session-read-uncommitted":   {"read-uncommitted"},
	"strong-session-serializable":       {"serializable", "strong-session-snapshot-isolation"},
	"strong-session-snapshot-isolation": {"snapshot-isolation", "strong-session-read-committed"},
	"strong-snapshot-isolation":         {"strong-read-committed", "strong-session-snapshot-isolation"},
	"update-atomic":                     {"read-atomic"},
	"update-serializable":               {"forward-consistent-view"},
	"view-serializable":                 {},
	"writes-follow-reads":               {},
}

// aliases are other names of models.
var aliases = map[string]Model{
	"conflict-serializable": "serializable",
	"strict-serializable":   "strong-serializable",
	"PL-1":                  "read-uncommitted",
	"PL-2":                  "read-committed",
	"PL-2+":                 "consistent-view",
	"PL-2.99":               "repeatable-read",
	"PL-2L":                 "monotonic-view",
	"PL-3":                  "serializable",
	"PL-3U":                 "update-serializable",
	"PL-CS":                 "cursor-stability",
	"PL-FCV":                "forward-consistent-view",
	"PL-MSR":                "monotonic-snapshot-read",
	"PL-SI":                 "snapshot-isolation",
	"PL-SS":                 "strong-serializable",
	"strong-PL-1":           "strong-read-uncommitted",
	"strong-PL-2":           "strong-read-committed",
	"strong-session-PL-1":   "strong-session-read-uncommitted",
	"strong-session-PL-2":   "strong-session-read-committed",
}

// Strictest is the model that is checked when none is named.
const Strictest Model = "strong-serializable"

var (
	all     []Model
	closure = map[Model]map[Model]bool{} // what each model implies, itself included

	// testable are the models that forbid an anomaly: of the others nothing can be said.
	testable = map[Model]bool{}
)

func init() {
	for m := range implies {
		all = append(all, m)
	}
	slices.Sort(all)
	var walk func(from, m Model)
	walk = func(from, m Model) {
		if closure[from][m] {
			return
		}
		closure[from][m] = true
		for _, next := range implies[m] {
			walk(from, next)
		}
	}
	for _, m := range all {
		closure[m] = map[Model]bool{}
		walk(m, m)
	}
	for _, m := range all {
		testable[m] = len(m.Prohibits()) > 0
	}
}

// Models are all models, sorted by name.
func Models() []Model { return slices.Clone(all) }

// Names are all names that Parse knows, sorted.
func Names() []string {
	names := make([]string, 0, len(all)+len(aliases))
	for _, m := range all {
		names = append(names, string(m))
	}
	for name := range aliases {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Parse finds a model by its name or another name of it, in any case.
func Parse(name string) (Model, error) {
	for _, m := range all {
		if strings.EqualFold(string(m), name) {
			return m, nil
		}
	}
	for alias, m := range aliases {
		if strings.EqualFold(alias, name) {
			return m, nil
		}
	}
	return "", fmt.Errorf("no consistency model is called %q; known are %s", name, strings.Join(Names(), ", "))
}

// Implies tells whether every history that satisfies m satisfies other.
func (m Model) Implies(other Model) bool { return closure[m][other] }

// Prohibits are the anomalies that m forbids, sorted.
func (m Model) Prohibits() []Anomaly {
	var list []Anomaly
	for a, weakest := range boundary {
		if slices.ContainsFunc(weakest, m.Implies) {
			list = append(list, a)
		}
	}
	slices.Sort(list)
	return list
}

// Refuted says which models anomalies rule out: the weakest of them, and all that are ruled
// out with them because they imply one of those. Both are sorted.
func Refuted(found []Anomaly) (not, alsoNot []Model) {
	refuted := map[Model]bool{}
	for _, a := range found {
		for _, weakest := range boundary[a] {
			for _, m := range all {
				if m.Implies(weakest) {
					refuted[m] = true
				}
			}
		}
	}
	for _, m := range all {
		if !refuted[m] {
			continue
		}
		weaker := slices.ContainsFunc(all, func(other Model) bool {
			return other != m && refuted[other] && m.Implies(other)
		})
		if weaker {
			alsoNot = append(alsoNot, m)
		} else {
			not = append(not, m)
		}
	}
	return not, alsoNot
}

// Possible are the strongest models that anomalies leave, sorted: those of which no anomaly
// of found is forbidden, while every stronger one forbids one. Only models that forbid any
// anomaly at all count, and only those that one of asked implies: of others, what they
// forbid may not have been looked for.
func Possible(found []Anomaly, asked ...Model) []Model {
	not, alsoNot := Refuted(found)
	left := func(m Model) bool {
		return testable[m] && !slices.Contains(not, m) && !slices.Contains(alsoNot, m) &&
			slices.ContainsFunc(asked, func(a Model) bool { return a.Implies(m) })
	}
	var strongest []Model
	for _, m := range all {
		stronger := func(other Model) bool { return other != m && left(other) && other.Implies(m) }
		if left(m) && !slices.ContainsFunc(all, stronger) {
			strongest = append(strongest, m)
		}
	}
	return strongest
}
