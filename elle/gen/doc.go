// Package gen makes histories of a simulated transactional store: at a chosen level of isolation, with
// a random workload, and, on request, with one named anomaly put in. It is what a checker is tested with:
// the checker must be silent about what the level forbids, and must find what was put in.
//
// It promises that a run depends on nothing but its Options (the same seed gives the same history, byte
// for byte, on every machine), that the history is well formed (each process runs one operation at a time, a process
// whose operation is in doubt never comes back, indexes are dense, times never go back), that the store
// keeps to its level and not, as far as the level lets it, to a stronger one, and that memory does not grow with the
// length of the history where keys are replaced, in lists and registers: ten million transactions stream through.
//
// How the levels are made. read-uncommitted and read-committed lock what they write until they end, and read, step
// by step, whatever is there or the last committed value or an older one. From read-atomic on a
// transaction sees a set of others, chosen when it begins: at read-atomic any set that contains its session, at causal one that is
// closed under what its members saw (both by replicas that hear of each other late), from prefix on a
// prefix of the commit order; snapshot-isolation adds that two transactions which write one key see one another;
// serializable also validates what was read; strong-session and strong variants see all that their session, or everybody,
// has finished before. These are the axioms of Cerone, Bernardi and Gotsman, "A Framework for Transactional
// Consistency Models with Atomic Visibility" (CONCUR 2015).
//
// The caller must not keep an Event or what hangs off it beyond the callback.
//
// It knows nothing of the checker.
package gen
