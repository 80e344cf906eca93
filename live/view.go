package live

import (
	"slices"
	"sync"

	"rebase/db"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
)

// view is the result of one query at one path, kept up to date change by change and shared by
// all listeners that ask for the same.
//
// Loading reads the store and may take long, so it runs on a snapshot while changes go on; the
// keys they touch are remembered and judged once more, on the then present state, when the
// snapshot has been read. Nobody has seen the view before that, so only its final state counts.
type view struct {
	hub       *Hub
	ns        string
	path      tree.Path
	query     *query.Query
	node      *node
	listeners []*Listener
	users     int // listeners, and those that wait for it to load

	load    sync.Once
	loadErr error
	indexed bool

	// Guarded by the barrier.
	window *query.Window // nil until loaded
	dirty  map[string]struct{}
	stale  bool // while loading, everything changed
}

// acquireView returns the loaded view for a query; the caller has one of its users.
func (h *Hub) acquireView(ns string, p tree.Path, q *query.Query) (*view, error) {
	var v *view
	h.db.Barrier(func(uint64) {
		n := h.space(ns).at(p)
		v = n.views[q.ID()]
		if v == nil {
			v = &view{hub: h, ns: ns, path: p, query: q, node: n}
			if n.views == nil {
				n.views = map[string]*view{}
			}
			n.views[q.ID()] = v
			h.views.Add(1)
		}
		v.users++
	})
	v.load.Do(func() { v.loadErr = v.fill() })
	if v.loadErr != nil {
		h.db.Barrier(func(uint64) { h.releaseView(v) })
		return nil, v.loadErr
	}
	return v, nil
}

// releaseView gives up one use. Under the barrier.
func (h *Hub) releaseView(v *view) {
	v.users--
	if v.users > 0 {
		return
	}
	delete(v.node.views, v.query.ID())
	h.views.Add(-1)
	h.prune(v.node)
}

// fill loads the window.
func (v *view) fill() error {
	for {
		var snap *store.Snapshot
		v.hub.db.Barrier(func(uint64) {
			snap = v.hub.db.Snapshot()
			v.dirty, v.stale = map[string]struct{}{}, false
		})
		w, err := v.loadFrom(snap)
		snap.Close()
		if err != nil {
			return err
		}
		again := false
		v.hub.db.Barrier(func(uint64) {
			if again = v.stale; again {
				return
			}
			err = v.catchUp(w)
			v.window, v.dirty = w, nil
		})
		if !again {
			return err
		}
	}
}

func (v *view) loadFrom(r store.Reader) (*query.Window, error) {
	src, indexed, err := r.Source(v.ns, v.path, v.query)
	if err != nil {
		return nil, err
	}
	w := query.NewWindow(*v.query)
	v.indexed = indexed
	return w, w.Load(src)
}

// catchUp judges the keys that changed while the window was loaded.
func (v *view) catchUp(w *query.Window) error {
	if len(v.dirty) == 0 {
		return nil
	}
	changes := make([]query.Change, 0, len(v.dirty))
	for key := range v.dirty {
		c, err := v.judge(key, nil)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	_, err := w.Apply(changes, v.source())
	return err
}

// source reads the present state, opened when it is first needed.
func (v *view) source() query.Source { return &lazySource{v: v} }

type lazySource struct {
	v   *view
	src query.Source
}

func (s *lazySource) Scan(from *query.Entry, reverse bool, n int) ([]query.Entry, error) {
	if s.src == nil {
		src, _, err := s.v.hub.db.Store().Source(s.v.ns, s.v.path, s.v.query)
		if err != nil {
			return nil, err
		}
		s.src = src
	}
	return s.src.Scan(from, reverse, n)
}

// judge finds out whether the child now exists and where it stands in the index. updates are
// those of the child, relative to it; if they replace it as a whole nothing need be read.
func (v *view) judge(key string, updates []db.Update) (query.Change, error) {
	for _, u := range updates {
		if u.Path.IsRoot() && !u.Priority {
			value := u.Value
			for _, p := range updates {
				if p.Path.IsRoot() && p.Priority {
					value = value.WithPriority(p.Value)
				}
			}
			return query.Change{Key: key, Exists: value != nil, Value: v.query.Index.ValueOf(key, value)}, nil
		}
	}
	value, exists, err := v.hub.db.Store().IndexValue(v.ns, v.path, key, v.query.Index)
	return query.Change{Key: key, Exists: exists, Value: value}, err
}

// touched tells the view of updates of its children, each relative to its child. Under the
// barrier.
func (v *view) touched(d *dispatch, byKey map[string][]db.Update) {
	if v.window == nil {
		for key := range byKey {
			v.dirty[key] = struct{}{}
		}
		return
	}
	changes := make([]query.Change, 0, len(byKey))
	for key, updates := range byKey {
		c, err := v.judge(key, updates)
		if err != nil {
			v.broken(err)
			return
		}
		changes = append(changes, c)
	}
	delta, err := v.window.Apply(changes, v.source())
	if err != nil {
		v.broken(err)
		return
	}
	updates, err := v.updates(delta, byKey)
	if err != nil {
		v.broken(err)
		return
	}
	if len(updates) > 0 {
		d.deliver(v.listeners, newEvent(v.path, updates, d.change.Pos))
	}
}

// updates turns a delta into what the listeners must be told: newcomers whole, since they
// cannot fetch what they do not have.
func (v *view) updates(delta query.Delta, byKey map[string][]db.Update) ([]db.Update, error) {
	var out []db.Update
	for _, key := range delta.Left {
		out = append(out, db.Update{Path: tree.Path(key)})
	}
	for _, key := range delta.Kept {
		out = append(out, prefixed(tree.Path(key), byKey[key])...)
	}
	for _, key := range delta.Entered {
		value, err := v.hub.db.Store().Get(v.ns, v.path.Child(key))
		if err != nil {
			return nil, err
		}
		out = append(out, db.Update{Path: tree.Path(key), Value: value})
	}
	return out, nil
}

// replaced tells the view that the node at its path, or one above, was replaced. Under the
// barrier.
func (v *view) replaced(d *dispatch) {
	if v.window == nil {
		v.stale = true
		return
	}
	w, err := v.loadFrom(v.hub.db.Store())
	if err == nil {
		v.window = w
		var data *tree.Node
		if data, err = ReadQuery(v.hub.db.Store(), v.ns, v.path, v.query, 0); err == nil {
			d.deliver(v.listeners, &Event{Kind: Put, Path: v.path, Value: data, Pos: d.change.Pos})
			return
		}
	}
	v.broken(err)
}

// broken makes all listeners of the view ask again: the store could not be read.
func (v *view) broken(error) {
	for _, l := range slices.Clone(v.listeners) {
		l.deliver(&Event{Kind: Lost, Path: v.path})
	}
}

// ReadQuery reads the members of a query at one state, as a node without priority. maxBytes
// bounds their size (store.ErrTooBig); 0 means no bound.
func ReadQuery(r store.Reader, ns string, p tree.Path, q *query.Query, maxBytes int) (*tree.Node, error) {
	src, _, err := r.Source(ns, p, q)
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit == 0 {
		limit = 1 << 62
	}
	var children []tree.Child
	var from *query.Entry
	size := 0
	for len(children) < limit {
		entries, err := src.Scan(from, q.Last, min(limit-len(children), 1000))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			child, err := r.Get(ns, p.Child(e.Key))
			if err != nil {
				return nil, err
			}
			if maxBytes > 0 {
				if size += child.SizeBytes(); size > maxBytes {
					return nil, store.ErrTooBig
				}
			}
			children = append(children, tree.Child{Key: e.Key, Node: child})
		}
		if len(entries) == 0 {
			break
		}
		from = &entries[len(entries)-1]
	}
	return tree.NewObject(children), nil
}
