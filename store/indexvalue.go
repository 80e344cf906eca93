package store

import (
	"errors"

	"rebase/query"
	"rebase/tree"
)

// anyObject stands for an object in an index, where all objects are alike.
var anyObject = tree.NewObject([]tree.Child{{Key: "0", Node: tree.NewBool(true)}})

// IndexValue returns what the child key of the node at p is indexed by, and whether there is
// such a child. Objects are given as some object. It costs one seek, or two.
func (v view) IndexValue(ns string, p tree.Path, key string, ix query.Index) (value *tree.Node, exists bool, err error) {
	child := p.Child(key)
	switch ix.Kind {
	case query.ByPriority:
		return v.priority(ns, child)
	case query.ByChild:
		leaf, object, err := v.Leaf(ns, child.Join(ix.Path))
		if err != nil || leaf != nil {
			return leaf, leaf != nil, err
		}
		if object {
			return anyObject, true, nil
		}
		leaf, object, err = v.Leaf(ns, child)
		return nil, leaf != nil || object, err
	}
	leaf, object, err := v.Leaf(ns, child)
	switch {
	case err != nil || ix.Kind == query.ByKey:
		return nil, leaf != nil || object, err
	case object:
		return anyObject, true, nil
	}
	return leaf, leaf != nil, nil
}

// priority returns the priority of the node at p, and whether there is such a node.
func (v view) priority(ns string, p tree.Path) (prio *tree.Node, exists bool, err error) {
	key := dataKey(make([]byte, 0, 128), ns, p)
	it, err := v.subtree(key)
	if err != nil {
		return nil, false, err
	}
	if it.First() {
		exists = true
		var value *tree.Node
		switch k := it.Key(); {
		case len(k) == len(key):
			value, err = decodeValue(it.Value())
			prio = value.Priority()
		case len(k) == len(key)+1 && k[len(key)] == compPriority: // an object's own priority sorts before its children
			prio, err = decodeValue(it.Value())
		}
	}
	return prio, exists, errors.Join(err, it.Close())
}
