package store

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"rebase/query"
	"rebase/tree"
)

func (v view) Source(ns string, p tree.Path, q *query.Query) (query.Source, bool, error) {
	s := &source{o: v.o, q: q, ns: ns}
	s.place.set(ns, p)
	pin, err := v.o.pin()
	if err != nil {
		return nil, false, err
	}
	_, indexed := s.indexIn(pin.defs)
	return s, indexed, pin.release()
}

// source orders the children of one node. What it reads from is decided at each
// scan: an index may become ready, or be dropped, in between.
type source struct {
	o     origin
	ns    string
	q     *query.Query
	place place
}

var _ query.Source = (*source)(nil)

// indexIn returns the index that answers the query; nil with true if none is
// needed, nil with false if there is none.
func (s *source) indexIn(defs *definitions) (*indexDef, bool) {
	switch s.q.Index.Kind {
	case query.ByKey:
		return nil, true
	case query.ByPriority:
		return priorityIndex, true
	}
	d := defs.of(s.ns).at(s.place.keys, s.q.Index)
	return d, d != nil
}

func (s *source) Scan(from *query.Entry, reverse bool, n int) (entries []query.Entry, err error) {
	if n <= 0 {
		return nil, nil
	}
	pin, err := s.o.pin()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, pin.release()) }()
	def, indexed := s.indexIn(pin.defs)
	c := &scan{q: s.q, place: &s.place, reader: pin.reader, from: from, reverse: reverse, limit: n}
	defer func() { err = errors.Join(err, c.close()) }()
	c.begin()
	switch {
	case !indexed:
		err = c.all()
	case def == nil:
		err = c.keys(false)
	case def == priorityIndex:
		err = c.priorities()
	default:
		err = c.index(def)
	}
	if err != nil {
		return nil, err
	}
	return c.out, nil
}

// scan is one call of Scan.
//
// It seeks to where the first entry may be, and then decides of each entry,
// with the query's own comparison, whether it is still before the range, in it,
// or past it. The seek need only be exact enough to be fast.
type scan struct {
	q       *query.Query
	place   *place
	reader  pebble.Reader
	from    *query.Entry
	reverse bool
	limit   int

	start position
	out   []query.Entry
	data  *pebble.Iterator // over the children
}

// position is where a scan begins: at an index value, and a key, which may be
// a sentinel. An open one is at the end of everything.
type position struct {
	open  bool
	value *tree.Node
	key   string
}

func (c *scan) begin() {
	bound, missing := c.q.Start, query.MinName
	if c.reverse {
		bound, missing = c.q.End, query.MaxName
	}
	switch {
	case c.from != nil && !c.before(*c.from):
		c.start = position{value: c.from.Value, key: c.from.Key}
	case bound == nil:
		c.start = position{open: true, key: missing}
	case bound.HasKey:
		c.start = position{value: bound.Value, key: bound.Key}
	default:
		c.start = position{value: bound.Value, key: missing}
	}
}

func (c *scan) close() error {
	if c.data == nil {
		return nil
	}
	return c.data.Close()
}

// before reports whether e comes before the range in the scan's direction.
func (c *scan) before(e query.Entry) bool {
	if c.reverse {
		return c.aboveEnd(e)
	}
	return c.belowStart(e)
}

// past reports whether e, and all that follows, is past the range.
func (c *scan) past(e query.Entry) bool {
	if c.reverse {
		return c.belowStart(e)
	}
	return c.aboveEnd(e)
}

func (c *scan) belowStart(e query.Entry) bool {
	b := c.q.Start
	if b == nil {
		return false
	}
	name := query.MinName
	if b.HasKey {
		name = b.Key
	}
	d := c.q.Compare(e, query.Entry{Value: b.Value, Key: name})
	return d < 0 || d == 0 && !b.Inclusive
}

func (c *scan) aboveEnd(e query.Entry) bool {
	b := c.q.End
	if b == nil {
		return false
	}
	name := query.MaxName
	if b.HasKey {
		name = b.Key
	}
	d := c.q.Compare(e, query.Entry{Value: b.Value, Key: name})
	return d > 0 || d == 0 && !b.Inclusive
}

// compare orders in the scan's direction.
func (c *scan) compare(a, b query.Entry) int {
	if c.reverse {
		return c.q.Compare(b, a)
	}
	return c.q.Compare(a, b)
}

func (c *scan) beyondFrom(e query.Entry) bool {
	return c.from == nil || c.compare(*c.from, e) < 0
}

// offer takes the next entry in order. It reports whether to go on.
func (c *scan) offer(e query.Entry) bool {
	if c.past(e) {
		return false
	}
	if !c.before(e) && c.beyondFrom(e) {
		c.out = append(c.out, e)
	}
	return len(c.out) < c.limit
}

// children returns the iterator over the records below the node.
func (c *scan) children() (*pebble.Iterator, error) {
	if c.data == nil {
		lower := append(bytes.Clone(c.place.key), compInteger)
		upper := append(bytes.Clone(c.place.key), compEnd)
		it, err := c.reader.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return nil, err
		}
		c.data = it
	}
	return c.data, nil
}

// keys scans the children by key; plain leaves out those with a priority.
func (c *scan) keys(plain bool) error {
	it, err := c.children()
	if err != nil {
		return err
	}
	base := len(c.place.key)
	child := bytes.Clone(c.place.key)
	ok := c.seekKey(it, child)
	for ok {
		k := it.Key()
		name, rest, err := decodeComponent(k[base:])
		if err != nil {
			return corrupt(k, err)
		}
		child = append(child[:base], k[base:len(k)-len(rest)]...)
		skip := false
		if plain {
			if skip, err = hasPriority(it, child, c.reverse); err != nil {
				return err
			}
		}
		if !skip && !c.offer(query.Entry{Key: name}) {
			return nil
		}
		if c.reverse {
			ok = it.SeekLT(child)
		} else if len(it.Key()) == len(child) {
			ok = it.Next()
		} else {
			ok = skipPast(it, child)
		}
	}
	return it.Error()
}

func (c *scan) seekKey(it *pebble.Iterator, base []byte) bool {
	name := c.start.key
	switch {
	case c.start.open || name == query.MinName && !c.reverse || name == query.MaxName && c.reverse:
		if c.reverse {
			return it.Last()
		}
		return it.First()
	case name == query.MinName || name == query.MaxName:
		return false
	case c.reverse:
		return it.SeekLT(append(appendComponent(bytes.Clone(base), name), compEnd))
	}
	return it.SeekGE(appendComponent(bytes.Clone(base), name))
}

// hasPriority reports whether the child has a priority. The iterator is at a
// record of the child: the first, or in reverse the last.
func hasPriority(it *pebble.Iterator, child []byte, reverse bool) (bool, error) {
	if len(it.Key()) == len(child) {
		leaf, err := decodeValue(it.Value())
		if err != nil {
			return false, corrupt(it.Key(), err)
		}
		return leaf.Priority() != nil, nil
	}
	if reverse && !it.SeekGE(child) {
		return false, it.Error()
	}
	return it.Key()[len(child)] == compPriority, nil
}

// priorities scans the children by priority: those without one come first, by
// key, and are not in the index.
func (c *scan) priorities() error {
	plain := func() error {
		if !c.start.open && !c.start.value.IsNull() {
			if !c.reverse {
				return nil
			}
			c.start = position{open: true, key: query.MaxName}
		}
		return c.keys(true)
	}
	if !c.reverse {
		if err := plain(); err != nil || len(c.out) == c.limit {
			return err
		}
		return c.index(priorityIndex)
	}
	if c.start.open || !c.start.value.IsNull() {
		if err := c.index(priorityIndex); err != nil || len(c.out) == c.limit {
			return err
		}
	}
	return plain()
}

// index scans the entries of an index.
func (c *scan) index(def *indexDef) error {
	prefix := appendIndexNode(nil, c.place.key, c.place.ends[0], def.id)
	end := append(bytes.Clone(prefix), 0xFF)
	it, err := c.reader.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: end})
	if err != nil {
		return err
	}
	defer it.Close()
	ok := c.seekEntry(it, prefix)
	next := it.Next
	if c.reverse {
		next = it.Prev
	}
	for ok {
		k := it.Key()
		value, cut, rest, err := decodeIndexValue(k[len(prefix):])
		if err != nil {
			return corrupt(k, err)
		}
		if cut {
			group := bytes.Clone(k[:len(k)-len(rest)])
			more, err := c.cutGroup(it, def, group, next)
			if err != nil || !more {
				return err
			}
			ok = it.Valid()
			continue
		}
		name, rest, err := decodeComponent(rest)
		if err != nil || len(rest) > 0 {
			return corrupt(k, errCorruptKey)
		}
		if !c.offer(query.Entry{Value: value, Key: name}) {
			return nil
		}
		ok = next()
	}
	return it.Error()
}

func (c *scan) seekEntry(it *pebble.Iterator, prefix []byte) bool {
	if c.start.open {
		if c.reverse {
			return it.Last()
		}
		return it.First()
	}
	pos := appendIndexValue(bytes.Clone(prefix), c.start.value)
	cut := c.start.value.Kind() == tree.String && len(c.start.value.Str()) > maxIndexedString
	switch {
	case cut || c.start.key == query.MinName || c.start.key == query.MaxName:
		// All entries of this value are before or after the position, or have to
		// be looked at because their order is not that of the index.
		if c.reverse && (cut || c.start.key == query.MaxName) || !c.reverse && !cut && c.start.key == query.MaxName {
			pos = append(pos, 0xFF)
		}
	default:
		pos = appendComponent(pos, c.start.key)
		if c.reverse {
			pos = append(pos, 0xFF)
		}
	}
	if c.reverse {
		return it.SeekLT(pos)
	}
	return it.SeekGE(pos)
}

// cutGroup offers all entries whose string value is cut to the same beginning,
// which group ends with, in the order of their whole strings. It leaves the
// iterator past them.
func (c *scan) cutGroup(it *pebble.Iterator, def *indexDef, group []byte, next func() bool) (more bool, err error) {
	best := c.best()
	for ok := true; ok && bytes.HasPrefix(it.Key(), group); ok = next() {
		child := it.Key()[len(group):]
		name, rest, err := decodeComponent(child)
		if err != nil || len(rest) > 0 {
			return false, corrupt(it.Key(), errCorruptKey)
		}
		value, err := c.valueOf(def, child)
		if err != nil {
			return false, err
		}
		best.offer(query.Entry{Value: value, Key: name})
	}
	if err := it.Error(); err != nil {
		return false, err
	}
	for _, e := range best.sorted() {
		if !c.offer(e) {
			return false, nil
		}
	}
	return true, nil
}

// valueOf reads the index value of a child from the data.
func (c *scan) valueOf(def *indexDef, child []byte) (*tree.Node, error) {
	it, err := c.children()
	if err != nil {
		return nil, err
	}
	key := append(bytes.Clone(c.place.key), child...)
	if def == priorityIndex {
		return priorityAt(it, key)
	}
	for _, k := range def.field {
		key = appendComponent(key, k)
	}
	return indexedNode(it, key)
}

func priorityAt(it *pebble.Iterator, key []byte) (*tree.Node, error) {
	if !it.SeekGE(key) || !bytes.HasPrefix(it.Key(), key) {
		return nil, it.Error()
	}
	isLeaf := len(it.Key()) == len(key)
	if !isLeaf && it.Key()[len(key)] != compPriority {
		return nil, nil
	}
	v, err := decodeValue(it.Value())
	if err != nil {
		return nil, corrupt(key, err)
	}
	if isLeaf {
		v = v.Priority()
	}
	return v, nil
}

// all reads every child and keeps the first ones in the query's order.
func (c *scan) all() error {
	it, err := c.children()
	if err != nil {
		return err
	}
	field := (&indexDef{}).withIndex(c.q.Index).field
	base := len(c.place.key)
	child := bytes.Clone(c.place.key)
	best := c.best()
	for ok := it.First(); ok; {
		k := it.Key()
		name, rest, err := decodeComponent(k[base:])
		if err != nil {
			return corrupt(k, err)
		}
		child = append(child[:base], k[base:len(k)-len(rest)]...)
		var value *tree.Node
		switch {
		case len(field) > 0 && len(rest) > 0:
			at := child
			for _, f := range field {
				at = appendComponent(at, f)
			}
			value, err = indexedNode(it, at)
		case len(field) > 0:
		case len(rest) > 0:
			value = objectValue
		default:
			value, err = decodeValue(it.Value())
		}
		if err != nil {
			return corrupt(child, err)
		}
		best.offer(query.Entry{Value: value, Key: name})
		ok = it.SeekGE(append(child, compEnd))
	}
	if err := it.Error(); err != nil {
		return err
	}
	c.out = best.sorted()
	return nil
}
