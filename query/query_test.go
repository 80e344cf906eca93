package query

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/tree"
)

func parse(t *testing.T, json string) *tree.Node {
	t.Helper()
	n, err := tree.ParseJSON([]byte(json))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFilter(t *testing.T) {
	const data = `{".priority":9,"a":{"f":3},"b":{"f":1,".priority":2},"c":"leaf","d":{"f":null,"g":1},"10":{"f":2},"9":{"f":2}}`
	byF := Index{Kind: ByChild, Path: "f"}
	for _, test := range []struct {
		name string
		q    Query
		want string
	}{
		{"default", Query{Index: byF}, data},
		{"start", Query{Index: byF, Start: &Bound{Value: tree.NewInt(2), Inclusive: true}}, `{"a":{"f":3},"10":{"f":2},"9":{"f":2}}`},
		{"end takes in what lacks the child", Query{Index: byF, End: &Bound{Value: tree.NewInt(1), Inclusive: true}},
			`{"b":{"f":1,".priority":2},"c":"leaf","d":{"g":1}}`},
		{"null", Query{Index: byF, Start: &Bound{Inclusive: true}, End: &Bound{Inclusive: true}}, `{"c":"leaf","d":{"g":1}}`},
		{"value and key", Query{Index: byF, Start: &Bound{Value: tree.NewInt(2), Key: "10", HasKey: true, Inclusive: true}}, `{"a":{"f":3},"10":{"f":2}}`},
		{"value and key exclusive", Query{Index: byF, Start: &Bound{Value: tree.NewInt(2), Key: "9", HasKey: true}}, `{"a":{"f":3},"10":{"f":2}}`},
		{"first", Query{Index: byF, Limit: 3}, `{"b":{"f":1,".priority":2},"c":"leaf","d":{"g":1}}`},
		{"last", Query{Index: byF, Limit: 2, Last: true}, `{"a":{"f":3},"10":{"f":2}}`},
		{"by key", Query{Index: Index{Kind: ByKey}, Limit: 2}, `{"9":{"f":2},"10":{"f":2}}`},
		{"by priority", Query{Limit: 1, Last: true}, `{"b":{"f":1,".priority":2}}`},
		{"by value", Query{Index: Index{Kind: ByValue}, Limit: 1}, `{"c":"leaf"}`},
		{"nothing", Query{Index: byF, Start: &Bound{Value: tree.NewInt(4), Inclusive: true}}, `null`},
		{"below every key", Query{Index: Index{Kind: ByKey}, End: &Bound{Key: MinName, HasKey: true, Inclusive: true}}, `null`},
	} {
		n := parse(t, data)
		if got := test.q.Filter(n); !tree.Equal(got, parse(t, test.want)) {
			t.Errorf("%s: %s", test.name, tree.AppendExport(nil, got))
		}
	}
	q := Query{Limit: 1}
	for _, leaf := range []*tree.Node{nil, tree.NewInt(1), tree.NewString("x").WithPriority(tree.NewInt(1))} {
		if got := q.Filter(leaf); got != nil {
			t.Errorf("a leaf gives %s", tree.AppendExport(nil, got))
		}
	}
}

// The order is total, and says the same both ways.
func TestCompareIsATotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuery.Draw(t, "query")
		entry := rapid.Custom(func(t *rapid.T) Entry {
			key := rapid.SampledFrom(append([]string{MinName, MaxName}, testKeys...)).Draw(t, "key")
			return q.EntryOf(key, genChild.Draw(t, "child"))
		})
		a, b, c := entry.Draw(t, "a"), entry.Draw(t, "b"), entry.Draw(t, "c")
		if q.Compare(a, a) != 0 || sign(q.Compare(a, b)) != -sign(q.Compare(b, a)) {
			t.Fatal("not antisymmetric")
		}
		s := []Entry{a, b, c}
		slices.SortFunc(s, q.Compare)
		if q.Compare(s[0], s[1]) > 0 || q.Compare(s[1], s[2]) > 0 || q.Compare(s[0], s[2]) > 0 {
			t.Fatal("not transitive")
		}
	})
}

func sign(c int) int { return cmp.Compare(c, 0) }

func TestIndexNames(t *testing.T) {
	for _, name := range []string{".priority", ".key", ".value", "f", "a/b"} {
		ix, err := ParseIndex(name)
		if err != nil || ix.String() != name {
			t.Errorf("%s: %s, %v", name, ix, err)
		}
	}
	for _, name := range []string{"", "/", ".sv", "a/.value", "$key", "a#"} {
		if ix, err := ParseIndex(name); err == nil {
			t.Errorf("%q: accepted as %s", name, ix)
		}
	}
}

func TestInRangeDoesNotAllocate(t *testing.T) {
	q := Query{Index: Index{Kind: ByValue}, Start: &Bound{Value: tree.NewInt(1), Inclusive: true}, End: &Bound{Value: tree.NewInt(5), Key: "x", HasKey: true}}
	e := Entry{tree.NewInt(3), "key"}
	if n := testing.AllocsPerRun(100, func() { q.InRange(e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
