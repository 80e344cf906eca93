package rules

import (
	"math"
	"strconv"

	"rebase/tree"
)

type valKind uint8

const (
	vNull valKind = iota
	vBool
	vInt
	vFloat
	vString
	vObject   // of the database: equals nothing
	vAuth     // an object or array of auth
	vSnapshot // a node; str is its path, num the state that it is of
	vQuery
)

// val is a value while a rule runs. It is passed by value, so that running
// allocates nothing.
type val struct {
	kind valKind
	num  uint64
	str  string
	auth *Auth
}

func boolVal(b bool) val {
	if b {
		return val{kind: vBool, num: 1}
	}
	return val{kind: vBool}
}

func intVal(i int64) val     { return val{kind: vInt, num: uint64(i)} }
func floatVal(f float64) val { return val{kind: vFloat, num: math.Float64bits(f)} }
func stringVal(s string) val { return val{kind: vString, str: s} }

func (v val) bool() bool { return v.kind == vBool && v.num != 0 }
func (v val) int() int64 { return int64(v.num) }

func (v val) isNumber() bool { return v.kind == vInt || v.kind == vFloat }

func (v val) float() float64 {
	if v.kind == vInt {
		return float64(v.int())
	}
	return math.Float64frombits(v.num)
}

// leafVal is the value of a leaf of the database.
func leafVal(n *tree.Node) val {
	switch n.Kind() {
	case tree.Bool:
		return boolVal(n.Bool())
	case tree.Int:
		return intVal(n.Int())
	case tree.Float:
		return floatVal(n.Float())
	case tree.String:
		return stringVal(n.Str())
	case tree.Null:
		return val{}
	}
	return val{kind: vObject}
}

// equal is ==. Numbers are compared exactly.
func equal(a, b val) bool {
	switch {
	case a.isNumber() && b.isNumber():
		c, ok := compareNumbers(a, b)
		return ok && c == 0
	case a.kind != b.kind:
		return false
	case a.kind == vString:
		return a.str == b.str
	case a.kind == vBool:
		return a.num == b.num
	}
	return a.kind == vNull
}

// compareNumbers is false if one of them is not a number.
func compareNumbers(a, b val) (c int, ok bool) {
	if a.kind == vInt && b.kind == vInt {
		x, y := a.int(), b.int()
		switch {
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	if a.kind == vInt {
		c, ok := compareNumbers(b, a)
		return -c, ok
	}
	x := a.float()
	if math.IsNaN(x) {
		return 0, false
	}
	if b.kind == vFloat {
		switch y := b.float(); {
		case math.IsNaN(y):
			return 0, false
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	// Whole numbers need 63 bits and a float has 53: compare the whole part as
	// an integer, then what is behind the point.
	if x >= 1<<63 {
		return 1, true
	}
	if x < -1<<63 {
		return -1, true
	}
	whole, rest := math.Modf(x)
	if c, _ := compareNumbers(intVal(int64(whole)), b); c != 0 {
		return c, true
	}
	switch {
	case rest < 0:
		return -1, true
	case rest > 0:
		return 1, true
	}
	return 0, true
}

// arith computes with numbers: integers stay exact as long as they fit.
func arith(o op, a, b val) val {
	if a.kind == vInt && b.kind == vInt {
		x, y := a.int(), b.int()
		switch o {
		case opAdd:
			if s := x + y; (s > x) == (y > 0) {
				return intVal(s)
			}
		case opSubtract:
			if d := x - y; (d < x) == (y > 0) {
				return intVal(d)
			}
		case opMultiply:
			if x == 0 || y == 0 {
				return intVal(0)
			}
			if p := x * y; p/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64) {
				return intVal(p)
			}
		case opDivide:
			if y != 0 && x%y == 0 && !(x == math.MinInt64 && y == -1) {
				return intVal(x / y)
			}
		case opModulo:
			if y != 0 {
				return intVal(x % y)
			}
		}
	}
	x, y := a.float(), b.float()
	switch o {
	case opAdd:
		return floatVal(x + y)
	case opSubtract:
		return floatVal(x - y)
	case opMultiply:
		return floatVal(x * y)
	case opDivide:
		if y == 0 {
			return floatVal(math.NaN())
		}
		return floatVal(x / y)
	}
	return floatVal(math.Mod(x, y))
}

func negate(a val) val {
	if a.kind == vInt && a.int() != math.MinInt64 {
		return intVal(-a.int())
	}
	return floatVal(-a.float())
}

// appendText appends a string or number as + joins it. Numbers are written as
// in JavaScript, but integers with all their digits.
func (v val) appendText(dst []byte) ([]byte, bool) {
	switch v.kind {
	case vString:
		return append(dst, v.str...), true
	case vInt:
		return strconv.AppendInt(dst, v.int(), 10), true
	case vFloat:
		return appendFloat(dst, v.float()), true
	}
	return dst, false
}

func appendFloat(dst []byte, f float64) []byte {
	switch abs := math.Abs(f); {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	case f == 0:
		return append(dst, '0')
	case abs >= 1e21 || abs < 1e-6:
		dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
		// e-07 is e-7 in JavaScript.
		if n := len(dst); n >= 4 && (dst[n-3] == '-' || dst[n-3] == '+') && dst[n-2] == '0' {
			dst[n-2] = dst[n-1]
			dst = dst[:n-1]
		}
		return dst
	}
	return strconv.AppendFloat(dst, f, 'f', -1, 64)
}

// utf16Len is the length of s in UTF-16 units, which is what length counts.
func utf16Len(s string) int64 {
	n := int64(0)
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// describe writes v for a person.
func (v val) describe() string {
	switch v.kind {
	case vBool:
		return strconv.FormatBool(v.bool())
	case vInt, vFloat:
		b, _ := v.appendText(nil)
		return string(b)
	case vString:
		return clip(quote(v.str))
	case vObject:
		return "{…}"
	case vAuth:
		return clip(v.auth.String())
	case vSnapshot:
		return "the node at /" + v.str
	case vQuery:
		return "the query"
	}
	return "null"
}

// clip shortens a text for a trace.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	n := most
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n] + "…"
}
