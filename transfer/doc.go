// Package transfer moves whole databases, or parts of them, between a server and
// a file: Export and Import, over the server's REST API.
//
// Both stream: memory is bounded by a few batches, whatever the file's size.
//
//   - An export is one state of the database. Its file appears complete or not at
//     all: it is written beside its final name, synced, and then renamed.
//   - An import is a series of writes, each of them atomic, several at once. Until
//     it has finished others see parts of it, and what they write below the same
//     path at the same time may be overwritten. Every write can be repeated without
//     harm, which is what makes an import resumable after a failure of either side
//     and lets it outlast a restart of the server.
//
// The caller names the server by a URL and shows progress. The package speaks
// HTTP and files only: it must not know the server's packages, so that it works
// against any server of the same API.
package transfer
