package tree

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

func TestNodeIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Node{}); size > 32 {
		t.Errorf("a node takes %d bytes", size)
	}
}

func TestEmptyNodeAcceptsAllMethods(t *testing.T) {
	var n *Node
	if n.Kind() != Null || !n.IsNull() || n.IsLeaf() || n.IsObject() || n.Bool() || n.Int() != 0 || n.Float() != 0 || n.Str() != "" ||
		n.Priority() != nil || n.NumChildren() != 0 || n.Children() != nil || n.Child("a") != nil || n.At("a/b") != nil ||
		n.Set("a", nil) != nil || n.SetPriority("", NewInt(1)) != nil || n.HasServerValues() || n.Resolve(1, nil) != nil ||
		n.CountLeaves() != 0 || n.Depth() != 0 || n.SizeBytes() != 4 || n.WithPriority(NewInt(1)) != nil || !Equal(n, nil) || Hash(n) != "" {
		t.Error("the empty node is not empty")
	}
}

func TestLeaves(t *testing.T) {
	for _, c := range []struct {
		n    *Node
		kind Kind
		json string
	}{
		{NewBool(true), Bool, "true"}, {NewBool(false), Bool, "false"}, {NewString(""), String, `""`}, {NewString("é"), String, `"é"`},
		{NewInt(255), Int, "255"}, {NewInt(256), Int, "256"}, {NewInt(-1), Int, "-1"}, {NewInt(math.MinInt64), Int, "-9223372036854775808"},
		{NewFloat(2147483648.0), Int, "2147483648"}, {NewFloat(math.Copysign(0, -1)), Int, "0"}, {NewFloat(-(1 << 63)), Int, "-9223372036854775808"},
		{NewFloat(1<<63 - 1024), Int, "9223372036854774784"}, {NewFloat(1 << 63), Float, "9.223372036854776e+18"}, {NewFloat(0.5), Float, "0.5"},
		{NewFloat(-1e22), Float, "-1e+22"}, {NewFloat(1e-7), Float, "1e-07"}, {NewFloat(1e-6), Float, "0.000001"}, {NewFloat(5e-324), Float, "5e-324"},
		{NewFloat(1 << 53 / 3.0), Float, "3002399751580330.5"}, {NewTimestamp(), ServerValue, `{".sv":"timestamp"}`},
		{NewIncrement(NewFloat(-1.5)), ServerValue, `{".sv":{"increment":-1.5}}`},
		{NewFloat(math.NaN()), Null, "null"}, {NewFloat(math.Inf(1)), Null, "null"}, {NewFloat(math.Inf(-1)), Null, "null"},
	} {
		if got := string(AppendLeafJSON(nil, c.n)); c.n.Kind() != c.kind || got != c.json {
			t.Errorf("got %v %s, want %v %s", c.n.Kind(), got, c.kind, c.json)
		}
		if c.n != nil && (!c.n.IsLeaf() || c.n.CountLeaves() != 1 || c.n.Depth() != 0) {
			t.Errorf("%s is no leaf", c.json)
		}
	}
	if NewString("abc").Str() != "abc" || NewInt(-7).Int() != -7 || NewInt(-7).Float() != -7 || NewFloat(.5).Float() != .5 || !NewBool(true).Bool() {
		t.Error("a leaf has another value")
	}
	// Asked for what they are not, leaves answer with the zero value.
	if NewString("1").Int() != 0 || NewInt(1).Str() != "" || NewFloat(1.5).Int() != 0 || NewInt(1).Bool() || NewTimestamp().Str() != "" {
		t.Error("a leaf pretends to be another")
	}
}

func TestNewObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		children := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Child {
			return Child{keyGen.Draw(t, "key"), rapid.OneOf(rapid.Just[*Node](nil), leafGen).Draw(t, "value")}
		}), 0, 12).Draw(t, "children")
		want := map[string]*Node{}
		for _, c := range children {
			want[c.Key] = c.Node
		}
		maps.DeleteFunc(want, func(_ string, n *Node) bool { return n == nil })
		n := NewObject(slices.Clone(children))
		if n.NumChildren() != len(want) || n.IsNull() != (len(want) == 0) {
			t.Fatalf("%d children of %v", n.NumChildren(), children)
		}
		if !slices.IsSortedFunc(n.Children(), func(a, b Child) int { return CompareKeys(a.Key, b.Key) }) {
			t.Fatalf("not sorted: %s", AppendExport(nil, n))
		}
		for key, v := range want {
			if n.Child(key) != v {
				t.Fatalf("child %q of %s", key, AppendExport(nil, n))
			}
		}
	})
}

// A model is a tree as two maps: the leaves, with their priorities, and the priorities of objects.
type model struct{ leaves, prios map[Path]*Node }

func flatten(n *Node) model {
	m := model{map[Path]*Node{}, map[Path]*Node{}}
	var walk func(p Path, n *Node)
	walk = func(p Path, n *Node) {
		switch {
		case n.IsLeaf():
			m.leaves[p] = n
		case n.IsObject():
			if n.Priority() != nil {
				m.prios[p] = n.Priority()
			}
			for _, c := range n.Children() {
				walk(p.Child(c.Key), c.Node)
			}
		}
	}
	walk("", n)
	return m
}

func (m model) has(p Path) bool {
	for leaf := range m.leaves {
		if p.Contains(leaf) {
			return true
		}
	}
	return false
}

func (m model) set(p Path, v *Node) {
	below := func(q Path, _ *Node) bool { return p.Contains(q) }
	maps.DeleteFunc(m.leaves, below)
	maps.DeleteFunc(m.prios, below)
	if v != nil {
		for leaf, n := range m.leaves {
			if leaf.Contains(p) {
				delete(m.leaves, leaf)
				if n.Priority() != nil {
					m.prios[leaf] = n.Priority()
				}
			}
		}
		f := flatten(v)
		for q, n := range f.leaves {
			m.leaves[p.Join(q)] = n
		}
		for q, n := range f.prios {
			m.prios[p.Join(q)] = n
		}
	}
	maps.DeleteFunc(m.prios, func(q Path, _ *Node) bool { return !m.has(q) })
}

func (m model) setPriority(p Path, prio *Node) {
	if leaf, ok := m.leaves[p]; ok {
		m.leaves[p] = leaf.WithPriority(prio)
	} else if m.has(p) {
		if m.prios[p] = prio; prio == nil {
			delete(m.prios, p)
		}
	}
}

// verify checks n against the model and what is computed when a node is made.
func (m model) verify(t *rapid.T, n *Node) {
	got := flatten(n)
	if !maps.EqualFunc(got.leaves, m.leaves, Equal) || !maps.EqualFunc(got.prios, m.prios, Equal) {
		t.Fatalf("got %s, want %v", AppendExport(nil, n), m)
	}
	depth, server := 0, false
	for p, leaf := range m.leaves {
		depth = max(depth, p.Depth())
		server = server || leaf.Kind() == ServerValue || leaf.Priority().Kind() == ServerValue
		if !Equal(n.At(p), leaf) {
			t.Fatalf("at %q of %s", p, AppendExport(nil, n))
		}
	}
	for _, prio := range m.prios {
		server = server || prio.Kind() == ServerValue
	}
	if n.Depth() != depth || n.CountLeaves() != len(m.leaves) || n.HasServerValues() != server {
		t.Fatalf("depth %d, %d leaves, server values %v: %s", n.Depth(), n.CountLeaves(), n.HasServerValues(), AppendExport(nil, n))
	}
}

func TestSetLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(3, true).Draw(t, "start")
		m := flatten(n)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			p := pathGen.Draw(t, "path")
			if len(m.leaves) > 0 && rapid.Bool().Draw(t, "near") { // where there is something
				keys := slices.SortedFunc(maps.Keys(m.leaves), ComparePaths)
				p = rapid.SampledFrom(keys).Draw(t, "leaf")
				for range rapid.IntRange(0, 2).Draw(t, "up") {
					p = p.Parent()
				}
			}
			before := string(AppendExport(nil, n))
			old := n
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				n = n.Set(p, nil)
				m.set(p, nil)
			case 1:
				prio := rapid.OneOf(prioGen, serverGen).Draw(t, "priority")
				n = n.SetPriority(p, prio)
				m.setPriority(p, prio)
			default:
				v := nodeGen(2, true).Draw(t, "value")
				n = n.Set(p, v)
				m.set(p, v)
			}
			m.verify(t, n)
			if after := string(AppendExport(nil, old)); after != before {
				t.Fatalf("a node changed from %s to %s", before, after)
			}
		}
	})
}

func TestLeafBecomesObjectAndKeepsPriority(t *testing.T) {
	n := NewString("x").WithPriority(NewInt(3))
	if got := string(AppendExport(nil, n.Set("a/b", NewInt(1)))); got != `{".priority":3,"a":{"b":1}}` {
		t.Error(got)
	}
	if n.Set("a/b", nil) != n {
		t.Error("deleting below a leaf changes it")
	}
	if m := n.Set("a", NewInt(1)).Set("a", nil); m != nil {
		t.Errorf("an object without children is %s", AppendExport(nil, m))
	}
}

func TestEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := nodeGen(2, true).Draw(t, "a"), nodeGen(2, true).Draw(t, "b")
		if got, want := Equal(a, b), string(AppendExport(nil, a)) == string(AppendExport(nil, b)); got != want {
			t.Fatalf("Equal(%s, %s) = %v", AppendExport(nil, a), AppendExport(nil, b), got)
		}
		c, err := ParseJSON(AppendExport(nil, a))
		if err != nil || !Equal(a, c) || !Equal(c, a) {
			t.Fatalf("%s is not equal to its copy: %v", AppendExport(nil, a), err)
		}
	})
}

func TestCheckDepth(t *testing.T) {
	n := NewObject([]Child{{"a", NewInt(1)}})
	var p Path
	for range MaxDepth - 1 {
		p = p.Child("x")
	}
	if err := CheckDepth(p, n); err != nil {
		t.Error(err)
	}
	if err := CheckDepth(p.Child("x"), n); err == nil {
		t.Error("33 levels are accepted")
	}
	if err := CheckDepth(p.Child("x").Child("y"), nil); err != nil {
		t.Error(err)
	}
	if s := fmt.Sprint(CheckDepth(p.Child("x"), n)); s == "" {
		t.Error("no message")
	}
}
