// Package etcd puts a log, and the register that holds a log's chain, on an etcd cluster: one that an operator already runs
// and trusts, or the one that Rebase embeds (package embedded, below this one).
//
// Meta is a vlog.MetaStore: one key, written under the condition of its modification revision.
//
// Provider makes Loglets of the kind "etcd". Whatever has gathered while the write before was under way becomes one
// batch, and a batch is one transaction:
//
//	If   no seal, and the tail's revision is the one I know
//	Then put the batch under its first position, put the tail, put what this writer has done
//	Else get the tail, the seal, and what this writer has done
//
// So the seal is fenced in the very transaction that appends; writers in several processes meet at the tail, where the
// one that comes too late learns the new tail from its failed transaction and tries again, in order; and a writer whose
// answer was lost sends the same transaction again, which either succeeds, or fails and tells whether the first one had.
// Nothing is appended twice. Keys and values are described in docs/format/etcd.md.
//
// What it promises: the contract of vlog.Loglet with dense positions, up to vlog.MaxEntryBytes in one Append (beyond 1 MiB the payloads
// are stored beforehand, in pieces, and become visible with the one transaction that refers to them). Calls wait, for as long as their
// context allows, while etcd cannot be reached or has no quorum.
//
// What the caller must do:
//
//  1. Give every chain a Prefix of its own.
//  2. Keep the clients open for as long as the Loglets are (Options.Client). A Loglet never closes one.
//  3. Trim. etcd is made for some gigabytes: it refuses writes when its quota is full (2 GiB unless --quota-backend-bytes says
//     otherwise), and then this log waits for space, with a warning. Trimming deletes and, together with the compaction of etcd's history that the
//     Loglet does now and then, makes room that etcd uses again. Its file never shrinks by itself: `etcdctl defrag`
//     shrinks it, and after a full quota `etcdctl alarm disarm` opens it for writes again. Compaction concerns all that is stored in that
//     etcd: where something else there needs its history, set Options.NoCompaction and run etcd with --auto-compaction.
//  4. Not expect more throughput from more writers: they take turns at one key. One busy writer and several that are
//     mostly idle is what it is good at.
//
// What it must not know: what is in an entry, chains, other kinds of Loglets, how an etcd server is run.
package etcd
