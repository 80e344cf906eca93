package store

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"rebase/tree"
)

// Check reads the whole store, and returns the first thing it finds that
// breaks an invariant of the format: a key that does not decode, a node that is
// both leaf and object, a priority without a node, an index entry that its child
// does not have, or a child that lacks one. It is expensive. Batches may be
// committed meanwhile.
func (s *Store) Check() error {
	pin, err := s.pin()
	if err != nil {
		return err
	}
	defer pin.release()
	c := &checker{r: pin.reader, defs: pin.defs, due: map[string]int{}}
	if err := c.data(); err != nil {
		return err
	}
	return c.entries()
}

type checker struct {
	r    pebble.Reader
	defs *definitions
	// due counts the entries that the children have: entry → 1. An index that is
	// being built may lack entries, but has no others.
	due map[string]int
}

func (c *checker) data() error {
	it, err := c.r.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceData}, UpperBound: []byte{spaceData + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	var last []byte // the last leaf or priority
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		end := bytes.IndexByte(k, 0)
		if end < 0 {
			return corrupt(k, errCorruptKey)
		}
		isPriority, err := checkPath(k[end+1:])
		if err != nil {
			return corrupt(k, err)
		}
		v, err := decodeValue(it.Value())
		if err != nil {
			return corrupt(k, err)
		}
		if isPriority && v.Priority() != nil {
			return fmt.Errorf("store: priority at %x has a priority", k)
		}
		if last != nil {
			if last[len(last)-1] == priorityMark {
				node := last[:len(last)-1]
				if !bytes.HasPrefix(k, node[:len(node)-1]) {
					return fmt.Errorf("store: priority at %x has no node", node)
				}
			} else if bytes.HasPrefix(k, last[:len(last)-1]) {
				return fmt.Errorf("store: leaf at %x has descendants", last)
			}
		}
		mark := leafMark
		if isPriority {
			mark = priorityMark
		}
		last = append(append(last[:0], k...), mark)
	}
	if err := it.Error(); err != nil {
		return err
	}
	if last != nil && last[len(last)-1] == priorityMark {
		return fmt.Errorf("store: priority at %x has no node", last)
	}
	names, err := view{fixed{c.r, c.defs}}.Namespaces()
	if err != nil {
		return err
	}
	for _, ns := range names {
		root, err := view{fixed{c.r, c.defs}}.Get(ns, "")
		if err != nil {
			return err
		}
		c.expect(ns, root, appendRoot(nil, spaceData, ns), len(ns)+2, nil)
	}
	return nil
}

const (
	leafMark     byte = 1
	priorityMark byte = 2
)

func checkPath(k []byte) (isPriority bool, err error) {
	for len(k) > 0 {
		if len(k) == 1 && k[0] == compPriority {
			return true, nil
		}
		var key string
		start := k
		if key, k, err = decodeComponent(k); err != nil {
			return false, err
		}
		if !bytes.Equal(appendComponent(nil, key), start[:len(start)-len(k)]) {
			return false, errCorruptKey
		}
	}
	return false, nil
}

// expect notes the entries that the children within n have.
func (c *checker) expect(ns string, n *tree.Node, key []byte, root int, keys []string) {
	for _, child := range n.Children() {
		name := appendComponent(nil, child.Key)
		note := func(def *indexDef, value *tree.Node) {
			e := appendIndexNode(nil, key, root, def.id)
			c.due[string(append(appendIndexValue(e, value), name...))]++
		}
		if p := child.Node.Priority(); p != nil {
			note(priorityIndex, p)
		}
		if defs := c.defs.of(ns); defs != nil {
			for _, def := range defs.defs {
				if len(def.pattern) == len(keys) && def.covers(keys) {
					note(def, def.valueOf(child.Node))
				}
			}
		}
		c.expect(ns, child.Node, append(bytes.Clone(key), name...), root, append(keys[:len(keys):len(keys)], child.Key))
	}
}

func (c *checker) entries() error {
	it, err := c.r.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceIndex}, UpperBound: []byte{spaceIndex + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		if c.due[string(it.Key())] == 0 {
			return fmt.Errorf("store: index entry %x is of no child", it.Key())
		}
		delete(c.due, string(it.Key()))
	}
	if err := it.Error(); err != nil {
		return err
	}
	for e := range c.due {
		ns, id, err := entryIndex([]byte(e))
		if err != nil {
			return corrupt([]byte(e), err)
		}
		if def := c.defs.of(ns).byID(id); def == nil || def.ready {
			return fmt.Errorf("store: index entry %x is missing", e)
		}
	}
	return nil
}

// entryIndex returns which index an entry belongs to.
func entryIndex(e []byte) (ns string, id uint32, err error) {
	end := bytes.IndexByte(e, 0)
	if end < 0 || len(e) < end+5 {
		return "", 0, errCorruptKey
	}
	for _, b := range e[end+1 : end+5] {
		id = id<<8 | uint32(b)
	}
	return string(e[1:end]), id, nil
}

// fixed is an origin of one state.
type fixed struct {
	r    pebble.Reader
	defs *definitions
}

func (f fixed) reader() (pebble.Reader, error) { return f.r, nil }
func (f fixed) pin() (pinned, error) {
	return pinned{f.r, f.defs, func() error { return nil }}, nil
}
