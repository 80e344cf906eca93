// Package live tells listeners of changes.
//
// A listener is a path and a query. To a plain listener (a query that selects everything) a
// change is forwarded as it is, cut to the listener's path. For a query with a window the hub
// keeps one view per distinct (path, query), shared by all its listeners, and forwards what
// enters, changes and leaves.
//
// # Promises
//
//   - A listener that has been told its initial data and started hears of every later change
//     that concerns it, once, in log order.
//   - The changes of one entry of the log reach a listener as one event.
//   - An event is the same value for all listeners that see the same thing, so that a gateway
//     can encode it once (Event.Memo).
//
// # Duties of the caller
//
// A Subscriber must take an event without blocking. One that cannot keep up drops events,
// remembers that it did, and later asks for a Resync; the hub never waits and never buffers
// without bound.
//
// The package knows no protocol and no connection. All its state is guarded by the database's
// barrier: a listener is added between two entries, and an entry is told to all listeners
// before the next one is applied.
package live
