// Package limit keeps one client from taking what is there for all: it bounds
// simultaneous connections, operations and bytes of each database, connection,
// user and address.
//
// Operations and bytes are counted in token buckets that may go into debt: an
// operation is always let in, and who has overdrawn is told how long to wait before its next. So a
// gateway that stops reading from a connection for so long delays its client without
// failing anything that it has asked for; only who would have to wait longer
// than Options.MaxWait is refused, with nothing charged.
//
// What it promises:
//   - over any span of time, what was let in is at most the burst and the rate times the span, and one operation more
//     for each connection that waits;
//   - memory is bounded: users and addresses that have no connection are forgotten when their
//     buckets are full again, and at most Options.MaxTracked of them are told apart. Those beyond
//     share one account;
//   - an IPv6 client has its whole /64 as one address. The loopback is no address: behind a proxy on this machine
//     stands everybody;
//   - it never waits itself, and is safe for concurrent use. A nil *Limiter limits nothing.
//
// What the caller must do: say who a client is, once it is known; wait as long as it is told to; release
// what it has got from Connect.
//
// What it must not know: protocols, credentials, what an operation is.
package limit
