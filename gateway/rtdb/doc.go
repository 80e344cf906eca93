// Package rtdb serves the wire protocol of the Firebase Realtime Database, version 5, to the unmodified SDKs: WebSockets at /.ws
// and long polling at /.lp, the two transports under one protocol.
//
// # What it is made of
//
//   - A message of a client is decoded by parseMessage (message.go); messages come out of WebSocket frames by inbound (inbound.go),
//     out of long-polling URLs by reassembler (lpparams.go). These are pure and fuzzed.
//   - machine (machine.go) is the protocol of one session without any input or output: what a message asks for, in which
//     order answers leave, when a client is pinged, given up, or switched from one transport to the other. Scripts in testdata show
//     whole conversations. outbox (outbox.go) is the queue of what is to be sent, and knows what to drop for a slow client.
//   - client (client.go) carries out what the machine asks for, on the database and the hub.
//   - wsTransport (ws.go) and lpTransport (lp.go) move bytes.
//
// # Promises
//
//   - Requests of a client are carried out in the order in which it sent them, and every one of them is answered, in that order.
//   - A write is pushed to the listens of the client that made it before its answer; the initial data of a listen
//     comes before the answer to the listen.
//   - One client never holds up another, nor the database: what is queued for a client is bounded. A client that does not keep up
//     misses intermediate states, never the last one.
//   - A client that takes more than the Limiter allows is read more slowly, and in the end disconnected; no request of it is answered with an
//     error for that, since SDKs would undo the write.
//   - A connection that is silent for longer than a client of this protocol can be is closed, and its onDisconnect
//     operations run.
//   - In a cluster a get sees what was acknowledged before by any node. A client whose session another node has ended is cut off and not answered; when it
//     comes back, here or elsewhere, the writes that it sends again are recognised. A server that is drained leads
//     its clients elsewhere (redirect.go).
//
// # What the caller must do
//
// Route the two paths to ServeWS and ServeLP by the raw URL path (not by http.ServeMux, which cleans paths), give the
// http.Server a ReadHeaderTimeout, and call Shutdown before closing the database: hijacked connections are unknown to
// http.Server.Shutdown. Hub must be attached to DB.
//
// The package must not know how data is stored or logged, who may do what, or how a query is evaluated.
package rtdb
