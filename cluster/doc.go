// Package cluster is what one node is to the others: who it is, how the others are reached and trusted, what is known of them, and
// what is done when one of them is no longer heard.
//
// # The parts
//
//   - Identity: a node has a random number for life, a name, and an incarnation that rises with every start. They are in node.json of the data folder.
//   - The peer port: one listener for all traffic between nodes, under mutual TLS when the cluster has a secret (package secret), and off loopback
//     never without. What begins with "RBL1" is handed to the native loglet's node, everything else is HTTP: the cluster API, and what
//     others mount with Handle.
//   - The registry: one record for each node, and the wishes of operators, in the etcd that also holds the chain: embedded in every database
//     node, or an external one. Nodes that are only log servers do not run etcd; database nodes register them.
//   - The driver: watches who is heard, and moves the native log away from nodes that are dead, drained or removed, and on to nodes that
//     have come. What to do is decided by a function without input and output (decide), which is simulated in the tests.
//   - Beside it: who is silent here is asked after among those who are heard (around.go), and sealed parts of the log are copied to as many disks
//     as they should be on (rebuild.go).
//
// # What it promises
//
//   - A node that has lost its data folder is another node; one that was removed cannot come back; two nodes cannot have one name.
//   - Nobody without the cluster's secret gets beyond the TLS handshake of a peer port. Without a secret the port listens on loopback
//     only, and web pages of this machine's browsers cannot call it.
//   - The driver never touches a log that an operator has put on an engine of another kind than native.
//   - No node is removed or replaced, but by force, if that would cost a part of the log its majority of disks.
//   - A node that any other hears is not taken for gone.
//   - A false suspicion costs a reconfiguration, never an entry. Repeated ones are slowed down.
//
// # What the caller must do
//
//  1. Hold the lock of the data folder before Open, and until Close has returned.
//  2. Open the log with Meta, Providers and Initial, then call Drive with it.
//  3. Open the database with ID and Incarnation as they are, and let Hooks.OnGone end the sessions of nodes that are gone.
//
// What it must not know: databases, trees, clients and their protocols, what an entry of the log contains.
package cluster
