// Package polygraph decides whether the writers of each object can be put into an order such that
// a model holds: serializability, or snapshot isolation.
//
// What is known of an execution are dependencies between transactions; what is not known is, of any two writers of
// an object, which came first. Either way has consequences: whoever read the version of the first
// did so before the second wrote. Such a "polygraph" (Papadimitriou, "The Serializability of Concurrent
// Database Updates", JACM 1979) is serializable if some choice for all pairs leaves the graph without a cycle,
// and satisfies snapshot isolation if some choice leaves it without a cycle in which no two anti-dependencies follow each other
// (Cerone and Gotsman, "Analysing Snapshot Isolation", JACM 2018).
//
// To decide this is NP-complete, yet seldom hard: Solve first tries the order that the caller thinks likely; if that
// fails, it chooses whatever is forced because the other choice would close a cycle, until nothing is forced any more
// (saturation), tries again, and at last searches among what is left, within a bound. It is
// always right where it says Proved or Refuted. It is deterministic. Where the refutation rests on forced choices
// alone, it comes with the cycle, and with the cycle that each of the other choices would have closed.
//
// The package knows nothing of keys, values or histories.
package polygraph
