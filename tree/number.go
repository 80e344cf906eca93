package tree

import (
	"math"
	"strconv"
	"unsafe"
)

// parseNumber makes a node of a JSON number's text. nil means that it is beyond the range of doubles.
func (a *allocator) parseNumber(text []byte) *Node {
	digits := text
	if text[0] == '-' {
		digits = text[1:]
	}
	var v int64
	integer := true
	for i, c := range digits {
		d := c - '0'
		if d > 9 {
			integer = false
			break
		}
		if i < 18 { // no overflow below 10^18; longer ones are done again
			v = v*10 + int64(d)
		}
	}
	s := unsafe.String(&text[0], len(text)) // strconv does not keep it
	if integer {
		if len(digits) <= 18 {
			if len(digits) < len(text) {
				v = -v
			}
			return a.int(v)
		}
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
