package db

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/tree"
)

// TestDisjoint compares checkDisjoint, which takes a short way for paths in order, with its definition.
func TestDisjoint(t *testing.T) {
	key := rapid.SampledFrom([]string{"a", "a-", "a.", "b", "9", "10", "-1", "010", "é"})
	rapid.Check(t, func(t *rapid.T) {
		var updates []Update
		for range rapid.IntRange(0, 6).Draw(t, "n") {
			var p tree.Path
			for _, k := range rapid.SliceOfN(key, 0, 3).Draw(t, "path") {
				p = p.Child(k)
			}
			priority := rapid.IntRange(0, 4).Draw(t, "priority") == 0
			if p.IsRoot() && !priority {
				continue
			}
			updates = append(updates, Update{Path: p, Priority: priority})
		}
		if rapid.Bool().Draw(t, "sorted") {
			slices.SortFunc(updates, func(a, b Update) int { return tree.ComparePaths(a.wirePath(), b.wirePath()) })
		}
		want := true
		for i := range updates {
			for j := range updates {
				if i != j && updates[i].wirePath().Contains(updates[j].wirePath()) {
					want = false
				}
			}
		}
		if err := checkDisjoint(updates); (err == nil) != want {
			t.Fatalf("%v: %v, want disjoint %v", updates, err, want)
		}
	})
}

func BenchmarkCheckDisjoint(b *testing.B) {
	updates := make([]Update, 20_000) // one write of an import
	for i := range updates {
		updates[i].Path = tree.Path(fmt.Sprintf("list/k%06d/score", i))
	}
	for _, how := range []string{"in order", "out of order"} {
		b.Run(how, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := checkDisjoint(updates); err != nil {
					b.Fatal(err)
				}
			}
		})
		slices.Reverse(updates)
	}
}
