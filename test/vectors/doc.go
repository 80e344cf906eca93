// Package vectors checks the tree package against the JavaScript SDK of the Firebase Realtime Database: hashes, orders, the
// shape of values, writes below leaves, server values, push ids.
//
// sdk.json holds questions with the SDK's answers, so that the check needs nothing but Go; `go test -run Live -update`
// writes it anew. Where node and npm are installed, TestLive asks the SDK about values that are new in each run. It
// installs the SDK on first use with npm ci.
//
// The package holds tests only.
package vectors
