package store

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"rebase/query"
	"rebase/rules"
	"rebase/tree"
)

// definitions are the indexes of all namespaces. They are immutable.
type definitions struct {
	generation uint64 // grows when an index is added or dropped
	byNS       map[string]*nsDefinitions
}

// nsDefinitions are the declared indexes of one namespace, besides the index
// by priority, which every namespace has.
type nsDefinitions struct {
	nextID uint32
	defs   []*indexDef
}

// indexDef is one declared index. The children of every node that the pattern
// matches are in it, null values included.
type indexDef struct {
	id      uint32
	pattern []string // keys from the root; wildcard matches every key
	index   query.Index
	field   []string // the components of index.Path
	ready   bool
	cursor  []byte // if not ready: the data key from which on the build has to read
}

const wildcard = rules.Wildcard

// priorityIndex is always there and always ready. It holds only the children
// that have a priority; the others come before them, by key.
var priorityIndex = &indexDef{id: 0, index: query.Index{Kind: query.ByPriority}, ready: true}

const firstIndexID = 1

func (d *definitions) of(ns string) *nsDefinitions { return d.byNS[ns] }

func (s *Store) definitions() *definitions {
	s.viewMu.RLock()
	defer s.viewMu.RUnlock()
	return s.defs
}

// valueOf returns what an entry of the index has for a child.
func (d *indexDef) valueOf(child *tree.Node) *tree.Node { return d.index.ValueOf("", child) }

func matches(pattern, key string) bool { return pattern == wildcard || pattern == key }

// covers reports whether the pattern's first keys match, as far as both go.
func (d *indexDef) covers(keys []string) bool {
	for i, p := range d.pattern {
		if i == len(keys) {
			break
		}
		if !matches(p, keys[i]) {
			return false
		}
	}
	return true
}

// at returns a ready index of the children of the node at keys, nil if there
// is none.
func (n *nsDefinitions) at(keys []string, ix query.Index) *indexDef {
	if n == nil {
		return nil
	}
	for _, d := range n.defs {
		if d.ready && len(d.pattern) == len(keys) && d.index == ix && d.covers(keys) {
			return d
		}
	}
	return nil
}

// below returns the indexes that may be on the node at keys or on nodes below.
func (n *nsDefinitions) below(keys []string) []*indexDef {
	if n == nil {
		return nil
	}
	var out []*indexDef
	for _, d := range n.defs {
		if len(d.pattern) >= len(keys) && d.covers(keys) {
			out = append(out, d)
		}
	}
	return out
}

// descend returns those of the indexes active on a node at depth that are also
// on nodes at or below its child key.
func descend(active []*indexDef, depth int, key string) []*indexDef {
	if len(active) == 0 {
		return nil
	}
	stays := func(d *indexDef) bool { return len(d.pattern) > depth && matches(d.pattern[depth], key) }
	for i, d := range active {
		if stays(d) {
			continue
		}
		out := slices.Clone(active[:i])
		for _, d := range active[i+1:] {
			if stays(d) {
				out = append(out, d)
			}
		}
		return out
	}
	return active
}

// fieldOf reports whether a change of the node at keys, which existed before
// and does after, changes the entry of a child of an ancestor that the index
// is on, and if so which part of the field is below the node. The child itself
// may be the node.
func (d *indexDef) fieldOf(keys []string) (rest []string, ok bool) {
	m := len(d.pattern)
	if len(keys) <= m || !d.covers(keys) {
		return nil, false
	}
	below := keys[m+1:]
	if d.index.Kind == query.ByValue {
		return nil, len(below) == 0
	}
	if len(below) > len(d.field) || !slices.Equal(below, d.field[:len(below)]) {
		return nil, false
	}
	return d.field[len(below):], true
}

// concern reports whether replacing a leaf by another can change an index.
func (n *nsDefinitions) concern(keys []string) bool {
	if n == nil {
		return false
	}
	for _, d := range n.defs {
		if _, ok := d.fieldOf(keys); ok {
			return true
		}
	}
	return false
}

// A definitions record is, for each index: id, pattern length, pattern keys,
// index name, state, cursor. Numbers are uvarints, strings have their length in
// front.

func (n *nsDefinitions) encode() []byte {
	str := func(b []byte, s string) []byte {
		return append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b := binary.AppendUvarint(nil, uint64(n.nextID))
	for _, d := range n.defs {
		b = binary.AppendUvarint(b, uint64(d.id))
		b = binary.AppendUvarint(b, uint64(len(d.pattern)))
		for _, p := range d.pattern {
			b = str(b, p)
		}
		b = str(b, d.index.String())
		if d.ready {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
		b = str(b, string(d.cursor))
	}
	return b
}

var errCorruptDefinitions = errors.New("store: malformed index definitions")

func decodeDefinitions(b []byte) (*nsDefinitions, error) {
	bad := false
	num := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			bad = true
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	str := func() string {
		n := num()
		if n > uint64(len(b)) {
			bad = true
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	n := &nsDefinitions{nextID: uint32(num())}
	for len(b) > 0 && !bad {
		d := &indexDef{id: uint32(num())}
		for k := num(); k > 0 && !bad; k-- {
			d.pattern = append(d.pattern, str())
		}
		ix, err := query.ParseIndex(str())
		if err != nil {
			return nil, errCorruptDefinitions
		}
		d.withIndex(ix)
		state := num()
		d.ready = state == 1
		if c := str(); c != "" {
			d.cursor = []byte(c)
		}
		bad = bad || state > 1 || d.id < firstIndexID || d.id >= n.nextID
		n.defs = append(n.defs, d)
	}
	if bad {
		return nil, errCorruptDefinitions
	}
	return n, nil
}

func (d *indexDef) withIndex(ix query.Index) *indexDef {
	d.index, d.field = ix, nil
	for p := ix.Path; !p.IsRoot(); {
		var first string
		first, p = p.Front()
		d.field = append(d.field, first)
	}
	return d
}

func definitionsKey(ns string) []byte {
	return append([]byte{spaceDefs}, ns...)
}

func loadDefinitions(r pebble.Reader) (*definitions, error) {
	out := &definitions{byNS: map[string]*nsDefinitions{}}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceDefs}, UpperBound: []byte{spaceDefs + 1}})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, err := decodeDefinitions(it.Value())
		if err != nil {
			return nil, err
		}
		out.byNS[string(it.Key()[1:])] = n
	}
	return out, it.Error()
}
