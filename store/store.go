package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Errors that callers tell apart.
var (
	// ErrTooBig: the subtree is larger than the caller allowed.
	ErrTooBig = errors.New("store: data is larger than the limit")
	// ErrClosed: the store, snapshot or batch was closed before.
	ErrClosed = errors.New("store: closed")
	// ErrUnresolved: the value to write contains server values.
	ErrUnresolved = errors.New("store: value contains unresolved server values")
)

// Options configure a store. The zero value is usable.
type Options struct {
	// FS is the file system; nil means the operating system's.
	FS vfs.FS
	// CacheBytes bounds the cache of uncompressed blocks; 0 means 256 MB.
	CacheBytes int64
	// MemTableBytes is the size of a memtable, of which up to four may exist;
	// 0 means 64 MB.
	MemTableBytes uint64
	// Logger hears of trouble, and at debug level of flushes and compactions;
	// nil means slog.Default.
	Logger *slog.Logger

	tune tuning
}

// tuning is what tests set lower, to get to rare paths with little data.
type tuning struct {
	smallSubtree  int  // see smallSubtree
	chunkChildren int  // see chunkChildren
	manualBuild   bool // no goroutine builds indexes
}

// A Store holds the trees of any number of namespaces. Its methods are safe
// for concurrent use; of batches there is only one at a time.
type Store struct {
	view
	db     *pebble.DB
	fs     *failStopFS
	logger *slog.Logger
	tune   tuning

	applied atomic.Uint64
	durable atomic.Uint64
	stale   atomic.Bool // a flush ended since durable was read
	failure atomic.Pointer[failure]
	closed  atomic.Bool

	// mu is held while a batch or a chunk of an index build is committed, so
	// that a chunk is computed from the state it is added to.
	mu sync.Mutex
	// viewMu is held for writing while the index definitions, or what is said
	// about their readiness, change together with the data; for reading while
	// a snapshot pairs the two.
	viewMu sync.RWMutex
	defs   *definitions // immutable; replaced under mu and viewMu

	facts   facts // the writer's, not guarded
	builder builder
}

type failure struct{ err error }

var _ Reader = (*Store)(nil)

// Open opens the store in dir, and creates it if it does not exist. The state
// is that of the last flushed batch; see [Store.Applied].
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.tune.smallSubtree == 0 {
		o.tune.smallSubtree = smallSubtree
	}
	if o.tune.chunkChildren == 0 {
		o.tune.chunkChildren = chunkChildren
	}
	s := &Store{logger: o.Logger, fs: newFailStopFS(o.FS), tune: o.tune}
	db, err := openPebble(dir, s, o)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.db = db
	s.view = view{s}
	s.facts.init()
	applied, err := readApplied(db)
	if err == nil {
		s.defs, err = loadDefinitions(db)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.applied.Store(applied)
	s.durable.Store(applied)
	s.builder.start(s)
	return s, nil
}

// Close flushes and closes the store. No other call may be in progress, and
// every snapshot must be closed. It returns the store's failure if it had one.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return ErrClosed
	}
	s.builder.stop()
	err := s.Err()
	if err == nil {
		err = s.flush()
	}
	return errors.Join(err, s.db.Close())
}

// Err returns why the store no longer accepts batches, or nil. A failed write
// of the store's files is final: what reached the disk is then unknown. Open
// the store again, and apply what is missing.
func (s *Store) Err() error {
	if f := s.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

func (s *Store) fail(err error) {
	err = fmt.Errorf("store failed: %w", err)
	if s.failure.CompareAndSwap(nil, &failure{err}) {
		s.fs.stop(err)
		s.logger.Error("store: no further batches are accepted", "err", err)
	}
}

// Applied returns the position of the last committed batch, 0 if none.
func (s *Store) Applied() uint64 { return s.applied.Load() }

// Durable returns the highest position that a crash cannot take back.
func (s *Store) Durable() uint64 {
	if s.stale.Swap(false) {
		if err := s.readDurable(); err != nil {
			s.stale.Store(true)
		}
	}
	return s.durable.Load()
}

func (s *Store) readDurable() error {
	it, err := s.db.NewIter(&pebble.IterOptions{
		LowerBound:                []byte{spaceApplied},
		UpperBound:                []byte{spaceApplied + 1},
		OnlyReadGuaranteedDurable: true,
	})
	if err != nil {
		return err
	}
	defer it.Close()
	if !it.First() {
		return it.Error()
	}
	pos, err := decodeApplied(it.Value())
	if err != nil {
		return err
	}
	for {
		old := s.durable.Load()
		if pos <= old || s.durable.CompareAndSwap(old, pos) {
			return nil
		}
	}
}

// Flush writes everything that was committed to stable storage: afterwards
// Durable is at least what Applied was.
func (s *Store) Flush() error {
	if err := s.Err(); err != nil {
		return err
	}
	return s.flush()
}

func (s *Store) flush() error {
	// AsyncFlush, because Flush waits for ever when the flush fails.
	done, err := s.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush store: %w", err)
	}
	select {
	case <-done:
	case <-s.fs.stopped:
		return s.Err()
	}
	return s.readDurable()
}

// Checkpoint writes a copy of the store as it is now into dir, which must not
// exist. Files are linked where the file system can.
func (s *Store) Checkpoint(dir string) error {
	// There is no write-ahead log that would carry the unflushed part.
	if err := s.Flush(); err != nil {
		return err
	}
	if err := s.db.Checkpoint(dir); err != nil {
		return fmt.Errorf("checkpoint store to %s: %w", dir, err)
	}
	return nil
}

func (s *Store) reader() (pebble.Reader, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	return s.db, nil
}

func (s *Store) pin() (pinned, error) {
	if s.closed.Load() {
		return pinned{}, ErrClosed
	}
	n := s.Snapshot()
	return pinned{n.snap, n.defs, n.Close}, nil
}

func readApplied(r pebble.Reader) (uint64, error) {
	val, closer, err := r.Get([]byte{spaceApplied})
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	return decodeApplied(val)
}

func decodeApplied(val []byte) (uint64, error) {
	if len(val) != 8 {
		return 0, errors.New("store: malformed applied position")
	}
	return binary.BigEndian.Uint64(val), nil
}

// A Snapshot is the state after one batch. It must be closed: until then the
// store keeps what was overwritten since. It is safe for concurrent use.
type Snapshot struct {
	view
	snap *pebble.Snapshot
	defs *definitions

	once    sync.Once
	applied uint64
	err     error
	closed  atomic.Bool
}

var (
	_ Reader    = (*Snapshot)(nil)
	_ io.Closer = (*Snapshot)(nil)
)

// Snapshot returns the present state.
func (s *Store) Snapshot() *Snapshot {
	s.viewMu.RLock()
	defer s.viewMu.RUnlock()
	n := &Snapshot{snap: s.db.NewSnapshot(), defs: s.defs}
	n.view = view{n}
	return n
}

// Applied returns the position of the batch that the snapshot is after.
func (n *Snapshot) Applied() uint64 {
	n.once.Do(func() { n.applied, n.err = readApplied(n.snap) })
	return n.applied
}

// Close releases the snapshot.
func (n *Snapshot) Close() error {
	if n.closed.Swap(true) {
		return ErrClosed
	}
	return n.snap.Close()
}

func (n *Snapshot) reader() (pebble.Reader, error) {
	if n.closed.Load() {
		return nil, ErrClosed
	}
	return n.snap, nil
}

func (n *Snapshot) pin() (pinned, error) {
	r, err := n.reader()
	return pinned{r, n.defs, func() error { return nil }}, err
}
