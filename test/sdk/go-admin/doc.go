// Package goadmin holds the tests that drive a Rebase server with the
// unmodified Firebase Admin SDK for Go. It has no code of its own, and is a
// module of its own so that the SDK does not enter the server's dependencies.
// run-go-admin.sh starts the server and names it in REBASE_PORT.
package goadmin
