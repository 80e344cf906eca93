package model

import "slices"

// Anomaly is the name of an anomaly.
type Anomaly string

// Anomalies that checkers find. The cycles among them exist as "-process" and "-realtime"
// too: see Anomaly.Process and Anomaly.Realtime.
const (
	G0                Anomaly = "G0"                 // a cycle of ww
	G1a               Anomaly = "G1a"                // read a version of a transaction that failed
	G1b               Anomaly = "G1b"                // read a version that its transaction went on to replace
	G1c               Anomaly = "G1c"                // a cycle of ww and wr
	GSingle           Anomaly = "G-single-item"      // a cycle with exactly one rw
	GNonadjacent      Anomaly = "G-nonadjacent-item" // a cycle with several rw, no two in succession
	G2Item            Anomaly = "G2-item"            // a cycle with rw
	LostUpdate        Anomaly = "lost-update"        // two read the same version and both replaced it
	DirtyUpdate       Anomaly = "dirty-update"       // replaced a version of a transaction that failed
	Internal          Anomaly = "internal"           // did not see what itself had done or seen
	FutureRead        Anomaly = "future-read"        // read what it wrote only later
	Duplicates        Anomaly = "duplicate-elements" // a list has an element twice
	IncompatibleOrder Anomaly = "incompatible-order" // two lists of a key, neither a prefix of the other
	CyclicVersions    Anomaly = "cyclic-versions"    // the versions of a key precede each other
	PredicateMiss     Anomaly = "predicate-read-miss"

	// Anomalies that have no name in the literature that testers know.

	GarbageRead   Anomaly = "garbage-read"   // read what nobody wrote
	FracturedRead Anomaly = "fractured-read" // read one write of a transaction, and of another of its keys something older
	CausalCycle   Anomaly = "causal-cycle"   // read something older than what it must know

	// Reasons for which a history is not judged. They rule out nothing.

	EmptyGraph      Anomaly = "empty-transaction-graph" // no transaction committed
	DuplicateWrites Anomaly = "duplicate-writes"        // the same value was written to a key twice: nobody can tell which was read
	WrongWorkload   Anomaly = "wrong-workload"          // micro-operations of another workload: they were left out
	NotDecided      Anomaly = "not-decided"             // a search was given up: its bound was reached
)

// boundary are the weakest models that each anomaly rules out.
var boundary = map[Anomaly][]Model{
	"G-MSR":                            {"monotonic-snapshot-read"},
	"G-SI":                             {"snapshot-isolation"},
	"G-SIb":                            {"forward-consistent-view"},
	"G-cursor":                         {"cursor-stability"},
	"G-monotonic":                      {"monotonic-view"},
	"G-nonadjacent":                    {"snapshot-isolation"},
	"G-nonadjacent-item":               {"repeatable-read", "snapshot-isolation"},
	"G-nonadjacent-item-process":       {"strong-session-snapshot-isolation"},
	"G-nonadjacent-item-realtime":      {"strong-snapshot-isolation"},
	"G-nonadjacent-process":            {"strong-session-snapshot-isolation"},
	"G-nonadjacent-realtime":           {"strong-snapshot-isolation"},
	"G-single":                         {"consistent-view"},
	"G-single-item":                    {"consistent-view", "repeatable-read"},
	"G-single-item-process":            {"strong-session-snapshot-isolation"},
	"G-single-item-realtime":           {"strong-snapshot-isolation"},
	"G-single-process":                 {"strong-session-snapshot-isolation"},
	"G-single-realtime":                {"strong-snapshot-isolation"},
	"G-update":                         {"update-serializable"},
	"G0":                               {"read-uncommitted"},
	"G0-process":                       {"strong-session-read-uncommitted"},
	"G0-realtime":                      {"strong-read-uncommitted"},
	"G1":                               {"read-committed"},
	"G1-process":                       {"strong-session-snapshot-isolation"},
	"G1-realtime":                      {"strong-snapshot-isolation"},
	"G1a":                              {"read-committed"},
	"G1b":                              {"read-committed"},
	"G1c":                              {"read-committed"},
	"G1c-process":                      {"strong-session-read-committed"},
	"G1c-realtime":                     {"strong-read-committed"},
	"G2":                               {"serializable"},
	"G2-item":                          {"repeatable-read"},
	"G2-item-process":                  {"strong-session-serializable"},
	"G2-item-realtime":                 {"strong-serializable"},
	"G2-process":                       {"strong-session-serializable"},
	"G2-realtime":                      {"strong-serializable"},
	"GSI":                              {},
	"GSIa":                             {},
	"GSIb":                             {},
	"PL-1-cycle-exists":                {"read-uncommitted"},
	"PL-2-cycle-exists":                {"read-committed"},
	"PL-2.99-cycle-exists":             {"repeatable-read"},
	"PL-3-cycle-exists":                {"serializable"},
	"PL-SI-cycle-exists":               {"snapshot-isolation"},
	"PL-SS-cycle-exists":               {"strong-serializable"},
	"cyclic-versions":                  {"read-uncommitted"},
	"dirty-update":                     {"read-committed"},
	"duplicate-elements":               {"read-uncommitted"},
	"future-read":                      {"read-committed"},
	"incompatible-order":               {"read-committed"},
	"internal":                         {"read-atomic"},
	"lost-update":                      {"cursor-stability", "update-atomic"},
	"predicate-read-miss":              {"serializable"},
	"strong-PL-1-cycle-exists":         {"strong-read-uncommitted"},
	"strong-PL-2-cycle-exists":         {"strong-read-committed"},
	"strong-session-PL-1-cycle-exists": {"strong-session-read-uncommitted"},
	"strong-session-PL-2-cycle-exists": {"strong-session-read-committed"},
	"strong-session-serializable-cycle-exists":       {"strong-session-serializable"},
	"strong-session-snapshot-isolation-cycle-exists": {"strong-session-snapshot-isolation"},
	"strong-snapshot-isolation-cycle-exists":         {"strong-snapshot-isolation"},
	"write-skew":                                     {"serializable"},

	// A value out of nowhere is no version of the object at all, which not even read
	// uncommitted allows. The others are the definitions of what they rule out; what is
	// only so for the order within sessions rules out only what promises that order.
	"garbage-read":           {"read-uncommitted"},
	"fractured-read":         {"read-atomic"},
	"causal-cycle":           {"causal-cerone"},
	"fractured-read-process": {"strong-session-snapshot-isolation"},
	"causal-cycle-process":   {"strong-session-snapshot-isolation"},
}

// leads are the anomalies that each anomaly directly implies.
var leads = map[Anomaly][]Anomaly{
	"G-nonadjacent":               {"G-nonadjacent-process", "G2"},
	"G-nonadjacent-item":          {"G-nonadjacent", "G-nonadjacent-item-process", "G2-item"},
	"G-nonadjacent-item-process":  {"G-nonadjacent-item-realtime", "G-nonadjacent-process", "G2-item-process"},
	"G-nonadjacent-item-realtime": {"G-nonadjacent-realtime", "G2-item-realtime"},
	"G-nonadjacent-process":       {"G-nonadjacent-realtime", "G2-process"},
	"G-nonadjacent-realtime":      {"G2-realtime"},
	"G-single":                    {"G-nonadjacent", "G-single-process", "GSIb"},
	"G-single-item":               {"G-nonadjacent-item", "G-single", "G-single-item-process"},
	"G-single-item-process":       {"G-nonadjacent-item-process", "G-single-item-realtime", "G-single-process"},
	"G-single-item-realtime":      {"G-nonadjacent-item-realtime", "G-single-realtime"},
	"G-single-process":            {"G-nonadjacent-process", "G-single-realtime"},
	"G-single-realtime":           {"G-nonadjacent-realtime"},
	"G0":                          {"G0-process", "G1c"},
	"G0-process":                  {"G0-realtime", "G1c-process"},
	"G0-realtime":                 {"G1c-realtime"},
	"G1":                          {"G1-process"},
	"G1-process":                  {"G1-realtime"},
	"G1a":                         {"G1"},
	"G1b":                         {"G1"},
	"G1c":                         {"G1", "G1c-process"},
	"G1c-process":                 {"G1-process", "G1c-realtime"},
	"G1c-realtime":                {"G1-realtime"},
	"G2":                          {"G2-process"},
	"G2-item":                     {"G2", "G2-item-process"},
	"G2-item-process":             {"G2-item-realtime", "G2-process"},
	"G2-item-realtime":            {"G2-realtime"},
	"G2-process":                  {"G2-realtime"},
	"GSIa":                        {"GSI"},
	"GSIb":                        {"GSI"},
	"dirty-update":                {"G1a"},
	"future-read":                 {"G1c"},
	"incompatible-order":          {"G1a"},
	"lost-update":                 {"G2-item", "write-skew"},
	"write-skew":                  {"G2"},
	"fractured-read":              {"fractured-read-process", "causal-cycle"},
	"causal-cycle":                {"causal-cycle-process"},
}

// Known tells whether a is an anomaly of these tables.
func (a Anomaly) Known() bool { return boundary[a] != nil }

// Anomalies are all anomalies, sorted.
func Anomalies() []Anomaly {
	list := make([]Anomaly, 0, len(boundary))
	for a := range boundary {
		list = append(list, a)
	}
	slices.Sort(list)
	return list
}

// Process is the variant of the cycle a that uses the order within processes.
func (a Anomaly) Process() Anomaly { return a + "-process" }

// Realtime is the variant of the cycle a that uses real-time order.
func (a Anomaly) Realtime() Anomaly { return a + "-realtime" }

// Rules are the weakest models that a rules out, sorted.
func (a Anomaly) Rules() []Model { return slices.Clone(boundary[a]) }

// Implied are the anomalies that are there wherever a is, without a, sorted. A searcher
// that has found a need not look for them in the same place.
func (a Anomaly) Implied() []Anomaly {
	seen := map[Anomaly]bool{}
	var list []Anomaly
	var walk func(Anomaly)
	walk = func(b Anomaly) {
		for _, next := range leads[b] {
			if !seen[next] {
				seen[next] = true
				list = append(list, next)
				walk(next)
			}
		}
	}
	walk(a)
	slices.Sort(list)
	return list
}

// Prohibited are the anomalies that any of the models forbids.
func Prohibited(models ...Model) map[Anomaly]bool {
	set := map[Anomaly]bool{}
	for _, m := range models {
		for _, a := range m.Prohibits() {
			set[a] = true
		}
	}
	return set
}
