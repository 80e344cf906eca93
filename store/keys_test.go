package store

import (
	"bytes"
	"cmp"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"rebase/tree"
)

// Keys of every sort: the order that the SDKs were observed to have.
var orderedKeys = []string{
	"-2147483648", "-2147483647", "-10", "-9", "-1", "-01", "-001", "0", "-0", "00", "-00", "000", "1", "01", "9", "10",
	"2147483647", "02147483647", "-", "--1", "-1a", "-2147483649", "00000000002147483648", "1a", "2147483648", "99999999999", "Z", "a", "aa", "ab", "b", "~",
	"\u007f", "é", "\uD7FF", "😀", "\U0010FFFF", "\uE000", "\uFFFF",
}

func TestComponentOrder(t *testing.T) {
	for i, a := range orderedKeys {
		for j, b := range orderedKeys {
			ea, eb := appendComponent(nil, a), appendComponent(nil, b)
			if got, want := bytes.Compare(ea, eb), cmp.Compare(i, j); got != want {
				t.Errorf("%q and %q: encodings compare as %d, want %d", a, b, got, want)
			}
			if got, want := tree.CompareKeys(a, b), cmp.Compare(i, j); got != want {
				t.Errorf("%q and %q: keys compare as %d, want %d", a, b, got, want)
			}
		}
	}
}

var anyKey = rapid.OneOf(
	rapid.SampledFrom(orderedKeys),
	rapid.StringMatching(`-?0{0,3}[0-9]{1,11}`),
	rapid.StringMatching(`[-0-9a-c]{1,5}`),
	rapid.StringN(1, 20, 60),
).Filter(func(s string) bool { return tree.CheckKey(s) == nil })

func TestComponentsSortAsKeysAndDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyKey.Draw(t, "a"), anyKey.Draw(t, "b")
		ea, eb := appendComponent(nil, a), appendComponent(nil, b)
		if bytes.Compare(ea, eb) != tree.CompareKeys(a, b) {
			t.Fatalf("%q %q: %x %x", a, b, ea, eb)
		}
		if a != b && bytes.HasPrefix(ea, eb) {
			t.Fatalf("%x is a prefix of %x", eb, ea)
		}
		key, rest, err := decodeComponent(append(bytes.Clone(ea), eb...))
		if err != nil || key != a || !bytes.Equal(rest, eb) {
			t.Fatalf("%q: decoded %q, rest %x, %v", a, key, rest, err)
		}
		if componentLen(append(bytes.Clone(ea), eb...)) != len(ea) {
			t.Fatalf("length of %x", ea)
		}
		// A subtree ends before the next sibling, and begins with the priority.
		if tree.CompareKeys(a, b) < 0 && bytes.Compare(append(bytes.Clone(ea), compEnd), eb) > 0 {
			t.Fatalf("the subtree of %q reaches into %q", a, b)
		}
	})
}

func FuzzDecodeComponent(f *testing.F) {
	for _, k := range orderedKeys {
		f.Add(appendComponent(nil, k))
	}
	f.Add([]byte{1, 0x80, 0, 0, 0, 1, 0, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		key, rest, err := decodeComponent(b)
		if err != nil {
			return
		}
		if again := append(appendComponent(nil, key), rest...); !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %q, which encodes to %x", b, key, again)
		}
	})
}

var anyNumber = rapid.OneOf(
	genNumber,
	rapid.Map(rapid.Int64(), tree.NewInt),
	rapid.Map(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), tree.NewFloat),
	// Neighbours around what a double can hold.
	rapid.Custom(func(t *rapid.T) *tree.Node {
		return tree.NewInt(int64(1)<<rapid.IntRange(50, 62).Draw(t, "bit") + rapid.Int64Range(-1100, 1100).Draw(t, "off"))
	}),
	rapid.Custom(func(t *rapid.T) *tree.Node {
		f := math.Ldexp(1, rapid.IntRange(50, 65).Draw(t, "bit"))
		return tree.NewFloat(math.Nextafter(f, math.Inf(rapid.SampledFrom([]int{-1, 1}).Draw(t, "dir"))))
	}),
)

var anyIndexValue = rapid.Custom(func(t *rapid.T) *tree.Node {
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return tree.NewBool(rapid.Bool().Draw(t, "bool"))
	case 2:
		return objectValue
	case 3:
		return tree.NewString(rapid.OneOf(genString, rapid.StringN(0, 10, 40)).Draw(t, "string"))
	}
	return anyNumber.Draw(t, "number")
})

func TestIndexValuesSortAndDecode(t *testing.T) {
	isCut := func(n *tree.Node) bool { return n.Kind() == tree.String && len(n.Str()) > maxIndexedString }
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyIndexValue.Draw(t, "a"), anyIndexValue.Draw(t, "b")
		ea, eb := appendIndexValue(nil, a), appendIndexValue(nil, b)
		got, want := bytes.Compare(ea, eb), tree.CompareIndex(a, b)
		if got != want && !(got == 0 && isCut(a) && isCut(b)) {
			t.Fatalf("%s %s: %x %x", tree.AppendExport(nil, a), tree.AppendExport(nil, b), ea, eb)
		}
		v, cut, rest, err := decodeIndexValue(append(bytes.Clone(ea), 1, 2))
		if err != nil || len(rest) != 2 || cut != isCut(a) {
			t.Fatalf("decode %x: cut %v, rest %x, %v", ea, cut, rest, err)
		}
		if cut {
			if !strings.HasPrefix(a.Str(), v.Str()) || len(v.Str()) != maxIndexedString {
				t.Fatalf("cut to %q", v.Str())
			}
		} else if !tree.Equal(v, a) {
			t.Fatalf("%x decodes to %s", ea, tree.AppendExport(nil, v))
		}
	})
}

func FuzzDecodeIndexValue(f *testing.F) {
	for _, v := range []*tree.Node{nil, tree.NewBool(true), tree.NewInt(1<<53 + 1), tree.NewFloat(-0.5), tree.NewString("a\x00é\uFFFF"), tree.NewString(longText), objectValue} {
		f.Add(appendIndexValue(nil, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, cut, rest, err := decodeIndexValue(b)
		if err != nil {
			return
		}
		if len(rest) > len(b) {
			t.Fatal("more left than there was")
		}
		if cut || v.Kind() == tree.String && !utf8.ValidString(v.Str()) {
			return
		}
		again, _, _, err := decodeIndexValue(appendIndexValue(nil, v))
		if err != nil || v.Kind() == tree.String && len(v.Str()) > maxIndexedString {
			return
		}
		if !tree.Equal(again, v) {
			t.Fatalf("%s became %s", tree.AppendExport(nil, v), tree.AppendExport(nil, again))
		}
	})
}

func FuzzDecodeDefinitions(f *testing.F) {
	n := &nsDefinitions{nextID: 3, defs: []*indexDef{
		(&indexDef{id: 1, pattern: []string{"a", wildcard}, ready: true}).withIndex(queryIndexes[4]),
		(&indexDef{id: 2, cursor: []byte("d")}).withIndex(queryIndexes[2]),
	}}
	f.Add(n.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeDefinitions(b)
		if err != nil {
			return
		}
		again, err := decodeDefinitions(n.encode())
		if err != nil || !bytes.Equal(again.encode(), n.encode()) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func TestDecodeComponentRejects(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":                      {},
		"priority":                   {0},
		"unknown":                    {3, 'a', 0},
		"unterminated":               {2, 'a'},
		"short integer":              {1, 0x80, 0, 0},
		"integer as a string":        append([]byte{2}, "17\x00"...),
		"lead byte not moved":        {2, 0xEE, 0x80, 0x80, 0},
		"canonical with a length":    {1, 0x80, 0, 0, 5, 1, 0, 1, 1},
		"sign of another value":      {1, 0x80, 0, 0, 5, 1, 0, 3, 0},
		"unknown spelling":           {1, 0x80, 0, 0, 5, 2, 0, 3, 1},
		"shorter than its digits":    {1, 0x80, 0, 0, 50, 1, 0, 1, 1},
		"byte that UTF-8 never uses": {2, 0xF8, 0},
	} {
		if key, _, err := decodeComponent(b); err == nil {
			t.Errorf("%s: %x decodes to %q", name, b, key)
		}
	}
}
