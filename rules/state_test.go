package rules

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rebase/tree"
)

var smallKeys = rapid.SampledFrom([]string{"a", "b", "a-", "a0"})

func smallPath(t *rapid.T, most int) tree.Path {
	var p tree.Path
	for range rapid.IntRange(0, most).Draw(t, "depth") {
		p = p.Child(smallKeys.Draw(t, "key"))
	}
	return p
}

func smallTree(t *rapid.T, depth int) *tree.Node {
	var n *tree.Node
	switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
	case kind == 0:
		return nil
	case kind == 1 || depth == 0:
		n = tree.NewInt(int64(rapid.IntRange(0, 3).Draw(t, "n")))
	default:
		var children []tree.Child
		for _, key := range []string{"a", "a-", "a0", "b"} {
			children = append(children, tree.Child{Key: key, Node: smallTree(t, depth-1)})
		}
		n = tree.NewObject(children)
	}
	if n != nil && rapid.Bool().Draw(t, "prio") {
		n = n.WithPriority(tree.NewInt(int64(rapid.IntRange(0, 3).Draw(t, "p"))))
	}
	return n
}

// An overlay is what changing the tree gives, seen through any question.
func TestOverlayIsSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := smallTree(t, 3)
		var changes []Change
		after := before
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			c := Change{Path: smallPath(t, 4), Priority: rapid.IntRange(0, 3).Draw(t, "priority") == 0}
			if slices.ContainsFunc(changes, func(d Change) bool { return d.Path.Contains(c.Path) || c.Path.Contains(d.Path) }) {
				continue
			}
			if c.Priority {
				c.Value = tree.NewInt(9)
				after = after.SetPriority(c.Path, c.Value)
			} else {
				c.Value = smallTree(t, 2)
				after = after.Set(c.Path, c.Value)
			}
			changes = append(changes, c)
		}
		want, got := TreeState(after), Overlay(TreeState(before), changes)
		for range 20 {
			p := smallPath(t, 6)
			wantLeaf, wantObject, _ := want.Leaf(p)
			leaf, object, err := got.Leaf(p)
			if err != nil || object != wantObject || !tree.Equal(leaf.WithPriority(nil), wantLeaf.WithPriority(nil)) {
				t.Fatalf("%q: %v %v %v, want %v %v", p, leaf, object, err, wantLeaf, wantObject)
			}
			wantPrio, _ := want.Priority(p)
			if prio, err := got.Priority(p); err != nil || !tree.Equal(prio, wantPrio) {
				t.Fatalf("%q: priority %v, want %v (%v)", p, prio, wantPrio, err)
			}
			list := func(s State) (keys []string) {
				if err := s.Children(p, func(key string) bool { keys = append(keys, key); return true }); err != nil {
					t.Fatal(err)
				}
				slices.Sort(keys)
				return keys
			}
			if w, g := list(want), list(got); !slices.Equal(w, g) {
				t.Fatalf("%q: children %v, want %v", p, g, w)
			}
		}
	})
}
