// Package db is a database as a state machine over the shared log.
//
// An operation is proposed, appended to the log, read back in log order by one
// apply goroutine, decided against the state at its position, and written to
// the store together with that position. Only then is its proposer answered and
// the change handed to the Observer. Everything that a decision needs is in the
// entry or in the state, so that replaying the log from any snapshot gives the
// same bytes: apply reads no clock, no random source and no configuration.
//
// # Promises
//
//   - An operation that was answered without an error is durable.
//   - A session's operations are applied in the order in which it proposed them.
//   - The Observer sees every change once, in log order, before the proposer of
//     that change is answered.
//   - An entry that the log holds twice is applied once, and a write that a client
//     sends again because its answer was lost is answered without being applied
//     again (see replay.go).
//   - onDisconnect operations run exactly once after their session has ended,
//     also when it was the server that ended.
//   - Several databases over one log, each with a store of its own (Options.Node), are one: after any entry
//     all stores hold the same bytes; a session of a node that is gone is ended by any other (owner.go), and what was on its way
//     is then either applied before the end or never; a read behind Sync sees all that was acknowledged anywhere before it (sync.go);
//     and replicas can compare what they hold (digest.go).
//
// # Duties of the caller
//
// Callbacks given to Propose and to Barrier, and the Observer, run while the
// database stands still: they must be short and must not call back into Propose
// or Barrier.
//
// Nodes of a cluster need numbers and incarnations of their own, and clocks that are about right: how long things are remembered
// is decided by the times that proposers name. Whoever knows that a node is gone calls EndSessionsOf. A database that has failed
// (Failed) is closed, and its process ends.
//
// The package knows no protocol, no socket and no listener.
package db
