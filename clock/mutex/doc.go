// Package mutex is the mutual exclusion of L. Lamport, "Time, Clocks, and the
// Ordering of Events in a Distributed System", CACM 21(7), 1978: processes share a
// resource without anybody who rules it. Each keeps the queue of all requests,
// ordered by their stamps, and decides by itself when its own turn has come.
//
// It promises: at most one process holds the resource; grants go in the total order
// of the requests' stamps, so a request that happened before another is granted
// first; and if every holder releases, every request is granted.
//
// A Process is a pure state machine: it is told what happens and answers with the
// messages to send. The caller carries every message, between each two processes in
// the order in which they were sent, each once; all processes are known from the
// beginning. A process that dies stops all others, in time: that is the price of
// having no ruler, and known since the paper.
package mutex
