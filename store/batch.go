package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"rebase/tree"
)

// A Batch is a set of changes that is committed as one. It reads as the last
// committed state with its own changes on top. It is not safe for concurrent
// use, and there must be only one that has changes: what it writes depends on
// the state that it is to be added to.
type Batch struct {
	view
	s *Store

	// pb is plain until something has to be read after the first write, and
	// indexed from then on: one write needs no index, and a merge of many has
	// to see its own writes.
	pb         *pebble.Batch
	indexed    bool
	it         *pebble.Iterator // over the indexed batch, kept between writes
	generation uint64           // of the definitions that the writes maintain
	trees      bool             // has changes of trees
	inserts    int              // writes into gaps
	err        error            // the first error: what was written is then not whole
	done       bool

	*scratch // taken with the first change of a tree
}

// scratch is the working memory of a batch.
type scratch struct {
	place place
	edit  edit
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxPooledScratch bounds the memory that is kept between batches.
const maxPooledScratch = 1 << 20

func (c *scratch) giveBack() {
	if cap(c.edit.arena) > maxPooledScratch || cap(c.edit.val) > maxPooledScratch || len(c.edit.obsolete) > 0 {
		return
	}
	c.edit.node, c.edit.prio = nil, nil
	clear(c.place.keys)
	c.place.path, c.place.ns = "", ""
	scratches.Put(c)
}

var _ Reader = (*Batch)(nil)

// NewBatch returns an empty batch. It must be committed or discarded.
func (s *Store) NewBatch() *Batch {
	b := &Batch{s: s}
	b.view = view{b}
	return b
}

// Set replaces the subtree at p by v; nil removes it. Priorities are part of v.
// After an error the batch can only be discarded.
func (b *Batch) Set(ns string, p tree.Path, v *tree.Node) error {
	return b.change(ns, func() error { return b.set(ns, p, v) })
}

// SetPriority changes only the priority of the node at p; nil removes it. It
// does nothing if there is no node.
func (b *Batch) SetPriority(ns string, p tree.Path, prio *tree.Node) error {
	return b.change(ns, func() error { return b.setPriority(ns, p, prio) })
}

func (b *Batch) change(ns string, f func() error) error {
	if b.done {
		return ErrClosed
	}
	if b.err != nil {
		return b.err
	}
	err := checkNamespace(ns)
	if err == nil {
		if !b.trees {
			b.trees = true
			b.scratch = scratches.Get().(*scratch)
			b.generation = b.s.definitions().generation
		}
		err = f()
	}
	if err != nil {
		b.err = err
	}
	return err
}

// SetMeta writes a record of the caller's own; nil removes it.
func (b *Batch) SetMeta(key, val []byte) error {
	if b.done {
		return ErrClosed
	}
	if val == nil {
		return b.writer().Delete(metaKey(key), nil)
	}
	return b.writer().Set(metaKey(key), val, nil)
}

// DeleteMetaPrefix removes all of the caller's records whose key begins with
// prefix.
func (b *Batch) DeleteMetaPrefix(prefix []byte) error {
	if b.done {
		return ErrClosed
	}
	lower, upper := metaRange(prefix)
	return b.writer().DeleteRange(lower, upper, nil)
}

// Commit makes the changes part of the state, and pos the store's position,
// in one step. They are visible when it returns, and durable later (see
// [Store.Durable]). The batch is of no use afterwards, whatever it returns.
func (b *Batch) Commit(pos uint64) error {
	if b.done {
		return ErrClosed
	}
	err := b.commit(pos)
	if err == nil && invariantsEvery > 0 && pos%max(invariantsEvery, 1) == 0 {
		err = b.s.Check()
	}
	if err != nil {
		b.s.facts.reset()
	}
	b.release()
	return err
}

func (b *Batch) commit(pos uint64) error {
	if b.err != nil {
		return fmt.Errorf("commit after an error: %w", b.err)
	}
	s := b.s
	var val [8]byte
	binary.BigEndian.PutUint64(val[:], pos)
	if err := b.writer().Set([]byte{spaceApplied}, val[:], nil); err != nil {
		return err
	}
	b.closeIter()
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.trees && b.generation != s.defs.generation {
		return errors.New("store: index definitions changed while a batch was open")
	}
	if err := s.apply(b.pb); err != nil {
		return err
	}
	s.applied.Store(pos)
	return nil
}

// apply commits a Pebble batch. s.mu is held.
func (s *Store) apply(pb *pebble.Batch) error {
	if err := s.Err(); err != nil {
		return err
	}
	if err := s.db.Apply(pb, pebble.NoSync); err != nil {
		s.fail(err)
	}
	// A failed commit is reported to the engine's logger, not returned.
	return s.Err()
}

// Discard drops the changes. It does nothing after Commit.
func (b *Batch) Discard() {
	if b.done {
		return
	}
	if b.trees {
		b.s.facts.reset()
	}
	b.release()
}

func (b *Batch) release() {
	b.done = true
	b.closeIter()
	if b.pb != nil {
		b.pb.Close()
		b.pb = nil
	}
	if b.scratch != nil {
		b.scratch.giveBack()
		b.scratch = nil
	}
}

func (b *Batch) closeIter() {
	if b.it != nil {
		b.it.Close()
		b.it = nil
	}
}

// writer returns what changes are written to.
func (b *Batch) writer() *pebble.Batch {
	if b.pb == nil {
		b.pb = b.s.db.NewBatch()
	}
	return b.pb
}

func (b *Batch) reader() (pebble.Reader, error) {
	if b.done {
		return nil, ErrClosed
	}
	if b.pb == nil {
		return b.s.reader()
	}
	if !b.indexed {
		pb := b.s.db.NewIndexedBatchWithSize(b.pb.Len())
		if err := pb.Apply(b.pb, nil); err != nil {
			pb.Close()
			return nil, err
		}
		b.pb.Close()
		b.pb, b.indexed = pb, true
	}
	return b.pb, nil
}

func (b *Batch) pin() (pinned, error) {
	r, err := b.reader()
	return pinned{r, b.s.definitions(), func() error { return nil }}, err
}

// iterator returns an unbounded iterator over the batch's present state, to be
// given back with giveBack.
func (b *Batch) iterator() (*pebble.Iterator, error) {
	if b.it != nil {
		b.it.SetOptions(&pebble.IterOptions{}) // makes it see what was written since
		return b.it, nil
	}
	r, err := b.reader()
	if err != nil {
		return nil, err
	}
	it, err := r.NewIter(nil)
	if err != nil {
		return nil, err
	}
	if b.indexed {
		b.it = it
	}
	return it, nil
}

func (b *Batch) giveBack(it *pebble.Iterator) error {
	if it == b.it {
		return it.Error()
	}
	return it.Close()
}
