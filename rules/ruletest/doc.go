// Package ruletest tells whether security rules decide as their author expects: it
// reads a list of cases (as whom, which operation, what should come of it), runs them
// against a rules document, and explains each verdict.
//
// A list is a [Value], JSON with the line of everything; [ParseJSON] makes one of JSON,
// package rules/caseyaml of YAML. [Load] understands it, and [Suite.Run] decides. The
// form of a list is described in docs/rules.md.
//
// What it promises: a case is decided by the very code that decides in the server, on
// a state of its own; cases do not influence one another; the same list and rules
// give the same report.
//
// What the caller must do: read files (Options.Read), understand dates (Options.Time),
// and show the report.
//
// What it must not know: files, terminals, clocks.
package ruletest
