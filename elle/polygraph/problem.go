package polygraph

// Edge is a known dependency: From took effect before To.
type Edge struct {
	From, To uint32
	// Anti says that From read a version that To replaced. All other dependencies are plain: To saw From's
	// effect, replaced it, or for another reason began after it.
	Anti bool
}

// Object is something with versions.
type Object struct {
	Writers []uint32
	// Readers[i] are the transactions that read the version of Writers[i].
	Readers [][]uint32
}

// Problem is what is known, and what is to be chosen.
type Problem struct {
	Vertices int // transactions, and whatever else Known needs to pass through
	Known    []Edge
	Objects  []Object
	// Snapshot asks for snapshot isolation instead of serializability.
	Snapshot bool
	// Likely orders vertices: of two writers the one with the smaller number is guessed to come first.
	Likely []int64
	// Began and Ended say when a vertex ran, in the unit of Likely: one that never ended has the largest number, and one whose
	// Began is negative was there before all others. Timed says that what had ended before another began
	// certainly took effect before it, which Known must say, too. Nil if nothing is known.
	Began, Ended []int64
	Timed        bool
	// MaxBytes bounds the memory for what can be reached from where; 0 means 32 MiB, which is enough for 8,000
	// transactions at a time under snapshot isolation. MaxWork bounds the search, in steps of about a nanosecond;
	// 0 means half a billion.
	MaxBytes, MaxWork int
}

// Verdict is the answer.
type Verdict uint8

// The answers.
const (
	NotDecided Verdict = iota
	Proved
	Refuted
)

func (v Verdict) String() string { return [...]string{"not decided", "proved", "refuted"}[v] }

// Result is an answer and its reason.
type Result struct {
	Verdict Verdict
	// Cycle is the contradiction, if Refuted by what is known and forced.
	Cycle []Step
	// Tries is how many choices were made that nothing forced.
	Tries int

	by   []int64 // the solution: by vertex, a number that orders the writers
	work int     // what it took
}

// Step is an edge of a contradiction.
type Step struct {
	From, To uint32
	Anti     bool
	// Known edges have Object -1. Others are there because of a choice for two writers of Object: First comes before
	// Second, because otherwise there would be the cycle Otherwise.
	Object        int
	First, Second uint32
	Otherwise     []Step
}
