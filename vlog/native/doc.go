// Package native is the NativeLoglet of "Virtual Consensus in Delos" (OSDI 2020, section 4.2): a loglet on several log servers, with a sequencer
// that gives the positions, committed on a majority.
//
// The protocol is in package core, as machines without input and output; what it promises is said there. This package gives the machines
// goroutines, timers, storage and a network. A log server keeps its records in memory, or in a log of its own (wal), on files of the local disk
// as a rule, where one sync serves all that waits. The network is in memory so far, and sequencers live and die with their process: Local is a
// whole cluster in one process, for tests and for measuring what the protocol itself costs.
//
// What the caller must do: what vlog.Loglet asks for, and one thing more. A sealed tail may grow from one Tail to the next, by entries that were
// never acknowledged (package core says why): the first that a chain has stored is the end of the log, as vlog.Log has it. And hosts serve one
// chain: the numbers of its loglets are all that they know them by.
//
// What it must not know: chains, envelopes, and everything above them.
package native
