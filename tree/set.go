package tree

import "slices"

// Set returns n with v at p; a nil v deletes. It does as the Firebase SDKs do:
//   - v replaces what was there, its priority included;
//   - a leaf on the way becomes an object and keeps its priority, unless v is empty, when the leaf stays;
//   - an object that loses its last child vanishes together with its priority, and so on upward.
//
// The cost is that of copying the children of the nodes on the way. If nothing changes in place, n itself may be returned.
func (n *Node) Set(p Path, v *Node) *Node {
	if p == "" {
		return v
	}
	key, rest := p.Front()
	if !n.IsObject() {
		if v == nil {
			return n
		}
		child := (*Node)(nil).Set(rest, v)
		return NewSortedObject([]Child{{key, child}}).WithPriority(n.Priority())
	}
	children := n.Children()
	i, found := search(children, key)
	var old *Node
	if found {
		old = children[i].Node
	}
	child := old.Set(rest, v)
	if child == old {
		return n
	}
	var changed []Child
	switch {
	case !found:
		changed = make([]Child, len(children)+1)
		copy(changed, children[:i])
		changed[i] = Child{key, child}
		copy(changed[i+1:], children[i:])
	case child == nil && len(children) == 1:
		return nil
	case child == nil:
		changed = make([]Child, len(children)-1)
		copy(changed, children[:i])
		copy(changed[i:], children[i+1:])
	default:
		changed = slices.Clone(children)
		changed[i].Node = child
	}
	m := &Node{prio: n.prio}
	m.setChildren(changed)
	return m
}

// SetPriority returns n with the priority of the node at p set to prio, which is nil or a leaf without a priority. Where
// there is no node, nothing changes.
func (n *Node) SetPriority(p Path, prio *Node) *Node {
	at := n.At(p)
	if at == nil {
		return n
	}
	return n.Set(p, at.WithPriority(prio))
}
