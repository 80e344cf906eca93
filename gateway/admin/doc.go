// Package admin answers what operators and their machines ask of a running
// server: /_rebase/metrics, /_rebase/health, /_rebase/ready and
// /_rebase/version; and, if it is told to, Go's profiles of the process at
// /_rebase/debug/pprof/.
//
// Health says that the process answers, and nothing else: an orchestrator that
// restarts a server over it must not do so because a disk is slow. Ready says
// that the server can take writes now; it runs the check it was given. The
// answers carry no user data and need no credentials, so a server that faces
// the internet should have these paths closed by what stands in front of it.
//
// The caller gives the metrics to gather and the readiness check. The package
// knows nothing of the database, the log or the other gateways, and its
// handler is safe for concurrent use.
package admin
