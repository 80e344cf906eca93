// Package demo is the demonstration page: a chat, a presence list and a latency
// meter that speak to the server they came from through the unmodified Firebase
// JavaScript SDK.
//
// It promises that a browser fetches nothing from any other place (the page's
// content security policy forbids it), that the SDK's files are the published
// ones byte for byte, and that what users write is shown as text, never as
// markup. It keeps no state: the page's data is an ordinary database named
// "demo", which anyone who may use the server may read and write.
//
// The caller mounts [Handler] under [Prefix] and decides whether to offer it at
// all. The package knows nothing of the database, the log or the gateways.
package demo
