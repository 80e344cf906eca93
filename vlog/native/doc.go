// Package native is the NativeLoglet of "Virtual Consensus in Delos" (OSDI 2020, section 4.2): a loglet on several log servers, with a sequencer
// that gives the positions, committed on a majority.
//
// The protocol is in package core, as machines without input and output; what it promises is said there. This package gives the machines
// goroutines, timers, storage and a network.
//
// # The parts
//
// A Node is a process' part: the log server on its disk (wal: the records of all loglets in one log of another kind, files as a rule, where one sync
// serves all that waits), the sequencers that other nodes have asked it to start, and the handles (Loglet) that its process uses. Provider makes
// loglets for a chain: it chooses servers and sequencer among the Candidates, and what it came to is the Config that the chain stores.
//
// Messages go between endpoints, over a Network: that is the seam. The one over TCP (tcp, peer, conn, frame) has three connections for each direction of
// asking between two nodes, dialed when needed, on which whatever has gathered leaves in one write; within the process a message is a call.
// memoryNetwork, in one process, is for tests, and a simulation plugs in its own through NodeOptions.Network: it needs no sockets then, only
// Attach, Route, Send and Close. Local is a cluster in one process on memoryNetwork.
//
// # Waiting and failing
//
// Calls wait for as long as their context lets them, through lost connections, restarts and missing majorities; the machines repeat what was lost,
// and a repeated append is appended once. Memory does not grow meanwhile: a handle lets only so many bytes in, a sequencer holds only so
// many, a connection queues only so many, and drops what is beyond (Stats counts it), which is repeated like what the network loses.
//
// An append to a loglet whose sequencer is gone waits until the loglet is sealed. Somebody must do that, by reconfiguring the log: NodeOptions.Broken hears when the
// sequencer's process answers that it has started again, and Heard tells of processes that do not answer at all.
//
// # What the caller must do
//
// What vlog.Loglet asks for, and some things more:
//
//  1. Expect that a sealed tail grows from one Tail to the next, by entries that were never acknowledged (package core says why): the first that a chain
//     has stored is the end of the log, as vlog.Log has it.
//  2. Give every node a number of its own, kept with its data, and every log server a storage that nobody else writes to and that is never put back to an
//     earlier state.
//  3. Pass authenticated connections to ServeConn, and make them in Dial: a node believes what another one says.
//
// What it must not know: chains, envelopes, and everything above them; how nodes find each other, and who decides that one is dead.
package native
