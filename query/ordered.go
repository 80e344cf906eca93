package query

import (
	"iter"
	"slices"
	"sort"
)

// chunkSize bounds the entries that an insertion or a removal moves. A window
// is usually far smaller and is then one slice; one of a million members has a
// spine of some thousand chunks, which a binary search and the occasional move
// of the spine can bear.
const chunkSize = 256

// orderedSet keeps entries in a query's order, in chunks of at most chunkSize.
// No chunk is empty, so the last entry of each separates it from the next.
type orderedSet struct {
	chunks [][]Entry
	len    int
}

// find returns where e is or would be inserted. With no chunk at all it is
// (0, 0, false).
func (o *orderedSet) find(q *Query, e Entry) (chunk, at int, found bool) {
	chunk = sort.Search(len(o.chunks), func(i int) bool {
		c := o.chunks[i]
		return q.Compare(c[len(c)-1], e) >= 0
	})
	if chunk == len(o.chunks) {
		if chunk == 0 {
			return 0, 0, false
		}
		return chunk - 1, len(o.chunks[chunk-1]), false
	}
	at, found = slices.BinarySearchFunc(o.chunks[chunk], e, q.Compare)
	return chunk, at, found
}

// insert adds e; it does nothing if an entry is at e's position already.
func (o *orderedSet) insert(q *Query, e Entry) {
	ci, at, found := o.find(q, e)
	if found {
		return
	}
	o.len++
	if len(o.chunks) == 0 {
		o.chunks = [][]Entry{{e}}
		return
	}
	if c := o.chunks[ci]; len(c) == chunkSize {
		switch {
		// Keys that grow with time come in at one end for ever. Halving would
		// leave every chunk behind them half empty.
		case ci == len(o.chunks)-1 && at == chunkSize:
			o.chunks = append(o.chunks, []Entry{e})
			return
		case ci == 0 && at == 0:
			o.chunks = slices.Insert(o.chunks, 0, []Entry{e})
			return
		}
		const half = chunkSize / 2
		right := slices.Clone(c[half:])
		clear(c[half:])
		o.chunks[ci] = c[:half]
		o.chunks = slices.Insert(o.chunks, ci+1, right)
		if at > half {
			ci, at = ci+1, at-half
		}
	}
	o.chunks[ci] = slices.Insert(o.chunks[ci], at, e)
}

// remove takes the entry at e's position out and reports whether there was one.
func (o *orderedSet) remove(q *Query, e Entry) bool {
	ci, at, found := o.find(q, e)
	if !found {
		return false
	}
	o.removeAt(ci, at)
	return true
}

func (o *orderedSet) removeAt(ci, at int) {
	o.len--
	c := slices.Delete(o.chunks[ci], at, at+1)
	o.chunks[ci] = c
	switch {
	case len(c) == 0:
		o.chunks = slices.Delete(o.chunks, ci, ci+1)
	case len(c) < chunkSize/4 && ci+1 < len(o.chunks) && len(c)+len(o.chunks[ci+1]) <= chunkSize/2:
		o.chunks[ci] = append(c, o.chunks[ci+1]...)
		o.chunks = slices.Delete(o.chunks, ci+1, ci+2)
	}
}

// end returns the first or the last entry of a set that is not empty.
func (o *orderedSet) end(last bool) Entry {
	if last {
		c := o.chunks[len(o.chunks)-1]
		return c[len(c)-1]
	}
	return o.chunks[0][0]
}

// pop removes and returns the first or the last entry of a set that is not
// empty.
func (o *orderedSet) pop(last bool) Entry {
	e := o.end(last)
	if last {
		ci := len(o.chunks) - 1
		o.removeAt(ci, len(o.chunks[ci])-1)
	} else {
		o.removeAt(0, 0)
	}
	return e
}

func (o *orderedSet) all() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, c := range o.chunks {
			for _, e := range c {
				if !yield(e) {
					return
				}
			}
		}
	}
}
