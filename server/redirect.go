package server

import (
	"errors"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// redirection is a second address, of plain HTTP, that sends everyone to HTTPS and
// answers the challenges of an ACME authority.
type redirection struct {
	listener net.Listener
	server   *http.Server
}

// listenHTTP returns nil if there is no such address. https is where the server is.
func listenHTTP(o Options, s *secure, https string) (*redirection, error) {
	if o.HTTPListen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", o.HTTPListen)
	if err != nil {
		e := addressError(o.HTTPListen, err)
		var start *StartError
		if errors.As(e, &start) {
			start.Advice = strings.ReplaceAll(start.Advice, "--listen", "--http-listen")
		}
		return nil, e
	}
	to := redirector{}
	if u, err := url.Parse(https); err == nil {
		to.host, to.port = u.Hostname(), u.Port()
	}
	var handler http.Handler = to
	if s.acme != nil {
		to.hosts = s.acme.hosts
		answers := s.acme.manager.HTTPHandler(to)
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// The manager knows names without ports; a private authority may ask on another port than 80.
			r.Host = hostOf(r)
			answers.ServeHTTP(w, r)
		})
	}
	return &redirection{listener: &listener{Listener: l}, server: &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: readHeaderTimeout, MaxHeaderBytes: maxHeaderBytes,
		WriteTimeout: readHeaderTimeout, ErrorLog: log.New(httpLog{o.Logger}, "", 0),
	}}, nil
}

// redirector sends what can be sent again as it is, a GET or HEAD, to HTTPS. It refuses the
// rest: what has come over plain HTTP has been read by others, and a client that
// does it should hear of it.
type redirector struct {
	host, port string   // of HTTPS
	hosts      []string // its public names, if they are known
}

func (to redirector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		w.Write([]byte(`{"error":"This server is reached over HTTPS."}` + "\n"))
		return
	}
	host := hostOf(r)
	if host == "" || len(to.hosts) > 0 && !slices.Contains(to.hosts, host) {
		host = to.host
	}
	if to.port != "" && to.port != "443" {
		host = net.JoinHostPort(host, to.port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	u := *r.URL
	u.Scheme, u.Host = "https", host
	http.Redirect(w, r, u.String(), http.StatusPermanentRedirect)
}

// hostOf is the host name that a client asked for, without a port.
func hostOf(r *http.Request) string {
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// serve takes connections until close.
func (r *redirection) serve() {
	if r != nil {
		go r.server.Serve(r.listener) // ends when it is closed
	}
}

func (r *redirection) close() {
	if r != nil {
		r.server.Close()
		r.listener.Close()
	}
}
