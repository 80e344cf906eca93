// Package core is the protocol of the native loglet without input and output: the NativeLoglet of "Virtual Consensus in Delos"
// (OSDI 2020, section 4.2), as state machines that are handed messages and ticks and return messages and records to be written.
//
// # The parts
//
// A loglet has a fixed Config: N log servers and one sequencer. The Sequencer gives positions and sends entries to all servers;
// an entry is committed when it and all before it are on the disks of a majority. A Host is a log server's process: one disk, many loglets,
// each a server. A Client appends through the sequencer and does all else without it: it asks a majority where the log ends, seals a
// majority, repairs what a seal cut in the middle, and reads from any server.
//
// # What they promise together
//
//   - An acknowledged append is durable, stands below every Tail asked for later, and above everything acknowledged before it began. A position
//     never has two values. A request that arrives twice is in the log once.
//   - After a seal has returned, no append begun later is acknowledged, and every later Tail says sealed.
//   - Whatever was or will ever be acknowledged lies below every sealed tail. Sealed tails never shrink. They may grow, as in the paper: an entry that was
//     never acknowledged can sit on a minority, and is found by whoever asks a majority that contains it. The chain decides which of
//     them ends the segment; a tail said to be unsealed is never beyond that decision.
//   - Seal and Tail of a sealed loglet need a majority of the servers and nothing else. Append needs the sequencer too.
//
// # Disks
//
// A server's disk may lose at a crash what was not synced, in the order in which it was written: a prefix of the records survives. A server that was away
// for long comes back with an old log; the protocol is made for that. A disk that comes back empty must have another identity (Member.Disk),
// which no Config names, so it is refused instead of answering "empty and unsealed". A disk that was put back to an earlier state under
// its old identity cannot be recognised by a majority protocol: where an entry is on servers A and C and C has forgotten it, B and C together
// hold no trace of it. Where there is a witness it is recognised all the same: the sequencer tells each server how far it has
// acknowledged, and a server that holds less refuses everything from then on (RecordLost). So restoring a log server's disk from a
// backup is not allowed; replace the server.
//
// # What the caller must do
//
//  1. Call one machine from one goroutine at a time.
//  2. Write the Records of a Host in order, to a log that survives a crash up to some point and not beyond a gap, and call Synced when they
//     are durable. Replay them all when the process starts again. If a write fails, end the process.
//  3. Send Messages, in any order and with any loss or repetition; deliver none that is damaged.
//  4. Call Tick now and then (about every millisecond while something is under way). Time comes in as ticks only, so a clock
//     that jumps cannot do anything but hurry or delay a repetition.
//  5. Make a Sequencer for a Config once. A process that has started anew has another incarnation and must not serve the loglet; another Config is needed.
//
// What it must not know: sockets, files, clocks, goroutines, chains, what an entry contains.
package core
