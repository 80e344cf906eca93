package live

import (
	"fmt"
	"testing"

	"rebase/db"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
)

// The view is found by writes as soon as it is made, which is before it begins to load.
func TestChangeBeforeAViewBeginsToLoad(t *testing.T) {
	r := newRig(t)
	q := parseQuery(t, `{"i":".key","l":2,"vf":"l"}`)
	v := r.hub.joinView("test", "list", &q)
	r.set("list/b", "2")
	c := r.listen("list", `{"i":".key","l":2,"vf":"l"}`)
	if got := c.view(); got != `{"b":2}` {
		t.Errorf("initial %s", got)
	}
	r.set("list/a", "1")
	c.want("put /list/a 1")
	r.db.Barrier(func(uint64) { r.hub.releaseView(v) })
}

// A load catches up with what has changed since its snapshot, however much that is.
func TestViewCatchesUp(t *testing.T) {
	for _, n := range []int{1, 10 * fewChanges} {
		r := newRig(t)
		for i := range n {
			r.set(tree.Path(fmt.Sprintf("list/k%04d", i)), "1")
		}
		q := parseQuery(t, `{"i":".value","sp":1,"ep":1}`)
		v := r.hub.joinView("test", "list", &q)
		var w *query.Window
		r.db.Barrier(func(uint64) {
			var err error
			if w, err = v.loadFrom(r.db.Store()); err != nil {
				t.Fatal(err)
			}
			v.dirty = nil
		})
		for i := range n {
			r.set(tree.Path(fmt.Sprintf("list/k%04d", i)), "2")
			r.set(tree.Path(fmt.Sprintf("list/l%04d", i)), "1")
		}
		r.db.Barrier(func(uint64) {
			if err := v.catchUp(w, r.db.Store(), v.dirty); err != nil {
				t.Fatal(err)
			}
		})
		if w.Len() != n || w.Has("k0000") || !w.Has("l0000") {
			t.Errorf("%d changes: the window has %d members", n, w.Len())
		}
	}
}

// A view whose store could not be read is not followed any further: its listeners get another.
func TestBrokenViewIsLeft(t *testing.T) {
	r := newRig(t)
	r.set("list", `{"a":1,"b":2}`)
	const q = `{"i":".key","l":2,"vf":"r"}`
	c := r.listen("list", q)
	r.db.Barrier(func(uint64) { c.l.view.broken() })
	c.want("lost")
	r.set("list/c", "3")
	c.want()
	late := r.listen("list", q)
	var err error
	if c.data, err = c.l.Resync(); err != nil {
		t.Fatal(err)
	}
	c.l.Start()
	r.set("list/d", "4")
	c.want("merge /list b=null d=4")
	if c.view() != late.view() || c.view() != `{"c":3,"d":4}` {
		t.Errorf("views are %s and %s", c.view(), late.view())
	}
	if s := r.hub.Stats(); s.Views != 1 || s.Listeners != 2 {
		t.Errorf("%+v, want 1 view and 2 listeners", s)
	}
	c.l.Close()
	late.l.Close()
	if s := r.hub.Stats(); s.Views != 0 || s.Listeners != 0 || len(r.hub.spaces) != 0 {
		t.Errorf("%+v after the last was closed", s)
	}
}

// A view may break when a listener has found it and not yet joined.
func TestViewBreaksBeforeItsListenerJoins(t *testing.T) {
	r := newRig(t)
	c := &client{r: r}
	const q = `{"i":".key","l":2,"vf":"r"}`
	var err error
	if c.l, err = r.hub.Listen("test", "list", parseQuery(t, q), db.Root, c); err != nil {
		t.Fatal(err)
	}
	v, err := r.hub.acquireView("test", "list", c.l.query)
	if err != nil {
		t.Fatal(err)
	}
	r.db.Barrier(func(uint64) { v.broken() })
	if _, _, err := c.l.readView(v); err != nil {
		t.Fatal(err)
	}
	c.l.Start()
	c.want("lost")
	if c.data, err = c.l.Resync(); err != nil {
		t.Fatal(err)
	}
	c.l.Start()
	r.set("list/a", "1")
	c.want("put /list/a 1")
}

// A place that was given up and is listened to again is not taken away by the old one's end.
func TestOldPlaceDoesNotPruneItsSuccessor(t *testing.T) {
	r := newRig(t)
	const q = `{"i":".key","l":2,"vf":"r"}`
	old := r.listen("x/list", q)
	r.db.Barrier(func(uint64) { old.l.view.broken() })
	c := r.listen("x/list", q)
	old.l.Close()
	r.set("x/list/a", "1")
	c.want("put /x/list/a 1")
}

func TestInitialOfAClosedListenerLeavesNoView(t *testing.T) {
	r := newRig(t)
	c := &client{r: r}
	l, err := r.hub.Listen("test", "a", parseQuery(t, `{"l":2,"vf":"l"}`), db.Root, c)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, _, _, err := l.Initial(0); err != ErrListenerClosed {
		t.Errorf("initial data of a closed listener: %v", err)
	}
	if s := r.hub.Stats(); s.Views != 0 || len(r.hub.spaces) != 0 {
		t.Errorf("left behind: %+v", s)
	}
}

// An empty window that stays empty is not worth a message.
func TestReplacedEmptyWindowIsSilent(t *testing.T) {
	r := newRig(t)
	c := r.listen("list", `{"i":"v","sp":5}`)
	r.set("list", `{"a":{"v":1}}`)
	r.set("", `{"list":"leaf"}`)
	c.want()
	r.set("", `{"list":{"b":{"v":6},"c":{"v":1}}}`)
	c.want(`put /list {"b":{"v":6}}`)
}

type countingReader struct {
	store.Reader
	scans int
}

func (r *countingReader) Source(ns string, p tree.Path, q *query.Query) (query.Source, bool, error) {
	src, indexed, err := r.Reader.Source(ns, p, q)
	return &countingSource{src, r}, indexed, err
}

type countingSource struct {
	query.Source
	r *countingReader
}

func (s *countingSource) Scan(from *query.Entry, reverse bool, n int) ([]query.Entry, error) {
	s.r.scans++
	return s.Source.Scan(from, reverse, n)
}

// Without an index each scan looks at every child, so that there must be few of them.
func TestReadQueryScansFewTimes(t *testing.T) {
	r := newRig(t)
	var children []tree.Child
	for i := range 20_000 {
		children = append(children, tree.Child{Key: fmt.Sprintf("k%05d", i), Node: tree.NewInt(int64(i))})
	}
	r.write.Do(t.Context(), setOp("list", tree.NewObject(children)))
	q := parseQuery(t, `{"i":".value","sp":0}`)
	c := &countingReader{Reader: r.db.Store()}
	data, err := ReadQuery(c, "test", "list", &q, 0)
	if err != nil || data.NumChildren() != len(children) {
		t.Fatalf("%d children, %v", data.NumChildren(), err)
	}
	if c.scans > 7 {
		t.Errorf("%d scans", c.scans)
	}
}
