package tree

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Vectors of the JavaScript SDK; test/vectors has many more.
func TestHash(t *testing.T) {
	for text, want := range map[string]string{
		`null`:                           "",
		`1`:                              "YPVfR2bXt/lcDjiQZ8pOkAd3qkQ=",
		`"x"`:                            "OJSeRnP1mf0vTrhq7izmWGPiNx4=",
		`{"a":1,"b":"x"}`:                "jRI9dwRS9sb4SWm8uuoN7+xBk4g=",
		`"foo"`:                          "MRRL/+aA/uibaL//jghUpxXS/uY=",
		`5`:                              "w28swksk9+tXf5jEdS9R5oSFAv8=",
		`-0.5`:                           "/r6we9NY8SVfOWrAH6omHfBJtYA=",
		`true`:                           "E5z61QM0lN/U2WsOnusszCTkR8M=",
		`""`:                             "Ki0Xy0V6morg0TO3Sxi/jwugYDQ=",
		`{"10":1,"9":2,"a":3,"-1":4}`:    "xWE908c0/OhLKsrlNmnozRiUoFM=",
		`{".value":5,".priority":1}`:     "oUSZ9VFwUrevB81K4PcN+7BHDJw=",
		`{".value":"v",".priority":"p"}`: "R0MIwvHETT8eZK7iUSai21aukVY=",
		`{"a":{".value":1,".priority":2},"b":{".value":2,".priority":1}}`: "/3lk7Vfl5OYG6Kw2SkiPXNeExPw=",
		`{"c":1,".priority":7}`: "X4eI7uK/FnCHgu5Gtu7XDUU+gB4=",
		`["x","y"]`:             "KtuknfwwJhsB3RrZnwAxD3+/Drs=",
		`{"é":"ü😀"}`:            "7o8Sb/g3UlnNMC0Bv+94s8F7Aic=",
	} {
		if got := Hash(mustParse(t, text)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// compoundText is the text that version 2 hashes, for a whole tree, written from its grammar and not from ranges.
func compoundText(n *Node) string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	leaf := func(n *Node) string { return string(appendLeafV2(nil, n)) }
	var content func(n *Node) string
	content = func(n *Node) string {
		if n.IsLeaf() {
			if n.Priority() != nil {
				return "priority:" + leaf(n.Priority()) + ":" + leaf(n)
			}
			return leaf(n)
		}
		var members []string
		children := slices.Clone(n.Children())
		if n.Priority() != nil {
			i, _ := search(children, PriorityKey)
			children = slices.Insert(children, i, Child{PriorityKey, n.Priority()})
		}
		for _, c := range children {
			members = append(members, quote(c.Key)+":("+content(c.Node)+")")
		}
		return strings.Join(members, ",")
	}
	return "(" + content(n) + ")"
}

func TestCompoundHashOfAll(t *testing.T) {
	text := `("bar":("deep":(string:"value")),"foo":("other-deep":(string:"value")))`
	n := mustParse(t, `{"bar":{"deep":"value"},"foo":{"other-deep":"value"}}`)
	if got := compoundText(n); got != text {
		t.Fatal(got)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(3, false).Draw(t, "node")
		want := ""
		if n != nil {
			sum := sum64([]byte(compoundText(n)))
			want = string(sum[:])
		}
		if got := CompoundHash(n, nil); len(got) != 1 || got[0] != want {
			t.Fatalf("%s: got %q, want %q", AppendExport(nil, n), got, want)
		}
	})
}

// A range's hash is that of the range alone.
func TestCompoundHashOfRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(3, false).Draw(t, "node")
		posts := rapid.SliceOfN(rapid.OneOf(pathGen, leafPath(n)), 0, 5).Draw(t, "posts")
		slices.SortFunc(posts, ComparePaths)
		posts = slices.Compact(posts)
		hashes := CompoundHash(n, posts)
		if len(hashes) != len(posts)+1 {
			t.Fatalf("%d hashes for %d posts", len(hashes), len(posts))
		}
		var all model
		all.leaves, all.prios = map[Path]*Node{}, map[Path]*Node{}
		lost := false
		for i, hash := range hashes {
			var r LeafRange
			if i > 0 {
				r.From = &posts[i-1]
			}
			if i < len(posts) {
				r.To = &posts[i]
			}
			part := RangeMerge(n, r.From, r.To)
			f := flatten(part)
			for p, leaf := range f.leaves {
				if !r.Contains(p) || all.leaves[p] != nil {
					t.Fatalf("%q is in a range that it is not in, or in two", p)
				}
				all.leaves[p] = leaf
			}
			for p, prio := range f.prios {
				if !r.Contains(p.Child(PriorityKey)) {
					t.Fatalf("priority of %q", p)
				}
				all.prios[p] = prio
			}
			// A priority alone in its object's range cannot be in the part.
			complete := true
			walkLeaves(n, nil, func(keys []string, leaf *Node) {
				p := Path(strings.Join(keys, "/"))
				if p.Base() == PriorityKey && r.Contains(p) && f.prios[p.Parent()] == nil {
					complete, lost = false, true
				}
			})
			want := CompoundHash(part, nil)[0]
			if complete && hash != want {
				t.Fatalf("range %d of %s cut at %q: got %q, want %q", i, AppendExport(nil, n), posts, hash, want)
			}
		}
		want := flatten(n)
		if len(all.leaves) != len(want.leaves) || !lost && len(all.prios) != len(want.prios) {
			t.Fatalf("the ranges of %s cut at %q do not add up", AppendExport(nil, n), posts)
		}
	})
}

// leafPath gives paths of n's leaves, priorities included, or the root where there are none.
func leafPath(n *Node) *rapid.Generator[Path] {
	paths := []Path{""}
	walkLeaves(n, nil, func(keys []string, _ *Node) { paths = append(paths, Path(strings.Join(keys, "/"))) })
	return rapid.SampledFrom(paths)
}

// The texts were made by hand from the grammar.
func TestCompoundHashTexts(t *testing.T) {
	data, err := os.ReadFile("testdata/compound.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name  string
		Node  json.RawMessage
		Posts []Path
		Texts []string
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) == 0 {
		t.Fatal(err)
	}
	for _, c := range cases {
		got := CompoundHash(mustParse(t, string(c.Node)), c.Posts)
		for i, text := range c.Texts {
			want := ""
			if text != "" {
				sum := sum64([]byte(text))
				want = string(sum[:])
			}
			if got[i] != want {
				t.Errorf("%s: hash %d is not that of %s", c.Name, i, text)
			}
		}
		if len(got) != len(c.Texts) {
			t.Errorf("%s: %d hashes", c.Name, len(got))
		}
	}
}
