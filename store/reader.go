package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"rebase/query"
	"rebase/tree"
)

// A Reader answers from one state of the store: a Snapshot always from the
// same; the Store from that after the last commit at the time of each call,
// and of each Scan of its sources; a Batch from the last commit with its own
// writes on top.
type Reader interface {
	// Get returns the whole subtree at p, nil if there is none.
	Get(ns string, p tree.Path) (*tree.Node, error)
	// GetLimit is Get, but fails with ErrTooBig as soon as the subtree's export
	// JSON is known to be larger than about maxBytes.
	GetLimit(ns string, p tree.Path, maxBytes int) (*tree.Node, error)
	// GetWatched is Get, but tells grow about the size of the export JSON of what it has
	// read so far, before it keeps each leaf; an error of grow ends it and is returned.
	GetWatched(ns string, p tree.Path, grow func(size int) error) (*tree.Node, error)
	// Leaf tells what the node at p is: a leaf (returned with its priority), an
	// object, or neither. It costs one seek.
	Leaf(ns string, p tree.Path) (leaf *tree.Node, object bool, err error)
	// Priority returns the priority of the node at p, a leaf or an object; nil if it has none.
	Priority(ns string, p tree.Path) (*tree.Node, error)
	// Children calls f for each child of p, in child order, until f returns
	// false. It begins beyond the key after, or at the first child if after is
	// empty. It seeks past what is below a child.
	Children(ns string, p tree.Path, after string, f func(key string, object bool, leaf *tree.Node) bool) error
	// Walk calls leaf for every leaf at and below p, in child order, and prio
	// for the priority of each object before the object's leaves. Paths are
	// relative to p. It stops at the first error, and returns it.
	Walk(ns string, p tree.Path, leaf func(rel tree.Path, leaf *tree.Node) error, prio func(rel tree.Path, prio *tree.Node) error) error
	// Source returns the ordered children of p that q's window is filled from.
	// The values of its entries compare and filter as those of the children do,
	// but an object stands for any object. It is good as long as the reader is,
	// not safe for concurrent use. indexed is false if a scan has to
	// read all children.
	Source(ns string, p tree.Path, q *query.Query) (src query.Source, indexed bool, err error)
	// Namespaces returns the namespaces that have data, in byte order.
	Namespaces() ([]string, error)
	// Meta returns the record that SetMeta wrote at key, nil if there is none.
	Meta(key []byte) ([]byte, error)
	// ScanMeta calls f for the records whose key begins with prefix, in byte
	// order, until f returns false. key and val are only valid during the call.
	ScanMeta(prefix []byte, f func(key, val []byte) bool) error
}

// origin is what a view reads from.
type origin interface {
	reader() (pebble.Reader, error)
	// pin returns one state together with what is known of its indexes.
	pin() (pinned, error)
}

type pinned struct {
	reader  pebble.Reader
	defs    *definitions
	release func() error
}

// view implements Reader over any origin.
type view struct{ o origin }

func (v view) iter(opts *pebble.IterOptions) (*pebble.Iterator, error) {
	r, err := v.o.reader()
	if err != nil {
		return nil, err
	}
	return r.NewIter(opts)
}

// subtree returns an iterator over the subtree at key.
func (v view) subtree(key []byte) (*pebble.Iterator, error) {
	lower, upper := keyRange(key)
	return v.iter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

func (v view) Get(ns string, p tree.Path) (*tree.Node, error) {
	return v.get(ns, p, nil)
}

func (v view) GetLimit(ns string, p tree.Path, maxBytes int) (*tree.Node, error) {
	return v.get(ns, p, func(size int) error {
		if size > maxBytes {
			return ErrTooBig
		}
		return nil
	})
}

func (v view) GetWatched(ns string, p tree.Path, grow func(size int) error) (*tree.Node, error) {
	return v.get(ns, p, grow)
}

func (v view) get(ns string, p tree.Path, grow func(size int) error) (*tree.Node, error) {
	key := dataKey(make([]byte, 0, 128), ns, p)
	it, err := v.subtree(key)
	if err != nil {
		return nil, err
	}
	var b assembler
	size := 0
	for ok := it.First(); ok; ok = it.Next() {
		val := it.Value()
		if grow != nil {
			// A key is at least a colon, two quotes and a comma in the export, and
			// its last component is there; a value is about as long as here.
			size += len(val) + 4
			if err := grow(size); err != nil {
				it.Close()
				return nil, err
			}
		}
		if err := b.add(it.Key()[len(key):], val); err != nil {
			it.Close()
			return nil, corrupt(it.Key(), err)
		}
		size += b.fresh
		b.fresh = 0
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	return b.finish(), nil
}

func (v view) Leaf(ns string, p tree.Path) (leaf *tree.Node, object bool, err error) {
	key := dataKey(make([]byte, 0, 128), ns, p)
	it, err := v.subtree(key)
	if err != nil {
		return nil, false, err
	}
	if it.First() {
		if len(it.Key()) == len(key) {
			leaf, err = decodeValue(it.Value())
		} else {
			object = true
		}
	}
	return leaf, object, errors.Join(err, it.Close())
}

func (v view) Priority(ns string, p tree.Path) (prio *tree.Node, err error) {
	key := dataKey(make([]byte, 0, 128), ns, p)
	it, err := v.subtree(key)
	if err != nil {
		return nil, err
	}
	prio, err = priorityAt(it, key)
	return prio, errors.Join(err, it.Close())
}

func (v view) Children(ns string, p tree.Path, after string, f func(string, bool, *tree.Node) bool) error {
	key := dataKey(make([]byte, 0, 256), ns, p)
	it, err := v.subtree(key)
	if err != nil {
		return err
	}
	defer it.Close()
	n := len(key)
	var ok bool
	if after == "" {
		ok = it.SeekGE(append(key, compInteger))
	} else {
		key = appendComponent(key, after)
		ok = it.SeekGE(append(key, compEnd))
	}
	for ok {
		k := it.Key()
		name, rest, err := decodeComponent(k[n:])
		if err != nil {
			return corrupt(k, err)
		}
		if len(rest) == 0 {
			leaf, err := decodeValue(it.Value())
			if err != nil {
				return corrupt(k, err)
			}
			if !f(name, false, leaf) {
				return it.Error()
			}
			ok = it.Next()
			continue
		}
		key = append(key[:n], k[n:len(k)-len(rest)]...)
		if !f(name, true, nil) {
			return it.Error()
		}
		ok = skipPast(it, key)
	}
	return it.Error()
}

// nextsBeforeSeek is how many keys an iterator steps over before it seeks: a
// step costs about a fifth of a seek.
const nextsBeforeSeek = 6

// skipPast moves an iterator that is at or below node to the first key past
// the subtree of node. It may extend node's array.
func skipPast(it *pebble.Iterator, node []byte) bool {
	for range nextsBeforeSeek {
		if !it.Next() {
			return false
		}
		if !bytes.HasPrefix(it.Key(), node) {
			return true
		}
	}
	return it.SeekGE(append(node, compEnd))
}

func (v view) Walk(ns string, p tree.Path, leaf func(tree.Path, *tree.Node) error, prio func(tree.Path, *tree.Node) error) error {
	key := dataKey(make([]byte, 0, 128), ns, p)
	it, err := v.subtree(key)
	if err != nil {
		return err
	}
	defer it.Close()
	var w pathText
	for ok := it.First(); ok; ok = it.Next() {
		isPriority, err := w.set(it.Key()[len(key):])
		if err != nil {
			return corrupt(it.Key(), err)
		}
		node, err := decodeValue(it.Value())
		if err != nil {
			return corrupt(it.Key(), err)
		}
		call := leaf
		if isPriority {
			call = prio
		}
		if call == nil {
			continue
		}
		if err := call(tree.Path(w.text), node); err != nil {
			return err
		}
	}
	return it.Error()
}

func (v view) Namespaces() ([]string, error) {
	it, err := v.iter(&pebble.IterOptions{LowerBound: []byte{spaceData}, UpperBound: []byte{spaceData + 1}})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var names []string
	var past []byte
	for ok := it.First(); ok; ok = it.SeekGE(past) {
		k := it.Key()
		end := bytes.IndexByte(k, 0)
		if end < 0 {
			return nil, corrupt(k, errCorruptKey)
		}
		names = append(names, string(k[1:end]))
		past = append(append(past[:0], k[:end]...), 1)
	}
	return names, it.Error()
}

func (v view) Meta(key []byte) ([]byte, error) {
	r, err := v.o.reader()
	if err != nil {
		return nil, err
	}
	val, closer, err := r.Get(metaKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, val...), nil
}

func metaKey(key []byte) []byte {
	return append(append(make([]byte, 0, 1+len(key)), spaceMeta), key...)
}

func metaRange(prefix []byte) (lower, upper []byte) {
	lower = metaKey(prefix)
	return lower, prefixEnd(lower)
}

// prefixEnd returns the first key after all that begin with prefix, whose
// first byte must not be 0xFF.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for end[len(end)-1] == 0xFF {
		end = end[:len(end)-1]
	}
	end[len(end)-1]++
	return end
}

func (v view) ScanMeta(prefix []byte, f func(key, val []byte) bool) error {
	lower, upper := metaRange(prefix)
	it, err := v.iter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if !f(it.Key()[1:], it.Value()) {
			break
		}
	}
	return it.Error()
}

func corrupt(key []byte, err error) error {
	return fmt.Errorf("store: corrupt record at key %x: %w", key, err)
}
