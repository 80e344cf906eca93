package server

import (
	"context"
	"time"

	"rebase/db"
	"rebase/vlog"
)

// meteredLog takes the times of the database's appends. Where others append, too, it counts what is read.
type meteredLog struct {
	*vlog.Log
	m     *metrics
	count bool
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
	entries, err := l.Log.Read(ctx, from, to, maxBytes)
	if l.count {
		n := 0
		for _, e := range entries {
			n += len(e.Payload)
		}
		l.m.appended.Add(int64(n))
	}
	return entries, err
}
