// Package memdb opens databases in memory, for tests of what is built on them.
package memdb

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/db"
	"rebase/store"
	"rebase/vlog/mem"
)

// Disk is what of a database outlives a crash: its log.
type Disk struct{ log *mem.Loglet }

// NewDisk returns an empty one.
func NewDisk() *Disk { return &Disk{mem.New()} }

// Open opens a database over the log, with an empty store that is brought forward by replay. It is closed when the test ends, or by the
// function that is returned. now may be nil.
func (d *Disk) Open(t testing.TB, now func() time.Time) (opened *db.DB, close func()) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	s, err := store.Open("store", store.Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	opened, err = db.Open(t.Context(), db.Options{Log: d.log, Store: s, Now: now, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	close = func() {
		if closed {
			return
		}
		closed = true
		if err := opened.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(close)
	return opened, close
}

// Open opens an empty database.
func Open(t testing.TB, now func() time.Time) *db.DB {
	t.Helper()
	d, _ := NewDisk().Open(t, now)
	return d
}
