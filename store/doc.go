// Package store keeps trees of JSON, and the indexes over them, as ordered
// keys on disk.
//
// One leaf is one key; an inner node exists only as the common prefix of its
// leaves. Keys sort in the child order of the Firebase Realtime Database, so a
// subtree is one contiguous range and a query by key is an iteration. Every
// index is a further range of ordered keys, changed in the same batch as the
// data it is about. docs/format/store.md documents each byte.
//
// What the package promises:
//
//   - A batch is atomic, and carries the log position it stands for. After a
//     crash the store is what it was after some batch, never between two, and
//     [Store.Applied] names that batch.
//   - A batch that was flushed survives a crash ([Store.Durable]). One that was
//     not may be lost, with all that follow it: the store writes no log of its
//     own, for it is derived from one. Its caller applies the lost batches again.
//   - A [Snapshot] is one state, whatever is written after it was taken. So is
//     what it says about indexes.
//   - A node is a leaf, or has leaves below it, or does not exist. Writing null
//     removes the ancestors that are left without leaves, and their priorities;
//     writing below a leaf turns it into an object that keeps its priority.
//
// What the caller must do: write from one goroutine at a time, one batch after
// the other; resolve server values before writing; call [Store.SetIndexes]
// between batches; and close every snapshot. Reading is safe from any number
// of goroutines. Paths are canonical ([tree.Path]).
//
// What it must not know: what an operation is, who may do it, and who listens.
package store
