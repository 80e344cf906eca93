package model

import "strings"

// meanings say in a sentence what each anomaly is that a checker reports.
var meanings = map[Anomaly]string{
	G0:                "Write cycle (dirty write): transactions overwrote each other's versions in opposite orders on different keys.",
	G1a:               "Aborted read: a committed transaction read a version that was written by a transaction which failed.",
	G1b:               "Intermediate read: a committed transaction read a version that its writer went on to replace in the same transaction.",
	G1c:               "Circular information flow: each transaction of a cycle wrote over, or was read by, the next. None of them can have come first.",
	GSingle:           "Read skew (single anti-dependency): a transaction saw some effects of others and missed others, so that it read no state that ever was.",
	"G-single":        "Read skew by a predicate: a transaction saw some effects of others and missed others.",
	GNonadjacent:      "Long fork: transactions disagree about what happened first; the cycle has several anti-dependencies, never two in succession. Snapshot isolation rules it out.",
	G2Item:            "Write skew (anti-dependency cycle): transactions did not see each other's writes. Snapshot isolation allows it, serializability does not.",
	"G2":              "Anti-dependency cycle by a predicate.",
	LostUpdate:        "Lost update: several committed transactions read the same version of a key and then each wrote it: all but one of the writes ignored another.",
	DirtyUpdate:       "Dirty update: a committed transaction built upon a version of a transaction that failed.",
	Internal:          "Internal inconsistency: a transaction did not read what it had itself read or written before.",
	FutureRead:        "Future read: a transaction read a value that it wrote only later.",
	Duplicates:        "Duplicate elements: a list holds an element more than once, though it was appended once.",
	IncompatibleOrder: "Incompatible order: two reads of a list disagree about its elements, so that neither can be a past of the other.",
	CyclicVersions:    "Cyclic versions: what is known of the order of a key's versions contradicts itself.",
	PredicateMiss:     "Predicate read miss: a predicate read left out a row that it must have found.",
	GarbageRead:       "Garbage read: a transaction read a value that nobody ever wrote.",
	FracturedRead:     "Fractured read: a transaction read one write of another transaction, and of another of its keys something older.",
	CausalCycle:       "Causal violation: a transaction read something older than what it must already have known.",
	EmptyGraph:        "No transaction committed, so there is nothing to judge.",
	DuplicateWrites:   "A value was written twice to a key: nobody can tell which write was read. The key was left out.",
	WrongWorkload:     "The history has micro-operations of another workload, which were left out.",
	NotDecided:        "A search was given up before it was through.",
}

// Meaning says in a sentence or two what an anomaly is; "" of one that nothing reports.
func (a Anomaly) Meaning() string {
	if text := meanings[a]; text != "" {
		return text
	}
	for suffix, more := range map[string]string{
		"-process":  " The cycle needs the order in which single processes did things: without sessions, no contradiction.",
		"-realtime": " The cycle needs real time: an operation ended before another began.",
	} {
		if base, ok := strings.CutSuffix(string(a), suffix); ok && meanings[Anomaly(base)] != "" {
			return meanings[Anomaly(base)] + more
		}
	}
	if models := boundary[a]; strings.HasSuffix(string(a), "-cycle-exists") && len(models) == 1 {
		return "In every order of versions that is left, transactions form a cycle that " + string(models[0]) + " rules out."
	}
	return ""
}
