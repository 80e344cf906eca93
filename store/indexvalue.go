package store

import (
	"errors"

	"rebase/query"
	"rebase/tree"
)

// IndexValue returns what the child key of the node at p is ordered by in an
// index, and whether there is such a child. As in a source, an object stands
// for any object. It costs one seek, or two.
func (v view) IndexValue(ns string, p tree.Path, key string, ix query.Index) (value *tree.Node, exists bool, err error) {
	at := dataKey(make([]byte, 0, 128), ns, p.Child(key))
	it, err := v.subtree(at)
	if err != nil {
		return nil, false, err
	}
	if it.First() {
		exists = true
		switch ix.Kind {
		case query.ByPriority:
			value, err = priorityAt(it, at)
		case query.ByValue:
			value, err = indexedNode(it, at)
		case query.ByChild:
			value, err = indexedNode(it, appendPath(at, ix.Path))
		}
	}
	return value, exists, errors.Join(err, it.Close())
}
