// Package backup is cold storage for a log: a Loglet, always sealed, whose entries are immutable objects in a blob.Bucket.
//
// Archive copies sealed segments of a chain into objects, reads back what it has written, and puts a loglet of this kind in the
// segment's place. Readers of the log notice nothing but the time it takes. docs/format/backup.md documents every byte.
//
// What it promises: an archived segment is complete and was verified before anything else is given up. Objects are named by their content
// and never replaced, and what the chain stores names the exact manifest, so an Archive that dies is done again without harm, as are two
// that do the same at once; what both write is the same, and what only the loser wrote is never read. Damage is reported as
// *vlog.CorruptError. Opening a loglet asks nothing of the store, so a log starts without its cold part being reachable; reading there then
// waits for as long as its context allows.
//
// What the caller must do: give every log a name of its own in a bucket, and never let two logs, such as a server and a copy of its data
// folder, go on under the same name: what one of them trims is gone for both. Trimming an archived part of a log deletes it from the bucket.
//
// What it must not know: what entries mean.
package backup
