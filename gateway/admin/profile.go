package admin

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
)

const profilesPrefix = Prefix + "debug/pprof/"

// profile serves one of Go's profiles, or with an empty name the list of them.
//
// A profile shows what the server is at work on, and taking one costs time; so these are
// kept from web pages. A page of another origin cannot read the answer, for none carries
// CORS headers, and a page that has pointed its own name at this machine (DNS rebinding)
// gives itself away by that name: on a loopback connection only a loopback name is answered.
func profile(w http.ResponseWriter, r *http.Request, name string) {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && isLoopback(local.String()) && !isLoopback(r.Host) {
		answer(w, http.StatusForbidden, status{Status: "error", Error: "profiles are for localhost; call this machine by that name"})
		return
	}
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		answer(w, http.StatusForbidden, status{Status: "error", Error: "profiles are not for web pages"})
		return
	}
	switch name {
	case "":
		// pprof.Index lists what it finds below /debug/pprof/ and links relatively.
		r = r.Clone(r.Context())
		r.URL.Path = "/debug/pprof/"
		pprof.Index(w, r)
	case "cmdline": // may hold paths, and will hold more one day
		answer(w, http.StatusNotFound, status{Status: "error", Error: "not found"})
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Handler(name).ServeHTTP(w, r)
	}
}

// isLoopback tells whether host, with or without a port, can only be this machine.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
