package tree

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"
)

// tens are the powers of ten that a double holds exactly.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseNumber makes a node of a JSON number's text. nil means that it is beyond the range of doubles.
func (a *allocator) parseNumber(text []byte) *Node {
	negative := text[0] == '-'
	digits := text
	if negative {
		digits = text[1:]
	}
	// Up to 15 digits, with a point or without, are done here: they are exact as a double, as is the power of ten that
	// divides them, so that the quotient is the nearest double.
	var v int64
	point, i := -1, 0
	for ; i < len(digits) && i <= 15; i++ {
		c := digits[i]
		if c == '.' {
			point = i
			continue
		}
		if c-'0' > 9 {
			break
		}
		v = v*10 + int64(c-'0')
	}
	if i == len(digits) {
		if negative {
			v = -v
		}
		if point < 0 {
			return a.int(v)
		}
		return a.float(float64(v) / tens[len(digits)-1-point])
	}
	s := unsafe.String(&text[0], len(text)) // strconv does not keep it
	if !bytes.ContainsAny(text, ".eE") {
		if v, err := strconv.ParseInt(s, 10, 64); err == nil {
			return a.int(v)
		}
	}
	f, _ := strconv.ParseFloat(s, 64)
	return a.float(f)
}

// appendNumber renders an Int or a Float so that every SDK reads back the same value: shortest digits, and an exponent for
// doubles from 2^63, which as bare digits the Java SDK would try to read as a long.
func appendNumber(dst []byte, n *Node) []byte {
	if n.kind == Int {
		return strconv.AppendInt(dst, int64(n.num), 10)
	}
	v := n.Float()
	if abs := math.Abs(v); abs >= 1e-6 && abs < 1<<63 {
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'e', -1, 64)
}
