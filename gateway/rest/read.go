package rest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rebase/db"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
)

// errTimedOut ends a read that exceeds the request's timeout.
var errTimedOut = errors.New("the read's timeout has expired")

// errNoLog ends a request that the log has not answered.
var errNoLog = errors.New("the log does not answer")

// do has the database carry out an operation. If it takes too long, whether it takes effect is open.
func (q *request) do(op *db.Op) db.Result {
	ctx, cancel := context.WithTimeoutCause(q.r.Context(), q.o.Patience, errNoLog)
	defer cancel()
	return q.o.DB.Do(ctx, op)
}

// deadline bounds the work of one request: by its timeout, if it has one, and by
// the presence of its client.
type deadline struct {
	q     *request
	at    time.Time // zero: none
	ticks int
}

func (q *request) deadline() *deadline {
	d := &deadline{q: q}
	if q.params.timeout > 0 {
		d.at = time.Now().Add(q.params.timeout)
	}
	return d
}

// check is cheap enough to be called for each leaf.
func (d *deadline) check() error {
	if d.ticks++; d.ticks%64 != 1 {
		return nil
	}
	if !d.at.IsZero() && !time.Now().Before(d.at) {
		return errTimedOut
	}
	return d.q.r.Context().Err()
}

// sync waits until everything can be read here that was acknowledged before, by whatever node.
func (d *deadline) sync() error {
	ctx, cancel := context.WithTimeoutCause(d.q.r.Context(), d.q.o.Patience, errNoLog)
	defer cancel()
	if !d.at.IsZero() {
		c, cancel := context.WithDeadlineCause(ctx, d.at, errTimedOut)
		defer cancel()
		ctx = c
	}
	return d.q.o.DB.Sync(ctx)
}

// read answers GET and HEAD.
func (q *request) read() error {
	if err := q.checkConditions(); err != nil {
		return err
	}
	var qu *query.Query
	if q.params.isQuery() && !q.params.shallow { // shallow has a page, not a query
		parsed, err := query.ParseREST(q.params.values)
		if err != nil {
			return err
		}
		qu = &parsed
	}
	d := q.deadline()
	if err := d.sync(); err != nil {
		return err
	}
	snap := q.o.DB.View(q.ns)
	defer snap.Close()
	if err := snap.MayRead(q.path, qu, q.caller); err != nil {
		return err
	}
	switch {
	case q.params.shallow:
		return q.readShallow(snap, d)
	case q.priority:
		prio, err := snap.Priority(q.ns, q.path)
		if err != nil {
			return err
		}
		return q.respond(tree.AppendExport(nil, prio))
	case qu != nil:
		return q.readQuery(snap, d, qu)
	}
	tagged := wantsETag(q.r) || q.r.Header.Get("If-None-Match") != ""
	if q.params.silent && !tagged {
		return q.out.finish(http.StatusNoContent)
	}
	if q.params.export && !tagged && !q.params.pretty && q.params.callback == "" {
		return q.streamExport(snap, d)
	}
	n, err := q.load(snap, d)
	if err != nil {
		return err
	}
	if tagged {
		q.setETag(n)
		if noneMatch(q.r, tree.Hash(n)) {
			return q.out.finish(http.StatusNotModified)
		}
	}
	return q.respondNode(n)
}

// respondNode answers with a node, as plain values or with priorities.
func (q *request) respondNode(n *tree.Node) error {
	if q.params.silent {
		return q.out.finish(http.StatusNoContent)
	}
	texts := 1
	if q.params.pretty || q.params.callback != "" {
		texts = 2
	}
	if err := q.needRead(q.readSize, true, texts); err != nil {
		return err
	}
	render := tree.AppendValue
	if q.params.export {
		render = tree.AppendExport
	}
	doc := render(nil, n)
	// From here on the node is garbage, and the client may be slow to take its text.
	if err := q.needRead(len(doc), false, texts); err != nil {
		return err
	}
	return q.respond(doc)
}

// load reads the node at the request's path, at most MaxReadBytes of it.
func (q *request) load(r store.Reader, d *deadline) (*tree.Node, error) {
	n, size, err := q.loadAt(r, d, q.path, 0)
	if err != nil {
		return nil, err
	}
	q.readSize = size
	return n, nil
}

// loadAt reads the node at p, of which so is the size of what the response has already. It
// returns about the size of the node's JSON.
func (q *request) loadAt(r store.Reader, d *deadline, p tree.Path, so int) (*tree.Node, int, error) {
	size := 0
	n, err := r.GetWatched(q.ns, p, func(now int) error {
		size = now
		if so+now > q.o.MaxReadBytes {
			return store.ErrTooBig
		}
		if err := d.check(); err != nil {
			return err
		}
		return q.growing(so+now, true)
	})
	return n, size, err
}

// streamExport sends a subtree with its priorities straight from the store.
func (q *request) streamExport(r store.Reader, d *deadline) error {
	q.contentHeaders()
	if q.r.Method == http.MethodHead {
		q.out.commit(http.StatusOK, false) // the length is not known before the end
		return nil
	}
	// The JSON writer's many small writes are gathered before they reach gzip.
	buf := bufio.NewWriterSize(q.out, 16<<10)
	w := tree.NewJSONWriter(buf)
	err := r.Walk(q.ns, q.path,
		func(rel tree.Path, leaf *tree.Node) error {
			if err := w.Leaf(rel, leaf); err != nil {
				return err
			}
			return d.check()
		},
		func(rel tree.Path, prio *tree.Node) error {
			if err := w.Priority(rel, prio); err != nil {
				return err
			}
			return d.check()
		})
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = buf.Flush()
	}
	if err != nil {
		return fmt.Errorf("export of /%s: %w", q.path, err)
	}
	return q.out.finish(http.StatusOK)
}

// errStop ends a walk that has found what it was for.
var errStop = errors.New("stop")

// readShallow answers with the keys of the children only, skipping over what is
// below them. It is how firebase-tools explores data too large to read: with
// limitToFirst, and startAfter as a bare key.
func (q *request) readShallow(r store.Reader, d *deadline) error {
	v := q.params.values
	for _, name := range queryNames {
		if v.Has(name) && name != "limitToFirst" && name != "startAfter" {
			return badRequest(msgShallowMixed)
		}
	}
	page, err := query.ParseREST(v)
	if err != nil {
		return err
	}
	if q.priority {
		return badRequest("shallow is not supported for .priority")
	}
	leaf, object, err := r.Leaf(q.ns, q.path)
	if err != nil {
		return err
	}
	if !object {
		return q.respond(tree.AppendValue(nil, leaf))
	}
	if q.params.silent {
		return q.out.finish(http.StatusNoContent)
	}
	after := ""
	if page.Start != nil {
		after = page.Start.Key
	}
	left := page.Limit // 0: no limit, never reached by counting down
	doc := []byte{'{'}
	var stopped error
	err = r.Children(q.ns, q.path, after, func(key string, _ bool, _ *tree.Node) bool {
		if len(doc) > 1 {
			doc = append(doc, ',')
		}
		doc = append(tree.AppendJSONString(doc, key), ":true"...)
		if len(doc) > q.o.MaxReadBytes {
			stopped = store.ErrTooBig
		} else if stopped = q.growing(len(doc), false); stopped == nil {
			stopped = d.check()
		}
		left--
		return stopped == nil && left != 0
	})
	if err = errors.Join(err, stopped); err != nil {
		return err
	}
	if len(doc) == 1 {
		return q.respond([]byte("null")) // nothing after the key given
	}
	return q.respond(append(doc, '}'))
}

// readQuery answers with the children that a query selects.
func (q *request) readQuery(r store.Reader, d *deadline, qu *query.Query) error {
	src, indexed, err := r.Source(q.ns, q.path, qu)
	if err != nil {
		return err
	}
	if err := q.checkIndex(qu, indexed); err != nil {
		return err
	}
	if qu.IsDefault() {
		n, err := q.load(r, d)
		if err != nil {
			return err
		}
		return q.respondNode(n)
	}
	w := query.NewWindow(*qu)
	if err := w.Load(&boundedSource{Source: src, d: d}); err != nil {
		return err
	}
	var children []tree.Child
	size := 0
	for _, key := range w.Keys() {
		if err := d.check(); err != nil {
			return err
		}
		child, n, err := q.loadAt(r, d, q.path.Child(key), size)
		if err != nil {
			return err
		}
		if size += len(key) + 4 + n; size > q.o.MaxReadBytes {
			return store.ErrTooBig
		}
		if err := q.growing(size, true); err != nil {
			return err
		}
		children = append(children, tree.Child{Key: key, Node: child})
	}
	q.readSize = size
	return q.respondNode(tree.NewObject(children))
}

// boundedSource stops a long scan when its time is up, or when the keys alone are more than
// a response may hold.
type boundedSource struct {
	query.Source
	d    *deadline
	size int
}

func (s *boundedSource) Scan(from *query.Entry, reverse bool, n int) ([]query.Entry, error) {
	s.d.ticks = 0 // a scan is long compared with a look at the clock
	if err := s.d.check(); err != nil {
		return nil, err
	}
	entries, err := s.Source.Scan(from, reverse, n)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		s.size += len(e.Key) + 5 // "key":x,
	}
	if s.size > s.d.q.o.MaxReadBytes {
		return nil, store.ErrTooBig
	}
	return entries, s.d.q.growing(s.size, true)
}

// checkIndex refuses a query that could only be answered by reading all children.
// Keys and priorities are always indexed; and an index that the rules declare counts
// even while it is still being built, for the wait would be worse than the scan.
func (q *request) checkIndex(qu *query.Query, indexed bool) error {
	if indexed || qu.Index.Kind == query.ByKey || qu.Index.Kind == query.ByPriority {
		return nil
	}
	if _, declared := q.o.DB.Rules(q.ns); slices.Contains(declared.IndexesAt(q.path), qu.Index) {
		return nil
	}
	name := qu.Index.String() // ".value", or the path of the child
	return badRequest(`Index not defined, add ".indexOn": "` + name + `", for path "/` + string(q.path) + `", to the rules`)
}
