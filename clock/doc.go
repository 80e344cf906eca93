// Package clock and the packages below it are the clocks of distributed systems,
// each exactly as it was published. This package holds what they share: the name
// of a process, the four ways in which two stamps can stand to each other, and
// the error of their decoders.
//
// Which one to take:
//
//   - clock/lamport: a number per event. One total order that agrees with
//     causality; says nothing about which events are independent. (Lamport 1978)
//   - clock/mutex: his mutual exclusion on top of it, as a pure state machine.
//   - clock/physical: his rules for clocks that show the time, and their bound.
//   - clock/fidge: a vector per event that holds the happened-before relation
//     itself, for messages and for rendezvous. (Fidge 1988)
//   - clock/vector: the vectors of Mattern, which most people mean by "vector
//     clock". (Mattern 1989)
//   - clock/version: version vectors, dotted version vectors and sets: what has
//     been seen of a datum that many replicas write. (Parker 1983, Almeida 2014)
//   - clock/hlc: 64 bits that are close to the time of day and respect causality:
//     for "the last writer wins". (Kulkarni 2014)
//   - clock/history: executions as graphs, the truth that stamps are held against.
//   - clock/replay, clock/diagram: event scripts, their stamps, their picture.
//
// # What they promise
//
// Stamps are immutable values and safe for concurrent use. They compare without
// allocation. Each has one text form and one binary form; a decoder accepts what
// the encoder writes and nothing else, so equal stamps have equal bytes. Stamps
// of different clocks are different types: what must not be compared does not
// compile.
//
// # What the caller does
//
// Clocks, other than those of clock/hlc, are state machines without a lock: one
// goroutine at a time. The caller carries stamps in messages, and gives each
// process a number that no other process has or will have.
//
// # What they do not know
//
// No package here does input or output, starts a goroutine, reads the time or
// draws a random number. Time comes in as an argument.
package clock
