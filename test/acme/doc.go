// Package acme obtains certificates for a running server from pebble, the test server
// of Let's Encrypt: by TLS-ALPN-01 and by HTTP-01, on the loopback. run.sh fetches
// pebble and runs it; without, the tests are skipped.
package acme
