// Package fidge is the clock of C. J. Fidge, "Timestamps in Message-Passing Systems
// That Preserve the Partial Ordering", Australian Computer Science Communications
// 10(1), 1988, for both of its worlds: messages that take a while (Clock, rules
// RA1 to RA5) and rendezvous at which two partners meet (SyncClock, RS1 to RS4).
//
// One event happened before another if and only if its stamp is Before the other.
// That holds though messages overtake one another, and though processes come and
// go: a process that nobody has heard of counts 0.
//
// # A trap
//
// These vectors look like Mattern's and must not be compared like them. On receipt the
// sender's component becomes one more than was received, for the time that the message
// was on its way; so a stamp can be less than or equal to another in every component
// though the events are independent (in figure 3 of the paper: x = [0,0,3] and n =
// [2,3,3]). The paper compares one component alone, that of the process where the
// earlier event happened. Hence a stamp carries its process, and this package has no
// type for a vector by itself and no comparison of vectors. The stamps of the two
// worlds, and those of clock/vector, do not compare or convert to each other: that is a
// compile error, which a test asserts.
//
// # What the caller does
//
// The stamp of a send event goes with the message, and into Receive at the other
// end. Two partners of a rendezvous exchange what Offer returns and Accept it.
package fidge
