package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

func openPebble(dir string, s *Store, o Options) (*pebble.DB, error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = 256 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 64 << 20
	}
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                          s.fs,
		Cache:                       cache,
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                o.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      &engineLogger{s},
		EventListener:               engineEvents(s),
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	}
	return openOrStop(dir, opts, s)
}

// stopGrace is how long Pebble may take to return an error of its own from an
// opening that has failed.
const stopGrace = time.Second

// openOrStop opens the engine. Open ends with a flush, and like every flush it is
// repeated for ever if it fails: on a full disk Open would not return. What is
// left behind then, a goroutine and the lock on the folder, lasts until the
// process ends.
func openOrStop(dir string, opts *pebble.Options, s *Store) (*pebble.DB, error) {
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		db, err := pebble.Open(dir, opts)
		opened <- result{db, err}
	}()
	select {
	case r := <-opened:
		return r.db, r.err
	case <-s.fs.stopped:
	}
	select {
	case r := <-opened:
		return r.db, r.err
	case <-time.After(stopGrace):
		return nil, s.Err()
	}
}

func engineEvents(s *Store) *pebble.EventListener {
	debug := func(msg string, args ...any) { s.logger.Debug("store: "+msg, args...) }
	return &pebble.EventListener{
		BackgroundError: func(err error) { s.fail(err) },
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			s.fail(fmt.Errorf("corrupt file %s: %w", info.Path, info.Details))
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			s.logger.Warn("store: slow disk", "path", info.Path, "duration", info.Duration)
		},
		FlushEnd: func(info pebble.FlushInfo) {
			s.stale.Store(true)
			debug("flushed", "inputs", info.Input, "duration", info.TotalDuration, "err", info.Err)
		},
		CompactionEnd: func(info pebble.CompactionInfo) {
			debug("compacted", "reason", info.Reason, "duration", info.TotalDuration, "err", info.Err)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			s.logger.Warn("store: writes wait for flushes or compactions", "reason", info.Reason)
		},
		WriteStallEnd: func() { debug("writes continue") },
	}
}

// engineLogger is what Pebble logs to. Its own events come as typed values
// through engineEvents; only errors are of interest here.
type engineLogger struct{ s *Store }

func (l *engineLogger) Infof(format string, args ...any) {
	if l.s.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.s.logger.Debug("store: " + fmt.Sprintf(format, args...))
	}
}

func (l *engineLogger) Errorf(format string, args ...any) {
	l.s.logger.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf is called where Pebble does not know whether its manifest was
// written. It expects the process to end here. Ending it is not this package's
// decision: the store refuses batches from now on, and its file system every
// write, so that nothing is built on the unknown.
func (l *engineLogger) Fatalf(format string, args ...any) {
	l.s.fail(fatalError(format, args))
	time.Sleep(refusalDelay) // see there
}

// fatalError keeps the error among args for errors.Is.
func fatalError(format string, args []any) error {
	e := &engineError{text: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			e.cause = err
		}
	}
	return e
}

type engineError struct {
	text  string
	cause error // may be nil
}

func (e *engineError) Error() string { return e.text }
func (e *engineError) Unwrap() error { return e.cause }

// failStopFS is a file system that can be stopped: from then on every write
// fails, and reads work.
type failStopFS struct {
	vfs.FS
	once    sync.Once
	err     error
	stopped chan struct{}
}

// refusalDelay keeps Pebble, which retries a failed flush at once and for
// ever, from spinning.
const refusalDelay = 50 * time.Millisecond

func newFailStopFS(fs vfs.FS) *failStopFS {
	return &failStopFS{FS: fs, stopped: make(chan struct{})}
}

func (f *failStopFS) stop(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.stopped)
	})
}

func (f *failStopFS) check() error {
	select {
	case <-f.stopped:
		time.Sleep(refusalDelay)
		return f.err
	default:
		return nil
	}
}

func (f *failStopFS) file(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &failStopFile{file, f}, nil
}

func (f *failStopFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return f.file(f.FS.Create(name, c))
}

func (f *failStopFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return f.file(f.FS.OpenReadWrite(name, c, opts...))
}

func (f *failStopFS) OpenDir(name string) (vfs.File, error) {
	return f.file(f.FS.OpenDir(name))
}

func (f *failStopFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return f.file(f.FS.ReuseForWrite(oldname, newname, c))
}

func (f *failStopFS) Link(oldname, newname string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.FS.Link(oldname, newname)
}

func (f *failStopFS) Remove(name string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *failStopFS) Rename(oldname, newname string) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.FS.Rename(oldname, newname)
}

func (f *failStopFS) Unwrap() vfs.FS { return f.FS }

type failStopFile struct {
	vfs.File
	fs *failStopFS
}

func (f *failStopFile) Write(p []byte) (int, error) {
	if err := f.fs.check(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *failStopFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.check(); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *failStopFile) Sync() error {
	if err := f.fs.check(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *failStopFile) SyncData() error {
	if err := f.fs.check(); err != nil {
		return err
	}
	return f.File.SyncData()
}
