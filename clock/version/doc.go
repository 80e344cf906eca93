// Package version tells which replicas have seen which writes of a datum, and so
// which of several values replace others and which are in conflict.
//
//   - Vector is the version vector of D. S. Parker et al., "Detection of Mutual
//     Inconsistency in Distributed Systems", IEEE TSE 9(3), 1983. It compares
//     replicas, not events. With one component per server it cannot tell apart two
//     clients that write at the same server without knowing of each other.
//   - Dotted is the dotted version vector of P. S. Almeida, C. Baquero,
//     R. Gonçalves, N. Preguiça and V. Fonte, "Scalable and Accurate Causality
//     Tracking for Eventually Consistent Stores", DAIS 2014. It can: a value has a
//     dot, the write that made it, apart from the context, the writes it replaces.
//   - Set is their dotted version vector set: all values of a datum that are in
//     conflict, with one component per server, however many clients there are.
//
// A client reads a datum's values and their context. With its write it sends that
// context back; without one its write is in conflict with all there is. The server that
// takes the write calls Set.Update, under one lock per datum, with its own number, and
// makes the result durable before it answers. Servers exchange sets and Sync them, in
// any order and as often as they like.
package version
