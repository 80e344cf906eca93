// Command rebase is the Rebase server and its tools in one binary: serve,
// import, export, audit, rules, bench, clock and version.
//
// It holds flags, messages to people, and exit codes, and nothing else: what
// it does is in the packages server and transfer, so that tests and other
// programs can do the same without a process.
package main
