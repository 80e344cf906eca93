package tree

import "math"

// Resolve returns n with its server values replaced: a timestamp by nowMillis, an increment by the sum of its amount and the
// number that is there before the write, or by its amount if there is none.
//
// existing returns the node now at rel, a path relative to n; a caller that can only tell leaves may return nil for objects.
// It is only called for increments. An increment in a priority adds to the priority of that node.
func (n *Node) Resolve(nowMillis int64, existing func(rel Path) *Node) *Node {
	return n.resolve(nowMillis, "", existing)
}

func (n *Node) resolve(now int64, p Path, existing func(rel Path) *Node) *Node {
	if !n.HasServerValues() {
		return n
	}
	var resolved *Node
	switch n.kind {
	case ServerValue:
		resolved = n.resolveLeaf(now, func() *Node { return existing(p) })
	case Object:
		children := make([]Child, len(n.Children()))
		for i, c := range n.Children() {
			children[i] = Child{c.Key, c.Node.resolve(now, p.Child(c.Key), existing)}
		}
		resolved = NewSortedObject(children)
	default:
		resolved = n.WithPriority(nil)
	}
	if n.prio == nil {
		return resolved
	}
	return resolved.WithPriority(n.prio.resolveLeaf(now, func() *Node { return existing(p).Priority() }))
}

// resolveLeaf resolves a leaf or priority, without a priority of its own.
func (n *Node) resolveLeaf(now int64, existing func() *Node) *Node {
	if n.kind != ServerValue {
		return n
	}
	if delta, ok := n.increment(); ok {
		return add(existing(), delta)
	}
	return NewInt(now)
}

// add returns the sum of two numbers. It is exact as long as it fits in an int64, and otherwise that of the doubles, where
// the greatest finite double stands for what is beyond. What is not a number counts as 0.
func add(a, delta *Node) *Node {
	if a.Kind() != Int && a.Kind() != Float {
		return delta
	}
	if a.kind == Int && delta.kind == Int {
		x, y := int64(a.num), int64(delta.num)
		if sum := x + y; (sum > x) == (y > 0) {
			return NewInt(sum)
		}
	}
	sum := a.Float() + delta.Float()
	return NewFloat(max(-math.MaxFloat64, min(math.MaxFloat64, sum)))
}

// HasIncrements reports whether there is an increment anywhere in n, priorities included: whether writing n twice is
// not the same as writing it once. It is O(1) for nodes without server values.
func (n *Node) HasIncrements() bool {
	if !n.HasServerValues() {
		return false
	}
	if _, ok := n.increment(); ok || n.prio.HasIncrements() {
		return true
	}
	for _, c := range n.Children() {
		if c.Node.HasIncrements() {
			return true
		}
	}
	return false
}
