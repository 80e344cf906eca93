// Package rest serves databases over HTTP the way the Firebase Realtime Database
// REST API does, so that its clients (the Admin SDKs, firebase-tools, curl, and
// EventSource in a browser) work unchanged.
//
// It answers
//
//   - /<path>.json and /<path>/.json: GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS,
//     and GET with "Accept: text/event-stream", which streams changes;
//   - /.settings/rules.json and a few other settings;
//   - /.inspect/databases.json, the list of databases.
//
// # Promises
//
//   - A write that was answered with 2xx is durable, and any later read sees it, also at another node of a cluster (a
//     stream begins with the state of its node).
//   - A read sees one state of the database, not a mixture of two.
//   - A conditional write (if-match) is decided where writes are ordered: of any
//     number of writers with the same ETag at most one succeeds.
//   - A stream carries every change in order. A reader that is too slow for its
//     bounded queue gets the whole data again instead, and delays nobody.
//   - No malformed request is answered with a 5xx status; those are kept
//     for failures of the server itself.
//   - "format=export" without further wishes is streamed from the store in constant
//     memory; every other read is bounded by Options.MaxReadBytes, and all of them
//     together by Options.MaxReadsBytes: beyond it they are answered 503, as are writes
//     beyond Options.MaxBodiesBytes.
//   - A caller that takes more than the Limiter allows waits a little, and is then
//     answered 429.
//
// # Duties of the caller
//
// Don't put a http.ServeMux in front of the handler: it cleans paths and redirects
// "//x.json", which breaks the URLs that SDKs build. Call Server.Shutdown before
// http.Server.Shutdown, which would otherwise wait for streams that never end.
//
// The package knows nothing of the log and of how the store keeps trees.
package rest
