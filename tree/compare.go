package tree

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"strings"
	"unsafe"
)

// parseInt32 reports whether key counts as an integer in the order of keys, and its value. The SDK's test is the regular
// expression ^-?(0*)\d{1,10}$ and a value of at most 32 bits.
func parseInt32(key string) (int64, bool) {
	if key == "" || key[0] > '9' {
		return 0, false
	}
	digits := key
	negative := key[0] == '-'
	if negative {
		digits = key[1:]
	}
	if digits == "" {
		return 0, false
	}
	var v int64
	for i := range len(digits) {
		d := digits[i] - '0'
		if d > 9 {
			return 0, false
		}
		if v = v*10 + int64(d); v > math.MaxInt32+1 {
			return 0, false
		}
	}
	if negative {
		v = -v
	}
	if v > math.MaxInt32 {
		return 0, false
	}
	return v, true
}

// CompareKeys is the order of keys: first those that are 32-bit integers, by value, then the others by their UTF-16 code
// units. Integers of equal value ("0", "00") go by length; the SDKs take what is still equal then ("00", "-0") for the same,
// here the bytes decide, so that the order is total.
func CompareKeys(a, b string) int {
	if a != "" && b != "" && a[0] > '9' && b[0] > '9' {
		return CompareStrings(a, b)
	}
	x, xIsInt := parseInt32(a)
	y, yIsInt := parseInt32(b)
	switch {
	case !xIsInt && !yIsInt:
		return CompareStrings(a, b)
	case xIsInt && yIsInt:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	case xIsInt:
		return -1
	}
	return 1
}

// CompareStrings is the order of strings: by UTF-16 code units, as in JavaScript and Java.
//
// For valid UTF-8 the order of bytes is that of code points, which is also that of UTF-16 except that U+E000 to U+FFFF (lead
// bytes 0xEE and 0xEF) come after the surrogates, hence after all that is above U+FFFF (lead bytes from 0xF0). It is enough
// to look at the first bytes that differ: if they are not lead bytes, the characters have the same lead byte.
func CompareStrings(a, b string) int {
	n := min(len(a), len(b))
	i := 0
	x8, y8 := unsafe.Slice(unsafe.StringData(a), len(a)), unsafe.Slice(unsafe.StringData(b), len(b))
	for i+8 <= n {
		if d := binary.LittleEndian.Uint64(x8[i:]) ^ binary.LittleEndian.Uint64(y8[i:]); d != 0 {
			i += bits.TrailingZeros64(d) / 8
			break
		}
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	if i == n {
		return cmp.Compare(len(a), len(b))
	}
	x, y := a[i], b[i]
	less := x < y
	if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
		less = !less
	}
	if less {
		return -1
	}
	return 1
}

// rank is the order of kinds among index values.
func rank(n *Node) int {
	switch n.Kind() {
	case Null:
		return 0
	case ServerValue: // not meant to be compared; where the SDKs have it
		return 1
	case Bool:
		return 2
	case Int, Float:
		return 3
	case String:
		return 4
	}
	return 5
}

// CompareIndex is the order of values that orderByValue, orderByChild and priorities use: null, false, true, numbers,
// strings (UTF-16), objects. All objects are equal, and priorities of the values do not count. Integers and doubles are
// compared exactly, not by rounding the integer.
func CompareIndex(a, b *Node) int {
	x, y := rank(a), rank(b)
	if x != y {
		return cmp.Compare(x, y)
	}
	switch x {
	case 1, 2:
		return cmp.Compare(a.num, b.num)
	case 3:
		return compareNumbers(a, b)
	case 4:
		return CompareStrings(a.Str(), b.Str())
	}
	return 0
}

func compareNumbers(a, b *Node) int {
	switch {
	case a.kind == Int && b.kind == Int:
		return cmp.Compare(int64(a.num), int64(b.num))
	case a.kind == Float && b.kind == Float:
		return cmp.Compare(a.Float(), b.Float())
	case a.kind == Int:
		return compareIntFloat(int64(a.num), b.Float())
	}
	return -compareIntFloat(int64(b.num), a.Float())
}

// compareIntFloat never returns 0, for a Float is not integral or is out of int64's range.
func compareIntFloat(i int64, f float64) int {
	switch {
	case f >= 1<<63:
		return -1
	case f < -(1 << 63):
		return 1
	}
	floor := int64(math.Floor(f))
	if i <= floor {
		return -1
	}
	return 1
}
