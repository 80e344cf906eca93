package learnedsort

// radix sorts a by the bytes of its keys, the least significant first, stably. One
// pass over the keys counts all bytes; a byte that all keys share costs nothing more.
//
// It is the way where a model would mislead or a few bytes tell everything: it never
// looks at how keys are distributed. It returns the number of passes that moved keys.
func radix[T item](a, buf []T) int {
	if len(a) == 0 {
		return 0
	}
	var count [8][256]int
	for i := range a {
		k := a[i][0]
		count[0][uint8(k)]++
		count[1][uint8(k>>8)]++
		count[2][uint8(k>>16)]++
		count[3][uint8(k>>24)]++
		count[4][uint8(k>>32)]++
		count[5][uint8(k>>40)]++
		count[6][uint8(k>>48)]++
		count[7][uint8(k>>56)]++
	}
	src, dst := a, buf[:len(a)]
	passes := 0
	for b := range count {
		next := &count[b]
		shift := uint(8*b) & 63
		if next[uint8(src[0][0]>>shift)] == len(a) {
			continue
		}
		sum := 0
		for d := range next {
			next[d], sum = sum, sum+next[d]
		}
		for i := range src {
			d := uint8(src[i][0] >> shift)
			at := next[d]
			next[d] = at + 1
			dst[at] = src[i]
		}
		src, dst = dst, src
		passes++
	}
	if passes%2 == 1 {
		copy(a, src)
	}
	return passes
}
