package live

import (
	"errors"

	"rebase/db"
	"rebase/tree"
)

// Whether a listener may read is decided when it registers, and again whenever that could come out differently: when the
// rules change, when its caller does, and when something changes that the decision has looked at. For the last,
// the nodes that were looked at stand in a tree of their own, in which a change finds the listeners that it concerns
// without asking the others. Most rules look at the caller only; their listeners are not in it.
//
// Looking at a node mostly means to see whether it is a leaf, an object or nothing. What is seen there is the
// same for everybody, so it is kept once for the node, and a change below it costs one look, not a decision for each listener.
//
// Rules that ask for the time are not asked again merely because it passes.

// place is a node of the database that decisions have looked at.
type place struct {
	parent   *place
	key      string
	children map[string]*place

	// What is there: a leaf, an object, or neither. Of use while there are listeners in shallow.
	seen    db.Look
	shallow map[*Listener]struct{}
	deep    map[*Listener]struct{} // those that have seen more than what is there
	checked uint64                 // the position of the last change that was compared with seen
}

func (pl *place) used() bool { return len(pl.shallow)+len(pl.deep)+len(pl.children) > 0 }

// at returns the place for p, made if it is missing.
func (pl *place) at(p tree.Path) *place {
	for !p.IsRoot() {
		var key string
		key, p = p.Front()
		child := pl.children[key]
		if child == nil {
			if pl.children == nil {
				pl.children = map[string]*place{}
			}
			child = &place{parent: pl, key: key}
			pl.children[key] = child
		}
		pl = child
	}
	return pl
}

// admit decides whether the listener may read, and remembers on what that depends. Under the barrier.
func (l *Listener) admit() error {
	l.forgetLooks()
	var looked db.Looked
	if err := l.hub.db.MayRead(l.ns, l.path, l.query, l.as, &looked); err != nil {
		return err
	}
	for i := range looked.At {
		l.remember(&looked.At[i])
	}
	return nil
}

func (l *Listener) remember(look *db.Look) {
	root := l.hub.places[l.ns]
	if root == nil {
		root = &place{key: l.ns}
		l.hub.places[l.ns] = root
	}
	pl := root.at(look.Path)
	set := &pl.shallow
	if look.Deep {
		set = &pl.deep
	} else {
		pl.seen = *look
	}
	if *set == nil {
		*set = map[*Listener]struct{}{}
	}
	(*set)[l] = struct{}{}
	l.looks = append(l.looks, pl)
}

// forgetLooks takes the listener out of all places. Under the barrier.
func (l *Listener) forgetLooks() {
	for _, pl := range l.looks {
		delete(pl.shallow, l)
		delete(pl.deep, l)
		for !pl.used() {
			if pl.parent == nil {
				if l.hub.places[pl.key] == pl {
					delete(l.hub.places, pl.key)
				}
				break
			}
			if pl.parent.children[pl.key] != pl {
				break // removed before
			}
			delete(pl.parent.children, pl.key)
			pl = pl.parent
		}
	}
	l.looks = nil
}

// reconsider asks again whether the listener may read, and ends it if not. Under the barrier.
func (l *Listener) reconsider() {
	if l.closed || !l.admitted {
		return
	}
	err := l.admit()
	if err == nil {
		return
	}
	if !errors.Is(err, db.ErrDenied) {
		l.hub.log.Error("it cannot be decided whether a listener may read; it is ended", "ns", l.ns, "path", l.path, "err", err)
	}
	live := l.live
	l.close()
	l.hub.revoked.Add(1)
	if !live {
		l.revoked = true // Start will say so
		return
	}
	l.sub.Deliver(&Event{Kind: Revoked, Path: l.path}, l)
}

// reconsidering is how many listeners are asked about under one hold of the barrier when their caller changes.
const reconsidering = 64

// SetCaller says in whose name listeners read from now on. Those that may not are told so by a Revoked event, and are closed.
// Whoever calls it must own the listeners.
func (h *Hub) SetCaller(listeners []*Listener, as *db.Caller) {
	for len(listeners) > 0 {
		n := min(len(listeners), reconsidering)
		h.db.Barrier(func(uint64) {
			for _, l := range listeners[:n] {
				l.as = as
				l.reconsider()
			}
		})
		listeners = listeners[n:]
	}
}

// recheck ends the listeners that may not read any more after the change. It comes before anybody is told of the change.
func (h *Hub) recheck(c *db.Change) {
	if c.Rules {
		for _, l := range h.spaces[c.NS].all(nil) {
			l.reconsider()
		}
		return
	}
	root := h.places[c.NS]
	if root == nil {
		return
	}
	s := suspicion{hub: h, ns: c.NS, pos: c.Pos}
	for _, u := range c.Updates {
		s.follow(root, c.Base.Join(u.Path))
	}
	for l := range s.suspects {
		l.reconsider()
	}
}

// all returns the listeners at n and below.
func (n *node) all(dst []*Listener) []*Listener {
	if n == nil {
		return dst
	}
	dst = append(dst, n.plain...)
	for _, v := range n.views {
		dst = append(dst, v.listeners...)
	}
	for _, child := range n.children {
		dst = child.all(dst)
	}
	return dst
}

// suspicion gathers the listeners about whom a change could decide otherwise.
type suspicion struct {
	hub      *Hub
	ns       string
	pos      uint64
	suspects map[*Listener]struct{}
}

// follow goes from the root to the node that is changed, and to all that is below it.
func (s *suspicion) follow(pl *place, p tree.Path) {
	for pl != nil && !p.IsRoot() {
		s.look(pl)
		var key string
		key, p = p.Front()
		pl = pl.children[key]
	}
	s.below(pl)
}

func (s *suspicion) below(pl *place) {
	if pl == nil {
		return
	}
	s.look(pl)
	for _, child := range pl.children {
		s.below(child)
	}
}

// look suspects those who have seen something else at the place, or what may be something else.
func (s *suspicion) look(pl *place) {
	s.add(pl.deep)
	if len(pl.shallow) == 0 || pl.checked == s.pos {
		return
	}
	pl.checked = s.pos
	if !s.hub.db.Same(s.ns, &pl.seen) {
		s.add(pl.shallow)
	}
}

func (s *suspicion) add(listeners map[*Listener]struct{}) {
	if len(listeners) > 0 && s.suspects == nil {
		s.suspects = map[*Listener]struct{}{}
	}
	for l := range listeners {
		s.suspects[l] = struct{}{}
	}
}
