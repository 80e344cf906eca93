// Package engines starts the real servers that a log can stand on, for the tests and benchmarks of every package: as
// processes of their own, with data in the test's temporary folder and on free ports of the loopback, so that they can be
// killed, paused and started again as an operator or a power cut would.
//
// A server that is not on this machine is built or installed into the repository's bin folder, once, whatever the number of
// test processes that want it. If that fails the test fails; it is never skipped, because a suite that silently does
// not run proves nothing.
//
// What the caller must do: pass the testing.TB of the test that is to own the server. Everything is stopped when it ends.
package engines
