package rest

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"rebase/audit"
	"rebase/db"
	"rebase/tree"
)

// write answers PUT, PATCH, POST and DELETE.
func (q *request) write() error {
	if err := q.checkConditions(); err != nil {
		return err
	}
	if q.params.isQuery() || q.params.shallow {
		// Above all a DELETE of a selection must not delete everything.
		return badRequest(msgQueryOnWrite)
	}
	// Before the body is taken in: a stranger shall not have the server read what it will not have.
	if q.o.DB.Closed(q.ns, q.caller) || q.method == http.MethodPut && q.o.DB.Refuses(q.ns, q.path, q.caller) {
		return db.ErrDenied
	}
	switch q.method {
	case http.MethodPut:
		return q.put()
	case http.MethodPatch:
		return q.patch()
	case http.MethodPost:
		return q.post()
	}
	return q.delete()
}

// put replaces the node and answers with what was stored.
func (q *request) put() error {
	v, err := q.bodyValue()
	if err != nil {
		return err
	}
	res, err := q.set(q.path, q.priority, v)
	if err != nil {
		return err
	}
	if q.params.silent {
		return q.out.finish(http.StatusNoContent)
	}
	return q.respondNode(res.Value)
}

// delete removes the node and answers null.
func (q *request) delete() error {
	if err := q.checkWriteSize(0, q.path); err != nil {
		return err
	}
	if _, err := q.set(q.path, q.priority, nil); err != nil {
		return err
	}
	return q.respond([]byte("null"))
}

// post adds a child under a new push id and answers with its name.
func (q *request) post() error {
	if q.priority {
		return badRequest(msgBadPath)
	}
	v, err := q.bodyValue()
	if err != nil {
		return err
	}
	name := q.o.PushIDs.Next(q.o.Now().UnixMilli())
	if _, err := q.set(q.path.Child(name), false, v); err != nil {
		return err
	}
	return q.respond([]byte(`{"name":"` + name + `"}`))
}

// patch replaces the nodes that the body names and answers with what was stored.
func (q *request) patch() error {
	if q.priority {
		return badRequest(msgBadPath)
	}
	body, err := q.readBody(q.o.MaxWriteBytes)
	if err != nil {
		return err
	}
	updates, err := parseUpdates(body)
	if err != nil {
		return err
	}
	if len(updates) == 0 {
		return q.respond([]byte("{}"))
	}
	paths := make([]tree.Path, 0, len(updates))
	for _, u := range updates {
		if !u.Priority {
			paths = append(paths, q.path.Join(u.Path))
		}
	}
	if err := q.checkWriteSize(len(body), paths...); err != nil {
		return err
	}
	res := q.do(&db.Op{Kind: db.OpMerge, NS: q.ns, Path: q.path, Updates: slices.Clone(updates), Caller: q.caller})
	if q.wholeDatabase(q.path, false) {
		q.record(audit.DatabaseWritten, "/", res.Err, map[string]string{"method": q.method, "bytes": strconv.Itoa(len(body)), "nodes": strconv.Itoa(len(updates))})
	}
	if res.Err != nil {
		return res.Err
	}
	if q.params.silent {
		return q.respond(nil) // an import has no use for all that it has sent
	}
	render := tree.AppendValue
	if q.params.export {
		render = tree.AppendExport
	}
	return q.respond(appendUpdates(nil, res.Updates, render))
}

// bodyValue reads and parses the body of a PUT or POST.
func (q *request) bodyValue() (*tree.Node, error) {
	body, err := q.readBody(q.o.MaxWriteBytes)
	if err != nil {
		return nil, err
	}
	v, err := parseValue(body)
	if err != nil {
		return nil, err
	}
	// A push replaces nothing.
	var replaced []tree.Path
	if q.method == http.MethodPut && !q.priority {
		replaced = []tree.Path{q.path}
	}
	return v, q.checkWriteSize(len(body), replaced...)
}

// set writes v at p, under the condition that the request may carry.
func (q *request) set(p tree.Path, priority bool, v *tree.Node) (db.Result, error) {
	op := &db.Op{Kind: db.OpSet, NS: q.ns, Path: p, Priority: priority, Value: v, Caller: q.caller}
	if tags := q.r.Header.Values("If-Match"); len(tags) > 0 {
		hash := hashOfETag(tags[0])
		op.Hash = &hash
	}
	res := q.do(op)
	if q.wholeDatabase(p, priority) {
		q.record(audit.DatabaseWritten, "/", res.Err, map[string]string{"method": q.method, "bytes": strconv.FormatInt(q.held, 10)})
	}
	switch {
	case errors.Is(res.Err, db.ErrStale):
		// The body is the value itself, from which clients make their next try.
		return res, &apiError{
			status: http.StatusPreconditionFailed,
			msg:    res.Err.Error(),
			body:   tree.AppendValue([]byte{}, res.Current),
			header: http.Header{"ETag": {etagOf(res.Current)}},
		}
	case res.Err != nil:
		return res, res.Err
	}
	// The Python SDK takes the new tag from the answer to a conditional write, without asking for it.
	if (wantsETag(q.r) || op.Hash != nil) && !priority {
		q.setETag(res.Value)
	}
	return res, nil
}

// checkWriteSize enforces writeSizeLimit: a write costs the size of its body and
// of the data that it removes at paths. It looks at the state of now, which is only
// an estimate of what the write will meet. Who may not read what is there learns nothing of its size.
func (q *request) checkWriteSize(body int, paths ...tree.Path) error {
	limit := q.params.writeSize
	if limit == 0 {
		return nil
	}
	size := int64(body)
	if size > limit {
		return badRequest(msgWriteTooBig)
	}
	snap := q.o.DB.View(q.ns)
	defer snap.Close()
	d := q.deadline()
	for _, p := range paths {
		if err := snap.MayRead(p, nil, q.caller); errors.Is(err, db.ErrDenied) {
			continue
		} else if err != nil {
			return err
		}
		err := snap.Walk(q.ns, p,
			func(rel tree.Path, leaf *tree.Node) error {
				// About what the leaf takes in the export: its key, its value, and
				// punctuation. The keys above it are shared with its siblings.
				if size += int64(len(rel.Base()) + 4 + leaf.SizeBytes()); size > limit {
					return errStop
				}
				return d.check()
			},
			func(tree.Path, *tree.Node) error { return nil })
		if errors.Is(err, errStop) {
			return badRequest(msgWriteTooBig)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
