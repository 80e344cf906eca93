// Package audit keeps a journal of administrative acts: who did what, from where,
// when, and how it came out.
//
// An act is one [Event], kept as one line of JSON in the files of a folder. docs/security.md
// names the acts and the fields of a line.
//
// What it promises:
//   - an event that [Log.Record] has taken without an error is on the disk. Events
//     that are recorded at the same time share one sync;
//   - lines are only ever added. A file that has grown to its size is followed by the
//     next; the oldest are removed when all together exceed what is to be retained;
//   - a line that a crash has cut off is not joined with the next one, and readers
//     pass over it;
//   - whoever tries credentials by the thousand fills neither the disk nor its queue:
//     of refusals that are alike the first in a minute is kept, and then how many
//     there were;
//   - an import, which is many writes, is counted in the same way.
//
// What the caller must do: say who acted by an identity (a user's id, a service
// account's address) and never by the credential; record an act after it has come
// out, and treat a failure to record as something for the operator, because the act
// has happened already.
//
// What it must not know: what the acts mean, protocols, how callers are identified.
package audit
