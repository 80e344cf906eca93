package rules

import (
	"slices"
	"sort"
	"strings"

	"rebase/tree"
)

// State is a database as it is at one moment. Rules look at single nodes, and
// only at those that they name, so that a rule costs the same whatever hangs
// below. Paths are valid. An error ends the decision and comes back in the
// verdict: it is not an answer.
type State interface {
	// Leaf tells what is at p: a leaf, an object, or (nil, false) nothing.
	Leaf(p tree.Path) (leaf *tree.Node, object bool, err error)

	// Priority returns the priority of the node at p, nil if it has none.
	Priority(p tree.Path) (*tree.Node, error)

	// Children calls f for the key of each child of the node at p until f
	// returns false. f may ask the state.
	Children(p tree.Path, f func(key string) bool) error
}

// TreeState is the state of a database that is in memory.
func TreeState(root *tree.Node) State { return treeState{root} }

type treeState struct{ root *tree.Node }

func (s treeState) Leaf(p tree.Path) (*tree.Node, bool, error) {
	n := s.root.At(p)
	if n.IsObject() {
		return nil, true, nil
	}
	return n, false, nil
}

func (s treeState) Priority(p tree.Path) (*tree.Node, error) { return s.root.At(p).Priority(), nil }

func (s treeState) Children(p tree.Path, f func(string) bool) error {
	n := s.root.At(p)
	if !n.IsObject() {
		return nil
	}
	for _, c := range n.Children() {
		if !f(c.Key) {
			break
		}
	}
	return nil
}

// Change is one node of a write: its new value, or, if Priority is set, only its
// new priority. Server values must be resolved.
type Change struct {
	Path     tree.Path
	Priority bool
	Value    *tree.Node
}

// Overlay is base after changes, none of whose paths contains another's. It
// copies no data and looks at base only when asked. A look-up costs the same
// however many changes there are. It is for one goroutine at a time.
func Overlay(base State, changes []Change) State {
	o := &overlay{base: base, values: map[tree.Path]*tree.Node{}, prios: map[tree.Path]*tree.Node{}, remains: map[tree.Path]bool{}}
	for _, c := range changes {
		if c.Priority {
			o.prios[c.Path] = c.Value
			continue
		}
		o.values[c.Path] = c.Value
		o.paths = append(o.paths, c.Path)
	}
	slices.Sort(o.paths)
	o.filled = make([]int, len(o.paths)+1)
	for i, p := range o.paths {
		o.filled[i+1] = o.filled[i]
		if o.values[p] != nil {
			o.filled[i+1]++
		}
	}
	return o
}

type overlay struct {
	base   State
	values map[tree.Path]*tree.Node // what is written; nil is deleted
	prios  map[tree.Path]*tree.Node
	paths  []tree.Path // of values, as strings are ordered: what is below a path stands together
	filled []int       // how many of the first i paths are not deleted

	remains map[tree.Path]bool // whether an object is left where something below was deleted
}

// covering returns the path at p or above that is written as a whole.
func (o *overlay) covering(p tree.Path) (at tree.Path, ok bool) {
	for {
		if _, ok := o.values[p]; ok {
			return p, true
		}
		if p.IsRoot() {
			return "", false
		}
		p = p.Parent()
	}
}

// below returns the range of paths that are below p, but not p.
func (o *overlay) below(p tree.Path) (from, to int) {
	if p.IsRoot() {
		if len(o.paths) > 0 && o.paths[0] == "" {
			return 1, len(o.paths)
		}
		return 0, len(o.paths)
	}
	from = sort.Search(len(o.paths), func(i int) bool { return comparePrefix(o.paths[i], p) >= 0 })
	to = from + sort.Search(len(o.paths)-from, func(i int) bool { return comparePrefix(o.paths[from+i], p) > 0 })
	return from, to
}

// comparePrefix compares q with all strings that begin with p and a slash.
func comparePrefix(q, p tree.Path) int {
	if len(q) <= len(p) {
		if c := strings.Compare(string(q), string(p)); c != 0 {
			return c
		}
		return -1 // p itself
	}
	if c := strings.Compare(string(q[:len(p)]), string(p)); c != 0 {
		return c
	}
	return int(q[len(p)]) - '/'
}

func (o *overlay) Leaf(p tree.Path) (*tree.Node, bool, error) {
	if at, ok := o.covering(p); ok {
		return treeState{o.values[at]}.Leaf(p.Rel(at))
	}
	from, to := o.below(p)
	if o.filled[to] > o.filled[from] {
		return nil, true, nil
	}
	leaf, object, err := o.base.Leaf(p)
	if err != nil || !object || from == to {
		return leaf, object, err
	}
	// Something below is deleted: the object is there as long as a child is.
	object, known := o.remains[p]
	if !known {
		err = o.Children(p, func(string) bool {
			object = true
			return false
		})
		if err == nil {
			o.remains[p] = object
		}
	}
	return nil, object, err
}

func (o *overlay) Priority(p tree.Path) (*tree.Node, error) {
	if at, ok := o.covering(p); ok {
		return o.values[at].At(p.Rel(at)).Priority(), nil
	}
	leaf, object, err := o.Leaf(p)
	if err != nil || leaf == nil && !object {
		return nil, err
	}
	if prio, ok := o.prios[p]; ok {
		return prio, nil
	}
	return o.base.Priority(p)
}

// Children gives those that are wholly new first, then those of the base that
// are still there.
func (o *overlay) Children(p tree.Path, f func(string) bool) error {
	if at, ok := o.covering(p); ok {
		return treeState{o.values[at]}.Children(p.Rel(at), f)
	}
	last := ""
	for i, to := o.below(p); i < to; i++ {
		key, _ := o.paths[i].Rel(p).Front()
		if key == last || o.values[o.paths[i]] == nil {
			continue
		}
		last = key
		leaf, object, err := o.base.Leaf(p.Child(key))
		if err != nil {
			return err
		}
		if leaf == nil && !object && !f(key) {
			return nil
		}
	}
	var failed error
	err := o.base.Children(p, func(key string) bool {
		leaf, object, err := o.Leaf(p.Child(key))
		if err != nil {
			failed = err
			return false
		}
		return leaf == nil && !object || f(key)
	})
	if failed != nil {
		return failed
	}
	return err
}
