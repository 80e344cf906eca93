// Package logtest is the conformance suite of vlog.Loglet and vlog.MetaStore: what their comments promise, as tests. Every
// implementation runs it, and so does vlog.Log, which has a Loglet's methods.
//
// It knows nothing of how a log is stored; what only a disk can do wrong is tested beside the one that uses it.
package logtest
