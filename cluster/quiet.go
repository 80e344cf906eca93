package cluster

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// quiet is a slog.Handler for etcd, which says many things again and again. What belongs to every start and every join, and what follows from a node's being away,
// of which this package tells itself, and once, it passes on at the level of Debug. Of the rest it tells each thing once a minute.
type quiet struct {
	slog.Handler
	told *told
}

// told is when each thing was told last.
type told struct {
	mu     sync.Mutex
	at     map[string]time.Time
	unsaid map[string]int
}

const tellEvery = time.Minute

func newQuiet(h slog.Handler) quiet {
	return quiet{h, &told{at: map[string]time.Time{}, unsaid: map[string]int{}}}
}

var unremarkable = []string{
	// Starting and joining.
	"rejecting member add request", "rejecting promote learner", "Failed to detect schema version", "failed to update storage version",
	"Running http and grpc server on single port", "simple token is not cryptographically signed", "Validation on configuration change failed",
	// A node is away.
	"lost TCP streaming connection with remote peer", "closed TCP streaming connection with remote peer", "peer became inactive", "failed to reach the peer URL", "failed to get version",
	"prober detected unhealthy status", "dropped internal Raft message", "waiting for ReadIndex response took too long",
	"timed out waiting for read index response", "apply request took too long", "failed to find remote peer in cluster", "ignored out-of-date read index response",
	// Ending.
	"setting up serving from embedded etcd failed",
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	for _, text := range unremarkable {
		if strings.Contains(r.Message, text) {
			if !q.Enabled(ctx, slog.LevelDebug) {
				return nil
			}
			r.Level = slog.LevelDebug
			return q.Handler.Handle(ctx, r)
		}
	}
	unsaid, ok := q.told.tell(r.Message, r.Time)
	if !ok {
		return nil
	}
	if unsaid > 0 {
		r.AddAttrs(slog.Int("not told since", unsaid))
	}
	return q.Handler.Handle(ctx, r)
}

// tell says whether a message is to be told, and how often it was not since it was told last.
func (t *told) tell(message string, now time.Time) (unsaid int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, before := t.at[message]; before && now.Sub(at) < tellEvery {
		t.unsaid[message]++
		return 0, false
	}
	unsaid = t.unsaid[message]
	delete(t.unsaid, message)
	if len(t.at) >= 1000 { // texts are constant as a rule
		clear(t.at)
	}
	t.at[message] = now
	return unsaid, true
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a), q.told} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name), q.told} }
