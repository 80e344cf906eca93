// Package snapshot copies a store, as it is at one position, through a stream: to a peer, or to a bucket and from there to a node that
// is new or was away for long.
//
// It promises that a copy is the state after one batch, whatever is written while it is made; that Restore brings about a whole, verified
// and synced store under its final name, or nothing; and that no stream, however it was made, writes anywhere else. docs/format/snapshot.md
// documents every byte.
//
// The caller must carry the stream over a channel that nobody else can write to: the checksums find damage, not forgery. After a
// restore it opens the store and applies the log from the position on.
//
// What it must not know: HTTP, the log, and what is in the store.
package snapshot
