package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Access says who is let in.
type Access uint8

const (
	// AccessDefault is open on an address of the loopback, and closed on others.
	AccessDefault Access = iota
	// AccessOpen is as a Firebase emulator is: what a caller says of itself is believed, and a database without rules lets everyone do
	// everything. It is for development, and only served on an address of the loopback.
	AccessOpen
	// AccessClosed believes credentials only when they have been checked. A database without rules is closed to all but admins.
	AccessClosed
)

// open says whether the server is open.
func (o Options) open() bool {
	return o.Access == AccessOpen || o.Access == AccessDefault && loopback(o.Listen)
}

// checkAccess refuses to be open to other machines.
func checkAccess(o Options) error {
	if _, _, err := net.SplitHostPort(o.Listen); err != nil {
		return addressError(o.Listen, err)
	}
	if !o.open() || loopback(o.Listen) {
		return nil
	}
	return &StartError{
		Kind: KindOpen, What: fmt.Sprintf("refusing to be open on %s", o.Listen),
		Err:    errors.New("an open server believes whatever callers say of themselves, so everyone who reaches this address could read and write all data"),
		Advice: "Listen on 127.0.0.1, or leave --open out: then credentials are checked and the security rules decide.",
	}
}

// loopback says whether only this machine reaches an address. A name other than
// localhost could stand for any address, and counts as outside.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// forwarded are headers by which a proxy says for whom it asks.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-Ip"}

// refuseProxies keeps what a proxy brings out of an open server: listening on the loopback is what protects it, and a proxy there
// lets the world in.
func refuseProxies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range forwarded {
			if r.Header.Get(name) != "" {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, `{"error":"This server is open to everyone on its machine, and the header %s says that the request comes from elsewhere. Start it with --no-open."}`+"\n", name)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// A web page can give its own name the address of this machine, after it has been loaded (DNS rebinding), and its browser then takes an open server
// for a part of the page's site. What gives it away is the name. So an open server answers to names that nobody can own:
// those of this machine, those that are reserved for private use, and those of Google, whose connections SDKs are made to lead here.

// private are the ends of names that nobody can register.
var private = []string{"localhost", "local", "internal", "test", "example", "invalid", "home.arpa"}

// ledHere are the ends of names that SDKs ask for even where their connections lead elsewhere.
var ledHere = []string{"googleapis.com", "google.com", "firebaseio.com", "firebasedatabase.app"}

// ownName tells whether a request may name this server so.
func (o Options) ownName(r *http.Request) bool {
	host := strings.TrimSuffix(hostOf(r), ".")
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	for _, end := range slices.Concat(private, ledHere) {
		if strings.HasSuffix(host, "."+end) {
			return true
		}
	}
	if u, err := url.Parse(o.PublicURL); err == nil && strings.EqualFold(u.Hostname(), host) {
		return true
	}
	return slices.ContainsFunc(o.ACME.Hosts, func(name string) bool { return strings.EqualFold(strings.TrimSuffix(name, "."), host) })
}

// refuseNames keeps web pages out of an open server that call it by a name of their own.
func refuseNames(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.ownName(r) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":"This server is open to everyone on its machine, and that name could be anybody's. Call it localhost, or by a name that ends in .localhost or .test; or give the name by --public-url."}`+"\n")
	})
}
