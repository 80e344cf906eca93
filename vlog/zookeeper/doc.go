// Package zookeeper is a loglet on Apache ZooKeeper, for who runs an ensemble already and trusts it.
//
// An append is one transaction, which checks in one step that the loglet is not sealed and that the tail is where the writer believes it to
// be (append.go says how, layout.go which nodes there are). All calls that wait become one transaction, so that the ensemble's cost of one is
// shared; an Append that is too large for one is written in parts, which become visible with the last transaction.
//
// What it promises: what vlog.Loglet asks for; positions are dense. An Append takes up to 64 MiB (ZooKeeper keeps all of it in the memory of every server).
// After 2 000 000 000 transactions a loglet is full and seals itself.
//
// Calls wait, for as long as their context allows, for an ensemble that is not there. A session that expires does no harm: there are no ephemeral nodes, and
// every connection is a new session. A transaction whose answer is lost is neither given up nor blindly repeated.
//
// What the caller must do: give each log a prefix of its own in the ensemble, and bound the calls by their contexts. A server with a smaller limit for packets
// (jute.maxbuffer) than the default of 1 MiB needs a smaller Options.MaxBatchBytes: it closes the connection over a larger packet, and that looks
// like a connection lost. And the servers need memory: besides the log that has not been trimmed, each keeps its latest 500 transactions
// (zookeeper.commitLogCount), which may be MaxBatchBytes large.
//
// The client is in wire.go and client.go: the few requests of ZooKeeper's protocol that a log needs, sent without waiting for the answers of those before, in an
// order that is known, and bounded by contexts.
//
// What it must not know: chains, envelopes, and everything above them.
package zookeeper
