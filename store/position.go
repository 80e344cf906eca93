package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ReadPosition returns the position of a store that nobody has open, such as a checkpoint (see [Store.Applied]). It changes nothing
// in it but the file of the lock. fs nil means the operating system's.
func ReadPosition(dir string, fs vfs.FS) (pos uint64, err error) {
	if fs == nil {
		fs = vfs.Default
	}
	cache := pebble.NewCache(1 << 20)
	defer cache.Unref()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, Cache: cache, ReadOnly: true, ErrorIfNotExists: true, Logger: silent{}})
	if err != nil {
		return 0, fmt.Errorf("read position of store %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return readApplied(db)
}

// silent is a logger for an engine whose errors are all returned.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("store: "+format, args...))
}
