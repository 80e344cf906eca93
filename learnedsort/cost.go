package learnedsort

// The costs of a radix sort and of a model, in nanoseconds for a key on the machine that this was tuned on;
// what counts is how they compare. A pass of the radix sort moves all keys over the whole of memory,
// so its cost grows with their size; a model moves them twice.

// cheapest is less than what any model costs.
const cheapest = 8

// passesFor returns how many passes the radix sort makes over keys that differ in these bits.
func passesFor(differ uint64) int {
	passes := 0
	for ; differ != 0; differ >>= 8 {
		if differ&0xff != 0 {
			passes++
		}
	}
	return passes
}

func radixCost[T item](n, passes int) float64 {
	p := float64(passes)
	switch size := n * itemSize[T](); {
	case itemSize[T]() == 8 && size < 4<<20:
		return 3 + 1.0*p
	case itemSize[T]() == 8 && size < 32<<20:
		return 2 + 1.5*p
	case itemSize[T]() == 8:
		return 3.2 + 1.7*p
	case size < 4<<20:
		return 3 + 1.3*p
	default:
		return 2 + 2.5*p
	}
}

// modelCost takes the share of keys that are distinct, too: equal ones are in order when they have found their bucket.
func modelCost[T item](n int, f feature, direct bool, imbalance, distinct float64) float64 {
	cost := 13.3
	if itemSize[T]() > 8 && n*itemSize[T]() >= 4<<20 {
		cost = 16.5
	}
	if f == magnitude {
		cost += 0.7
	}
	if direct {
		cost -= 2.5
	}
	return cost*(0.6+0.4*distinct) + 2*max(imbalance-1, 0)*distinct
}
