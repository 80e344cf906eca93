package learnedsort

import (
	"cmp"
	"slices"
)

const (
	// maxFew is up to how many distinct keys are counted, key by key.
	maxFew = 256
	// fewSlots is the size of the table of distinct keys.
	fewSlots = 4 * maxFew
	// maxProbes is how far a key may lie from its place in the table: keys made to collide
	// there must not make this slow.
	maxProbes = 8
)

// few sorts encoded keys that are a few distinct ones, by counting. It returns false, having
// changed nothing, when they are not. Stable.
func (s *sorter[T]) few(a []T) bool {
	var (
		keys  [fewSlots]uint64
		ids   [fewSlots]uint16 // the number of the key plus 1, or 0
		count [maxFew]int
		found []uint64
	)
	places := s.bucketIDs(len(a))
	for i := range a {
		k := a[i][0]
		h := k * 0x9e3779b97f4a7c15 >> (64 - 10)
		for probe := 0; ids[h] == 0 || keys[h] != k; probe++ {
			if probe == maxProbes {
				return false
			}
			if ids[h] == 0 {
				if len(found) == maxFew {
					return false
				}
				found = append(found, k)
				keys[h], ids[h] = k, uint16(len(found))
				break
			}
			h = (h + 1) % fewSlots
		}
		id := ids[h] - 1
		places[i] = id
		count[id%maxFew]++
	}
	s.work += len(a)

	byKey := make([]uint16, len(found))
	for i := range byKey {
		byKey[i] = uint16(i)
	}
	slices.SortFunc(byKey, func(x, y uint16) int { return cmp.Compare(found[x], found[y]) })
	if len(a[0]) == 1 {
		// There is nothing to a key but its value.
		rest := a
		for _, id := range byKey {
			same := rest[:count[id]]
			for i := range same {
				same[i][0] = found[id]
			}
			rest = rest[count[id]:]
		}
		s.work += len(a)
		return true
	}
	sum := 0
	for _, id := range byKey {
		count[id], sum = sum, sum+count[id]
	}
	buf := s.scratch(len(a))
	for i := range a {
		id := places[i] % maxFew
		at := count[id]
		count[id] = at + 1
		buf[at] = a[i]
	}
	copy(a, buf)
	s.work += 2 * len(a)
	return true
}
