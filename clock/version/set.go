package version

import (
	"cmp"
	"iter"
	"slices"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

// Set is a dotted version vector set: the values of a datum that no other value
// replaces, and all writes that have been seen of it. The zero Set has seen none.
// Sets are immutable.
//
// For each replica there is one run: the number n of its writes seen, and the values
// of the latest of these that are still there, newest first. Value j of a run has
// the dot (replica, n-j), so no dot is ever stored. Apart from the runs there may
// be reconciled values, which have no dot: they stand for all that the set has seen.
type Set[T cmp.Ordered] struct {
	runs       []run[T] // by ascending replica
	reconciled []T      // ascending, each once
}

type run[T cmp.Ordered] struct {
	replica clock.Proc
	n       uint64
	values  []T // at most n
}

// Context is what a reader of the values has seen, to be sent back with a write.
func (s Set[T]) Context() Vector {
	v := make(counts.Vector, len(s.runs))
	for i, r := range s.runs {
		v[i] = counts.Entry{Proc: r.replica, Count: r.n}
	}
	return Vector{v}
}

// Len is the number of values: 0 before the first write, more than 1 in conflict.
func (s Set[T]) Len() int {
	n := len(s.reconciled)
	for _, r := range s.runs {
		n += len(r.values)
	}
	return n
}

// Values yields the reconciled values, then the others by replica, newest first.
func (s Set[T]) Values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range s.reconciled {
			if !yield(v) {
				return
			}
		}
		for _, r := range s.runs {
			for _, v := range r.values {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// Dots yields the values that have a dot, with it.
func (s Set[T]) Dots() iter.Seq2[Dot, T] {
	return func(yield func(Dot, T) bool) {
		for _, r := range s.runs {
			for j, v := range r.values {
				if !yield(Dot{r.replica, r.n - uint64(j)}, v) {
					return
				}
			}
		}
	}
}

// Update is the set after a client that had seen context has written value at the
// given server: values that it had seen are gone, the others stay beside it.
//
// The result differs from the published "update" in one respect: a client that had
// seen all that the set has seen replaces reconciled values too. As published,
// they would survive their own replacement.
func (s Set[T]) Update(context Vector, server clock.Proc, value T) Set[T] {
	seen := Set[T]{runs: make([]run[T], 0, len(context.v))}
	for r, n := range context.All() {
		seen.runs = append(seen.runs, run[T]{replica: r, n: n})
	}
	replaced := s
	if o := context.Compare(s.Context()); o == clock.Equal || o == clock.After {
		replaced.reconciled = nil
	}
	t := Sync(seen, replaced)
	i, ok := slices.BinarySearchFunc(t.runs, server, compareReplica[T])
	if ok {
		old := t.runs[i]
		t.runs[i] = run[T]{server, old.n + 1, slices.Concat([]T{value}, old.values)}
	} else {
		t.runs = slices.Insert(t.runs, i, run[T]{server, 1, []T{value}})
	}
	return t
}

func compareReplica[T cmp.Ordered](r run[T], p clock.Proc) int { return cmp.Compare(r.replica, p) }

// Sync is what two servers that tell each other all end up with. A value stays if
// both have it, or if one has it and the other has not seen its write. Of reconciled
// values those of the set that has seen more stay, or both sets' if neither has.
//
// It is commutative and idempotent, and associative where nothing is reconciled.
func Sync[T cmp.Ordered](a, b Set[T]) Set[T] {
	out := Set[T]{runs: make([]run[T], 0, max(len(a.runs), len(b.runs))+1)}
	switch compareSeen(a.runs, b.runs) {
	case clock.Before:
		out.reconciled = b.reconciled
	case clock.After:
		out.reconciled = a.reconciled
	default:
		out.reconciled = slices.Concat(a.reconciled, b.reconciled)
		slices.Sort(out.reconciled)
		out.reconciled = slices.Compact(out.reconciled)
	}
	x, y := a.runs, b.runs
	for len(x) > 0 && len(y) > 0 {
		switch {
		case x[0].replica < y[0].replica:
			out.runs, x = append(out.runs, x[0]), x[1:]
		case x[0].replica > y[0].replica:
			out.runs, y = append(out.runs, y[0]), y[1:]
		default:
			out.runs = append(out.runs, merge(x[0], y[0]))
			x, y = x[1:], y[1:]
		}
	}
	out.runs = append(out.runs, x...)
	out.runs = append(out.runs, y...)
	return out
}

// merge syncs two runs of one replica. Each has dropped the values of the writes up
// to n less the number of its values. So what is left are those of the writes above
// the higher of the two marks, and the run that has seen more has them all.
func merge[T cmp.Ordered](x, y run[T]) run[T] {
	if x.n < y.n {
		x, y = y, x
	}
	dropped := max(x.n-uint64(len(x.values)), y.n-uint64(len(y.values)))
	if dropped >= x.n {
		return run[T]{replica: x.replica, n: x.n}
	}
	return run[T]{x.replica, x.n, x.values[:x.n-dropped]}
}

// compareSeen is a.Context().Compare(b.Context()), without allocation.
func compareSeen[T cmp.Ordered](a, b []run[T]) clock.Order {
	less, more := false, false
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].replica < b[0].replica:
			more, a = true, a[1:]
		case a[0].replica > b[0].replica:
			less, b = true, b[1:]
		default:
			less = less || a[0].n < b[0].n
			more = more || a[0].n > b[0].n
			a, b = a[1:], b[1:]
		}
	}
	less, more = less || len(b) > 0, more || len(a) > 0
	switch {
	case less && more:
		return clock.Concurrent
	case less:
		return clock.Before
	case more:
		return clock.After
	}
	return clock.Equal
}

// Compare compares what two sets have seen, and does not look at values. Two that
// are Equal have the same values, reconciled ones apart.
func (s Set[T]) Compare(o Set[T]) clock.Order { return compareSeen(s.runs, o.runs) }

// Reconcile puts one value in the place of all, without a write of its own. All
// servers must decide alike, so that those who reconcile the same set still agree:
// decide gets the values in ascending order and must depend on nothing else. A set
// with fewer than two values stays as it is, and decide is not called.
//
// It is meant for values that a server can work out again at any time. A reconciled
// value has no dot: it gives way to a set that has seen more, even if what that set has
// seen beyond is in conflict with it. A decision that must last is a write:
// Update(s.Context(), server, decision).
func (s Set[T]) Reconcile(decide func(values []T) T) Set[T] {
	if s.Len() < 2 {
		return s
	}
	values := slices.Sorted(s.Values())
	out := Set[T]{runs: make([]run[T], len(s.runs)), reconciled: []T{decide(values)}}
	for i, r := range s.runs {
		out.runs[i] = run[T]{replica: r.replica, n: r.n}
	}
	return out
}

// LastWriterWins reconciles to the greatest value by less, which as a rule compares
// times that are part of the values. What less calls equal goes by the order of T.
func (s Set[T]) LastWriterWins(less func(a, b T) bool) Set[T] {
	if s.Len() < 2 {
		return s
	}
	greatest := slices.MaxFunc(slices.Sorted(s.Values()), func(a, b T) int {
		switch {
		case less(a, b):
			return -1
		case less(b, a):
			return 1
		}
		return cmp.Compare(a, b)
	})
	return s.Reconcile(func([]T) T { return greatest })
}
