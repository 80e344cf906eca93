// Package lamport is the logical clock of L. Lamport, "Time, Clocks, and the
// Ordering of Events in a Distributed System", CACM 21(7), 1978, and the total
// order that it gives to the events of a system.
//
// If one event could have influenced another, its stamp is lower. The converse
// does not hold: from the order of two stamps nothing follows about causality
// (for that take clock/fidge or clock/vector).
//
// The caller sends the stamp of each send event with the message, and hands it to
// Receive at the other end.
package lamport
