package native

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rebase/vlog/native/core"
)

// tcp is the Network of a node over connections to other nodes. Messages between endpoints of this process do not leave it.
type tcp struct {
	chain      uint16
	self       core.Node
	instance   uint64 // of this process; drawn anew at every start
	dial       func(ctx context.Context, address string) (net.Conn, error)
	log        *slog.Logger
	deadAfter  time.Duration // without a sign of life
	queueBytes int
	stats      counters
	begun      time.Time

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu       sync.RWMutex
	local    map[core.Node]func([]core.Message)
	read     func([]core.Message) // for the node itself, from a connection
	peers    map[core.Node]*peer
	routes   map[core.Node]*route
	sessions map[core.Node]*session
	learned  map[core.Node]*session

	connsMu sync.Mutex
	conns   map[*conn]struct{}
	closed  bool
}

var _ Network = (*tcp)(nil)

type route struct {
	peer  *peer
	users int
}

// counters are what Stats is made from.
type counters struct {
	bytesOut, writes, framesIn, full, unreachable, unknown, dials, dialErrors atomic.Uint64
}

func newTCP() *tcp {
	t := &tcp{
		queueBytes: queueBytes, begun: time.Now(),
		local: map[core.Node]func([]core.Message){}, peers: map[core.Node]*peer{}, routes: map[core.Node]*route{},
		sessions: map[core.Node]*session{}, learned: map[core.Node]*session{}, conns: map[*conn]struct{}{},
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// clock is one that nobody sets: by the clock of the day all connections would seem dead whenever that is put forward.
func (t *tcp) clock() time.Duration { return time.Since(t.begun) }

// start begins to watch the connections. read handles what they bring for the node.
func (t *tcp) start(read func([]core.Message)) {
	t.mu.Lock()
	t.read = read
	t.mu.Unlock()
	t.wg.Go(t.watch)
}

// Attach implements Network.
func (t *tcp) Attach(endpoint core.Node, handle func([]core.Message)) (detach func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.local[endpoint] = handle
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.local, endpoint)
	}
}

func (t *tcp) handler(endpoint core.Node) func([]core.Message) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.local[endpoint]
}

// reader is handler for what a connection has brought.
func (t *tcp) reader(endpoint core.Node) func([]core.Message) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if endpoint == t.self && t.read != nil {
		return t.read
	}
	return t.local[endpoint]
}

// Route implements Network.
func (t *tcp) Route(endpoint, node core.Node, address string) (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var p *peer // nil: it would be here
	if node != t.self {
		p = t.peer(node, address)
	}
	r := t.routes[endpoint]
	if r == nil {
		r = &route{peer: p}
		t.routes[endpoint] = r
	}
	r.users++
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if r.users--; r.users == 0 && t.routes[endpoint] == r {
			delete(t.routes, endpoint)
		}
	})
}

// peer finds or makes a peer. Caller holds mu.
func (t *tcp) peer(node core.Node, address string) *peer {
	p := t.peers[node]
	if p == nil {
		p = &peer{t: t, node: node, address: address}
		t.peers[node] = p
	}
	return p
}

// moved tells where a node is now.
func (t *tcp) moved(node core.Node, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peer(node, address).moved(address)
}

// Send implements Network.
func (t *tcp) Send(messages []core.Message) {
	if len(messages) == 0 {
		return
	}
	var touched [8]*conn
	n, here := 0, false
	t.mu.RLock()
	for i := range messages {
		m := &messages[i]
		if m.To == 0 {
			continue // an answer to who wants none
		}
		if t.local[m.To] != nil || t.lacking(m.To) {
			here = true
			continue
		}
		c := t.conn(m)
		if c == nil {
			t.stats.unreachable.Add(1)
			continue
		}
		c.enqueue(m)
		if !slices.Contains(touched[:n], c) {
			if n == len(touched) {
				n--
				touched[n].kick()
			}
			touched[n] = c
			n++
		}
	}
	t.mu.RUnlock()
	for _, c := range touched[:n] {
		c.kick()
	}
	if here {
		deliver(messages, t.handler, t.here)
	}
}

// lacking says that an endpoint should be in this process and is not. Caller holds mu.
func (t *tcp) lacking(endpoint core.Node) bool {
	r := t.routes[endpoint]
	return r != nil && r.peer == nil && t.local[endpoint] == nil
}

// here hands a message that was not delivered to the node if it was for this process; all others have been sent.
func (t *tcp) here(m *core.Message) {
	t.mu.RLock()
	lacking := t.lacking(m.To)
	t.mu.RUnlock()
	if lacking {
		t.nobody(m)
	}
}

// conn finds the connection for a message. Caller holds mu.
func (t *tcp) conn(m *core.Message) *conn {
	if r := t.routes[m.To]; r != nil && r.peer != nil {
		return r.peer.conn(laneOf(m.Kind))
	}
	if s := t.learned[m.To]; s != nil {
		return s.conn(laneOf(m.Kind))
	}
	return nil
}

// nobody hands a message to an endpoint that is not here to the node.
func (t *tcp) nobody(m *core.Message) {
	t.stats.unknown.Add(1)
	if h := t.handler(t.self); h != nil {
		h([]core.Message{*m})
	}
}

// gone tells the node of endpoints that cannot be reached, for good if their node has started again.
func (t *tcp) gone(endpoints []core.Node, forGood bool) {
	h := t.handler(t.self)
	if h == nil || len(endpoints) == 0 {
		return
	}
	var batch []core.Message
	for _, e := range endpoints {
		batch = append(batch, core.Message{Kind: kindLeave, From: e, To: t.self, Bit: forGood})
	}
	h(batch)
}

// begin runs a connection, unless the network is closed.
func (t *tcp) begin(c *conn, run func()) bool {
	t.connsMu.Lock()
	defer t.connsMu.Unlock()
	if t.closed {
		return false
	}
	t.conns[c] = struct{}{}
	t.wg.Go(run)
	return true
}

// serveConn serves a connection that another node has dialed, until it ends.
func (t *tcp) serveConn(nc net.Conn) {
	c := t.newConn(0)
	c.nc = nc
	done := make(chan struct{})
	if !t.begin(c, func() {
		defer close(done)
		c.fail(c.serve())
	}) {
		nc.Close()
		return
	}
	<-done
}

// greeted notes who has dialed.
func (t *tcp) greeted(c *conn, node core.Node, instance uint64) bool {
	t.mu.Lock()
	s := t.sessions[node]
	var old *session
	var gone []core.Node
	if s == nil || s.instance != instance {
		if old = s; old != nil {
			gone = t.forget(old)
		}
		s = &session{node: node, instance: instance, learned: map[core.Node]struct{}{}}
		t.sessions[node] = s
	}
	c.session = s
	s.lanes[c.lane].Store(c)
	t.mu.Unlock()
	if old != nil {
		t.log.Info("a node has started again", "peer", fmt.Sprintf("%016x", uint64(node)))
		for i := range old.lanes {
			if c := old.lanes[i].Load(); c != nil {
				c.fail(errors.New("the node has started again"))
			}
		}
		t.gone(gone, true)
	}
	return t.ctx.Err() == nil
}

// learn notes where an endpoint is that has asked something.
func (t *tcp) learn(endpoint core.Node, s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sessions[s.node] == s {
		t.learned[endpoint] = s
		s.learned[endpoint] = struct{}{}
	}
}

// left forgets an endpoint.
func (t *tcp) left(endpoint core.Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.learned[endpoint]; s != nil {
		delete(s.learned, endpoint)
		delete(t.learned, endpoint)
	}
}

// forget forgets all endpoints of a session. Caller holds mu.
func (t *tcp) forget(s *session) []core.Node {
	for e := range s.learned {
		if t.learned[e] == s {
			delete(t.learned, e)
		}
	}
	return slices.Collect(maps.Keys(s.learned))
}

// lost is called once for every connection that has ended.
func (t *tcp) lost(c *conn, err error) {
	t.connsMu.Lock()
	delete(t.conns, c)
	t.connsMu.Unlock()
	if c.peer != nil {
		c.mu.Lock()
		connected := c.nc != nil
		c.mu.Unlock()
		if c.peer.lost(c); !connected {
			t.stats.dialErrors.Add(1)
		}
		if t.ctx.Err() == nil {
			t.log.Debug("connection lost", "peer", fmt.Sprintf("%016x", uint64(c.peer.node)), "lane", c.lane, "err", err)
		}
	}
	if s := c.session; s != nil {
		s.lanes[c.lane].CompareAndSwap(c, nil)
		if s.conn(c.lane) == nil {
			t.mu.RLock()
			gone := slices.Collect(maps.Keys(s.learned))
			t.mu.RUnlock()
			t.gone(gone, false)
		}
	}
}

// dialContext dials.
func (t *tcp) dialContext(address string) (net.Conn, error) {
	t.stats.dials.Add(1)
	ctx, cancel := context.WithTimeout(t.ctx, helloWait)
	defer cancel()
	return t.dial(ctx, address)
}

// watch finds connections whose other end is silently gone: they would stay in doubt for minutes, long after the way there works again.
func (t *tcp) watch() {
	tick := time.NewTicker(t.deadAfter / 4)
	defer tick.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-tick.C:
			for _, c := range t.all() {
				quiet := t.clock() - time.Duration(c.lastIn.Load())
				switch {
				case c.peer != nil && quiet > t.deadAfter, quiet > 4*t.deadAfter:
					c.fail(errors.New("no sign of life"))
				case c.peer != nil && quiet > t.deadAfter/4:
					c.enqueue(&core.Message{Kind: kindPing})
					c.kick()
				}
			}
		}
	}
}

func (t *tcp) all() []*conn {
	t.connsMu.Lock()
	defer t.connsMu.Unlock()
	return slices.Collect(maps.Keys(t.conns))
}

// Close implements Network.
func (t *tcp) Close() error {
	t.connsMu.Lock()
	t.closed = true
	t.connsMu.Unlock()
	t.stop()
	for _, c := range t.all() {
		c.fail(net.ErrClosed)
	}
	t.wg.Wait()
	t.mu.Lock()
	clear(t.local)
	t.read = nil
	t.mu.Unlock()
	return nil
}
