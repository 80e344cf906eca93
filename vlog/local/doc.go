// Package local is the embedded Loglet: a log in files of one directory, written by one process.
//
// It promises what vlog.Loglet asks for on a disk that keeps what fdatasync has acknowledged. Concurrent appends share one
// write and one fdatasync (group commit), into segment files that were filled with zeros beforehand, so that no commit
// waits for the file system to record a new size. docs/format/log.md documents every byte.
//
// After a crash the log holds every acknowledged entry, in order, and possibly some that were never acknowledged, but
// never a part of one nor one behind a gap. Damage inside what is known to have been synced is reported as
// *vlog.CorruptError, by Open or by Read, and never cut away. After a failed write or sync the Loglet takes no more writes in this process
// (vlog.ErrPoisoned) and goes on answering reads.
//
// The caller must leave the directory alone, and give every Loglet its own. All access to the disk goes through a
// vfs.FS, which is how the tests cut the power.
//
// What it must not know: chains, envelopes and everything above them.
package local
