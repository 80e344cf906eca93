package rtdb

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"rebase/auth"
	"rebase/db"
	"rebase/gateway/budget"
	"rebase/gateway/limit"
	"rebase/gateway/ns"
	"rebase/tree"
)

const shuttingDown = "the server is shutting down"

// Server serves the protocol. Its methods are safe for concurrent use.
type Server struct {
	o           Options
	revocations atomic.Uint64 // how many there were
	open        bool          // everyone is let into databases without rules
	anonymous   *db.Caller    // whoever has not said who it is
	wheel       *wheel
	flushers    []*flusher
	unfinished  budget.Budget   // what clients have sent of messages that are not complete
	ctx         context.Context // ends when requests under way must
	cancel      context.CancelFunc
	stopped     chan struct{} // ends the goroutines
	stopOnce    sync.Once
	running     sync.WaitGroup
	redirect    atomic.Pointer[func() string] // where clients are sent; nil: they may stay

	mu      sync.Mutex
	clients map[string]*client // by session id
	pollers map[string]*lpTransport
	next    int // flusher of the next connection
	closing bool
	idle    chan struct{} // closed when the last client is gone while closing
}

// New starts a server; Shutdown stops it.
func New(o Options) *Server {
	o.setDefaults()
	s := &Server{o: o, wheel: newWheel(), stopped: make(chan struct{}), clients: map[string]*client{}, pollers: map[string]*lpTransport{}}
	_, s.open = o.Authenticator.(auth.Open)
	s.anonymous, _ = db.NewCaller(false, s.open, nil) // without an auth variable there is nothing to go wrong
	s.unfinished.Set(int64(o.MaxUnfinishedBytes))
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.running.Go(func() { s.wheel.run(s.stopped) })
	for range min(4, runtime.GOMAXPROCS(0)) {
		fl := newFlusher()
		s.flushers = append(s.flushers, fl)
		s.running.Go(func() { fl.run(s.stopped) })
	}
	return s
}

// Clients returns the number of sessions.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// ServeWS serves /.ws: it upgrades the connection, begins a session, or joins one that began by long polling, and returns.
func (s *Server) ServeWS(w http.ResponseWriter, r *http.Request) {
	name, err := ns.Of(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.isClosing() {
		http.Error(w, shuttingDown, http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Sec-WebSocket-Key") == "" { // hijacking is for those who know the protocol
		w.Header().Set("Upgrade", "websocket")
		http.Error(w, "this address speaks WebSocket", http.StatusUpgradeRequired)
		return
	}
	q := parseParams(r.URL.RawQuery)
	var limits *limit.Client // of a new session; one that is joined has its own
	if q.get("s") == "" {
		if limits, err = s.o.Limiter.Connect(name, r.RemoteAddr); err != nil {
			refuseConnection(w, err)
			return
		}
	}
	up := ws.HTTPUpgrader{Timeout: 10 * time.Second}
	conn, rw, _, err := up.Upgrade(r, w)
	if err != nil {
		limits.Release()
		s.o.Logger.Debug("a WebSocket upgrade failed", "remote", r.RemoteAddr, "err", err)
		if conn != nil {
			conn.Close()
		}
		return
	}
	// What the client has sent in haste is in the reader; its buffer goes with this goroutine.
	var first []byte
	if n := rw.Reader.Buffered(); n > 0 {
		peeked, _ := rw.Reader.Peek(n)
		first = append(first, peeked...)
	}
	if id := q.get("s"); id != "" {
		s.join(conn, id, name, r.Host, first)
		return
	}
	s.takeOver(q.get("ls"))
	c, err := s.newClient(name, q.get("ls"), "ws")
	if err != nil {
		limits.Release()
		turnAway(conn, statusTryAgain, "the log is not available; try again")
		return
	}
	c.limits, c.remote = limits, r.RemoteAddr
	c.presentAppInURL(q)
	c.m.live.mute = !takesPings(r.UserAgent())
	t := newWS(c, conn, s.flusher())
	if !c.begin(t, r.Host) {
		limits.Release()
		turnAway(conn, ws.StatusGoingAway, shuttingDown)
		return
	}
	t.start(first)
}

// turnAway closes a connection that has no session.
func turnAway(conn net.Conn, code ws.StatusCode, reason string) {
	conn.SetWriteDeadline(time.Now().Add(closeWait))
	conn.Write(appendFrame(nil, ws.OpClose, ws.NewCloseFrameBody(code, reason)))
	conn.Close()
}

// join attaches a second connection to a session that uses long polling.
func (s *Server) join(conn net.Conn, id, name, host string, first []byte) {
	s.mu.Lock()
	c := s.clients[id]
	s.mu.Unlock()
	if c != nil && c.ns == name {
		t := newWS(c, conn, s.flusher())
		c.mu.Lock()
		_, polling := c.via.(*lpTransport)
		if polling && !c.ended {
			if hello, ok := c.m.offer(); ok {
				c.other = t
				c.mu.Unlock()
				t.conn.SetReadDeadline(time.Now().Add(upgradeWait)) // until the switch
				t.say(hello)
				t.start(first)
				return
			}
		}
		c.mu.Unlock()
	}
	// The client stays where it is, or begins anew if that is gone too.
	conn.SetWriteDeadline(time.Now().Add(closeWait))
	conn.Write(controlFrame("r", tree.AppendJSONString(nil, host)))
	conn.Write(appendFrame(nil, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
	conn.Close()
}

// takeOver ends the connection of a session that its client has given up: the database ends the session itself.
func (s *Server) takeOver(id string) {
	if id == "" {
		return
	}
	s.mu.Lock()
	c := s.clients[id]
	s.mu.Unlock()
	if c == nil {
		return
	}
	c.abort()
}

func (s *Server) flusher() *flusher {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = (s.next + 1) % len(s.flushers)
	return s.flushers[s.next]
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// add reports whether the server still takes clients.
func (s *Server) add(c *client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.clients[c.sess.ID()] = c
	return true
}

func (s *Server) remove(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c.sess.ID())
	if t := s.pollers[c.sess.ID()]; t != nil { // a client that has moved on may not have polled since
		delete(s.pollers, c.sess.ID())
		go t.release()
	}
	if s.closing && len(s.clients) == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Shutdown tells all clients to reconnect: what is queued for them is sent, then their connections are closed (with code 1001),
// and their sessions end. It returns when all are gone; if ctx ends before, the remaining connections are cut and
// its error is returned. The database must not be closed before Shutdown has returned. Shutdown does not
// stop listening; new connections are refused.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	idle := s.idle
	if idle == nil {
		idle = make(chan struct{})
		if len(s.clients) == 0 {
			close(idle)
		} else {
			s.idle = idle
		}
	}
	s.mu.Unlock()
	s.each(func(via transport) { via.finish(ws.StatusGoingAway, shuttingDown) })
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = context.Cause(ctx)
		s.cancel()
		s.each(func(via transport) { via.abort() })
		<-idle
	}
	s.cancel()
	s.stopOnce.Do(func() { close(s.stopped) })
	s.running.Wait()
	return err
}

func (s *Server) each(f func(via transport)) {
	s.mu.Lock()
	all := make([]*client, 0, len(s.clients))
	for _, c := range s.clients {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.mu.Lock()
		if c.via != nil {
			f(c.via)
		}
		c.mu.Unlock()
	}
}
