package cluster

import (
	"context"
	"log/slog"
	"strings"
)

// quiet is a slog.Handler for etcd, which warns of things that belong to every join: they are told at the level of Debug.
type quiet struct{ slog.Handler }

var belongsToJoining = []string{
	"rejecting member add request", "rejecting promote learner", "Failed to detect schema version", "failed to update storage version",
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	for _, text := range belongsToJoining {
		if strings.Contains(r.Message, text) {
			if !q.Enabled(ctx, slog.LevelDebug) {
				return nil
			}
			r.Level = slog.LevelDebug
		}
	}
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
