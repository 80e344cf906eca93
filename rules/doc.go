// Package rules is the security rules language of the Firebase Realtime
// Database: it reads a database's rules document, the one that the console, CLI
// and Admin SDKs upload, and decides by it who may read and write what.
//
// [Parse] reads JSON with comments, a single top key "rules", whose tree mirrors
// the data's; it parses, type-checks and compiles the expressions of ".read",
// ".write" and ".validate", and keeps the index declarations (".indexOn").
// [Rules.Read] and [Rules.Write] decide on a [Request]. docs/rules.md describes the
// language, testdata/README.md the cases that it is tested by.
//
// What it promises:
//   - a document that is accepted has a well-defined meaning for every path (a
//     literal key beats a "$wildcard" beside it, and nothing falls back to the
//     wildcard below a literal key); one that is refused is refused with line and
//     column, in the form "Line 7: …" that the Firebase tools print;
//   - a decision depends on the document and the request alone: every replica
//     that decides on the same state decides alike;
//   - a rule that cannot be evaluated is false as a whole, whatever stands around
//     the part that failed;
//   - a decision looks only at the nodes that the rules name, takes time linear in
//     what it reads, and a bounded amount for one rule. Patterns cannot make a
//     match slow, and neither documents, expressions nor claims can exhaust the
//     stack. It allocates nothing but the paths that it looks up;
//   - [Rules] are immutable and safe for concurrent use; a nil *Rules allows and
//     declares nothing.
//
// What the caller must do: keep the text, for Rules hold the meaning and the
// strict form, not the comments; answer for who is an administrator, whom no rule
// binds; give the state after a write with its server values resolved; treat
// [Verdict.Err] as a failure of its own and not as a denial.
//
// What it must not know: clients, protocols, tokens, where documents and data
// are stored.
package rules

//go:generate go test -run ^TestReference$ -update .
