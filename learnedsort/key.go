package learnedsort

import (
	"math"
	"unsafe"
)

// Key is a number to sort by. Types of less than 64 bits (int and uint on small
// machines) are sorted, but not by a model.
type Key interface {
	~int | ~int64 | ~uint | ~uint64 | ~float64
}

// Order maps a key to an unsigned number so that Order(a) < Order(b) exactly if a
// sorts before b in the sense of [cmp.Compare]: NaN comes before everything, all
// NaNs are equal, and so are 0 and -0. It makes the Key of a [Record] from any key.
func Order[K Key](k K) uint64 {
	kind := kindOf[K]()
	if kind == float {
		f := float64(k)
		switch {
		case f == 0:
			f = 0 // not -0
		case f != f:
			f = math.NaN() // one of many
		}
		return order(float, math.Float64bits(f))
	}
	return order(kind, uint64(k))
}

// kind is how the 64 bits of a key are to be read.
type kind uint8

const (
	unsigned kind = iota
	signed
	float
)

// kindOf finds out by arithmetic, because a type switch does not see through ~.
func kindOf[K Key]() kind {
	var k K = 1
	if k/2 != 0 {
		return float
	}
	if k = 0; k-1 < k {
		return signed
	}
	return unsigned
}

// wide tells whether keys of type K have 64 bits.
func wide[K Key]() bool {
	var k K
	return unsafe.Sizeof(k) == 8
}

const sign = 1 << 63

// nansFirst is added to a float64's bits, after these were put in the order of the
// numbers (negative ones inverted, the sign bit of the others set). In that order
// NaNs lie at both ends. Turning the circle of 2^64 values until the positive ones
// have passed the top puts both kinds at the bottom, and needs no branch.
const nansFirst = -(0x7ff0000000000001 | sign) & (1<<64 - 1)

// order maps the bits of a key to a number that sorts as the key does, one to one.
// It tells -0 from 0 and NaNs from each other; for plain keys that makes no difference.
func order(kind kind, b uint64) uint64 {
	switch kind {
	case signed:
		return b ^ sign
	case float:
		return orderFloat(b)
	}
	return b
}

func orderFloat(b uint64) uint64 {
	return (b ^ (uint64(int64(b)>>63) | sign)) + nansFirst
}

// unorder is the inverse of order.
func unorder(kind kind, b uint64) uint64 {
	switch kind {
	case signed:
		return b ^ sign
	case float:
		return unorderFloat(b)
	}
	return b
}

func unorderFloat(b uint64) uint64 {
	b -= nansFirst
	return b ^ (uint64(^int64(b)>>63) | sign)
}

// decoded returns the key that Order maps to b, or one of them.
func decoded[K Key](b uint64) K {
	b = unorder(kindOf[K](), b)
	if !wide[K]() {
		return K(b)
	}
	return *(*K)(unsafe.Pointer(&b))
}
