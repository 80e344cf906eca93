package learnedsort

// insertion sorts in place, stably, with as many moves as there are inversions. It
// is for what is nearly sorted, or short.
func insertion[T item](a []T) {
	for i := 1; i < len(a); i++ {
		if k := a[i][0]; k < a[i-1][0] {
			v := a[i]
			j := i
			for ; j > 0 && k < a[j-1][0]; j-- {
				a[j] = a[j-1]
			}
			a[j] = v
		}
	}
}

// mergesort sorts a stably, with the help of buf, which is as long. It is for what is
// too short for the other ways and too long for insertion.
func mergesort[T item](a, buf []T) {
	const run = 12
	n := len(a)
	for from := 0; from < n; from += run {
		insertion(a[from:min(from+run, n)])
	}
	for width := run; width < n; width *= 2 {
		for from := 0; from+width < n; from += 2 * width {
			merge(a[from:min(from+2*width, n)], width, buf)
		}
	}
}

// merge joins the sorted a[:mid] and a[mid:], stably. Of the shorter side, what has
// to move is put aside in buf.
func merge[T item](a []T, mid int, buf []T) {
	// What is in place already stays.
	from := after(a[:mid], a[mid][0])
	if from == mid {
		return
	}
	to := mid + before(a[mid:], a[mid-1][0])
	if mid-from <= to-mid {
		left := buf[:copy(buf, a[from:mid])]
		i, j, w := 0, mid, from
		for i < len(left) && j < to {
			if a[j][0] < left[i][0] {
				a[w] = a[j]
				j++
			} else {
				a[w] = left[i]
				i++
			}
			w++
		}
		copy(a[w:], left[i:])
		return
	}
	right := buf[:copy(buf, a[mid:to])]
	i, j, w := mid, len(right), to
	for j > 0 && i > from {
		w--
		if right[j-1][0] < a[i-1][0] {
			i--
			a[w] = a[i]
		} else {
			j--
			a[w] = right[j]
		}
	}
	copy(a[from:], right[:j])
}

// after returns how many keys of a sorted slice are at most k.
func after[T item](a []T, k uint64) int {
	lo, hi := 0, len(a)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); a[mid][0] <= k {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// before returns how many keys of a sorted slice are less than k.
func before[T item](a []T, k uint64) int {
	lo, hi := 0, len(a)
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); a[mid][0] < k {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
