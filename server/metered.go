package server

import (
	"context"
	"sync"
	"time"

	"rebase/db"
	"rebase/vlog"
)

// meteredLog takes the times of what the database does with the log.
//
// The database reads the log from one goroutine, its apply loop: what it has read
// is applied when it asks for more. So the time to apply is the time between a
// Read that returned entries and the next call of that loop.
type meteredLog struct {
	*vlog.Log
	m *metrics

	mu       sync.Mutex
	applying time.Time // when entries were last read; zero if they are applied
}

var _ db.Log = (*meteredLog)(nil)

// Append implements db.Log.
func (l *meteredLog) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	start := time.Now()
	pos, err := l.Log.Append(ctx, payloads...)
	if err == nil {
		l.m.appendSeconds.Observe(time.Since(start).Seconds())
	}
	return pos, err
}

// Read implements db.Log.
func (l *meteredLog) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	l.applied()
	entries, err := l.Log.Read(ctx, from, to, maxBytes)
	if len(entries) > 0 {
		l.mu.Lock()
		l.applying = time.Now()
		l.mu.Unlock()
	}
	return entries, err
}

// WaitTail implements db.Log.
func (l *meteredLog) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	l.applied()
	return l.Log.WaitTail(ctx, atLeast)
}

func (l *meteredLog) applied() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.applying.IsZero() {
		l.m.applySeconds.Observe(time.Since(l.applying).Seconds())
		l.applying = time.Time{}
	}
}
