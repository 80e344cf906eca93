package learnedsort

import (
	"math"
	"slices"
)

// maxRuns is how many natural runs are worth merging. Sixteen take four rounds,
// about as long as the other ways.
const maxRuns = 16

// runs looks for runs that are in order already, or strictly falling. It returns where
// each ends, and the falling ones as a set of bits. ok is false if there are more than maxRuns,
// which in data without order becomes clear after some dozens of keys. The ends are put into room.
func runs[T item](kind kind, a []T, room []int) (ends []int, down uint, ok bool) {
	rise, fall := rising[T], falling[T]
	var flip uint64
	switch kind {
	case float:
		rise, fall = risingFloats[T], fallingFloats[T]
	case signed:
		flip = sign
	}
	ends = room[:0]
	for i := 0; i < len(a); {
		if len(ends) == maxRuns {
			return nil, 0, false
		}
		n := rise(a[i:], flip)
		if n == 1 {
			if n = fall(a[i:], flip); n > 1 {
				down |= 1 << len(ends)
			}
		}
		i += n
		ends = append(ends, i)
	}
	return ends, down, true
}

// rising returns the length of the run that a begins with. Four keys at a time are twice as fast as one: what
// is sorted costs little more than reading it.
func rising[T item](a []T, flip uint64) int {
	last := a[0][0] ^ flip
	i := 1
	for ; i+4 <= len(a); i += 4 {
		p := a[i : i+4]
		k0, k1, k2, k3 := p[0][0]^flip, p[1][0]^flip, p[2][0]^flip, p[3][0]^flip
		if k0 < last || k1 < k0 || k2 < k1 || k3 < k2 {
			break
		}
		last = k3
	}
	for ; i < len(a); i++ {
		k := a[i][0] ^ flip
		if k < last {
			break
		}
		last = k
	}
	return i
}

func falling[T item](a []T, flip uint64) int {
	last := a[0][0] ^ flip
	i := 1
	for ; i+4 <= len(a); i += 4 {
		p := a[i : i+4]
		k0, k1, k2, k3 := p[0][0]^flip, p[1][0]^flip, p[2][0]^flip, p[3][0]^flip
		if k0 >= last || k1 >= k0 || k2 >= k1 || k3 >= k2 {
			break
		}
		last = k3
	}
	for ; i < len(a); i++ {
		k := a[i][0] ^ flip
		if k >= last {
			break
		}
		last = k
	}
	return i
}

// risingFloats compares the keys as float64s. NaNs may lead; later ones end the run. Zeroes are equal.
func risingFloats[T item](a []T, _ uint64) int {
	i := 1
	last := math.Float64frombits(a[0][0])
	for ; i < len(a) && last != last; i++ {
		last = math.Float64frombits(a[i][0])
	}
	for ; i < len(a); i++ {
		k := math.Float64frombits(a[i][0])
		if !(k >= last) {
			break
		}
		last = k
	}
	return i
}

func fallingFloats[T item](a []T, _ uint64) int {
	i := 1
	for last := math.Float64frombits(a[0][0]); i < len(a); i++ {
		k := math.Float64frombits(a[i][0])
		if !(k < last) {
			break
		}
		last = k
	}
	return i
}

// turn reverses the falling runs. Their keys differ, so that this is stable.
func turn[T item](a []T, ends []int, down uint) {
	from := 0
	for i, to := range ends {
		if down>>i&1 == 1 {
			slices.Reverse(a[from:to])
		}
		from = to
	}
}

// mergeRuns merges neighbours until one run is left.
func (s *sorter[T]) mergeRuns(a []T, ends []int) {
	for len(ends) > 1 {
		from := 0
		joined := ends[:0]
		for i := 0; i < len(ends); i += 2 {
			if i+1 == len(ends) {
				joined = append(joined, ends[i])
				break
			}
			to := ends[i+1]
			merge(a[from:to], ends[i]-from, s.scratch(min(ends[i]-from, to-ends[i])))
			joined = append(joined, to)
			from = to
		}
		ends = joined
		s.work += len(a)
	}
}
