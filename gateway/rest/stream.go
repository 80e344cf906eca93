package rest

import (
	"errors"
	"net/http"
	"time"

	"rebase/live"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
)

// stream answers GET with "Accept: text/event-stream": the data as it is, then
// every change of it, until the client or the server goes away.
func (q *request) stream() error {
	if err := q.checkStream(); err != nil {
		return err
	}
	qu, err := query.ParseREST(q.params.values)
	if err != nil {
		return err
	}
	// Whoever was sent here by another node has read there, and must not see older data now.
	if err := q.deadline().sync(); err != nil {
		return err
	}
	view := q.o.DB.View(q.ns)
	defer view.Close()
	if err := view.MayRead(q.path, &qu, q.caller); err != nil {
		return err // before anything is told of what is there, or of its indexes
	}
	_, indexed, err := view.Source(q.ns, q.path, &qu)
	if err != nil {
		return err
	}
	if err := q.checkIndex(&qu, indexed); err != nil {
		return err
	}
	rd := &reader{identity: q.identity, revoked: make(chan struct{}), moved: make(chan struct{})}
	if !q.enterStream(rd) {
		return &apiError{status: http.StatusServiceUnavailable, msg: msgUnavailable}
	}
	defer q.leaveStream(rd)
	if to := q.redirect.Load(); to != nil {
		if host := (*to)(); host != "" && host != q.r.Host {
			return q.elsewhere(host)
		}
	}
	// From here on a revocation finds the stream. One that came earlier, but after the credential had been checked, is found
	// by checking again.
	if q.Server.revocations.Load() != q.revocations {
		if _, err := q.authenticate(); err != nil {
			return err
		}
	}
	q.streamed = true
	in := newQueue(q.o.StreamQueueBytes)
	l, err := q.o.Hub.Listen(q.ns, q.path, qu, q.caller, in)
	if err != nil {
		return err
	}
	defer l.Close()
	initial, err := q.firstRead(func() (*tree.Node, error) {
		n, _, _, err := l.Initial(q.o.MaxReadBytes)
		return n, err
	})
	if err != nil {
		return err
	}
	c := &streamConn{q: q, rc: http.NewResponseController(q.out.w)}
	defer c.release()
	c.open()
	return c.run(l, in, initial, rd)
}

// firstRead reads the whole data of a stream, and makes the request hold the memory for it.
// How much it is shows when it has been read; so only a few read at a time.
func (q *request) firstRead(read func() (*tree.Node, error)) (*tree.Node, error) {
	select {
	case q.loads <- struct{}{}:
		defer func() { <-q.loads }()
	case <-q.r.Context().Done():
		return nil, q.r.Context().Err()
	case <-q.closing:
		return nil, &apiError{status: http.StatusServiceUnavailable, msg: msgUnavailable}
	}
	n, err := read()
	if err != nil {
		return nil, err
	}
	return n, q.needRead(n.SizeBytes(), true, 1)
}

// checkStream refuses what only makes sense for a single answer.
func (q *request) checkStream() error {
	switch {
	case q.priority:
		return badRequest("Streaming .priority is not supported.")
	case q.params.shallow:
		return badRequest("Streaming is not supported with shallow.")
	case len(q.r.Header.Values("If-Match")) > 0:
		return badRequest(msgIfMatchMethod)
	}
	return nil
}

// streamConn writes events to a client.
type streamConn struct {
	q   *request
	rc  *http.ResponseController
	buf []byte
}

// open sends the headers. The response is never compressed: what gathers in a
// compressor, or in a proxy that waits for more, is an event that comes late.
func (c *streamConn) open() {
	// The server's time-outs are meant for requests that end.
	c.rc.SetReadDeadline(time.Time{})
	h := c.q.out.header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // nginx
	c.q.out.commit(http.StatusOK, false)
}

// release gives the connection back to the server as it was.
func (c *streamConn) release() { c.rc.SetWriteDeadline(time.Time{}) }

// run serves the stream until it ends. An error is of writing to the client, which
// aborts the response.
func (c *streamConn) run(l *live.Listener, in *queue, initial *tree.Node, rd *reader) error {
	q := c.q
	if err := c.write(appendPut(c.buf[:0], initial)); err != nil {
		return err
	}
	q.needRead(0, false, 0) // gives back
	l.Start()
	tick := time.NewTicker(q.o.KeepAlive)
	defer tick.Stop()
	var expired <-chan time.Time
	if at := rd.identity.Expires; !at.IsZero() {
		timer := time.NewTimer(at.Sub(q.o.Now()))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		// Before what has gathered while a slow reader took what was before: it may be of after the revocation.
		select {
		case <-expired:
			return c.write(append(c.buf[:0], authRevokedEvent...))
		case <-rd.revoked:
			return c.write(append(c.buf[:0], authRevokedEvent...))
		default:
		}
		select {
		case <-q.r.Context().Done():
			return nil
		case <-q.closing:
			return nil
		case <-rd.moved:
			return nil
		case <-expired:
			return c.write(append(c.buf[:0], authRevokedEvent...))
		case <-rd.revoked:
			return c.write(append(c.buf[:0], authRevokedEvent...))
		case <-tick.C:
			if err := c.write(append(c.buf[:0], keepAliveEvent...)); err != nil {
				return err
			}
		case <-in.wake:
			more, err := c.drain(l, in)
			if err != nil {
				return err
			}
			if !more {
				return nil
			}
		}
	}
}

// drain writes what has gathered in the queue. It reports whether the stream goes
// on.
func (c *streamConn) drain(l *live.Listener, in *queue) (more bool, err error) {
	events, overflow := in.take()
	if overflow {
		return c.resync(l, in)
	}
	out := c.buf[:0]
	for _, e := range events {
		if e.ev.Kind == live.Revoked {
			return false, c.write(append(out, cancelEvent...))
		}
		out = appendEvent(out, e, l.Path())
		if len(out) >= sendChunk {
			if err := c.write(out); err != nil {
				return false, err
			}
			out = c.buf[:0]
		}
	}
	if len(out) == 0 {
		return true, nil // nothing that shows in plain values
	}
	return true, c.write(out)
}

// resync brings a stream that has lost events up to date with a fresh put.
func (c *streamConn) resync(l *live.Listener, in *queue) (more bool, err error) {
	if m := c.q.o.Metrics.Resync; m != nil {
		m()
	}
	n, err := c.q.firstRead(l.Resync)
	var refused *apiError
	if errors.As(err, &refused) {
		return false, err // the client connects again, and is told
	}
	if errors.Is(err, store.ErrTooBig) {
		return false, c.write(append(c.buf[:0], tooLargeEvent...))
	}
	if err != nil {
		c.q.log.Error("stream could not resynchronise", "path", c.q.r.URL.Path, "ns", c.q.ns, "err", err)
		return false, err
	}
	in.restart()
	if err := c.write(appendPut(c.buf[:0], n)); err != nil {
		return false, err
	}
	c.q.needRead(0, false, 0)
	l.Start()
	return true, nil
}

// write sends b and flushes it.
func (c *streamConn) write(b []byte) error {
	// A large buffer is not kept for a stream that may be quiet for hours.
	if cap(b) <= sendChunk {
		c.buf = b[:0]
	}
	c.q.out.written += int64(len(b))
	if err := c.q.out.send(b); err != nil {
		return err
	}
	return c.rc.Flush()
}
