package live

import (
	"errors"
	"log/slog"
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
	log    *slog.Logger
	spaces map[string]*node  // by namespace; guarded by the barrier
	places map[string]*place // by namespace; guarded by the barrier

	changes []query.Change // scratch; guarded by the barrier

	listeners, views, events, deliveries, revoked atomic.Int64
}

var _ db.Observer = (*Hub)(nil)

// New returns a hub without a database; Attach gives it one.
func New(log *slog.Logger) *Hub {
	return &Hub{log: log, spaces: map[string]*node{}, places: map[string]*place{}}
}

// Attach names the database whose Observer the hub is. It is called once, before Listen.
func (h *Hub) Attach(d *db.DB) { h.db = d }

// Stats are the hub's present sizes and running totals.
type Stats struct {
	Listeners, Views   int64
	Events, Deliveries int64
	Revoked            int64 // listeners that may not read any more
}

// Stats returns a reading.
func (h *Hub) Stats() Stats {
	return Stats{h.listeners.Load(), h.views.Load(), h.events.Load(), h.deliveries.Load(), h.revoked.Load()}
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

// prune removes n and its ancestors as far as nobody listens there. It does nothing to a node
// that has been removed before, in whose place there may be another by now.
func (h *Hub) prune(n *node) {
	for len(n.plain) == 0 && len(n.views) == 0 && len(n.children) == 0 {
		if n.parent == nil {
			if h.spaces[n.key] == n {
				delete(h.spaces, n.key)
			}
			return
		}
		if n.parent.children[n.key] != n {
			return
		}
		delete(n.parent.children, n.key)
		n = n.parent
	}
}

// Applied implements db.Observer.
func (h *Hub) Applied(c *db.Change) {
	h.recheck(c)
	if c.Rules {
		return
	}
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
	n, rest := root, d.change.Base
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
		var key string
		key, rest = rest.Front()
		if len(n.views) > 0 {
			child := []childChange{{key, db.Prefixed(rest, d.change.Updates)}}
			for _, v := range n.views {
				v.touched(d, child)
			}
		}
		if n = n.children[key]; n == nil {
			return
		}
	}
	// n is at the base: what is listened to there has the whole change.
	d.views(n, d.change.Updates)
	d.below(n, d.change.Base, d.change.Updates)
}

// whole returns the update that replaces the place itself that the updates are relative to.
func whole(updates []db.Update) (u *db.Update) {
	for i := range updates {
		if updates[i].Path.IsRoot() && !updates[i].Priority {
			return &updates[i]
		}
	}
	return nil
}

// manyChildren is where looking through a slice begins to cost more than making a map.
const manyChildren = 16

// byChild sorts updates by the child that they concern; those of the place itself are left
// out, and those of children that wanted refuses.
func byChild(updates []db.Update, wanted func(key string) bool) []childChange {
	children := make([]childChange, 0, min(len(updates), manyChildren))
	var index map[string]int
	if len(updates) > manyChildren {
		index = make(map[string]int, len(updates))
	}
	find := func(key string) int {
		if index != nil {
			if i, ok := index[key]; ok {
				return i
			}
			return -1
		}
		return slices.IndexFunc(children, func(c childChange) bool { return c.key == key })
	}
	for _, u := range updates {
		if u.Path.IsRoot() {
			continue
		}
		key, rest := u.Path.Front()
		if !wanted(key) {
			continue
		}
		i := find(key)
		if i < 0 {
			i = len(children)
			children = append(children, childChange{key: key})
			if index != nil {
				index[key] = i
			}
		}
		children[i].updates = append(children[i].updates, db.Update{Path: rest, Priority: u.Priority, Value: u.Value})
	}
	return children
}

func all(string) bool { return true }

// below tells the listeners strictly below n, which is at path at, of the updates relative to n.
func (d *dispatch) below(n *node, at tree.Path, updates []db.Update) {
	if len(n.children) == 0 {
		return
	}
	if w := whole(updates); w != nil { // it reaches everything below
		for key, child := range n.children {
			d.subtree(child, at.Child(key), []db.Update{{Value: w.Value.Child(key)}})
		}
		return
	}
	listened := func(key string) bool { return n.children[key] != nil }
	for _, c := range byChild(updates, listened) {
		d.subtree(n.children[c.key], at.Child(c.key), c.updates)
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

// views tells the views at n of the updates relative to n. The priority of a query's root is
// not part of its result.
func (d *dispatch) views(n *node, updates []db.Update) {
	if len(n.views) == 0 {
		return
	}
	if w := whole(updates); w != nil {
		for _, v := range n.views {
			v.replaced(d, w.Value)
		}
		return
	}
	if children := byChild(updates, all); len(children) > 0 {
		for _, v := range n.views {
			v.touched(d, children)
		}
	}
}

func (d *dispatch) deliver(to []*Listener, ev *Event) {
	d.hub.events.Add(1)
	d.hub.deliveries.Add(int64(len(to)))
	for _, l := range to {
		l.deliver(ev)
	}
}

var errDetached = errors.New("live: the hub has no database")

// Listen makes a listener, in the name of a caller. It hears of nothing until Initial has read the data and Start has
// been called.
func (h *Hub) Listen(ns string, p tree.Path, q query.Query, as *db.Caller, sub Subscriber) (*Listener, error) {
	if h.db == nil {
		return nil, errDetached
	}
	l := &Listener{hub: h, ns: ns, path: p, as: as, sub: sub}
	if !q.IsDefault() {
		l.query = &q
	}
	return l, nil
}
