package rtdb

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gobwas/ws"
)

const (
	// writeStall is how long a client may take nothing at all while there is something for it.
	writeStall = 90 * time.Second
	// closeWait is how long the other side may take to close its end after we have closed ours.
	closeWait = 2 * time.Second
	// upgradeWait bounds the switch from long polling.
	upgradeWait = 60 * time.Second
	// drainBytes is how much a goroutine that waits for a socket takes from the queue at a time; what it has taken can no longer be
	// dropped.
	drainBytes = 256 << 10
)

// wsTransport is one WebSocket. While it is idle it consists of a goroutine with a small stack that waits for its socket to
// become readable, and holds no buffer.
type wsTransport struct {
	c    *client
	conn net.Conn
	raw  syscall.RawConn // nil: conn is no plain socket
	fl   *flusher

	// The reader's.
	in      *inbound // nil between messages
	held    int64    // of the budget for unfinished messages
	readFn  func(fd uintptr) bool
	buf     *[]byte
	from    *sync.Pool // what buf is from
	full    bool       // the last read filled buf
	n       int
	readErr error

	last  time.Duration // when the last message came
	shed  bool          // the reader is replaced after this message
	busy  atomic.Bool   // a message is being handled, so nothing more can be heard
	deep  atomic.Bool   // the reader's stack has grown
	renew atomic.Bool   // the reader was woken to be replaced

	over sync.Once
	dead atomic.Bool

	// Guarded by c.mu.
	draining  bool // a goroutine of its own does the writing
	finishing bool // when all is sent, the connection is closed
	finished  bool // our side is closed
}

var readBuffers = sync.Pool{New: func() any {
	b := make([]byte, 16<<10)
	return &b
}}

var smallBuffers = sync.Pool{New: func() any {
	b := make([]byte, 512)
	return &b
}}

func newWS(c *client, conn net.Conn, fl *flusher) *wsTransport {
	t := &wsTransport{c: c, conn: conn, raw: rawConn(conn), fl: fl}
	if t.raw != nil {
		t.readFn = t.readReady
	}
	return t
}

func (t *wsTransport) name() string { return "ws" }

func (t *wsTransport) ready() { t.fl.add(t) }

// finish queues a close frame behind everything else; c.mu is held.
func (t *wsTransport) finish(code ws.StatusCode, reason string) {
	if t.finishing {
		return
	}
	t.finishing = true
	if len(reason) > 100 {
		reason = reason[:100] // a control frame is short, and an ASCII text
	}
	t.c.m.out.last(appendFrame(nil, ws.OpClose, ws.NewCloseFrameBody(code, reason)))
	t.c.kick()
	t.c.progressed() // who is left waiting need wait no longer
}

func (t *wsTransport) abort() {
	if t.dead.CompareAndSwap(false, true) {
		go func() {
			t.conn.Close()
			t.ended()
		}()
	}
}

// ended is called when the socket is gone.
func (t *wsTransport) ended() {
	t.over.Do(func() {
		t.dead.Store(true)
		t.conn.Close()
		t.c.lost(t)
	})
}

func (t *wsTransport) fail(err error) {
	if !errors.Is(err, net.ErrClosed) {
		t.c.srv.o.Logger.Debug("a connection broke", "ns", t.c.ns, "err", err)
	}
	t.abort()
}

// say sends a frame past the client's outbox, which is not this connection's yet.
func (t *wsTransport) say(f frame) {
	t.conn.SetWriteDeadline(time.Now().Add(upgradeWait))
	if _, err := t.conn.Write(f); err != nil {
		t.fail(err)
	}
	t.conn.SetWriteDeadline(time.Time{})
}

// take returns the next items to write; ok is false if there are none, or somebody else writes.
func (t *wsTransport) take(dst []item, limit int) (items []item, ok bool) {
	c := t.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.draining || c.via != t {
		return dst, false
	}
	return t.takeLocked(dst, limit)
}

func (t *wsTransport) takeLocked(dst []item, limit int) (items []item, ok bool) {
	c := t.c
	if t.finished {
		return dst, false
	}
	if items = c.take(dst, limit); len(items) > 0 {
		bytes := 0
		for i := range items {
			bytes += len(items[i].f)
		}
		c.srv.o.Metrics.MessagesOut(len(items), bytes)
		return items, true
	}
	if t.finishing {
		t.finished = true
		go t.closeWrite() // under TLS it may have to wait
		return items, false
	}
	c.drained()
	return items, false
}

// closeWrite ends our side after a close frame; the reader sees the other side's end, or gives up.
func (t *wsTransport) closeWrite() {
	if h, ok := t.conn.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
	t.conn.SetReadDeadline(time.Now().Add(closeWait))
}

// startDrain gives the connection's writing to a goroutine that may wait; rest goes first.
func (t *wsTransport) startDrain(rest [][]byte) {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if t.draining || t.c.via != t {
		return
	}
	t.draining, t.c.queued = true, true
	go t.drain(rest)
}

func (t *wsTransport) drain(rest [][]byte) {
	var items []item
	for {
		if err := t.writeAll(rest); err != nil {
			t.fail(err)
			return
		}
		t.c.mu.Lock()
		var ok bool
		if items, ok = t.takeLocked(items[:0], drainBytes); !ok {
			t.conn.SetWriteDeadline(time.Time{})
			t.draining = false
			t.c.mu.Unlock()
			return
		}
		t.c.mu.Unlock()
		rest = rest[:0]
		for _, it := range items {
			rest = append(rest, it.f)
		}
		clear(items)
	}
}

// writeAll writes and waits as long as the client takes something every now and then.
func (t *wsTransport) writeAll(bufs [][]byte) error {
	if t.raw == nil {
		return t.writeRecords(bufs)
	}
	v := net.Buffers(bufs)
	for len(v) > 0 {
		t.conn.SetWriteDeadline(time.Now().Add(writeStall))
		n, err := v.WriteTo(t.conn)
		if err != nil && (n == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// writeRecords writes through TLS. A record for each frame would be a waste, and one that was interrupted cannot be continued.
func (t *wsTransport) writeRecords(bufs [][]byte) error {
	record := readBuffers.Get().(*[]byte)
	defer readBuffers.Put(record)
	joined := (*record)[:0]
	flush := func() error {
		if len(joined) == 0 {
			return nil
		}
		t.conn.SetWriteDeadline(time.Now().Add(writeStall))
		_, err := t.conn.Write(joined)
		joined = joined[:0]
		return err
	}
	for _, b := range bufs {
		for len(b) > 0 {
			n := min(len(b), cap(joined)-len(joined))
			joined = append(joined, b[:n]...)
			b = b[n:]
			if len(joined) == cap(joined) {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// start begins to read; first is what came with the upgrade request.
func (t *wsTransport) start(first []byte) {
	if len(first) > 0 {
		if err := t.consume(first); err != nil {
			t.stop(err)
			return
		}
	}
	go t.read()
}

// read waits and reads until the connection ends.
func (t *wsTransport) read() {
	for {
		err := t.wait()
		if err == nil {
			err = t.consume((*t.buf)[:t.n])
		}
		if t.buf != nil {
			t.from.Put(t.buf)
			t.buf = nil
		}
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && t.renewed()) {
			t.stop(err)
			return
		}
		if err != nil || t.shed {
			t.shed = false
			go t.read()
			return
		}
	}
}

// A message that is handled on the reader's stack makes that grow. It would stay so while the goroutine waits, several
// kilobytes for each connection, so the reader is replaced by a fresh one. After each message that would be too often where
// messages follow each other within busyGap: growing stacks would take more time than anything else. There it
// is done when the reader has been idle for deepIdle.
const (
	busyGap  = 100 * time.Millisecond
	deepIdle = 2 * time.Second
)

// grown is called for each message.
func (t *wsTransport) grown() {
	w := t.c.srv.wheel
	now := w.elapsed()
	busy := now-t.last < busyGap
	t.last = now
	switch {
	case t.raw == nil:
	case !busy:
		t.deep.Store(false)
		t.shed = true
	case !t.deep.Swap(true):
		t.shed = false
		w.schedule(&t.c.timed, now+deepIdle)
	}
}

// tickIdle wakes the reader for its replacement if it has been idle long enough, and returns when to look again; 0 if there
// is nothing to look for. The caller holds c.mu.
func (t *wsTransport) tickIdle(now, heard time.Duration) (next time.Duration) {
	switch {
	case !t.deep.Load() || t.finishing:
		return 0
	case now-heard < deepIdle:
		return heard + deepIdle
	}
	t.deep.Store(false)
	t.renew.Store(true)
	t.conn.SetReadDeadline(time.Unix(1, 0))
	return 0
}

// renewed reports whether the reader was woken by tickIdle, and takes that back.
func (t *wsTransport) renewed() bool {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	if !t.renew.Swap(false) {
		return false
	}
	var deadline time.Time
	if t.finished {
		deadline = time.Now().Add(closeWait)
	}
	t.conn.SetReadDeadline(deadline)
	return true
}

// wait returns when something has been read into buf.
func (t *wsTransport) wait() error {
	if t.raw == nil {
		// It cannot be told when there is something to read, so an idle connection holds a buffer: a small one. What does not fit in
		// waits in the TLS connection.
		pool := &smallBuffers
		if t.full {
			pool = &readBuffers
		}
		t.buf, t.from = pool.Get().(*[]byte), pool
		t.n, t.readErr = t.conn.Read(*t.buf)
		t.full = t.n == len(*t.buf)
	} else if err := t.raw.Read(t.readFn); err != nil {
		return err
	}
	switch {
	case t.n > 0: // TLS reports the end along with the last bytes, and again afterwards
		return nil
	case t.readErr == nil:
		return io.EOF
	}
	return t.readErr
}

// readReady reads if there is something to read; only then is there a buffer.
func (t *wsTransport) readReady(fd uintptr) (done bool) {
	buf := readBuffers.Get().(*[]byte)
	n, again, err := readOnce(fd, *buf)
	if again {
		readBuffers.Put(buf)
		return false
	}
	t.buf, t.from, t.n, t.readErr = buf, &readBuffers, n, err
	return true
}

func (t *wsTransport) consume(b []byte) error {
	t.c.heard()
	t.busy.Store(true)
	defer t.busy.Store(false)
	if t.in == nil {
		t.in = inbounds.Get().(*inbound)
		t.in.max = t.c.srv.o.MaxMessageBytes
	}
	until, err := t.c.charge(0, len(b))
	if err == nil {
		err = t.in.feed(b, t)
	}
	if err == nil && t.in.idle() {
		t.in.hdr.Reset(nil) // it has seen the whole buffer
		inbounds.Put(t.in)
		t.in = nil
	}
	held := 0
	if t.in != nil {
		held = t.in.held()
	}
	if !t.c.srv.unfinished.Resize(&t.held, int64(held)) && err == nil {
		err = closef(statusTryAgain, "the server is busy with other large messages; try again")
	}
	if err == nil {
		t.c.pause(until)
	}
	return err
}

var inbounds = sync.Pool{New: func() any { return new(inbound) }}

// stop ends the reading, because of an error or because the other side is gone.
func (t *wsTransport) stop(err error) {
	t.c.srv.unfinished.Resize(&t.held, 0)
	var ce *closeError
	if !errors.As(err, &ce) {
		t.ended()
		return
	}
	c := t.c
	if ce.code != ws.StatusNormalClosure {
		level := slog.LevelWarn
		if ce.code == statusTryAgain { // there may be many of them, and metrics count them
			level = slog.LevelDebug
		}
		c.srv.o.Logger.Log(context.Background(), level, "a connection is closed because of what the client sent", "ns", c.ns,
			"session", c.sess.ID(), "remote", t.conn.RemoteAddr(), "code", int(ce.code), "reason", ce.reason)
	}
	c.mu.Lock()
	primary := c.via == t
	if primary {
		t.finish(ce.code, ce.reason)
	}
	c.mu.Unlock()
	if primary {
		// Let the client read the reason: closing a socket with unread input would reset the connection.
		t.conn.SetReadDeadline(time.Now().Add(closeWait))
		io.Copy(io.Discard, t.conn)
	}
	t.ended()
}

// The methods by which inbound hands over what it finds.

func (t *wsTransport) message(text []byte) error {
	t.c.srv.o.Metrics.MessagesIn(1, len(text))
	t.grown()
	err := t.c.receive(t, text)
	if err != errAwaitOld {
		return err
	}
	// What follows on this connection comes after what the client has sent on the other one.
	giveUp := time.AfterFunc(upgradeWait, t.abort)
	defer giveUp.Stop()
	t.c.waitUntil(func() bool { return t.c.via == t || t.dead.Load() })
	return nil
}

func (t *wsTransport) oversized(head, tail []byte) error { return t.c.oversized(t, head, tail) }

func (t *wsTransport) ping(payload []byte) error {
	c := t.c
	pong := appendFrame(nil, ws.OpPong, payload)
	c.mu.Lock()
	if c.via == t {
		c.m.out.control(pong)
		c.kick()
	}
	c.mu.Unlock()
	c.waitUntil(c.hasRoom) // who reads no pongs must not have them pile up
	return nil
}

func (t *wsTransport) pong(payload []byte) error {
	t.c.pong(payload)
	return nil
}

func (t *wsTransport) closed(payload []byte) error {
	return &closeError{ws.StatusNormalClosure, ""}
}
