// Package secret makes the traffic between the nodes of a cluster mutually authenticated and encrypted, from one file that all nodes have: 32 random
// bytes, in base64url.
//
// From the secret every node derives the same certification authority (HKDF with SHA-256, RFC 5869, to a key of Ed25519), and issues itself a
// certificate with it. So nobody hands out certificates, and the only thing to guard and to copy is the secret's file: who has it can be any
// node. A certificate is believed if an authority of the file has issued it and it is for the name "rebase-node"; where a node is does not matter.
//
// # Changing the secret
//
// The file may have several lines. The first issues, all are trusted. To replace a secret without stopping the cluster: add the new one as the last line on
// every node and restart each; move it to the first line on every node, and restart; remove the old line, and restart.
//
// What it must not know: what is said over the connections.
package secret
