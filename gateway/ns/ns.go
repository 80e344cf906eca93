// Package ns finds out which database (namespace) an HTTP request is about, in the one way that all gateways share.
//
// It promises that a name it returns is valid and lower-case, so that it can be a key of the store. It does not know which
// databases exist: a database springs into being when it is first used.
package ns

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Default is the database of a request that names none: without an ns parameter and addressed to an IP address or to a
// bare "localhost".
const Default = "default"

// MaxBytes bounds the length of a name.
const MaxBytes = 128

// Error says why a name is not one.
type Error struct {
	Name   string
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("database name %q %s", e.Name, e.Reason) }

// Of returns the database that r addresses: the query parameter ns if it is there and not empty, else the first
// label of the host name. Names are compared in lower case. The error is an *Error.
func Of(r *http.Request) (string, error) {
	if name, ok := param(r.URL.RawQuery); ok && name != "" {
		return Parse(name)
	}
	return OfHost(r.Host)
}

// OfHost returns the database that a host name, with or without a port, stands for.
func OfHost(hostport string) (string, error) {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	if host == "" || strings.EqualFold(host, "localhost") {
		return Default, nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return Default, nil
	}
	label, _, _ := strings.Cut(host, ".")
	return Parse(label)
}

// Parse checks a name and returns it in lower case. The error is an *Error.
func Parse(name string) (string, error) {
	if name == "" {
		return "", &Error{name, "is empty"}
	}
	if len(name) > MaxBytes {
		return "", &Error{name[:16] + "…", fmt.Sprintf("has more than %d bytes", MaxBytes)}
	}
	lower := strings.ToLower(name)
	for i := range len(lower) {
		c := lower[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_' && c != '.') {
			return "", &Error{name, "may only hold letters, digits, and after the first character also - _ ."}
		}
	}
	return lower, nil
}

// param finds ns in a query that need not be well formed: the SDKs join k=v pairs with & and encode nothing, so that
// net/url would reject some of them. A valid name needs no decoding.
func param(rawQuery string) (string, bool) {
	for rawQuery != "" {
		var kv string
		kv, rawQuery, _ = strings.Cut(rawQuery, "&")
		if v, ok := strings.CutPrefix(kv, "ns="); ok {
			return v, true
		}
	}
	return "", false
}
