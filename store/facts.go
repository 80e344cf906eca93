package store

import (
	"strings"

	"rebase/tree"
)

// facts are what the writer knows about the state, so that it need not look:
// which nodes exist, and which of them are leaves without a priority. There is
// one writer, and every change goes through it, so that a fact once learned
// stays true until the writer itself changes it. The number of facts is
// bounded; forgetting is always allowed.
type facts struct {
	namespaces map[string]*fact
	count      int
	gap        gap
}

// maxFacts bounds the memory: a fact costs about 150 bytes.
const maxFacts = 1 << 16

type factKind uint8

const (
	factNone      factKind = iota
	factParent             // nothing about the node, but its parent is an object
	factPlainLeaf          // it is a leaf without a priority
	factLeaf               // it is a leaf that may have a priority
	factObject
)

type fact struct {
	kind     factKind
	children map[string]*fact
}

func (f *facts) init() { f.reset() }

func (f *facts) reset() {
	f.namespaces = map[string]*fact{}
	f.count = 0
	f.gap.known = false
}

// find returns what is known about a node.
func (f *facts) find(ns string, keys []string) factKind {
	n := f.namespaces[ns]
	if n == nil {
		return factNone
	}
	for i, key := range keys {
		c := n.children[key]
		if c == nil {
			if i == len(keys)-1 && n.kind == factObject {
				return factParent
			}
			return factNone
		}
		n = c
	}
	return n.kind
}

// wrote learns that the subtree at the first top of keys was replaced, so that
// the node at keys is now v.
func (f *facts) wrote(ns string, keys []string, top int, v *tree.Node) {
	f.forget(ns, keys[:top])
	if v.IsNull() {
		return
	}
	if f.count > maxFacts {
		f.reset()
	}
	n := f.namespaces[ns]
	if n == nil {
		n = &fact{}
		f.namespaces[strings.Clone(ns)] = n
		f.count++
	}
	for _, key := range keys {
		n.kind = factObject
		c := n.children[key]
		if c == nil {
			if n.children == nil {
				n.children = map[string]*fact{}
			}
			c = &fact{}
			// A key may be a part of a large message, which must not be kept alive.
			n.children[strings.Clone(key)] = c
			f.count++
		}
		n = c
	}
	switch {
	case v.IsObject():
		n.kind = factObject
	case v.Priority() == nil:
		n.kind = factPlainLeaf
	default:
		n.kind = factLeaf
	}
}

// forget drops what is known about a node and all below it.
func (f *facts) forget(ns string, keys []string) {
	n := f.namespaces[ns]
	if len(keys) == 0 {
		if n != nil {
			f.count -= n.size()
			delete(f.namespaces, ns)
		}
		return
	}
	for _, key := range keys[:len(keys)-1] {
		if n == nil {
			return
		}
		n = n.children[key]
	}
	if n == nil {
		return
	}
	last := keys[len(keys)-1]
	if c := n.children[last]; c != nil {
		f.count -= c.size()
		delete(n.children, last)
	}
}

func (n *fact) size() int {
	total := 1
	for _, c := range n.children {
		total += c.size()
	}
	return total
}
