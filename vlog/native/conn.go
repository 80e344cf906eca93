package native

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rebase/vlog/native/core"
)

// conn is one connection with another node, a lane of one direction of asking: the node that has dialed asks, the other answers.
//
// Whatever gathers while one write is under way leaves with the next (group commit, for sockets): under load that is what decides how many
// messages a second there can be. Sending never waits. What does not fit into the queue is dropped, which the protocol stands, and counted.
type conn struct {
	t    *tcp
	lane lane
	peer *peer // who was dialed, or nil

	session  *session               // who has dialed, or nil; set by its hello
	lastFrom core.Node              // of the reader: the endpoint that it learned last
	lastIn   atomic.Int64           // when something was read, by tcp.clock
	seen     map[core.Node]struct{} // of the reader: endpoints that this connection has brought

	mu      sync.Mutex
	more    sync.Cond
	nc      net.Conn // nil while it is dialed
	queue   frames
	spare   frames
	writing int             // bytes that have left the queue and are being written
	busy    bool            // somebody is writing
	rest    []byte          // what a direct write has left over
	raw     syscall.RawConn // for direct writes; nil: there are none
	closed  bool
}

// socket is what allows direct writes.
func (c *conn) socket() {
	if s, ok := c.nc.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn()
	}
}

const (
	// directBytes bounds what is written by who has sent it.
	directBytes = 64 << 10
	// queueBytes bounds what waits to be written to one connection, unless it is a single message.
	queueBytes = 32 << 20
	helloWait  = 10 * time.Second
	preamble   = "RBL1"
	wireFormat = 1
)

func (t *tcp) newConn(l lane) *conn {
	c := &conn{t: t, lane: l}
	c.more.L = &c.mu
	c.lastIn.Store(int64(c.t.clock()))
	return c
}

// enqueue adds a message to what is to be written. The caller kicks.
func (c *conn) enqueue(m *core.Message) {
	size := frameBytes(m)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.t.stats.unreachable.Add(1)
		return
	}
	if have := c.queue.bytes + c.writing; have > 0 && have+size > c.t.queueBytes {
		c.t.stats.full.Add(1)
		return
	}
	c.queue.add(m)
}

// kick sees to it that the queue is written. If the connection is a socket at rest, the caller writes what it takes, without waiting: that saves
// the switch to the writer's goroutine, both ways of a lone append. Otherwise the writer does.
func (c *conn) kick() {
	c.mu.Lock()
	if c.raw == nil || c.busy || c.closed || c.queue.bytes == 0 || c.queue.bytes > directBytes || len(c.queue.parts) > 0 {
		c.mu.Unlock()
		c.more.Signal()
		return
	}
	c.busy = true
	c.queue, c.spare = c.spare, c.queue
	c.writing = c.spare.bytes
	c.mu.Unlock()
	buf, n := c.spare.buf, 0
	err := c.raw.Write(func(fd uintptr) bool {
		n = writeSome(fd, buf)
		return true // not again when the socket can take more
	})
	c.mu.Lock()
	c.busy = false
	c.t.stats.writes.Add(1)
	c.t.stats.bytesOut.Add(uint64(n))
	if err == nil && n == len(buf) {
		c.spare.reset()
		c.writing = 0
	} else {
		// The writer goes on with the rest, or finds out what is wrong.
		c.rest = slices.Clone(buf[n:])
		c.spare.reset()
	}
	more := c.queue.bytes > 0 || len(c.rest) > 0
	c.mu.Unlock()
	if more {
		c.more.Signal()
	}
}

func (c *conn) write() {
	for {
		c.mu.Lock()
		for (c.queue.bytes == 0 && len(c.rest) == 0 || c.busy) && !c.closed {
			c.more.Wait()
		}
		if c.closed {
			c.mu.Unlock()
			return
		}
		c.busy = true
		c.queue, c.spare = c.spare, c.queue
		c.writing = c.spare.bytes + len(c.rest)
		rest := c.rest
		c.rest = nil
		c.mu.Unlock()
		c.spare.cut()
		c.t.stats.writes.Add(1)
		c.t.stats.bytesOut.Add(uint64(c.spare.bytes + len(rest)))
		var err error
		if len(rest) > 0 {
			_, err = c.nc.Write(rest)
		}
		if err != nil {
		} else if len(c.spare.parts) == 1 {
			_, err = c.nc.Write(c.spare.parts[0])
		} else {
			parts := net.Buffers(c.spare.parts)
			_, err = parts.WriteTo(c.nc)
		}
		c.mu.Lock()
		c.spare.reset()
		c.busy, c.writing = false, 0
		c.mu.Unlock()
		if err != nil {
			c.fail(fmt.Errorf("write: %w", err))
			return
		}
	}
}

// read delivers what comes until the connection ends.
func (c *conn) read(r *frameReader) error {
	var batch []core.Message
	for {
		var err error
		batch, err = r.next(batch[:0])
		if len(batch) > 0 {
			c.lastIn.Store(int64(c.t.clock()))
			c.t.stats.framesIn.Add(uint64(len(batch)))
			c.received(batch)
			clear(batch)
		}
		if err != nil {
			return err
		}
	}
}

// received handles a batch that has come in.
func (c *conn) received(batch []core.Message) {
	own := 0 // messages of the connection itself
	for i := range batch {
		m := &batch[i]
		switch {
		case m.To == 0:
			if m.Kind == kindPing {
				c.enqueue(&core.Message{Kind: kindPong})
				c.kick()
			}
			own++
		case c.session != nil && m.From != c.lastFrom && m.From != 0:
			c.lastFrom = m.From
			if _, ok := c.seen[m.From]; !ok {
				c.seen[m.From] = struct{}{}
				c.t.learn(m.From, c.session)
			}
		}
	}
	if own > 0 {
		kept := batch[:0]
		for _, m := range batch {
			if m.To != 0 {
				kept = append(kept, m)
			}
		}
		batch = kept
	}
	handler := c.t.handler
	if c.lane == laneAppend { // of the others, none should wait for a disk
		handler = c.t.reader
	}
	deliver(batch, handler, c.t.nobody)
	for i := range batch {
		if batch[i].Kind == kindLeave {
			c.t.left(batch[i].From)
		}
	}
}

// fail closes the connection. Only the first call does anything.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	nc := c.nc
	c.queue = frames{}
	c.mu.Unlock()
	c.more.Signal()
	if nc != nil {
		nc.Close()
	}
	c.t.lost(c, err)
}

// dialed connects, and serves the connection until it ends.
func (c *conn) dialed(address string) {
	nc, err := c.t.dialContext(address)
	if err != nil {
		c.fail(fmt.Errorf("dial: %w", err))
		return
	}
	hello := frames{buf: []byte(preamble), bytes: len(preamble)}
	hello.add(&core.Message{Kind: kindHello, Status: wireFormat, From: c.t.self, To: c.peer.node, Loglet: uint64(c.t.chain), Ref: c.t.instance, MaxBytes: int(c.lane) + 1})
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		nc.Close()
		return
	}
	c.nc = nc
	c.socket()
	// It goes first, and what has gathered meanwhile goes behind it.
	gathered := c.queue
	gathered.cut()
	hello.cut()
	c.queue = frames{parts: append(hello.parts, gathered.parts...), bytes: hello.bytes + gathered.bytes}
	c.mu.Unlock()
	c.t.wg.Go(c.write)
	r := &frameReader{from: nc}
	nc.SetReadDeadline(time.Now().Add(helloWait))
	batch, err := r.next(nil)
	if err == nil {
		if err = c.answered(&batch[0]); err == nil {
			nc.SetReadDeadline(time.Time{})
			c.peer.connected(c.lane)
			c.lastIn.Store(int64(c.t.clock()))
			c.received(batch[1:])
			err = c.read(r)
		}
	}
	c.fail(err)
}

// answered looks at the hello of the node that was dialed.
func (c *conn) answered(m *core.Message) error {
	switch {
	case m.Kind != kindHello:
		return errFrame
	case len(m.Entries) > 0:
		return fmt.Errorf("refused: %s", m.Entries[0])
	case m.From != c.peer.node:
		return fmt.Errorf("node %016x was expected there, and node %016x answers", uint64(c.peer.node), uint64(m.From))
	}
	return nil
}

// serve answers on a connection that another node has dialed.
func (c *conn) serve() error {
	c.nc.SetReadDeadline(time.Now().Add(helloWait))
	var magic [len(preamble)]byte
	if _, err := io.ReadFull(c.nc, magic[:]); err != nil {
		return err
	}
	if string(magic[:]) != preamble {
		return errors.New("vlog/native: this is no connection of a node")
	}
	r := &frameReader{from: c.nc}
	batch, err := r.next(nil)
	if err != nil {
		return err
	}
	m := &batch[0]
	answer := core.Message{Kind: kindHello, Status: wireFormat, From: c.t.self, Loglet: uint64(c.t.chain), Ref: c.t.instance}
	var refusal string
	switch {
	case m.Kind != kindHello || m.From == 0 || m.Ref == 0 || m.MaxBytes < 1 || m.MaxBytes > int(lanes):
		return errFrame
	case m.Status != wireFormat:
		refusal = fmt.Sprintf("this node speaks version %d, the other %d", wireFormat, m.Status)
	case m.Loglet != uint64(c.t.chain):
		refusal = fmt.Sprintf("this node serves chain %d, not %d", c.t.chain, m.Loglet)
	case m.To != c.t.self:
		refusal = fmt.Sprintf("this is node %016x, not %016x", uint64(c.t.self), uint64(m.To))
	}
	if refusal != "" {
		answer.Entries = [][]byte{[]byte(refusal)}
		f := frames{}
		f.add(&answer)
		f.cut()
		c.nc.Write(f.parts[0])
		return errors.New("vlog/native: refused a connection: " + refusal)
	}
	c.nc.SetReadDeadline(time.Time{})
	c.lane, c.seen = lane(m.MaxBytes-1), map[core.Node]struct{}{}
	c.mu.Lock()
	c.socket()
	c.mu.Unlock()
	c.enqueue(&answer) // before anybody else can send something here
	if !c.t.greeted(c, m.From, m.Ref) {
		return net.ErrClosed
	}
	c.t.wg.Go(c.write)
	c.received(batch[1:])
	return c.read(r)
}
