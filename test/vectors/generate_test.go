package vectors

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// generate makes questions of all kinds.
func generate(r *rand.Rand, rounds int) []question {
	g := generator{r}
	var qs []question
	for range rounds {
		for range 12 {
			qs = append(qs, question{Op: "node", JSON: g.value(4, anyNumber)})
		}
		keys := make([]string, 25)
		for i := range keys {
			keys[i] = g.key()
		}
		qs = append(qs,
			question{Op: "keys", Keys: keys},
			question{Op: "orders", JSON: g.object(2, 12, anyNumber)},
			question{Op: "validKeys", Keys: g.dubiousKeys()},
			question{Op: "path", Path: g.slashes() + g.path() + g.slashes()},
		)
		for range 6 {
			base := g.value(3, anyNumber)
			value := g.value(2, anyNumber)
			path := g.path()
			switch g.r.IntN(4) {
			case 0:
				value = "null"
			case 1:
				value, path = pick(g, "null", "3", `"p"`, "-1.5"), path+"/.priority"
			}
			qs = append(qs, question{Op: "set", JSON: base, Path: path, Value: value})
			qs = append(qs, question{Op: "resolve", JSON: g.value(3, withServerValues), Existing: g.value(3, smallNumber), Now: 1_700_000_000_000 + r.Int64N(1e9)})
		}
		qs = append(qs, g.push())
	}
	return qs
}

type generator struct{ r *rand.Rand }

// What numbers a value may hold. JavaScript has no exact integers beyond 2^53, so that sums must stay small.
type numbers int

const (
	anyNumber numbers = iota
	smallNumber
	withServerValues // and small numbers
)

func pick[T any](g generator, from ...T) T { return from[g.r.IntN(len(from))] }

func (g generator) key() string {
	switch g.r.IntN(8) {
	case 0, 1:
		return pick(g, "a", "b", "c", "d")
	case 2:
		return strconv.Itoa(g.r.IntN(6))
	case 3:
		return strings.Repeat("0", g.r.IntN(4)) + strconv.Itoa(g.r.IntN(12))
	case 4:
		return "-" + strings.Repeat("0", g.r.IntN(3)) + strconv.Itoa(g.r.IntN(12))
	case 5:
		return pick(g, "2147483647", "2147483648", "-2147483648", "-2147483649", "9999999999", "12345678901", "00000000000001",
			"0002147483647", "-", "--1", "1a", "1e3", "+1", "0x1", " 1", "1 ", "-0", "00", "4294967296")
	}
	alphabet := []rune("abzAZ09-_~ !%&'()*+,é\u0080\u07ff\u0800\ud7ff\ue000\uf000\uffff😀\U00010000\U0010ffff")
	key := make([]rune, 1+g.r.IntN(4))
	for i := range key {
		key[i] = alphabet[g.r.IntN(len(alphabet))]
	}
	return string(key)
}

func (g generator) dubiousKeys() []string {
	keys := []string{""}
	for range 20 {
		key := []rune(g.key())
		i := g.r.IntN(len(key) + 1)
		c := pick(g, '.', '$', '#', '[', ']', '/', 0, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0x9f, '"', '\\')
		keys = append(keys, string(slices.Insert(key, i, c)))
	}
	return keys
}

func (g generator) slashes() string { return strings.Repeat("/", g.r.IntN(3)) }

// childKey is a key for a value. Negative zeros are left out: the SDK takes "-0" for the same key as "00".
func (g generator) childKey() string {
	for {
		if key := g.key(); key[0] != '-' || len(key) == 1 || strings.Trim(key[1:], "0") != "" {
			return key
		}
	}
}

func (g generator) path() string {
	keys := make([]string, g.r.IntN(4))
	for i := range keys {
		keys[i] = g.childKey()
	}
	return strings.Join(keys, "/"+g.slashes())
}

// quote writes a JSON string, with an escape here and there where none is needed.
func (g generator) quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < 0x20 || c < 0x10000 && g.r.IntN(10) == 0:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func (g generator) number(kind numbers) string {
	if kind != anyNumber || g.r.IntN(3) == 0 {
		return pick(g, strconv.Itoa(g.r.IntN(2000)-1000), strconv.FormatFloat(float64(g.r.IntN(4000)-2000)/8, 'g', -1, 64))
	}
	switch g.r.IntN(4) {
	case 0:
		return pick(g, "0", "1.0", "1e3", "1E+2", "2147483648.0", "9007199254740993", "9223372036854775807", "-9223372036854775808",
			"9223372036854775808", "18446744073709551616", "1e21", "1e22", "123456789012345678901234567890", "5e-324", "2.2250738585072014e-308",
			"1.7976931348623157e308", "1e-7", "0.000001", "0.1", "-0.5", "1e-400")
	case 1:
		return strconv.FormatInt(int64(g.r.Uint64()), 10)
	case 2:
		return strconv.FormatFloat(g.r.NormFloat64()*1e5, 'g', -1, 64)
	}
	return strconv.FormatFloat(g.r.Float64(), 'e', 1+g.r.IntN(17), 64)
}

func (g generator) text() string {
	alphabet := []rune("abcxyz 019\"\\/\n\t\u0001:()é\u0800\ue000\uffff😀\U00010000")
	text := make([]rune, g.r.IntN(12))
	for i := range text {
		text[i] = alphabet[g.r.IntN(len(alphabet))]
	}
	return string(text)
}

func (g generator) leaf(kind numbers) string {
	if kind == withServerValues && g.r.IntN(2) == 0 {
		return g.serverValue()
	}
	switch g.r.IntN(6) {
	case 0:
		return pick(g, "true", "false")
	case 1, 2:
		return g.quote(g.text())
	case 3:
		if g.r.IntN(3) == 0 {
			return "null"
		}
	}
	return g.number(kind)
}

func (g generator) serverValue() string {
	if g.r.IntN(2) == 0 {
		return `{".sv":"timestamp"}`
	}
	return `{".sv":{"increment":` + g.number(smallNumber) + `}}`
}

func (g generator) priority(kind numbers) string {
	if kind == withServerValues && g.r.IntN(3) == 0 {
		return `".priority":{".sv":"timestamp"}`
	}
	return `".priority":` + pick(g, "null", "1", "2", "-1.5", "10", `"a"`, `"b"`, `""`, `"😀"`, "1e300", g.number(smallNumber))
}

func (g generator) value(depth int, kind numbers) string {
	switch {
	case g.r.IntN(8) == 0:
		return `{".value":` + g.leaf(kind) + `,` + g.priority(kind) + `}`
	case depth == 0 || g.r.IntN(4) == 0:
		return g.leaf(kind)
	case g.r.IntN(5) == 0:
		return g.array(depth, kind)
	}
	return g.object(depth, g.r.IntN(6), kind)
}

func (g generator) array(depth int, kind numbers) string {
	var elements []string
	for range g.r.IntN(6) {
		if g.r.IntN(3) == 0 {
			elements = append(elements, "null")
		} else {
			elements = append(elements, g.value(depth-1, kind))
		}
	}
	return "[" + strings.Join(elements, ", ") + "]"
}

func (g generator) object(depth, size int, kind numbers) string {
	var members []string
	for range size {
		key := g.childKey()
		if g.r.IntN(3) == 0 {
			key = strconv.Itoa(g.r.IntN(2 + size))
		}
		members = append(members, g.quote(key)+" : "+g.value(depth-1, kind))
	}
	if g.r.IntN(3) == 0 {
		members = slices.Insert(members, g.r.IntN(len(members)+1), g.priority(kind))
	}
	return "{" + strings.Join(members, ",\n ") + "}"
}

// push asks for ids in rising and in equal milliseconds. The first time differs from that of any other question, for the SDK
// remembers the last one.
func (g generator) push() question {
	now := 1 + g.r.Int64N(1<<47)
	q := question{Op: "push"}
	for range 12 {
		q.Times = append(q.Times, now)
		now += int64(max(0, g.r.IntN(4)-1))
	}
	for i := range 12 * len(q.Times) {
		b := pick(g, g.r.IntN(64), 63, 63) // carries are wanted
		if i%12 == 0 {
			b = g.r.IntN(63) // but no overflow: the SDK then starts again from zero
		}
		q.Entropy = append(q.Entropy, b)
	}
	return q
}
