// Package query is the semantics of Realtime Database queries: an index
// (orderByChild, orderByKey, orderByValue, orderByPriority), a range over
// (index value, key) pairs, and a limit counted from either end.
//
// It parses a query from the wire and from REST parameters, gives each query a
// canonical identity, says how two children compare and whether one is in
// range, filters a tree in memory (the reference that everything else is
// tested against), and maintains the ordered members of a query's result while
// its data changes ([Window]).
//
// What it promises: the order and the ranges are those of the official SDKs,
// sentinels included, because a client keeps only the window it was sent and
// cannot correct the server. Equal queries have equal identities. A Window
// always equals what Filter gives on the present data, and its deltas are
// exact: a key that left and came back within one change is reported as kept.
//
// What the caller must do: index values handed to a Window are those of the
// state after the change; a [Source] is asked for that same state (a later one
// is tolerated as long as the changes up to it are applied too, see
// [Window.Apply]). Nothing here is safe for concurrent use while a Window is
// being changed; a Query is immutable after parsing and may be shared.
//
// What it must not know: where data is kept, who listens, how anything is
// sent. It does no I/O, has no clock and starts no goroutine.
package query
