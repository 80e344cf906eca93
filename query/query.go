package query

import (
	"slices"

	"rebase/tree"
)

// Sentinel keys of the protocol, below and above every key. They contain
// characters no key may have.
const (
	MinName = "[MIN_NAME]"
	MaxName = "[MAX_NAME]"
)

// An Error is a query that a client may not ask. Msg is meant for it.
type Error struct{ Msg string }

func (e *Error) Error() string { return e.Msg }

// A Bound is one end of a range over (index value, key) pairs.
//
// Ordered by key, Key is the bound, HasKey is true and Value is nil. Otherwise
// Value is a leaf without priority or nil for null, and without HasKey the
// bound stands before all keys of Value (as a start) or behind them (as an
// end). Key may be [MinName] or [MaxName].
type Bound struct {
	Value     *tree.Node
	Key       string
	HasKey    bool
	Inclusive bool
}

// A Query is what a listener or a read asks of the children of a location.
// The zero value selects everything. It must not be changed once in use.
type Query struct {
	Index      Index
	Start, End *Bound // nil: open
	Limit      int    // 0: none
	Last       bool   // Limit counts from the end of the range
}

// An Entry is the position of a child in the order of a query. Value is nil
// when ordered by key.
type Entry struct {
	Value *tree.Node
	Key   string
}

// IsDefault reports that q selects everything, whatever its order: the SDKs
// listen to such a query as to the plain location.
func (q *Query) IsDefault() bool {
	return q.Start == nil && q.End == nil && q.Limit == 0
}

// Compare orders two entries by index value, then by key; by key alone for
// ByKey. It is a total order over distinct keys. Values that are objects are
// all equal. The sentinel keys are understood.
func (q *Query) Compare(a, b Entry) int {
	if q.Index.Kind != ByKey {
		if c := tree.CompareIndex(a.Value, b.Value); c != 0 {
			return c
		}
	}
	return compareNames(a.Key, b.Key)
}

func compareNames(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == MinName || b == MaxName:
		return -1
	case a == MaxName || b == MinName:
		return 1
	}
	return tree.CompareKeys(a, b)
}

// InRange reports whether e lies within q's bounds. It does not consider the
// limit.
func (q *Query) InRange(e Entry) bool {
	if b := q.Start; b != nil {
		if c := q.Compare(b.entry(MinName), e); c > 0 || c == 0 && !b.Inclusive {
			return false
		}
	}
	if b := q.End; b != nil {
		if c := q.Compare(e, b.entry(MaxName)); c > 0 || c == 0 && !b.Inclusive {
			return false
		}
	}
	return true
}

// entry is the bound as a position; name stands in for a key it lacks.
func (b *Bound) entry(name string) Entry {
	if b.HasKey {
		name = b.Key
	}
	return Entry{Value: b.Value, Key: name}
}

// EntryOf returns the position of a child.
func (q *Query) EntryOf(key string, child *tree.Node) Entry {
	return Entry{Value: q.Index.ValueOf(key, child), Key: key}
}

// Filter returns those children of n that q selects, without n's own priority:
// nothing if n is a leaf. A default query is no filter and gives n itself.
// It looks at every child; it is the reference for everything faster.
func (q *Query) Filter(n *tree.Node) *tree.Node {
	if q.IsDefault() {
		return n
	}
	if !n.IsObject() {
		return nil
	}
	type candidate struct {
		entry Entry
		at    int // in key order
	}
	children := n.Children()
	var in []candidate
	for i, c := range children {
		if e := q.EntryOf(c.Key, c.Node); q.InRange(e) {
			in = append(in, candidate{e, i})
		}
	}
	if q.Limit > 0 && len(in) > q.Limit {
		slices.SortFunc(in, func(a, b candidate) int { return q.Compare(a.entry, b.entry) })
		if q.Last {
			in = in[len(in)-q.Limit:]
		} else {
			in = in[:q.Limit]
		}
		slices.SortFunc(in, func(a, b candidate) int { return a.at - b.at })
	}
	if len(in) == 0 {
		return nil
	}
	out := make([]tree.Child, len(in))
	for i, c := range in {
		out[i] = children[c.at]
	}
	return tree.NewSortedObject(out)
}
