package main

import (
	"errors"
	"fmt"

	"rebase/server"
)

// Exit codes. They are documented in docs/operations.md, and stay what they are.
const (
	exitOK      = 0
	exitFailure = 1   // anything that has no code of its own
	exitUsage   = 2   // the command line, the environment or the configuration file
	exitAddress = 3   // the address cannot be listened on
	exitData    = 4   // the data folder cannot be used
	exitCorrupt = 5   // the data is damaged
	exitOpen    = 6   // refused to be open to other machines
	exitTLS     = 7   // the certificate or key cannot be used
	exitCluster = 8   // the server cannot take part in its cluster
	exitForced  = 130 // ended at once by a second signal
)

// usageError is a mistake in how the program was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// silentError has been told already.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func exitCode(err error) int {
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	var silent *silentError
	if errors.As(err, &silent) {
		return silent.code
	}
	var start *server.StartError
	if errors.As(err, &start) {
		switch start.Kind {
		case server.KindAddress:
			return exitAddress
		case server.KindData:
			return exitData
		case server.KindCorrupt:
			return exitCorrupt
		case server.KindOpen:
			return exitOpen
		case server.KindTLS:
			return exitTLS
		case server.KindCluster:
			return exitCluster
		}
	}
	return exitFailure
}
