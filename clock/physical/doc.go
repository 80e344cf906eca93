// Package physical is the clock that shows the time and respects causality, of
// L. Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System",
// CACM 21(7), 1978, with the bound on how far the clocks of a network come apart.
//
// A clock runs with an oscillator of the machine, which the caller reads and passes in. It
// is only ever set forward: on receipt of a message, to what the message says plus the
// least time that it was on its way. If messages flow on every arc of a network, all
// clocks follow the fastest; Network.Skew is how closely.
package physical
