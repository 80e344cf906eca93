package store

import (
	"bytes"
	"errors"

	"rebase/tree"
)

var errCorruptValue = errors.New("store: malformed value")

// appendValue appends the stored form of a leaf with its priority, or of an
// object's priority.
func appendValue(dst []byte, leaf *tree.Node) []byte { return tree.AppendBinary(dst, leaf) }

func decodeValue(b []byte) (*tree.Node, error) {
	n, rest, err := tree.DecodeBinary(b)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 || !n.IsLeaf() {
		return nil, errCorruptValue
	}
	return n, nil
}

// trail remembers where the components of the last key end, to tell how many
// of them the next key shares.
type trail struct {
	last []byte
	ends []int
}

// shared returns how many leading components key shares with the last key.
func (t *trail) shared(key []byte) int {
	start := 0
	for i, end := range t.ends {
		if len(key) < end || !bytes.Equal(key[start:end], t.last[start:end]) {
			return i
		}
		start = end
	}
	return len(t.ends)
}

// follow makes key the last key, of which shared components are as before. It
// calls f with each further component, and reports whether the key ends as
// that of an object's priority does.
func (t *trail) follow(key []byte, shared int, f func(key string)) (isPriority bool, err error) {
	t.ends = t.ends[:shared]
	start := 0
	if shared > 0 {
		start = t.ends[shared-1]
	}
	t.last = append(t.last[:start], key[start:]...)
	for rest := key[start:]; len(rest) > 0; {
		if len(rest) == 1 && rest[0] == compPriority {
			return true, nil
		}
		var name string
		if name, rest, err = decodeComponent(rest); err != nil {
			return false, err
		}
		t.ends = append(t.ends, len(key)-len(rest))
		f(name)
	}
	return false, nil
}

// assembler builds a node from its keys in order. The zero value is ready.
type assembler struct {
	trail
	open     []frame      // the objects from the root to the last key's parent
	children []tree.Child // finished children of all open objects
	names    []string
	root     *tree.Node // set if the root is a leaf
	started  bool
	fresh    int // bytes of keys added, for the caller to count and reset
}

type frame struct {
	key   string
	first int // the index of its first finished child
	prio  *tree.Node
}

// add adds the record at key, which is relative to the root.
func (a *assembler) add(key, val []byte) error {
	node, err := decodeValue(val)
	if err != nil {
		return err
	}
	if len(key) == 0 {
		a.root = node
		return nil
	}
	if !a.started {
		a.started = true
		a.open = append(a.open, frame{})
	}
	shared := a.shared(key)
	a.names = a.names[:0]
	isPriority, err := a.follow(key, shared, func(name string) {
		a.names = append(a.names, name)
		a.fresh += len(name)
	})
	if err != nil {
		return err
	}
	for len(a.open) > shared+1 {
		a.pop()
	}
	objects := a.names
	if !isPriority {
		if len(objects) == 0 {
			return errCorruptKey // the same key twice
		}
		objects = objects[:len(objects)-1]
	}
	for _, name := range objects {
		a.open = append(a.open, frame{key: name, first: len(a.children)})
	}
	if isPriority {
		a.open[len(a.open)-1].prio = node
	} else {
		a.children = append(a.children, tree.Child{Key: a.names[len(a.names)-1], Node: node})
	}
	return nil
}

// pop finishes the innermost open object.
func (a *assembler) pop() {
	top := a.open[len(a.open)-1]
	a.open = a.open[:len(a.open)-1]
	node := a.object(top)
	if node != nil {
		a.children = append(a.children, tree.Child{Key: top.key, Node: node})
	}
}

func (a *assembler) object(f frame) *tree.Node {
	own := append([]tree.Child(nil), a.children[f.first:]...)
	a.children = a.children[:f.first]
	if len(own) == 0 {
		return nil
	}
	node := tree.NewSortedObject(own)
	if f.prio != nil {
		node = node.WithPriority(f.prio)
	}
	return node
}

// finish returns the node.
func (a *assembler) finish() *tree.Node {
	if !a.started {
		return a.root
	}
	for len(a.open) > 1 {
		a.pop()
	}
	return a.object(a.open[0])
}

// pathText keeps the text of the path of the last key.
type pathText struct {
	trail
	text []byte
	cuts []int // where each component ends in text
}

func (w *pathText) set(key []byte) (isPriority bool, err error) {
	shared := w.shared(key)
	w.cuts = w.cuts[:shared]
	if shared == 0 {
		w.text = w.text[:0]
	} else {
		w.text = w.text[:w.cuts[shared-1]]
	}
	return w.follow(key, shared, func(name string) {
		if len(w.text) > 0 {
			w.text = append(w.text, '/')
		}
		w.text = append(w.text, name...)
		w.cuts = append(w.cuts, len(w.text))
	})
}
