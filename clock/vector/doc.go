// Package vector is the vector clock of F. Mattern, "Virtual Time and Global States
// of Distributed Systems", Parallel and Distributed Algorithms, 1989: a receiver
// takes the maximum of both vectors and counts the receipt as its own event.
//
// One event happened before another if and only if its vector is less, component
// by component; where the process is known, one component tells. Vectors are a
// lattice, so besides events they describe cuts: Vector has Join and Compare for
// them. Fidge's stamps are a different thing (see clock/fidge) and another type.
//
// The caller sends the stamp of each send event with the message, and hands it to
// Receive at the other end. Messages may overtake one another, and processes may
// come and go: who has no component counts 0.
package vector
