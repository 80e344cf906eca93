// Package elle holds the real server against strict serializability: many clients work on it over REST and
// WebSocket while it is killed, stopped and continued, and package elle judges what they saw.
//
// That the judge would notice is shown by the same on proxies that break promises: one answers reads from the past,
// one forgets writes that it has acknowledged, one tears updates of several paths apart, one ignores conditions.
//
// REBASE_SEED repeats the choice of operations and faults, though not the moments at which things happen.
// REBASE_ELLE_SECONDS makes each run longer than the few seconds of the ordinary test.
package elle
