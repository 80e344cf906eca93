// Package cluster holds clusters of real server processes against what a cluster promises, while their nodes are killed, paused, cut
// off, starved of disk, wiped, replaced and upgraded, and while the log below them changes its kind.
//
// The tests run in a sandbox (harness.Sandbox), each node in a network namespace of its own. Clients speak the
// protocol of the SDKs and REST, to every node, and go to another one when theirs fails, taking their session along. Two
// kinds of them write down what they saw:
//
// Registers are read, written and written conditionally; porcupine decides whether that was linearizable. A write
// without an answer is left open.
//
// Accounts grow: each write adds an entry under a number of its own, and one to a counter of the client and to one of all, in one update. Their
// books say whether an acknowledged write was lost, or one was made twice; and as the common counter
// numbers all writes, listeners on every node can be held to one order without gaps.
//
// Asserted is safety, and that service is back within a generous time. How long it was away is measured and printed.
//
// REBASE_SEED repeats the choice of operations and victims, though not the moments at which things happen.
// REBASE_FAULTS=soak makes everything longer, and adds clusters of five.
package cluster
