package db

import (
	"strings"

	"rebase/rules"
	"rebase/store"
	"rebase/tree"
)

// looks are what rules have seen of the present state: whether there is a leaf, an object or nothing. Rules look at the same few
// nodes again and again (is the caller a member, is he the owner), and to look into the store costs about as much as all the rest
// of a decision. Every change of the data takes out what may have become something else. It is only used under the barrier.
type looks struct {
	namespaces map[string]*looked
	count      int
}

// looked is a place in the tree of what has been seen.
type looked struct {
	known    bool
	leaf     *tree.Node
	object   bool
	children map[string]*looked
}

const (
	// maxLooks bounds how many places are remembered; beyond it all are forgotten. One takes about 200 bytes.
	maxLooks = 1 << 15
	// maxLookBytes is the longest string that is remembered.
	maxLookBytes = 256
)

// find returns what has been seen at p.
func (l *looks) find(ns string, p tree.Path) *looked {
	n := l.namespaces[ns]
	for n != nil && !p.IsRoot() {
		var key string
		key, p = p.Front()
		n = n.children[key]
	}
	if n == nil || !n.known {
		return nil
	}
	return n
}

// add remembers what is seen at p.
func (l *looks) add(ns string, p tree.Path, leaf *tree.Node, object bool) {
	if leaf != nil && leaf.Kind() == tree.String && len(leaf.Str()) > maxLookBytes {
		return
	}
	if l.namespaces == nil || l.count > maxLooks {
		l.namespaces, l.count = map[string]*looked{}, 0
	}
	n := l.namespaces[ns]
	if n == nil {
		n = &looked{}
		l.namespaces[strings.Clone(ns)] = n
	}
	for !p.IsRoot() {
		var key string
		key, p = p.Front()
		child := n.children[key]
		if child == nil {
			if n.children == nil {
				n.children = map[string]*looked{}
			}
			child = &looked{}
			n.children[strings.Clone(key)] = child
			l.count++
		}
		n = child
	}
	n.known, n.leaf, n.object = true, leaf, object
}

// changed forgets what a change may have made something else: what is at its places and below, and, above them, what was not an
// object or may be none any more.
func (l *looks) changed(c *Change) {
	root := l.namespaces[c.NS]
	if root == nil {
		return
	}
	for i := range c.Updates {
		u := &c.Updates[i]
		l.forget(root, c.Base, u.Path, u.Value == nil && !u.Priority)
	}
}

func (l *looks) forget(root *looked, base, rel tree.Path, removed bool) {
	n, p := root, base
	if p.IsRoot() {
		p, rel = rel, ""
	}
	for !p.IsRoot() {
		if removed || !n.object {
			n.known = false
		}
		var key string
		if key, p = p.Front(); p.IsRoot() {
			p, rel = rel, ""
		}
		child := n.children[key]
		if child == nil {
			return
		}
		if p.IsRoot() {
			delete(n.children, key) // count is only a bound
			return
		}
		n = child
	}
	*root = looked{}
}

// present is the present state of a namespace as rules look at it, with what is remembered of it.
type present struct {
	state
	looks *looks
}

var _ rules.State = present{}

func (m *machine) present(ns string) present { return present{state{m.store, ns}, &m.looks} }

// Leaf implements rules.State.
func (s present) Leaf(p tree.Path) (*tree.Node, bool, error) {
	if l := s.looks.find(s.ns, p); l != nil {
		return l.leaf, l.object, nil
	}
	leaf, object, err := s.r.Leaf(s.ns, p)
	if err == nil {
		s.looks.add(s.ns, p, leaf, object)
	}
	return leaf, object, err
}

// stateOf is what rules look at: the state that r shows.
func (m *machine) stateOf(r store.Reader, ns string) rules.State {
	if r == store.Reader(m.store) {
		return m.present(ns)
	}
	return state{r, ns}
}
