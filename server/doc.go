// Package server puts the parts together: the log, the store, the database over
// them, the hub, and the gateways, behind one address. It is what "rebase serve"
// runs, and what a test starts to have a whole server in its own process.
//
// It promises
//
//   - that Start has either a server that takes requests, or an error that says
//     what to do and no trace of a server;
//   - that a server open to everyone listens to other machines only if that was
//     asked for by name;
//   - that Shutdown loses nothing: requests are answered, the onDisconnect
//     operations of connected clients run, and the store is flushed, so that the
//     next start replays nothing;
//   - that the log does not grow without bound, and a restart after a crash
//     replays only what has come since the last checkpoint.
//
// The caller watches Done, and ends the process when the server has failed: a
// log or store that has met a failing disk accepts nothing more, and recovers
// when it is opened again.
//
// It knows every package below and decides nothing that is theirs.
package server
