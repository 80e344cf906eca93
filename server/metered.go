package server

import (
	"context"
	"time"

	"rebase/db"
	"rebase/vlog"
)

// meteredLog takes the times of the database's appends.
type meteredLog struct {
	*vlog.Log
	m *metrics
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
