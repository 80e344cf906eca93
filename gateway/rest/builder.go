package rest

import (
	"rebase/store"
	"rebase/tree"
)

// builder makes a node from its leaves as a walk delivers them: in child order, an
// object's priority before its children.
type builder struct {
	grow  func(size int) error // asked as it grows; may be nil
	max   int                  // bytes of keys and values, roughly those of the JSON
	size  int
	err   error
	root  *tree.Node // set if the node is a leaf
	stack []frame    // the objects that are still growing, the root's first
}

type frame struct {
	key      string // in its parent
	priority *tree.Node
	children []tree.Child
}

func (b *builder) add(n int) {
	if b.size += n; b.size > b.max {
		b.err = store.ErrTooBig
	} else if b.grow != nil && b.err == nil {
		b.err = b.grow(b.size)
	}
}

func (b *builder) leaf(rel tree.Path, leaf *tree.Node) {
	if rel.IsRoot() {
		b.add(leaf.SizeBytes())
		b.root = leaf
		return
	}
	b.open(rel.Parent())
	key := rel.Base()
	b.add(len(key) + 4 + leaf.SizeBytes())
	top := &b.stack[len(b.stack)-1]
	top.children = append(top.children, tree.Child{Key: key, Node: leaf})
}

func (b *builder) priority(rel tree.Path, prio *tree.Node) {
	b.open(rel)
	b.add(len(`".priority":,`) + prio.SizeBytes())
	b.stack[len(b.stack)-1].priority = prio
}

// open makes the object at p the one that grows: objects on the stack that p is
// not in are complete, and those between them and p begin.
func (b *builder) open(p tree.Path) {
	if len(b.stack) == 0 {
		b.stack = append(b.stack, frame{})
	}
	depth := 1
	for !p.IsRoot() && depth < len(b.stack) {
		first, rest := p.Front()
		if b.stack[depth].key != first {
			break
		}
		p = rest
		depth++
	}
	b.close(depth)
	for !p.IsRoot() {
		var first string
		first, p = p.Front()
		b.add(len(first) + 5)
		b.stack = append(b.stack, frame{key: first})
	}
}

// close completes the objects above the first depth.
func (b *builder) close(depth int) {
	for len(b.stack) > depth {
		n := b.stack[len(b.stack)-1]
		b.stack = b.stack[:len(b.stack)-1]
		top := &b.stack[len(b.stack)-1]
		top.children = append(top.children, tree.Child{Key: n.key, Node: n.node()})
	}
}

func (f *frame) node() *tree.Node {
	n := tree.NewObject(f.children)
	if f.priority != nil {
		n = n.WithPriority(f.priority)
	}
	return n
}

// node returns what was built.
func (b *builder) node() *tree.Node {
	if len(b.stack) == 0 {
		return b.root
	}
	b.close(1)
	return b.stack[0].node()
}
