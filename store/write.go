package store

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"rebase/tree"
)

// How a write finds what it changes.
//
// A write at P replaces what is at P, but the effect may begin further up: a
// leaf above P becomes an object, ancestors that do not exist come into being,
// and ancestors left without leaves vanish. Let the top T be the highest node
// whose existence or kind changes, or P if there is none. Then every proper
// ancestor of T is an object before and after, and all that is written, be it
// data or index entries, follows from replacing the old subtree at T by a new
// one.
//
// T is found without looking if P lies in a known gap (gap.go), and otherwise
// with at most two seeks around P: the first key at or after P tells
// what is at P, and with the last key before P which ancestors have other
// leaves. A leaf above P, if there is one, is the last key before P: nothing
// is stored between a leaf and where its children would be.

type nodeKind uint8

const (
	absent nodeKind = iota
	leafNode
	objectNode
)

// place is a path, its key, and what is found there.
type place struct {
	path tree.Path
	ns   string
	key  []byte
	ends []int    // ends[d] is where the ancestor at depth d ends in key; the last is the node itself
	keys []string // the components of path

	kind   nodeKind
	exists int    // if absent: the depth of the deepest ancestor that is an object, -1 if none
	leafAt int    // if absent: the depth of an ancestor that is a leaf, -1 if none
	leaf   []byte // the value of the leaf at leafAt
	next   []byte // if absent: the first key behind
	end    bool   // if absent: there is no key behind
}

func (pl *place) set(ns string, p tree.Path) {
	pl.ns, pl.path = ns, p
	pl.key = appendRoot(pl.key[:0], spaceData, ns)
	pl.ends = append(pl.ends[:0], len(pl.key))
	pl.keys = pl.keys[:0]
	for rest := p; !rest.IsRoot(); {
		var first string
		first, rest = rest.Front()
		pl.keys = append(pl.keys, first)
		pl.key = appendComponent(pl.key, first)
		pl.ends = append(pl.ends, len(pl.key))
	}
	pl.kind, pl.exists, pl.leafAt = absent, -1, -1
}

func (pl *place) depth() int            { return len(pl.keys) }
func (pl *place) node(depth int) []byte { return pl.key[:pl.ends[depth]] }

// sharedDepth returns the depth of the deepest proper ancestor that k is at or
// below, -1 if none.
func (pl *place) sharedDepth(k []byte) int {
	d := -1
	for d+1 < pl.depth() && bytes.HasPrefix(k, pl.node(d+1)) {
		d++
	}
	return d
}

// locate finds out what is at the place. If there is something, the iterator
// is left on its first key.
func (pl *place) locate(it *pebble.Iterator, parentExists bool) error {
	if it.SeekGE(pl.key) {
		k := it.Key()
		if bytes.HasPrefix(k, pl.key) {
			pl.kind = objectNode
			if len(k) == len(pl.key) {
				pl.kind = leafNode
			}
			return nil
		}
		pl.exists = pl.sharedDepth(k)
		pl.next, pl.end = append(pl.next[:0], k...), false
	} else {
		pl.next, pl.end = pl.next[:0], true
	}
	parent := pl.depth() - 1
	if parentExists {
		pl.exists = parent
	}
	if err := it.Error(); err != nil || pl.exists == parent {
		return err
	}
	if it.SeekLT(pl.key) {
		k := it.Key()
		d := pl.sharedDepth(k)
		if d >= 0 && len(k) == pl.ends[d] {
			pl.leafAt = d
			pl.leaf = append(pl.leaf[:0], it.Value()...)
			return nil
		}
		pl.exists = max(pl.exists, d)
	}
	return it.Error()
}

// smallSubtree is the number of records up to which a subtree is read and
// removed key by key. A range tombstone costs every later read of its part of
// the store until it is compacted, so it must be worth many keys.
const smallSubtree = 64

type record struct{ key, val []byte }

// edit is the replacement of a subtree: what is there, and what was already
// dealt with.
type edit struct {
	top   int        // depth of the subtree's root, see above
	old   []record   // its records in key order, unless big
	big   bool       // more than the limit for small ones
	prio  *tree.Node // if big: the priority of the subtree's root
	node  *tree.Node // unless big: the old subtree
	next  int        // of old: those before it are dealt with
	arena []byte

	key      []byte // scratch
	last     []byte // the record written last
	val      []byte
	ix       []byte
	obsolete map[string]struct{} // index entries to delete unless they are written again
}

func (e *edit) reset(top int) {
	e.top, e.big, e.next = top, false, 0
	e.old, e.arena = e.old[:0], e.arena[:0]
	e.prio, e.node = nil, nil
}

func (e *edit) remember(key, val []byte) {
	start := len(e.arena)
	e.arena = append(append(e.arena, key...), val...)
	mid := start + len(key)
	e.old = append(e.old, record{e.arena[start:mid:mid], e.arena[mid:len(e.arena):len(e.arena)]})
}

// collect reads the subtree that the iterator is on the first key of.
func (e *edit) collect(it *pebble.Iterator, key []byte, limit int) error {
	for ok := it.Valid(); ok && bytes.HasPrefix(it.Key(), key); ok = it.Next() {
		if len(e.old) == limit {
			e.big = true
			break
		}
		e.remember(it.Key(), it.Value())
	}
	return it.Error()
}

func (b *Batch) set(ns string, p tree.Path, v *tree.Node) (err error) {
	if v.HasServerValues() {
		return ErrUnresolved
	}
	pl, facts := &b.place, &b.s.facts
	pl.set(ns, p)
	defs := b.s.definitions().of(ns)
	known := facts.find(ns, pl.keys)
	if v.IsLeaf() && v.Priority() == nil && known == factPlainLeaf && !defs.concern(pl.keys) {
		return b.put(pl.key, v)
	}
	if !v.IsNull() && facts.gap.locate(pl) {
		return b.insert(defs, v)
	}
	it, err := b.iterator()
	if err != nil {
		return err
	}
	defer func() {
		if e := b.giveBack(it); err == nil {
			err = e
		}
	}()
	if err := pl.locate(it, known == factParent); err != nil {
		return err
	}
	if v.IsNull() && pl.kind == absent {
		return nil
	}
	facts.gap.known = false
	neu, err := b.plan(it, v)
	if err != nil {
		return err
	}
	if err := b.replace(it, defs, neu); err != nil {
		return err
	}
	facts.wrote(ns, pl.keys, b.edit.top, v)
	if pl.kind == absent && pl.leafAt < 0 {
		facts.gap.found(b.edit.last, pl.next, pl.end)
	}
	return nil
}

// insert writes a node where the gap says that there is none.
func (b *Batch) insert(defs *nsDefinitions, v *tree.Node) error {
	neu, err := b.plan(nil, v)
	if err != nil {
		return err
	}
	if err := b.replace(nil, defs, neu); err != nil {
		return err
	}
	facts := &b.s.facts
	if b.inserts++; b.inserts <= maxInsertFacts {
		facts.wrote(b.place.ns, b.place.keys, b.edit.top, v)
	}
	facts.gap.filled(b.edit.last)
	return nil
}

// plan finds the top of the change, reads the old subtree there, and returns
// the new one.
func (b *Batch) plan(it *pebble.Iterator, v *tree.Node) (*tree.Node, error) {
	pl, e := &b.place, &b.edit
	depth := pl.depth()
	e.reset(depth)
	switch {
	case pl.kind != absent && !v.IsNull():
		if err := e.collect(it, pl.key, b.s.tune.smallSubtree); err != nil {
			return nil, err
		}
	case pl.kind != absent:
		if err := b.planRemoval(it); err != nil {
			return nil, err
		}
	case pl.leafAt >= 0:
		e.top = pl.leafAt
		e.remember(pl.node(e.top), pl.leaf)
	default:
		e.top = pl.exists + 1
	}
	if err := e.assemble(len(pl.node(e.top))); err != nil {
		return nil, corrupt(pl.node(e.top), err)
	}
	neu := v
	if !v.IsNull() {
		for d := depth; d > e.top; d-- {
			neu = tree.NewSortedObject([]tree.Child{{Key: pl.keys[d-1], Node: neu}})
		}
		if pl.leafAt >= 0 {
			neu = neu.WithPriority(e.node.Priority())
		}
	}
	return neu, nil
}

// planRemoval collects the node, and the ancestors that vanish with it.
func (b *Batch) planRemoval(it *pebble.Iterator) error {
	pl, e := &b.place, &b.edit
	if err := e.collect(it, pl.key, b.s.tune.smallSubtree); err != nil {
		return err
	}
	below := slices.Clone(e.old)
	e.old = e.old[:0]
	following := -1 // the deepest ancestor that has a leaf after the node
	e.key = append(append(e.key[:0], pl.key...), compEnd)
	if it.SeekGE(e.key) {
		following = pl.sharedDepth(it.Key())
	}
	if err := it.Error(); err != nil {
		return err
	}
	ok := it.SeekLT(pl.key)
	for d := pl.depth() - 1; d > following; d-- {
		if ok && bytes.HasPrefix(it.Key(), pl.node(d)) {
			if k := it.Key(); len(k) != pl.ends[d]+1 || k[len(k)-1] != compPriority {
				break // a leaf before the node
			}
			e.remember(it.Key(), it.Value())
			ok = it.Prev()
		}
		e.top = d
	}
	// The priorities were met from the bottom up.
	slices.Reverse(e.old)
	e.old = append(e.old, below...)
	return it.Error()
}

// assemble builds the old subtree, or takes its priority if it is big.
func (e *edit) assemble(prefix int) error {
	if len(e.old) == 0 {
		return nil
	}
	if e.big {
		if first := e.old[0]; len(first.key) == prefix+1 && first.key[prefix] == compPriority {
			var err error
			e.prio, err = decodeValue(first.val)
			return err
		}
		return nil
	}
	var a assembler
	for _, r := range e.old {
		if err := a.add(r.key[prefix:], r.val); err != nil {
			return err
		}
	}
	e.node = a.finish()
	return nil
}

// replace writes the new subtree over the old one.
func (b *Batch) replace(it *pebble.Iterator, defs *nsDefinitions, neu *tree.Node) error {
	pl, e := &b.place, &b.edit
	if err := b.dropEntries(it, defs, neu); err != nil {
		return err
	}
	e.key = append(e.key[:0], pl.node(e.top)...)
	if e.big {
		lower, upper := keyRange(e.key)
		if err := b.writer().DeleteRange(lower, upper, nil); err != nil {
			return err
		}
		e.old = e.old[:0]
	}
	if !neu.IsNull() {
		if err := b.write(neu, defs.below(pl.keys[:e.top]), e.top); err != nil {
			return err
		}
	}
	for _, r := range e.old[e.next:] {
		if err := b.writer().Delete(r.key, nil); err != nil {
			return err
		}
	}
	return b.deleteObsolete()
}

// write writes the records and the index entries of the subtree n, the key of
// whose root is in e.key. active are the indexes that may be on nodes at or
// below it, and depth is the root's.
func (b *Batch) write(n *tree.Node, active []*indexDef, depth int) error {
	e := &b.edit
	if n.IsLeaf() {
		return b.putRecord(n)
	}
	end := len(e.key)
	if prio := n.Priority(); prio != nil {
		e.key = append(e.key, compPriority)
		if err := b.putRecord(prio); err != nil {
			return err
		}
		e.key = e.key[:end]
	}
	for _, c := range n.Children() {
		e.key = appendComponent(e.key, c.Key)
		if prio := c.Node.Priority(); prio != nil {
			if err := b.keepEntry(e.entry(b.place.ends[0], end, priorityIndex, prio)); err != nil {
				return err
			}
		}
		for _, def := range active {
			if len(def.pattern) == depth {
				if err := b.keepEntry(e.entry(b.place.ends[0], end, def, def.valueOf(c.Node))); err != nil {
					return err
				}
			}
		}
		if err := b.write(c.Node, descend(active, depth, c.Key), depth+1); err != nil {
			return err
		}
		e.key = e.key[:end]
	}
	return nil
}

// putRecord writes a value at e.key, unless it is there already, and removes
// the old records before it.
func (b *Batch) putRecord(val *tree.Node) error {
	e := &b.edit
	e.val = appendValue(e.val[:0], val)
	for e.next < len(e.old) {
		old := e.old[e.next]
		c := bytes.Compare(old.key, e.key)
		if c > 0 {
			break
		}
		e.next++
		if c == 0 {
			if bytes.Equal(old.val, e.val) {
				return nil
			}
			break
		}
		if err := b.writer().Delete(old.key, nil); err != nil {
			return err
		}
	}
	e.last = append(e.last[:0], e.key...)
	return b.writer().Set(e.key, e.val, nil)
}

func (b *Batch) put(key []byte, val *tree.Node) error {
	b.edit.val = appendValue(b.edit.val[:0], val)
	return b.writer().Set(key, b.edit.val, nil)
}

func (b *Batch) setPriority(ns string, p tree.Path, prio *tree.Node) (err error) {
	if prio.HasServerValues() {
		return ErrUnresolved
	}
	pl, e := &b.place, &b.edit
	pl.set(ns, p)
	it, err := b.iterator()
	if err != nil {
		return err
	}
	defer func() {
		if e := b.giveBack(it); err == nil {
			err = e
		}
	}()
	if err := pl.locate(it, true); err != nil || pl.kind == absent {
		return err
	}
	e.reset(pl.depth())
	e.key = append(e.key[:0], pl.key...)
	var old *tree.Node
	if pl.kind == leafNode {
		leaf, err := decodeValue(it.Value())
		if err != nil {
			return corrupt(it.Key(), err)
		}
		old = leaf.Priority()
		if err := b.put(pl.key, leaf.WithPriority(prio)); err != nil {
			return err
		}
		b.s.facts.wrote(ns, pl.keys, pl.depth(), leaf.WithPriority(prio))
	} else {
		e.key = append(e.key, compPriority)
		if bytes.Equal(it.Key(), e.key) {
			if old, err = decodeValue(it.Value()); err != nil {
				return corrupt(it.Key(), err)
			}
		}
		if prio.IsNull() {
			if old != nil {
				err = b.writer().Delete(e.key, nil)
			}
		} else {
			err = b.put(e.key, prio)
		}
		if err != nil {
			return err
		}
	}
	b.dropPriority(old)
	if err := b.keepPriority(prio); err != nil {
		return err
	}
	return b.deleteObsolete()
}
