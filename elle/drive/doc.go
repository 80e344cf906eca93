// Package drive makes many clients work on a live server of the Realtime Database's API, and writes down
// what each of them saw. While they do, the caller may kill the server, stop it, or cut its network; the history then
// goes to package elle.
//
// Transactions are what the public API offers as such:
//
//	list-append  reads of a parent with all its lists; a conditional write of the parent (REST: if-match; WebSocket: hash)
//	rw-register  reads of a parent; multi-path updates; conditional writes of the parent
//	set          pushes of new children; reads of all of them
//	counter      increments on the server; reads
//
// What is written down is certain. An operation has failed only if the server refused it, or if it was never
// sent, or if it only reads. If an answer does not come, for whatever reason, a write is in doubt, and its process
// never does anything again: a new one takes its place, on a new connection. Nothing is sent twice. Keys are replaced
// after a number of writes, so that reads stay short; in the end, when the server answers again, everything is read once
// more, so that few writes remain unseen.
//
// The caller gives the package a database, or a place in one, that nobody else writes to. The
// package knows nothing of any server's insides.
package drive
