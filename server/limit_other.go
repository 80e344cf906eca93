//go:build !unix

package server

import "log/slog"

// raiseFileLimit does nothing where there is no such limit.
func raiseFileLimit(*slog.Logger) {}
