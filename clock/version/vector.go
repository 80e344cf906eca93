package version

import (
	"iter"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

// Vector counts, for each replica, the writes made there that have been seen. It
// covers the first n of a replica that it counts n for. The zero Vector has seen
// none. Vectors are immutable.
type Vector struct{ v counts.Vector }

// Add is v with one more write of replica r.
func (v Vector) Add(r clock.Proc) Vector { return Vector{v.v.With(r, v.v.Get(r)+1)} }

// Compare is Before if o has seen all that v has, and more; Concurrent if each has
// seen what the other has not.
func (v Vector) Compare(o Vector) clock.Order { return counts.Compare(v.v, o.v) }

// Join has seen what either has.
func (v Vector) Join(o Vector) Vector { return Vector{counts.Max(v.v, o.v)} }

// Covers tells whether the write d has been seen. Nothing has seen a Dot with N 0.
func (v Vector) Covers(d Dot) bool { return d.N > 0 && d.N <= v.v.Get(d.Replica) }

// At is the number of writes of r that have been seen.
func (v Vector) At(r clock.Proc) uint64 { return v.v.Get(r) }

// All yields the counts that are not 0, by ascending replica.
func (v Vector) All() iter.Seq2[clock.Proc, uint64] {
	return func(yield func(clock.Proc, uint64) bool) {
		for _, e := range v.v {
			if !yield(e.Proc, e.Count) {
				return
			}
		}
	}
}

// Dot is one write: the N-th, from 1, that was made at Replica. Dots of one write
// are ==.
type Dot struct {
	Replica clock.Proc
	N       uint64
}

// Dotted is a dotted version vector: a write and, apart from it, what its author
// had seen. The zero Dotted is of no write. Dotteds are immutable.
type Dotted struct {
	dot     Dot
	context Vector
}

// NewDotted is the clock of the value that d wrote in place of all that context has
// seen. The write itself must not be in the context, as it is its own cause then, nor
// have N 0: NewDotted panics.
func NewDotted(d Dot, context Vector) Dotted {
	if d.N == 0 || context.Covers(d) {
		panic("version: a write that is no write, or replaces itself")
	}
	return Dotted{d, context}
}

// Dot is the write.
func (a Dotted) Dot() Dot { return a.dot }

// Context is what the write's author had seen.
func (a Dotted) Context() Vector { return a.context }

// Before tells whether b replaces a: whether b's author had seen a. It looks at
// one component.
func (a Dotted) Before(b Dotted) bool { return b.context.Covers(a.dot) }

// Compare is Concurrent for values in conflict, Equal for one write.
func (a Dotted) Compare(b Dotted) clock.Order {
	switch {
	case a.dot == b.dot:
		return clock.Equal
	case a.Before(b):
		return clock.Before
	case b.Before(a):
		return clock.After
	}
	return clock.Concurrent
}

// Join is the version vector of who has seen the value and all that it replaced.
// It covers the writes between the context and the dot as well, if there are any.
func (a Dotted) Join() Vector {
	if a.dot.N <= a.context.At(a.dot.Replica) {
		return a.context
	}
	return Vector{a.context.v.With(a.dot.Replica, a.dot.N)}
}
