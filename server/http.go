package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rebase/console/demo"
	"rebase/gateway/admin"
	"rebase/gateway/authadmin"
	"rebase/gateway/clusteradmin"
	"rebase/gateway/identity"
)

const (
	// readHeaderTimeout ends connections that are opened and left, or that send
	// their headers a byte at a time.
	readHeaderTimeout = 15 * time.Second
	// idleTimeout is how long a connection is kept for the next request.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes bounds a request's headers. Long polling puts data into URLs,
	// of under 2 KB; tokens are a few KB.
	maxHeaderBytes = 64 << 10
)

// routes sends a request to the gateway that it is for. It looks at the path as
// it came: http.ServeMux would clean it and redirect, and break the URLs that
// SDKs build.
func (s *Server) routes() http.Handler {
	ready := func(ctx context.Context) error {
		if err := s.Err(); err != nil {
			return err
		}
		if s.ending.Load() {
			return errors.New("the server is ending")
		}
		if s.data.member != nil && s.data.member.draining.Load() {
			return errors.New("the node is drained")
		}
		return s.data.healthy(ctx)
	}
	administration := admin.New(admin.Options{
		Gatherer: s.metrics.registry, Ready: ready, Version: s.o.Version, Started: time.Now(),
		Profiles: s.o.Debug || s.o.open(), // a closed server on the loopback has a proxy before it, which brings the world in
	})
	var demonstration http.Handler
	if s.o.Demo {
		demonstration = demo.Handler()
	}
	return reportPanics(s.log, func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case path == "/.ws":
			s.rtdb.ServeWS(w, r)
		case path == "/.lp":
			s.rtdb.ServeLP(w, r)
		case asksGoogleForToken(r):
			s.auth.admin.ServeHTTP(w, ownToken(r))
		case identity.Handles(r):
			s.identity.ServeHTTP(w, r)
		case strings.HasSuffix(path, ".json"):
			// Before the server's own paths: a database may hold a node of that name.
			s.rest.ServeHTTP(w, r)
		case demonstration != nil && strings.HasPrefix(path+"/", demo.Prefix):
			demonstration.ServeHTTP(w, r)
		case authadmin.Serves(path):
			s.auth.admin.ServeHTTP(w, r)
		case clusteradmin.Serves(path):
			s.operations.ServeHTTP(w, r)
		case strings.HasPrefix(path, admin.Prefix):
			administration.ServeHTTP(w, r)
		case path == "/favicon.ico":
			// Browsers ask for it wherever they are; an error would be in each page's console.
			w.Header().Set("Cache-Control", "max-age=86400")
			w.WriteHeader(http.StatusNoContent)
		default:
			s.rest.ServeHTTP(w, r)
		}
	})
}

// httpServer is the listening socket and the HTTP server on it.
type httpServer struct {
	listener net.Listener
	server   *http.Server
	secure   *secure      // nil without TLS
	plain    *redirection // nil if there is none
	url      string
	ending   atomic.Bool
}

func listen(o Options) (*httpServer, error) {
	h := &httpServer{server: &http.Server{
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(httpLog{o.Logger}, "", 0),
		Protocols:         new(http.Protocols),
	}}
	h.server.Protocols.SetHTTP1(true)
	var err error
	if h.secure, err = newSecure(o); err != nil {
		return nil, err
	}
	scheme := "http"
	if h.secure != nil {
		scheme = "https"
		h.server.TLSConfig = h.secure.config()
		h.server.Protocols.SetHTTP2(true)
	} else {
		h.server.Protocols.SetUnencryptedHTTP2(true)
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, addressError(o.Listen, err)
	}
	h.listener = &listener{Listener: l}
	asked := o.Listen
	if h.secure != nil && h.secure.acme != nil {
		asked = net.JoinHostPort(h.secure.acme.hosts[0], "0")
	}
	h.url = scheme + "://" + strings.TrimSuffix(reachable(h.listener.Addr(), asked), usualPort(scheme))
	if h.plain, err = listenHTTP(o, h.secure, h.url); err != nil {
		return nil, errors.Join(err, h.listener.Close())
	}
	return h, nil
}

// usualPort is the port that a URL need not name.
func usualPort(scheme string) string {
	if scheme == "https" {
		return ":443"
	}
	return ":80"
}

// addressError says why an address cannot be listened on, and what to do.
func addressError(address string, err error) error {
	e := &StartError{Kind: KindAddress, What: "cannot listen on " + address, Err: err}
	var name *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Advice = "Another program is using this port. End it, or choose another with --listen; port 0 picks a free one."
	case errors.Is(err, syscall.EACCES):
		e.Advice = "Ports below 1024 need a privilege. Choose a higher one with --listen."
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &name):
		e.Advice = "This machine does not have that address."
	default:
		e.Advice = "Give --listen an address of this machine and a port, for example 127.0.0.1:9000."
	}
	return e
}

// reachable words the listener's address so that it can be put into a browser
// on this machine: an address that stands for all of them becomes localhost,
// and a name that was asked for stays.
func reachable(addr net.Addr, asked string) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if name, _, err := net.SplitHostPort(asked); err == nil && name != "" && net.ParseIP(name) == nil {
		host = name
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// listener may be closed twice: here, to free the port before anything else, and
// by http.Server.Shutdown, which would report the second time as an error.
type listener struct {
	net.Listener
	once sync.Once
	err  error
}

func (l *listener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

// serve takes connections, on goroutines of its own, until stopListening.
func (h *httpServer) serve(s *Server) {
	if h.secure != nil && h.secure.acme != nil {
		go h.secure.acme.obtain(h.secure, s.log, h.ending.Load)
	}
	h.serveHandler(s.handler, func(err error) { s.fail(fmt.Errorf("accepting connections: %w", err)) })
}

// serveHandler is serve for a handler; failed is told if no more connections can be taken.
func (h *httpServer) serveHandler(handler http.Handler, failed func(error)) {
	h.server.Handler = handler
	h.plain.serve()
	go func() {
		var err error
		if h.server.TLSConfig != nil {
			err = h.server.ServeTLS(h.listener, "", "")
		} else {
			err = h.server.Serve(h.listener)
		}
		if !h.ending.Load() && !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}()
}

// stopListening frees the port and leaves connections as they are.
func (h *httpServer) stopListening() {
	h.ending.Store(true)
	h.plain.close()
	h.listener.Close() // an error would say that the port is free already
}

// shutdown waits for requests that are under way, and cuts off those that are
// not through when ctx is done.
func (h *httpServer) shutdown(ctx context.Context) error {
	err := h.server.Shutdown(ctx)
	if err != nil {
		h.server.Close()
	}
	return err
}
