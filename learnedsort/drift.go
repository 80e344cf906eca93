package learnedsort

// Keys that come nearly in order, as times of events do, need no model of their
// distribution: where a key stands is already a good prediction of where it belongs.
//
// They are sorted in blocks, each spread on its own in the cache. What a block and
// the ones before it have in common is merged, which is little if the keys are out
// of place by less than a block. A key that is late by more than that would make such a
// merge long; it goes on a list that is sorted and merged in at the end. So the memory needed is
// that of two blocks and of the late keys.

const (
	driftBlock = 4096
	// driftGap is how far apart two keys have to be for the sample to expect them in order.
	driftGap = driftBlock / 4
	// lateShare is the share of keys, as a divisor, that may be late.
	lateShare = 16
)

// nearly tells by a sample whether the keys are in order but for a few that are a few places off.
func nearly[T item](a []T) bool { return ordered(a, 8, 64) }

// touchUp sorts encoded keys by insertion, and gives up when that moves more keys than there are,
// or one key far. Then the order of the keys has changed, but not that of equal ones.
func (s *sorter[T]) touchUp(a []T) bool {
	const far = 64
	budget := len(a)
	for i := 1; i < len(a); i++ {
		if k := a[i][0]; k < a[i-1][0] {
			v := a[i]
			j, end := i, max(i-far, 0)
			for ; j > end && k < a[j-1][0]; j-- {
				a[j] = a[j-1]
			}
			a[j] = v
			budget -= i - j
			if j > 0 && k < a[j-1][0] || budget < 0 {
				s.work += len(a) - budget + i
				return false
			}
		}
	}
	s.work += 2*len(a) - budget
	return true
}

// drifts tells by a sample whether the keys come nearly in order.
func drifts[T item](a []T) bool {
	return len(a) >= 4*driftBlock && ordered(a, driftGap, 256)
}

// ordered tells whether most of some pairs of keys that are so far apart are in order.
func ordered[T item](a []T, gap, probes int) bool {
	wrong := 0
	jitter := newJitter(len(a))
	step := (len(a) - gap) / probes
	for i := range probes {
		at := i*step + jitter.below(step)
		if a[at][0] > a[at+gap][0] {
			if wrong++; wrong > probes/32 {
				return false
			}
		}
	}
	return true
}

// drift sorts encoded keys that come nearly in order. It returns false if they turn out not to,
// having changed the order of keys, but not of equal ones.
func (s *sorter[T]) drift(a []T) bool {
	n := len(a)
	buf := make([]T, driftBlock)
	var late []T
	end := 0 // a[:end] is sorted; a[end:end+len(late)] is free
	for from := 0; from < n; from += driftBlock {
		block := buf[:copy(buf, a[from:min(from+driftBlock, n)])]
		to := end + len(block)
		s.spread(a[from:from+len(block)], block, 0)
		block = a[from : from+len(block)]
		if end > driftBlock && block[0][0] < a[end-driftBlock][0] {
			c := before(block, a[end-driftBlock][0])
			late = append(late, block[:c]...)
			block = block[c:]
			to -= c
		}
		if len(late) > 0 {
			copy(a[end:to], block)
		}
		if len(late) > n/lateShare {
			copy(a[to:], late)
			return false
		}
		if end > 0 && to > end && a[end][0] < a[end-1][0] {
			// No key of the block belongs before the last driftBlock of those in order.
			tail := max(end-driftBlock, 0)
			merge(a[tail:to], end-tail, buf)
			s.work += to - tail
		}
		end = to
	}
	if len(late) == 0 {
		return true
	}
	s.sortEncoded(late)
	copy(a[end:], late)
	merge(a, end, s.scratch(len(late)))
	s.work += n
	return true
}
