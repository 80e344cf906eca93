package learnedsort

import "math/bits"

// An Index finds keys in a sorted run by the model that sorted it: a CDF, and for each of its 2048 cells, how far at
// most the run is from what the model says. It takes the place of a table of fence keys, and 40 KB
// however long the run is. It does not change; it is safe for concurrent use.
type Index[K Key] struct {
	cdf  *CDF[K]
	n    int
	errs [cells]deviation
}

// deviation is by how much a place can differ from the predicted one.
type deviation struct{ least, most int }

// Index returns the index of a run, which is sorted, by the model. The model may be of other keys; the more the run differs from
// those, the further are the bounds apart.
func (c *CDF[K]) Index(run []K) *Index[K] {
	x := &Index[K]{cdf: c, n: len(run)}
	m := &c.model
	var seen [cells]bool
	// note takes in keys above p and up to q, whose place is at.
	note := func(p, q uint64, at int) {
		from, to := m.cell(p), m.cell(q)
		for cell := from; cell <= to; cell++ {
			low, high := x.scale(m.knots[cell]), x.scale(m.knots[cell+1])
			if cell == from {
				low = max(low, x.predict(p))
			}
			if cell == to {
				high = min(high, x.predict(q))
			}
			d := deviation{at - high, at - low}
			if e := &x.errs[cell]; !seen[cell] {
				*e, seen[cell] = d, true
			} else {
				e.least, e.most = min(e.least, d.least), max(e.most, d.most)
			}
		}
	}
	last := uint64(0)
	for i, k := range run {
		if k := Order(k); i == 0 || k != last {
			note(last, k, i)
			last = k
		}
	}
	note(last, 1<<64-1, len(run))
	return x
}

// Len returns the length of the run.
func (x *Index[K]) Len() int { return x.n }

// CDF returns the model.
func (x *Index[K]) CDF() *CDF[K] { return x.cdf }

// Position returns bounds for the place of k in the run: the number of keys that are less than k is at least lo and at
// most hi.
func (x *Index[K]) Position(k K) (lo, hi int) {
	o := Order(k)
	at, e := x.predict(o), x.errs[x.cdf.model.cell(o)]
	return min(max(at+e.least, 0), x.n), min(max(at+e.most, 0), x.n)
}

// Search returns the number of keys in the run that are less than k, and whether k is in the run, as [slices.BinarySearch]
// does. The run is that of the index.
func (x *Index[K]) Search(run []K, k K) (int, bool) {
	o := Order(k)
	lo, hi := x.Position(k)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); Order(run[mid]) < o {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(run) && Order(run[lo]) == o
}

// predict returns the place that the model gives an encoded key.
func (x *Index[K]) predict(k uint64) int { return x.scale(x.cdf.model.share(k)) }

func (x *Index[K]) scale(share uint32) int {
	hi, lo := bits.Mul64(uint64(share), uint64(x.n))
	return int(hi<<32 | lo>>32)
}
