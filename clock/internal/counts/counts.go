package counts

import (
	"slices"

	"rebase/clock"
)

// Entry is one process's component. Count is never 0 in a Vector.
type Entry struct {
	Proc  clock.Proc
	Count uint64
}

// Vector holds entries by ascending process. A process without an entry counts 0,
// which is how processes come: nobody has to be told. It is never changed in
// place: all functions return the argument itself or a fresh copy.
type Vector []Entry

// find returns p's place, and whether it is taken. Vectors are short: up to
// sixteen entries a scan is faster than halving.
func (v Vector) find(p clock.Proc) (int, bool) {
	lo, hi := 0, len(v)
	for hi-lo > 16 {
		mid := int(uint(lo+hi) >> 1)
		if v[mid].Proc < p {
			lo = mid + 1
		} else {
			hi = mid + 1 // mid itself may be it
		}
	}
	for i := lo; i < hi; i++ {
		if v[i].Proc >= p {
			return i, v[i].Proc == p
		}
	}
	return hi, false
}

// Get is p's count.
func (v Vector) Get(p clock.Proc) uint64 {
	if i, ok := v.find(p); ok {
		return v[i].Count
	}
	return 0
}

// With is v with p's count set to n. Setting it to 0 removes the entry.
func (v Vector) With(p clock.Proc, n uint64) Vector {
	i, ok := v.find(p)
	switch {
	case ok && v[i].Count == n, !ok && n == 0:
		return v
	case ok && n == 0:
		return slices.Concat(v[:i], v[i+1:])
	case ok:
		w := slices.Clone(v)
		w[i].Count = n
		return w
	}
	w := make(Vector, 0, len(v)+1)
	w = append(w, v[:i]...)
	w = append(w, Entry{p, n})
	return append(w, v[i:]...)
}

// Max is the component-wise maximum. It is one of the arguments itself if that
// covers the other.
func Max(a, b Vector) Vector {
	switch Compare(a, b) {
	case clock.Equal, clock.After:
		return a
	case clock.Before:
		return b
	}
	m := make(Vector, 0, max(len(a), len(b))+1)
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].Proc < b[0].Proc:
			m, a = append(m, a[0]), a[1:]
		case b[0].Proc < a[0].Proc:
			m, b = append(m, b[0]), b[1:]
		default:
			m = append(m, Entry{a[0].Proc, max(a[0].Count, b[0].Count)})
			a, b = a[1:], b[1:]
		}
	}
	m = append(m, a...)
	return append(m, b...)
}

// Compare compares component by component. It does not allocate.
func Compare(a, b Vector) clock.Order {
	less, more := false, false // some component of a is
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch x, y := a[i], b[j]; {
		case x.Proc < y.Proc:
			more = true
			i++
		case x.Proc > y.Proc:
			less = true
			j++
		default:
			less = less || x.Count < y.Count
			more = more || x.Count > y.Count
			i++
			j++
		}
		if less && more {
			return clock.Concurrent
		}
	}
	less = less || j < len(b)
	more = more || i < len(a)
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
