package live

import (
	"errors"
	"slices"
	"sync/atomic"

	"rebase/db"
	"rebase/query"
	"rebase/tree"
)

// Subscriber takes the events of its listeners: a connection, a stream.
type Subscriber interface {
	// Deliver hands over an event. It is called under the database's barrier, in log order,
	// and must not block or call back into the hub.
	Deliver(ev *Event, l *Listener)
}

// Hub distributes the changes of a database to its listeners.
type Hub struct {
	db     *db.DB
	spaces map[string]*node // by namespace; guarded by the barrier

	listeners, views, events, deliveries atomic.Int64
}

var _ db.Observer = (*Hub)(nil)

// New returns a hub without a database; Attach gives it one.
func New() *Hub { return &Hub{spaces: map[string]*node{}} }

// Attach names the database whose Observer the hub is. It is called once, before Listen.
func (h *Hub) Attach(d *db.DB) { h.db = d }

// Stats are the hub's present sizes and running totals.
type Stats struct {
	Listeners, Views   int64
	Events, Deliveries int64
}

// Stats returns a reading.
func (h *Hub) Stats() Stats {
	return Stats{h.listeners.Load(), h.views.Load(), h.events.Load(), h.deliveries.Load()}
}

// node is a place in the tree of listened paths.
type node struct {
	parent   *node
	key      string
	children map[string]*node
	plain    []*Listener
	views    map[string]*view // by query id
}

func (h *Hub) space(ns string) *node {
	n := h.spaces[ns]
	if n == nil {
		n = &node{key: ns}
		h.spaces[ns] = n
	}
	return n
}

// at returns the node for p, made if it is missing.
func (n *node) at(p tree.Path) *node {
	for !p.IsRoot() {
		var key string
		key, p = p.Front()
		child := n.children[key]
		if child == nil {
			if n.children == nil {
				n.children = map[string]*node{}
			}
			child = &node{parent: n, key: key}
			n.children[key] = child
		}
		n = child
	}
	return n
}

// prune removes n and its ancestors as far as nobody listens there.
func (h *Hub) prune(n *node) {
	for len(n.plain) == 0 && len(n.views) == 0 && len(n.children) == 0 {
		if n.parent == nil {
			delete(h.spaces, n.key)
			return
		}
		delete(n.parent.children, n.key)
		n = n.parent
	}
}

// Applied implements db.Observer.
func (h *Hub) Applied(c *db.Change) {
	root := h.spaces[c.NS]
	if root == nil {
		return
	}
	d := dispatch{hub: h, change: c}
	d.run(root)
}

// dispatch tells the listeners of one namespace of one change.
type dispatch struct {
	hub    *Hub
	change *db.Change
	event  *Event // as listeners at and above the change's base see it
}

func (d *dispatch) run(root *node) {
	n, rest, at := root, d.change.Base, tree.Path("")
	for {
		if len(n.plain) > 0 {
			if d.event == nil {
				d.event = newEvent(d.change.Base, d.change.Updates, d.change.Pos)
			}
			d.deliver(n.plain, d.event)
		}
		if rest.IsRoot() {
			break
		}
		for _, v := range n.views {
			key, below := rest.Front()
			v.touched(d, map[string][]db.Update{key: prefixed(below, d.change.Updates)})
		}
		var key string
		key, rest = rest.Front()
		if n = n.children[key]; n == nil {
			return
		}
		at = at.Child(key)
	}
	// n is at the base: what is listened to there has the whole change.
	d.views(n, d.change.Updates)
	d.below(n, at, d.change.Updates)
}

// below tells the listeners strictly below n, which is at path at, of the updates relative to n.
func (d *dispatch) below(n *node, at tree.Path, updates []db.Update) {
	if len(n.children) == 0 {
		return
	}
	var whole *db.Update // an update of n itself reaches everything below it
	byKey := map[string][]db.Update{}
	for i, u := range updates {
		if u.Path.IsRoot() {
			if !u.Priority {
				whole = &updates[i]
			}
			continue
		}
		key, rest := u.Path.Front()
		if _, listened := n.children[key]; listened {
			byKey[key] = append(byKey[key], db.Update{Path: rest, Priority: u.Priority, Value: u.Value})
		}
	}
	if whole != nil {
		for key, child := range n.children {
			d.subtree(child, at.Child(key), []db.Update{{Value: whole.Value.Child(key)}})
		}
		return
	}
	for key, part := range byKey {
		d.subtree(n.children[key], at.Child(key), part)
	}
}

// subtree tells the listeners at n and below of the updates relative to n.
func (d *dispatch) subtree(n *node, at tree.Path, updates []db.Update) {
	if len(n.plain) > 0 {
		d.deliver(n.plain, newEvent(at, updates, d.change.Pos))
	}
	d.views(n, updates)
	d.below(n, at, updates)
}

// views tells the views at n of the updates relative to n.
func (d *dispatch) views(n *node, updates []db.Update) {
	if len(n.views) == 0 {
		return
	}
	byKey := make(map[string][]db.Update, len(updates))
	for _, u := range updates {
		if u.Path.IsRoot() {
			if u.Priority {
				continue // the priority of a query's root is not part of its result
			}
			for _, v := range n.views {
				v.replaced(d)
			}
			return
		}
		key, rest := u.Path.Front()
		byKey[key] = append(byKey[key], db.Update{Path: rest, Priority: u.Priority, Value: u.Value})
	}
	for _, v := range n.views {
		v.touched(d, byKey)
	}
}

func (d *dispatch) deliver(to []*Listener, ev *Event) {
	d.hub.events.Add(1)
	d.hub.deliveries.Add(int64(len(to)))
	for _, l := range to {
		l.deliver(ev)
	}
}

// prefixed moves updates down to a path, so that they are relative to a place above it.
func prefixed(p tree.Path, updates []db.Update) []db.Update {
	if p.IsRoot() {
		return updates
	}
	out := slices.Clone(updates)
	for i := range out {
		out[i].Path = p.Join(out[i].Path)
	}
	return out
}

var errDetached = errors.New("live: the hub has no database")

// Listen makes a listener. It hears of nothing until Initial has read the data and Start has
// been called.
func (h *Hub) Listen(ns string, p tree.Path, q query.Query, sub Subscriber) (*Listener, error) {
	if h.db == nil {
		return nil, errDetached
	}
	l := &Listener{hub: h, ns: ns, path: p, sub: sub}
	if !q.IsDefault() {
		l.query = &q
	}
	return l, nil
}
