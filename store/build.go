package store

import (
	"bytes"
	"runtime"
	"sort"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"rebase/query"
	"rebase/tree"
)

// How an index is built while the tree changes.
//
// A chunk reads some children in key order, from where the last chunk ended,
// and commits their entries together with the place where it ended. It holds
// the mutex that batches are committed under, so the entries are those of the
// state they are added to. Batches maintain every declared index, whether or not
// a chunk has come by: they delete the entries of the old state and write those
// of the new one. So after any sequence of chunks and batches, every child
// before the cursor has exactly its entry, and one behind it has that entry or
// none.
//
// A batch reads the old state before it is committed, and a chunk may come in
// between. It adds entries of the same old state, which the batch deletes
// whether they are there or not.

// chunkChildren is how many children a chunk reads: about a millisecond's work,
// for which a commit may have to wait.
const chunkChildren = 256

// builder runs the builds, one after the other.
type builder struct {
	signal chan struct{}
	quit   chan struct{}
	done   sync.WaitGroup
}

func (b *builder) start(s *Store) {
	b.signal = make(chan struct{}, 1)
	b.quit = make(chan struct{})
	if s.tune.manualBuild {
		return
	}
	b.wake()
	b.done.Go(func() { b.run(s) })
}

func (b *builder) stop() {
	close(b.quit)
	b.done.Wait()
}

func (b *builder) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *builder) run(s *Store) {
	for {
		select {
		case <-b.quit:
			return
		case <-b.signal:
		}
		for {
			ns, id, any := s.definitions().unfinished()
			if !any {
				break
			}
			if _, err := s.buildChunk(ns, id); err != nil {
				s.logger.Error("store: index build stopped", "namespace", ns, "err", err)
				return
			}
			select {
			case <-b.quit:
				return
			default:
				runtime.Gosched() // let a waiting commit have the mutex
			}
		}
	}
}

// unfinished returns an index that is not ready.
func (d *definitions) unfinished() (ns string, id uint32, any bool) {
	names := make([]string, 0, len(d.byNS))
	for name := range d.byNS {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, def := range d.byNS[name].defs {
			if !def.ready {
				return name, def.id, true
			}
		}
	}
	return "", 0, false
}

// buildChunk does one chunk of a build. ready is true if the index is built, or
// was dropped.
func (s *Store) buildChunk(ns string, id uint32) (ready bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nsDefs := s.defs.of(ns)
	def := nsDefs.byID(id)
	if def == nil || def.ready {
		return true, nil
	}
	pb := s.db.NewBatch()
	defer pb.Close()
	cursor, err := buildEntries(s.db, pb, ns, def, s.tune.chunkChildren)
	if err != nil {
		return false, err
	}
	after := *def
	after.cursor, after.ready = cursor, cursor == nil
	neu := &nsDefinitions{nextID: nsDefs.nextID}
	for _, d := range nsDefs.defs {
		if d == def {
			d = &after
		}
		neu.defs = append(neu.defs, d)
	}
	// The generation stays: batches do the same for an index that is ready.
	return after.ready, s.define(pb, ns, neu, s.defs.generation)
}

// buildEntries writes the entries of up to n children to pb, and returns where
// to go on, nil if there are no more.
func buildEntries(r pebble.Reader, pb *pebble.Batch, ns string, def *indexDef, n int) (cursor []byte, err error) {
	root := appendRoot(nil, spaceData, ns)
	lower, upper := keyRange(root)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	walk := newPatternWalk(it, root, def.pattern, def.cursor)
	var ix []byte
	for walk.next() {
		value, err := walk.value(def)
		if err != nil {
			return nil, err
		}
		ix = appendIndexNode(ix[:0], walk.child[:walk.parent], len(root), def.id)
		ix = append(appendIndexValue(ix, value), walk.child[walk.parent:]...)
		if err := pb.Set(ix, nil, nil); err != nil {
			return nil, err
		}
		if n--; n == 0 {
			return append(bytes.Clone(walk.child), compEnd), nil
		}
	}
	return nil, walk.err()
}

// patternWalk visits the children of all nodes that a pattern matches, in key
// order, seeking past what cannot match.
type patternWalk struct {
	it      *pebble.Iterator
	root    int
	pattern [][]byte // encoded keys; nil for a wildcard
	seek    []byte   // where the next child may be
	child   []byte   // the present child's data key
	parent  int      // the length of its parent's key
	failed  error
}

func newPatternWalk(it *pebble.Iterator, root []byte, pattern []string, from []byte) *patternWalk {
	w := &patternWalk{it: it, root: len(root), seek: bytes.Clone(from)}
	if from == nil {
		w.seek = bytes.Clone(root)
	}
	for _, p := range pattern {
		var enc []byte
		if p != wildcard {
			enc = appendComponent(nil, p)
		}
		w.pattern = append(w.pattern, enc)
	}
	return w
}

func (w *patternWalk) err() error {
	if w.failed != nil {
		return w.failed
	}
	return w.it.Error()
}

func (w *patternWalk) next() bool {
	ok := w.it.SeekGE(w.seek)
	for ok {
		k := w.it.Key()
		at, mismatch := w.root, false
		for depth := 0; depth <= len(w.pattern) && at < len(k) && k[at] != compPriority; depth++ {
			n := componentLen(k[at:])
			if n == 0 {
				w.failed = corrupt(k, errCorruptKey)
				return false
			}
			if depth == len(w.pattern) {
				w.child = append(w.child[:0], k[:at+n]...)
				w.parent = at
				w.seek = append(append(w.seek[:0], w.child...), compEnd)
				return true
			}
			if want := w.pattern[depth]; want != nil {
				c := bytes.Compare(k[at:at+n], want)
				if c != 0 {
					w.seek = append(w.seek[:0], k[:at]...)
					if c < 0 {
						w.seek = append(w.seek, want...)
					} else {
						w.seek = append(w.seek, compEnd)
					}
					mismatch = true
					break
				}
			}
			at += n
		}
		if mismatch {
			ok = w.it.SeekGE(w.seek)
		} else {
			ok = w.it.Next() // a leaf, or a priority, above where children would be
		}
	}
	return false
}

// value reads the present child's index value. It moves the iterator.
func (w *patternWalk) value(def *indexDef) (*tree.Node, error) {
	key := w.child
	if def.index.Kind == query.ByChild {
		key = bytes.Clone(w.child)
		for _, f := range def.field {
			key = appendComponent(key, f)
		}
	}
	return indexedNode(w.it, key)
}
