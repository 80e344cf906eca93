package tree

import (
	"cmp"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"
)

func TestKeyOrder(t *testing.T) {
	want := strings.Fields("-2147483648 -1 0 00 01 9 10 2147483647 - -2147483649 1a 2147483648 Z a b ~ 😀 \uffff")
	for i, a := range want {
		for j, b := range want {
			if got := CompareKeys(a, b); got != cmp.Compare(i, j) {
				t.Errorf("CompareKeys(%q, %q) = %d", a, b, got)
			}
		}
	}
}

var integerKey = regexp.MustCompile(`^-?(0*)\d{1,10}$`)

// compareModel is the SDK's order as its documents describe it, without any shortcut.
func compareModel(a, b string) int {
	value := func(key string) (int64, bool) {
		if !integerKey.MatchString(key) {
			return 0, false
		}
		v, ok := new(big.Int).SetString(key, 10)
		if !ok || !v.IsInt64() || v.Int64() < math.MinInt32 || v.Int64() > math.MaxInt32 {
			return 0, false
		}
		return v.Int64(), true
	}
	x, xOK := value(a)
	y, yOK := value(b)
	switch {
	case xOK && yOK:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	case xOK:
		return -1
	case yOK:
		return 1
	}
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func TestCompareKeysIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := keyGen.Draw(t, "a"), keyGen.Draw(t, "b"), keyGen.Draw(t, "c")
		ab := CompareKeys(a, b)
		if want := compareModel(a, b); ab != want {
			t.Fatalf("CompareKeys(%q, %q) = %d, want %d", a, b, ab, want)
		}
		if ab != -CompareKeys(b, a) || (ab == 0) != (a == b) {
			t.Fatalf("%q and %q are not in one order", a, b)
		}
		if ab < 0 && CompareKeys(b, c) < 0 && CompareKeys(a, c) >= 0 {
			t.Fatalf("%q < %q < %q, but not the first and the last", a, b, c)
		}
	})
}

// Bytes that are no UTF-8 never get into a tree, but binary search must not be led astray by a lookup of such.
func TestCompareKeysOrdersAnyBytes(t *testing.T) {
	any := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 5), func(b []byte) string { return string(b) })
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := any.Draw(t, "a"), any.Draw(t, "b"), any.Draw(t, "c")
		if CompareKeys(a, b) != -CompareKeys(b, a) || (CompareKeys(a, b) == 0) != (a == b) {
			t.Fatalf("%q and %q", a, b)
		}
		if CompareKeys(a, b) < 0 && CompareKeys(b, c) < 0 && CompareKeys(a, c) >= 0 {
			t.Fatalf("%q < %q < %q", a, b, c)
		}
	})
}

func TestIndexOrder(t *testing.T) {
	object := func(v int64) *Node { return NewObject([]Child{{"x", NewInt(v)}}) }
	// Each group is equal in itself and before the next.
	groups := [][]*Node{
		{nil},
		{NewBool(false), NewBool(false).WithPriority(NewInt(9))},
		{NewBool(true)},
		{NewFloat(-math.MaxFloat64)},
		{NewFloat(-(1<<63 + 1<<11))},
		{NewInt(math.MinInt64)},
		{NewFloat(-1.5)},
		{NewInt(-1)},
		{NewFloat(-0.5)},
		{NewInt(0), NewFloat(0), NewFloat(math.Copysign(0, -1)), NewFloat(-1e-400)},
		{NewFloat(0.5)},
		{NewInt(1)},
		{NewInt(1 << 53)},
		{NewInt(1<<53 + 1)}, // as a double it would equal the one before
		{NewInt(math.MaxInt64 - 1)},
		{NewInt(math.MaxInt64)},
		{NewFloat(1 << 63)},
		{NewFloat(math.MaxFloat64)},
		{NewString("")},
		{NewString("10")},
		{NewString("9")},
		{NewString("a")},
		{NewString("😀")},
		{NewString("\uffff")},
		{object(1), object(2)},
	}
	for i, x := range groups {
		for j, y := range groups {
			for _, a := range x {
				for _, b := range y {
					if got := CompareIndex(a, b); got != cmp.Compare(i, j) {
						t.Errorf("CompareIndex(%s, %s) = %d", AppendExport(nil, a), AppendExport(nil, b), got)
					}
				}
			}
		}
	}
}

func TestNumbersCompareExactly(t *testing.T) {
	exact := func(n *Node) *big.Float {
		if n.Kind() == Int {
			return new(big.Float).SetPrec(200).SetInt64(n.Int())
		}
		return new(big.Float).SetPrec(200).SetFloat64(n.Float())
	}
	near := rapid.Custom(func(t *rapid.T) *Node {
		i := rapid.Int64().Draw(t, "i")
		if rapid.Bool().Draw(t, "double") {
			return NewFloat(float64(i) + rapid.Float64Range(-1, 1).Draw(t, "off"))
		}
		return NewInt(i)
	})
	g := rapid.OneOf(numberGen, near)
	rapid.Check(t, func(t *rapid.T) {
		a, b := g.Draw(t, "a"), g.Draw(t, "b")
		if got, want := CompareIndex(a, b), exact(a).Cmp(exact(b)); got != want {
			t.Fatalf("%s and %s: got %d, want %d", AppendExport(nil, a), AppendExport(nil, b), got, want)
		}
	})
}

func TestComparePathsIsTheOrderOfAWalk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(3, false).Draw(t, "node")
		var prev *Path
		walkLeaves(n, nil, func(keys []string, _ *Node) {
			p := Path(strings.Join(keys, "/"))
			if prev != nil && (ComparePaths(*prev, p) >= 0 || compareKeysToPath(keys, *prev) <= 0) {
				t.Fatalf("%q after %q", p, *prev)
			}
			prev = &p
		})
	})
}

func BenchmarkCompareKeys(b *testing.B) {
	pairs := map[string][]string{
		"push ids": {"-NabcdefghijklmnopqA", "-NabcdefghijklmnopqB", "-Nabcdefghzzzzzzzzzz"},
		"words":    {"name", "names", "address", "city", "zip"},
		"indexes":  {strconv.Itoa(1234), strconv.Itoa(1235), strconv.Itoa(99)},
	}
	for name, keys := range pairs {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				CompareKeys(keys[i%len(keys)], keys[(i+1)%len(keys)])
				i++
			}
		})
	}
}
