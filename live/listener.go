package live

import (
	"errors"
	"slices"

	"rebase/db"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
)

// maxPending and maxPendingBytes bound the events kept for a listener while its initial data is
// being read; one that misses more is told so by a Lost event.
const (
	maxPending      = 1024
	maxPendingBytes = 4 << 20
)

// ErrListenerClosed is returned for a listener that has been closed.
var ErrListenerClosed = errors.New("live: the listener is closed")

// Listener is one subscription. Its methods are called by its owner, one at a time, except
// where Deliver calls the accessors.
type Listener struct {
	hub   *Hub
	ns    string
	path  tree.Path
	query *query.Query // nil: plain
	sub   Subscriber

	// Data is the owner's: what it needs to know the listener again.
	Data any

	maxBytes int // of the data, as Initial was told

	// Guarded by the barrier.
	node         *node // where a plain listener is registered
	view         *view // what a listener with a query belongs to
	as           *db.Caller
	looks        []*place // what it depends on that it may read
	admitted     bool     // it is known that it may
	revoked      bool     // it may not any more, and has not been told
	index        int      // in node.plain or view.listeners
	live         bool
	closed       bool
	lost         bool
	pending      []*Event
	pendingBytes int
}

var defaultQuery query.Query

// NS is the namespace listened to.
func (l *Listener) NS() string { return l.ns }

// Path is the path listened to.
func (l *Listener) Path() tree.Path { return l.path }

// Query is the query listened to; its IsDefault tells a plain listener.
func (l *Listener) Query() *query.Query {
	if l.query == nil {
		return &defaultQuery
	}
	return l.query
}

// Initial registers the listener and returns the data at the position it is registered at:
// the node at its path, or the members of its query. indexed is false if the query had to scan
// all children for want of an index. Reading may take long and holds up nobody. maxBytes
// bounds the data (store.ErrTooBig); 0 means no bound. It returns db.ErrDenied for a listener that may not read.
func (l *Listener) Initial(maxBytes int) (data *tree.Node, pos uint64, indexed bool, err error) {
	l.maxBytes = maxBytes
	if l.query == nil {
		data, pos, err = l.read(l.registerPlain)
		return data, pos, true, err
	}
	// Loading a view may cost much, so who may not read must not be able to ask for it. Whether he may
	// when it has been loaded is another question.
	l.hub.db.Barrier(func(uint64) { err = l.admit() })
	if err != nil {
		return nil, 0, false, err
	}
	v, err := l.hub.acquireView(l.ns, l.path, l.query)
	if err != nil {
		l.Close()
		return nil, 0, false, err
	}
	data, pos, err = l.readView(v)
	return data, pos, v.indexed, err
}

// Resync is for a subscriber that has dropped events: it returns the data at the present
// position, bounded as that of Initial was, and holds back what follows until Start is called
// again. After an error the listener is closed.
func (l *Listener) Resync() (data *tree.Node, err error) {
	if l.query == nil {
		data, _, err = l.read(func() {})
		return data, err
	}
	// The listener's view may have been given up; it is the one that is found here otherwise.
	v, err := l.hub.acquireView(l.ns, l.path, l.query)
	if err != nil {
		l.Close()
		return nil, err
	}
	data, _, err = l.readView(v)
	return data, err
}

// readView is read for a listener with a query, which takes over the caller's use of v.
func (l *Listener) readView(v *view) (*tree.Node, uint64, error) {
	registered := false
	data, pos, err := l.read(func() {
		registered = true
		l.registerView(v)
	})
	if !registered { // the listener was closed meanwhile
		l.hub.db.Barrier(func(uint64) { l.hub.releaseView(v) })
	}
	return data, pos, err
}

// read takes a snapshot at one position, begins to keep events for after it, and reads it.
// register runs at that position.
func (l *Listener) read(register func()) (*tree.Node, uint64, error) {
	var snap *store.Snapshot
	var at uint64
	var refused error
	l.hub.db.Barrier(func(pos uint64) {
		if l.closed {
			return
		}
		if !l.admitted {
			if refused = l.admit(); refused != nil {
				l.close()
				return
			}
			l.admitted = true
		}
		l.live, l.lost, l.pending, l.pendingBytes = false, false, nil, 0
		register()
		snap, at = l.hub.db.Snapshot(), pos
	})
	if refused != nil {
		return nil, 0, refused
	}
	if snap == nil {
		return nil, 0, ErrListenerClosed
	}
	defer snap.Close()
	var data *tree.Node
	var err error
	if l.query == nil {
		if l.maxBytes > 0 {
			data, err = snap.GetLimit(l.ns, l.path, l.maxBytes)
		} else {
			data, err = snap.Get(l.ns, l.path)
		}
	} else {
		data, err = ReadQuery(snap, l.ns, l.path, l.query, l.maxBytes)
	}
	if err != nil {
		l.Close()
	}
	return data, at, err
}

// Start delivers what has happened since Initial or Resync, and goes live.
func (l *Listener) Start() {
	l.hub.db.Barrier(func(uint64) {
		if l.revoked {
			l.revoked = false
			l.sub.Deliver(&Event{Kind: Revoked, Path: l.path}, l)
		}
		if l.closed {
			return
		}
		l.live = true
		if l.lost {
			l.lost = false
			l.sub.Deliver(&Event{Kind: Lost, Path: l.path}, l)
		}
		for _, ev := range l.pending {
			l.sub.Deliver(ev, l)
		}
		l.pending = nil
	})
}

// Close ends the listener. No Deliver begins after it has returned.
func (l *Listener) Close() {
	l.hub.db.Barrier(func(uint64) {
		l.close()
		l.revoked = false
	})
}

func (l *Listener) close() {
	if l.closed {
		return
	}
	l.closed = true
	l.pending = nil
	l.forgetLooks()
	switch {
	case l.node != nil:
		l.node.plain = removeListener(l.node.plain, l.index)
		l.hub.prune(l.node)
		l.hub.listeners.Add(-1)
	case l.view != nil:
		l.leaveView()
		l.hub.listeners.Add(-1)
	}
}

func (l *Listener) registerPlain() {
	if l.node != nil {
		return
	}
	l.node = l.hub.space(l.ns).at(l.path)
	l.index = len(l.node.plain)
	l.node.plain = append(l.node.plain, l)
	l.hub.listeners.Add(1)
}

func (l *Listener) registerView(v *view) {
	switch l.view {
	case v:
		l.hub.releaseView(v) // registered before: one use is enough
		return
	case nil:
		l.hub.listeners.Add(1)
	default:
		l.leaveView()
	}
	l.view = v
	l.lost = !v.attached() // given up since it was acquired: Start will say so
	l.index = len(v.listeners)
	v.listeners = append(v.listeners, l)
}

func (l *Listener) leaveView() {
	l.view.listeners = removeListener(l.view.listeners, l.index)
	l.hub.releaseView(l.view)
	l.view = nil
}

// removeListener takes out listener i by moving the last one into its place.
func removeListener(list []*Listener, i int) []*Listener {
	last := len(list) - 1
	list[i] = list[last]
	list[i].index = i
	list[last] = nil
	if list = list[:last]; len(list) <= cap(list)/4 {
		return slices.Clone(list) // or a crowd that has left would keep its memory
	}
	return list
}

// deliver hands ev on, or keeps it while the initial data is being read. Under the barrier.
func (l *Listener) deliver(ev *Event) {
	switch {
	case l.live:
		l.sub.Deliver(ev, l)
	case l.lost:
	default:
		l.pendingBytes += ev.bytes()
		if len(l.pending) == maxPending || l.pendingBytes > maxPendingBytes {
			l.pending, l.lost = nil, true
			return
		}
		l.pending = append(l.pending, ev)
	}
}
