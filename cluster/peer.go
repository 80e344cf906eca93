package cluster

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"rebase/cluster/secret"
)

const (
	// maxPeerConns bounds the connections of a peer port. A node keeps a handful to each other one.
	maxPeerConns = 4096
	// helloTimeout is for the handshake of TLS and the first bytes.
	helloTimeout = 10 * time.Second
	// nativeHello is how a connection of the native loglet begins.
	nativeHello = "RBL1"
)

// peerPort is the listener for the traffic between nodes.
type peerPort struct {
	listener net.Listener
	tls      *tls.Config // nil: plaintext, on loopback
	native   func(net.Conn)
	http     *http.Server
	handoff  *handoff
	log      *slog.Logger
	refused  *atomic.Int64

	mu     sync.Mutex
	open   map[net.Conn]bool // those not yet handed over, and those of native
	closed bool
	wg     sync.WaitGroup
}

// listenPeers binds the port. Nothing is accepted before serve.
func listenPeers(addr string, id *secret.Identity, log *slog.Logger, refused *atomic.Int64) (*peerPort, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &StartError{What: "the peer port cannot be opened", Err: err, Advice: "Give --peer an address of this machine with a free port."}
	}
	p := &peerPort{listener: l, log: log, refused: refused, open: map[net.Conn]bool{}, handoff: &handoff{conns: make(chan net.Conn), done: make(chan struct{}), addr: l.Addr()}}
	if id != nil {
		p.tls = id.Server()
	}
	return p, nil
}

// serve accepts until close.
func (p *peerPort) serve(native func(net.Conn), api http.Handler) {
	p.native = native
	p.http = &http.Server{
		Handler: api, ReadHeaderTimeout: helloTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	p.wg.Go(func() { _ = p.http.Serve(p.handoff) })
	p.wg.Go(p.accept)
}

func (p *peerPort) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no more file descriptors, for one
			p.log.Warn("the peer port cannot accept a connection", "err", err)
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if !p.track(c) {
			c.Close()
			continue
		}
		p.wg.Go(func() { p.sort(c) })
	}
}

func (p *peerPort) track(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.open) >= maxPeerConns {
		return false
	}
	p.open[c] = true
	return true
}

func (p *peerPort) untrack(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// sort finds out who a connection is for.
func (p *peerPort) sort(raw net.Conn) {
	defer p.untrack(raw)
	c, head, err := p.hello(raw)
	if err != nil {
		if !errors.Is(err, io.EOF) { // that is somebody who only looked whether anybody listens
			p.refused.Add(1)
			p.log.Warn("refused a connection to the peer port", "from", raw.RemoteAddr().String(), "err", secret.Explain(err))
		}
		raw.Close()
		return
	}
	if string(head) == nativeHello {
		p.native(c)
		return
	}
	select {
	case p.handoff.conns <- c:
	case <-p.handoff.done:
		c.Close()
	}
}

// hello makes the handshake and reads the first bytes, which the connection returned still has to give.
func (p *peerPort) hello(raw net.Conn) (net.Conn, []byte, error) {
	if err := raw.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return nil, nil, err
	}
	c := raw
	if p.tls != nil {
		t := tls.Server(raw, p.tls)
		if err := t.Handshake(); err != nil {
			var plain tls.RecordHeaderError
			if errors.As(err, &plain) && plain.Conn != nil {
				// To a program that speaks HTTP it can be said what is wrong.
				fmt.Fprint(plain.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThe nodes of this cluster speak TLS to one another. A node that is to join needs a copy of the cluster's secret (--cluster-secret-file).\n")
			}
			return nil, nil, err
		}
		c = t
	}
	r := bufio.NewReaderSize(c, 4096)
	head, err := r.Peek(len(nativeHello))
	if err == io.EOF && r.Buffered() > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, nil, fmt.Errorf("it said nothing that tells what it is for: %w", err)
	}
	head = append([]byte(nil), head...)
	return &begun{Conn: c, r: r}, head, raw.SetDeadline(time.Time{})
}

// close ends the port and everything on it, requests included.
func (p *peerPort) close() error {
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	err := p.listener.Close()
	p.handoff.Close()
	if p.http != nil {
		err = errors.Join(err, p.http.Close())
	}
	p.wg.Wait()
	return err
}

// shutdown lets requests finish that are under way, for as long as ctx lets it.
func (p *peerPort) shutdown(ctx context.Context) {
	if p.http != nil {
		_ = p.http.Shutdown(ctx)
	}
}

// begun is a connection of which the first bytes have been looked at.
type begun struct {
	net.Conn
	r *bufio.Reader // nil: all of it has been read
}

// Read implements net.Conn.
func (c *begun) Read(b []byte) (int, error) {
	if c.r != nil {
		if n := c.r.Buffered(); n > 0 {
			return c.r.Read(b[:min(n, len(b))])
		}
		c.r = nil
	}
	return c.Conn.Read(b)
}

// NetConn is the connection below, to which may be written past this one.
func (c *begun) NetConn() net.Conn { return c.Conn }

// handoff is a listener of connections that another one has accepted.
type handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	addr  net.Addr
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

func (h *handoff) Addr() net.Addr { return h.addr }
