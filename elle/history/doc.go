// Package history holds what clients of a database saw: the operations they invoked, how
// each ended, and in which order that was noticed. It reads the formats that testers have
// (Jepsen's EDN, JSON in lines or as one array, both also compressed, and the plain text of
// register histories), and it can be written to by a Go test while the test runs.
//
// A history is kept small, because the interesting ones are large. An operation is a record
// of fixed size; so is a micro-operation. Values that are small whole numbers are their own
// name, all others are interned. The lists that reads return are, in a database that works,
// prefixes of each other: of each key the longest list is kept once, its spine, and a read
// that fits is a length. Only lists that do not fit are kept as they are. So memory grows
// with the number of micro-operations, not with the sum of what the reads returned, and no
// hash stands in for a comparison.
//
// The order of the file (or of the calls) is the order of truth; clocks are only quoted.
// Readers take an io.Reader and hold a window of it. Errors are *Error: they name the line
// and the field.
//
// A History does not change once it is built, and may then be read by many goroutines. The
// package judges nothing: whether values are unique, lists agree, or anything is consistent
// is for others to say.
package history
