package live

import (
	"math"
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
// keys they touch are remembered and judged once more, on a later state, when the snapshot has
// been read. Nobody has seen the view before that, so only its final state counts.
type view struct {
	hub       *Hub
	ns        string
	path      tree.Path
	query     *query.Query
	node      *node
	listeners []*Listener
	users     int // listeners, and those that wait for it to load

	// Written by fill, and read by those who have waited for it.
	load    sync.Once
	loadErr error
	indexed bool

	// Guarded by the barrier.
	window *query.Window // nil until loaded
	dirty  map[string]struct{}
	stale  bool // while loading, everything changed
}

// childChange is what a change does to one child of a view's place: updates relative to it.
type childChange struct {
	key     string
	updates []db.Update
}

// acquireView returns the loaded view for a query; the caller has one of its users.
func (h *Hub) acquireView(ns string, p tree.Path, q *query.Query) (*view, error) {
	v := h.joinView(ns, p, q)
	v.load.Do(func() { v.loadErr = v.fill() })
	if v.loadErr != nil {
		h.db.Barrier(func(uint64) {
			h.detach(v) // who comes later tries again
			h.releaseView(v)
		})
		return nil, v.loadErr
	}
	return v, nil
}

// joinView finds or makes the view for a query. From here on it is told of changes.
func (h *Hub) joinView(ns string, p tree.Path, q *query.Query) (v *view) {
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
	return v
}

// releaseView gives up one use. Under the barrier.
func (h *Hub) releaseView(v *view) {
	v.users--
	if v.users == 0 {
		h.detach(v)
	}
}

// detach takes the view out, so that it hears of nothing more and nobody joins it any more.
// Under the barrier.
func (h *Hub) detach(v *view) {
	if !v.attached() {
		return
	}
	delete(v.node.views, v.query.ID())
	h.views.Add(-1)
	h.prune(v.node)
}

// attached says that the view hears of changes. Under the barrier.
func (v *view) attached() bool { return v.node.views[v.query.ID()] == v }

// fewChanges is how many changed children a load judges while everything stands still: about a
// millisecond's worth.
const fewChanges = 128

// fill loads the window: from a snapshot, and then again and again the children that have
// changed meanwhile, until they are few enough to catch up with under the barrier.
func (v *view) fill() error {
	var w *query.Window
	for {
		var snap *store.Snapshot
		var dirty map[string]struct{}
		var err error
		v.hub.db.Barrier(func(uint64) {
			if v.stale {
				w = nil
			}
			dirty = v.dirty
			v.dirty, v.stale = nil, false
			if w == nil || len(dirty) > fewChanges {
				snap = v.hub.db.Snapshot()
			} else if err = v.catchUp(w, v.hub.db.Store(), dirty); err == nil {
				v.window = w
			}
		})
		if snap == nil {
			return err
		}
		if w == nil {
			w, err = v.loadFrom(snap)
		} else {
			err = v.catchUp(w, snap, dirty)
		}
		snap.Close()
		if err != nil {
			return err
		}
	}
}

// reader is the store or a snapshot of it.
type reader interface {
	store.Reader
	IndexValue(ns string, p tree.Path, key string, ix query.Index) (value *tree.Node, exists bool, err error)
}

func (v *view) loadFrom(r reader) (*query.Window, error) {
	src, indexed, err := r.Source(v.ns, v.path, v.query)
	if err != nil {
		return nil, err
	}
	v.indexed = indexed
	w := query.NewWindow(*v.query)
	return w, w.Load(src)
}

// catchUp judges the keys that changed while the window was loaded.
func (v *view) catchUp(w *query.Window, r reader, dirty map[string]struct{}) error {
	if len(dirty) == 0 {
		return nil
	}
	changes := make([]query.Change, 0, len(dirty))
	for key := range dirty {
		value, exists, err := r.IndexValue(v.ns, v.path, key, v.query.Index)
		if err != nil {
			return err
		}
		changes = append(changes, query.Change{Key: key, Exists: exists, Value: value})
	}
	_, err := w.Apply(changes, &lazySource{v: v, r: r})
	return err
}

// lazySource reads a state, opened when it is first needed.
type lazySource struct {
	v   *view
	r   reader
	src query.Source
}

func (s *lazySource) Scan(from *query.Entry, reverse bool, n int) ([]query.Entry, error) {
	if s.src == nil {
		src, _, err := s.r.Source(s.v.ns, s.v.path, s.v.query)
		if err != nil {
			return nil, err
		}
		s.src = src
	}
	return s.src.Scan(from, reverse, n)
}

// replacement returns what the updates, which are relative to a child, make of the child, if
// they replace it as a whole: then nothing need be read.
func replacement(updates []db.Update) (value *tree.Node, ok bool) {
	for _, u := range updates {
		if u.Path.IsRoot() && !u.Priority {
			value, ok = u.Value, true
		}
	}
	for _, u := range updates {
		if ok && value != nil && u.Path.IsRoot() && u.Priority {
			value = value.WithPriority(u.Value)
		}
	}
	return value, ok
}

// judge finds out whether the child now exists and where it stands in the index.
func (v *view) judge(c childChange) (query.Change, error) {
	if value, ok := replacement(c.updates); ok {
		return query.Change{Key: c.key, Exists: value != nil, Value: v.query.Index.ValueOf(c.key, value)}, nil
	}
	value, exists, err := v.hub.db.Store().IndexValue(v.ns, v.path, c.key, v.query.Index)
	return query.Change{Key: c.key, Exists: exists, Value: value}, err
}

// touched tells the view of changes of its children. Under the barrier.
func (v *view) touched(d *dispatch, children []childChange) {
	if v.window == nil {
		v.remember(children)
		return
	}
	updates, err := v.follow(children)
	if err != nil {
		v.broken()
		return
	}
	if len(updates) > 0 {
		d.deliver(v.listeners, newEvent(v.path, updates, d.change.Pos))
	}
}

// remember notes for the load under way what has changed.
func (v *view) remember(children []childChange) {
	if v.dirty == nil {
		v.dirty = map[string]struct{}{}
	}
	for _, c := range children {
		v.dirty[c.key] = struct{}{}
	}
}

// follow brings the window up to date and returns what its listeners must be told.
func (v *view) follow(children []childChange) ([]db.Update, error) {
	h := v.hub
	changes := h.changes[:0]
	defer func() { clear(changes); h.changes = changes[:0] }()
	for _, child := range children {
		c, err := v.judge(child)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	delta, err := v.window.Apply(changes, &lazySource{v: v, r: h.db.Store()})
	if err != nil {
		return nil, err
	}
	return v.updates(delta, children)
}

// updates turns a delta into what the listeners must be told: newcomers whole, since they
// cannot fetch what they do not have.
func (v *view) updates(delta query.Delta, children []childChange) ([]db.Update, error) {
	if len(delta.Left)+len(delta.Kept)+len(delta.Entered) == 0 {
		return nil, nil
	}
	of := func(key string) []db.Update {
		i := slices.IndexFunc(children, func(c childChange) bool { return c.key == key })
		if i < 0 {
			return nil
		}
		return children[i].updates
	}
	if len(children) > manyChildren {
		byKey := make(map[string][]db.Update, len(children))
		for _, c := range children {
			byKey[c.key] = c.updates
		}
		of = func(key string) []db.Update { return byKey[key] }
	}
	out := make([]db.Update, 0, len(delta.Left)+len(delta.Kept)+len(delta.Entered))
	for _, key := range delta.Left {
		out = append(out, db.Update{Path: tree.Path(key)})
	}
	for _, key := range delta.Kept {
		out = append(out, db.Prefixed(tree.Path(key), of(key))...)
	}
	for _, key := range delta.Entered {
		value, ok := replacement(of(key))
		if !ok {
			var err error
			if value, err = v.hub.db.Store().Get(v.ns, v.path.Child(key)); err != nil {
				return nil, err
			}
		}
		out = append(out, db.Update{Path: tree.Path(key), Value: value})
	}
	return out, nil
}

// replaced tells the view that the node at its path is now value, as a whole. Under the
// barrier, so it reads nothing: all there is to know is in the value.
func (v *view) replaced(d *dispatch, value *tree.Node) {
	if v.window == nil {
		v.stale = true
		return
	}
	data := v.query.Filter(value)
	if data == nil && v.window.Len() == 0 {
		return
	}
	w := query.NewWindow(*v.query)
	changes := make([]query.Change, 0, data.NumChildren())
	for _, c := range data.Children() {
		changes = append(changes, query.Change{Key: c.Key, Exists: true, Value: v.query.Index.ValueOf(c.Key, c.Node)})
	}
	// An empty window that takes no more than its limit consults no source.
	if _, err := w.Apply(changes, nil); err != nil {
		v.broken()
		return
	}
	v.window = w
	d.deliver(v.listeners, &Event{Kind: Put, Path: v.path, Value: data, Pos: d.change.Pos})
}

// broken gives the view up because the store could not be read: the window can no longer be
// trusted to follow. All its listeners are made to ask again, which gives them another view.
func (v *view) broken() {
	v.hub.detach(v)
	for _, l := range v.listeners {
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
		limit = math.MaxInt
	}
	var children []tree.Child
	var from *query.Entry
	size := 0
	for len(children) < limit {
		// Each batch is as large as all before it: a source without an index looks at every
		// child for each batch, however small.
		entries, err := src.Scan(from, q.Last, min(limit-len(children), max(1000, len(children))))
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			child, err := readChild(r, ns, p.Child(e.Key), maxBytes-size)
			if err != nil {
				return nil, err
			}
			if maxBytes > 0 {
				if size += child.SizeBytes(); size >= maxBytes {
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

// readChild reads a child of at most maxBytes; 0 and less means no bound.
func readChild(r store.Reader, ns string, p tree.Path, maxBytes int) (*tree.Node, error) {
	if maxBytes <= 0 {
		return r.Get(ns, p)
	}
	return r.GetLimit(ns, p, maxBytes)
}
