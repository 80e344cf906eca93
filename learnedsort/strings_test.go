package learnedsort

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// texts are kinds of strings.
var texts = []struct {
	name string
	make func(r *rand.Rand, i int) string
}{
	{"words", func(r *rand.Rand, i int) string { return word(r) }},
	{"paths", func(r *rand.Rand, i int) string {
		return "https://example.com/users/" + word(r) + "/" + fmt.Sprint(r.IntN(100)) + "/" + word(r)
	}},
	{"numbers", func(r *rand.Rand, i int) string { return fmt.Sprint(r.IntN(1 << 30)) }},
	{"zeroes", func(r *rand.Rand, i int) string { return strings.Repeat("\x00", r.IntN(40)) }},
	{"zeroes and ones", func(r *rand.Rand, i int) string {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = byte(r.IntN(2))
		}
		return string(b)
	}},
	{"one letter", func(r *rand.Rand, i int) string { return strings.Repeat("a", r.IntN(300)) }},
	{"one string", func(r *rand.Rand, i int) string { return "the same for all of them" }},
	{"empty", func(r *rand.Rand, i int) string { return "" }},
	{"sorted", func(r *rand.Rand, i int) string { return fmt.Sprintf("%09d", i) }},
	{"high bytes", func(r *rand.Rand, i int) string {
		return string([]byte{byte(r.IntN(256)), byte(r.IntN(256)), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, byte(r.IntN(256))}[:2+r.IntN(9)])
	}},
}

func word(r *rand.Rand) string {
	b := make([]byte, 1+r.IntN(12))
	for i := range b {
		b[i] = "etaoinshrdlu"[min(r.IntN(12), r.IntN(12))]
	}
	return string(b)
}

func TestSortStrings(t *testing.T) {
	for _, text := range texts {
		t.Run(text.name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{0, 1, 2, smallKeys - 1, smallKeys, 500, 5000, 20_000} {
				r := seeded(uint64(n))
				x := make([]string, n)
				for i := range x {
					x[i] = text.make(r, i)
				}
				want := slices.Clone(x)
				slices.Sort(want)
				SortStrings(x)
				if !slices.Equal(x, want) {
					t.Errorf("%d strings: not what slices.Sort gives", n)
				}
			}
		})
	}
}
