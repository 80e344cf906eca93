// Package rules reads a database's rules document, the one that the Firebase
// console, CLI and Admin SDKs upload: JSON with comments, with a single top key
// "rules", whose tree mirrors the data's.
//
// At present it understands the index declarations (".indexOn"). The access
// expressions (".read", ".write", ".validate") must be strings or booleans and
// stay in the strict form as they are, but are not looked into: nothing here
// decides who may do what.
//
// What it promises: a document that is accepted has a well-defined meaning for
// every path (a literal key beats a "$wildcard" beside it, and nothing falls
// back to the wildcard below a literal key); one that is refused is refused
// with a line number, in the form "Line 7: …" that the Firebase tools print.
// [Rules] are immutable and safe for concurrent use; a nil *Rules declares
// nothing. Lookups allocate nothing.
//
// What the caller must do: keep the text. Rules hold the meaning and the strict
// form, not the comments.
//
// What it must not know: the data, the clients, where documents are stored.
package rules
