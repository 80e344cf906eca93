package zookeeper

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// errLost is the outcome of a request whose answer has not come: it may have had its effect, or have it yet.
var errLost = errors.New("ZooKeeper: connection lost")

var errClientClosed = errors.New("ZooKeeper: client closed")

// maxPacket bounds what is accepted from a server: a node's data, or a listing.
const maxPacket = 64 << 20

// client keeps a connection to one of several servers. Every connection is a session of its own: a log has no ephemeral nodes, so
// that an expired session takes nothing with it, and there is nothing to resume. What a session gives, reads that never go
// back in time, is kept across connections by the zxid that each new one begins with: a server that has not come as far refuses it.
type client struct {
	servers []string
	dial    func(ctx context.Context, address string) (net.Conn, error)
	creds   *auth
	timeout time.Duration // of a session; a server silent for two thirds of it is given up
	logger  *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	zxid    int64
	cur     *conn         // nil: none at present
	changed chan struct{} // closed and replaced when cur changes
	cause   error         // why there is none
}

func newClient(o *Options, servers []string) *client {
	c := &client{servers: servers, dial: o.Dial, timeout: o.Timeout, logger: o.Logger, changed: make(chan struct{}), ended: make(chan struct{})}
	if o.User != "" {
		c.creds = &auth{"digest", []byte(o.User + ":" + o.Password)}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c
}

// run connects, again and again.
func (c *client) run() {
	defer close(c.ended)
	order := rand.Perm(len(c.servers))
	pause := 10 * time.Millisecond
	for i := 0; c.ctx.Err() == nil; i++ {
		address := c.servers[order[i%len(order)]]
		k, err := c.connect(address)
		if err != nil {
			c.failed(fmt.Errorf("connect to %s: %w", address, err))
			if (i+1)%len(order) == 0 { // all of them
				select {
				case <-time.After(pause + rand.N(pause)):
				case <-c.ctx.Done():
				}
				pause = min(2*pause, 500*time.Millisecond)
			}
			continue
		}
		pause = 10 * time.Millisecond
		c.set(k)
		since := time.Now()
		<-k.broken
		c.set(nil)
		if time.Since(since) < 100*time.Millisecond { // it may be what is sent that breaks it
			select {
			case <-time.After(pause):
			case <-c.ctx.Done():
			}
		}
		c.failed(fmt.Errorf("connection to %s: %w", address, k.err))
	}
}

func (c *client) failed(err error) {
	c.mu.Lock()
	c.cause = err
	c.mu.Unlock()
	if c.ctx.Err() == nil {
		c.logger.Debug("no connection to ZooKeeper", "error", err)
	}
}

func (c *client) set(k *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cur = k
	close(c.changed)
	c.changed = make(chan struct{})
}

// conn returns the connection, waiting for one if there is none.
func (c *client) conn(ctx context.Context) (*conn, error) {
	for {
		c.mu.Lock()
		k, changed, cause := c.cur, c.changed, c.cause
		c.mu.Unlock()
		if k != nil {
			return k, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if cause != nil {
				return nil, fmt.Errorf("%w (%v)", ctx.Err(), cause)
			}
			return nil, ctx.Err()
		case <-c.ctx.Done():
			return nil, errClientClosed
		}
	}
}

// ask sends one request and waits for the answer. It may come to errLost.
func (c *client) ask(ctx context.Context, r request) (reader, error) {
	k, err := c.conn(ctx)
	if err != nil {
		return reader{}, err
	}
	return k.send(r, nil).wait(ctx)
}

// insist is ask for requests that may be done twice: it repeats them for as long as the connection fails.
func (c *client) insist(ctx context.Context, r request) (reader, error) {
	for {
		answer, err := c.ask(ctx, r)
		if !errors.Is(err, errLost) {
			return answer, err
		}
	}
}

// close ends the session. What is under way ends with errLost.
func (c *client) close() {
	c.cancel()
	c.mu.Lock()
	k := c.cur
	c.mu.Unlock()
	if k != nil {
		// The server forgets a session at once that says goodbye.
		bye := k.send(closeSession{}, nil)
		select {
		case <-bye.done:
		case <-time.After(100 * time.Millisecond):
		}
		k.fail(errClientClosed)
	}
	<-c.ended
}

func (c *client) seen(zxid int64) {
	c.mu.Lock()
	c.zxid = max(c.zxid, zxid)
	c.mu.Unlock()
}

// call is a request under way.
type call struct {
	xid   int32
	done  chan struct{}
	body  []byte
	err   error
	path  string        // of the node that is watched,
	watch chan struct{} // which closes this
}

// wait returns the body of the answer, or errLost, or a code.
func (c *call) wait(ctx context.Context) (reader, error) {
	select {
	case <-c.done:
		return reader{p: c.body}, c.err
	case <-ctx.Done():
		return reader{}, ctx.Err()
	}
}

// conn is one connection, and one session. Requests are sent, carried out and answered in the order of send.
type conn struct {
	client  *client
	net     net.Conn
	silence time.Duration // the longest that a living server says nothing

	mu      sync.Mutex
	out     []byte        // frames to write
	kick    chan struct{} // has one if out is not empty
	calls   []*call       // under way, in order
	xid     int32
	watches map[string][]chan struct{}
	err     error
	broken  chan struct{} // closed with err
}

// connect makes a connection and begins a session.
func (c *client) connect(address string) (*conn, error) {
	silence := c.timeout * 2 / 3
	ctx, cancel := context.WithTimeout(c.ctx, silence)
	defer cancel()
	nc, err := c.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(c.ctx, func() { nc.Close() })
	k, err := c.begin(nc, silence)
	stop()
	if err != nil {
		nc.Close()
		return nil, err
	}
	go k.read()
	go k.write()
	if c.creds != nil {
		// Requests that follow are carried out after it, and so with its rights.
		k.send(*c.creds, nil)
	}
	return k, nil
}

func (c *client) begin(nc net.Conn, silence time.Duration) (*conn, error) {
	c.mu.Lock()
	zxid := c.zxid
	c.mu.Unlock()
	b := buffer{0, 0, 0, 0}
	b.int32(0) // version of the protocol
	b.int64(zxid)
	b.int32(int32(c.timeout / time.Millisecond))
	b.int64(0) // a new session
	b.bytes(make([]byte, 16))
	b.bool(false) // not from a server that has lost its quorum
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	nc.SetDeadline(time.Now().Add(silence))
	if _, err := nc.Write(b); err != nil {
		return nil, err
	}
	k := &conn{client: c, net: nc, silence: silence, kick: make(chan struct{}, 1), watches: map[string][]chan struct{}{}, broken: make(chan struct{})}
	frame, err := readFrame(nc)
	if err != nil {
		return nil, err
	}
	r := reader{p: frame}
	r.int32() // version
	r.int32() // the timeout that the server has come to
	session := r.int64()
	if r.bad || session == 0 {
		return nil, errors.New("ZooKeeper: no session")
	}
	nc.SetDeadline(time.Time{})
	return k, nil
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxPacket {
		return nil, errMalformed
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(r, frame)
	return frame, err
}

// send puts a request on its way. It does not block. With watch, a getData closes it when the node next changes, or the connection breaks.
func (k *conn) send(r request, watch chan struct{}) *call {
	c := &call{done: make(chan struct{}), watch: watch}
	if g, ok := r.(getData); ok {
		c.path = g.path
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		c.err = errLost
		close(c.done)
		if watch != nil {
			close(watch)
		}
		return c
	}
	switch r.(type) {
	case ping:
		c.xid = xidPing
	case auth:
		c.xid = xidAuth
	default:
		k.xid = k.xid%math.MaxInt32 + 1
		c.xid = k.xid
	}
	begin := len(k.out)
	b := buffer(k.out)
	b.int32(0)
	b.int32(c.xid)
	b.int32(r.op())
	r.encode(&b)
	binary.BigEndian.PutUint32(b[begin:], uint32(len(b)-begin-4))
	k.out = b
	if c.xid != xidPing {
		k.calls = append(k.calls, c)
	}
	select {
	case k.kick <- struct{}{}:
	default:
	}
	return c
}

// write sends what has gathered, and a sign of life when nothing has.
func (k *conn) write() {
	ticker := time.NewTicker(k.silence / 3)
	defer ticker.Stop()
	var spare []byte
	for {
		select {
		case <-k.kick:
		case <-ticker.C:
			k.send(ping{}, nil)
		case <-k.broken:
			return
		}
		k.mu.Lock()
		out := k.out
		k.out = spare[:0]
		k.mu.Unlock()
		k.net.SetWriteDeadline(time.Now().Add(k.silence))
		if _, err := k.net.Write(out); err != nil {
			k.fail(err)
			return
		}
		if spare = out; cap(spare) > 4<<20 {
			spare = nil
		}
	}
}

// read takes answers and events.
func (k *conn) read() {
	in := bufio.NewReaderSize(k.net, 64<<10)
	for {
		k.net.SetReadDeadline(time.Now().Add(k.silence))
		frame, err := readFrame(in)
		if err == nil {
			err = k.take(frame)
		}
		if err != nil {
			k.fail(err)
			return
		}
	}
}

func (k *conn) take(frame []byte) error {
	r := reader{p: frame}
	xid, zxid, status := r.int32(), r.int64(), code(r.int32())
	if r.bad {
		return errMalformed
	}
	if zxid > 0 {
		k.client.seen(zxid)
	}
	switch xid {
	case xidPing:
		return nil
	case xidEvent:
		r.int32() // type
		r.int32() // state
		path := string(r.bytes())
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, w := range k.watches[path] {
			close(w)
		}
		delete(k.watches, path)
		return r.err()
	}
	k.mu.Lock()
	if len(k.calls) == 0 || k.calls[0].xid != xid {
		k.mu.Unlock()
		return errMalformed
	}
	c := k.calls[0]
	k.calls[0] = nil
	k.calls = k.calls[1:]
	if c.watch != nil {
		if status == 0 {
			k.watches[c.path] = append(k.watches[c.path], c.watch)
		} else {
			close(c.watch)
		}
	}
	k.mu.Unlock()
	switch {
	case status == 0:
		c.body = r.p
	case status.lost():
		c.err = errLost
	default:
		c.err = status
	}
	close(c.done)
	if xid == xidAuth && status != 0 {
		return status
	}
	return nil
}

// fail ends the connection.
func (k *conn) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err != nil {
		return
	}
	k.err = err
	close(k.broken)
	k.net.Close()
	for _, c := range k.calls {
		c.err = errLost
		close(c.done)
		if c.watch != nil {
			close(c.watch)
		}
	}
	k.calls = nil
	for _, ws := range k.watches {
		for _, w := range ws {
			close(w)
		}
	}
	k.watches = nil
}
