// Package vlog is the virtual shared log: one linearizable, append-only address space in which every change of the
// database is ordered and made durable before anything else happens to it.
//
// The design is that of the VirtualLog of "Virtual Consensus in Delos" (OSDI 2020). The address space is a chain of
// segments, each stored in a Loglet: a log of a fixed configuration, which knows nothing of elections or membership. The
// chain itself is the value of a MetaStore, one versioned register that is written only when the chain changes. To
// replace the engine under the log, or to leave a broken one, the active Loglet is sealed, a longer chain is installed
// with a conditional write, and everyone continues in the Loglet that won (Log.Reconfigure).
//
// What it promises:
//
//   - An Append that returned nil is durable, stands at the positions returned, and is part of every later Read. Its
//     positions are greater than those of every Append that had returned before it was called.
//   - A Tail is at least as far as every Append that had returned before it was called.
//   - What a Read returned once, every Read returns, until it is trimmed. Positions rise from entry to entry: 1, 2, 3, …, and sparsely only while
//     the log is in a Loglet with sparse positions.
//   - While nothing works (the register, or a majority of servers, is out of reach) Append, Tail and WaitTail wait, for as long as their contexts let
//     them. They fail for what waiting cannot mend: lost or damaged storage, a poisoned disk.
//
// What the caller must do:
//
//  1. Read only below a tail obtained before (Read never returns more, and asks for a tail if it has none, so this costs nothing). Go on behind the
//     position of the last entry read, or behind the range if there was none in it; not by counting.
//  2. Expect duplicates. An Append that failed, or whose context ended, may still have become part of the log; and an
//     Append that met a sealed Loglet is repeated by Log in the next one. Whoever applies the log must recognise an entry
//     it has seen: the envelope's session and sequence number are for that (Log-structured Protocols in Delos, SOSP 2021).
//  3. Treat ErrPoisoned as the end of this process's use of the log.
//  4. Not modify payloads that Read returned, and not keep one for long: it may hold a larger buffer alive.
//
// What it must not know: what is in an entry beyond the envelope, who reads it, trees, databases or clients.
package vlog
