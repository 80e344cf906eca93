package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
)

// Options says how to open a local Loglet. The zero value is good.
type Options struct {
	// FS is the file system; nil means the operating system's.
	FS vfs.FS
	// Root is where Provider puts relative directories. Open does not look at it.
	Root string
	// SegmentBytes is the size of a segment file; 0 means 64 MiB. An append that is larger gets a file of its own. It may
	// differ from one opening to the next.
	SegmentBytes int64
	// TailCacheBytes bounds the memory for recent entries, which are read without touching the disk; 0 means 32 MiB.
	TailCacheBytes int
	// MustExist refuses with vlog.ErrMissing to begin a log in a directory that holds none.
	MustExist bool
	// Logger hears of segments, recovery and failures; nil means none.
	Logger *slog.Logger
	// OnCommit is called after every commit, on the committing goroutine: it must be quick. Nil means that times are not
	// taken.
	OnCommit func(Commit)
	// VerifyAll makes Open read and verify the whole log before it returns. Otherwise Open verifies the newest segment and
	// the first block of every other; the rest is verified behind it, and by every Read.
	VerifyAll bool

	proveAfter time.Duration // how long the log is idle before its last block is vouched for; 0 means defaultProveAfter
}

// Commit describes one group commit, for metrics.
type Commit struct {
	Entries int           // in the block
	Bytes   int           // of the block as written
	Write   time.Duration // of the write
	Sync    time.Duration // of the fdatasync
	Err     error         // the failure that poisoned the log
}

const (
	defaultSegmentBytes   = 64 << 20
	minSegmentBytes       = 4 << 10
	defaultTailCacheBytes = 32 << 20
	// shortSegmentBytes is the size of a segment that is made while an appender waits.
	shortSegmentBytes = 4 << 20
	// defaultProveAfter bounds the extra commits to one a second.
	defaultProveAfter = time.Second
	// maxSpares is how many trimmed files are kept to be used again.
	maxSpares = 3
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	o.SegmentBytes = max(o.SegmentBytes, minSegmentBytes)
	if o.TailCacheBytes <= 0 {
		o.TailCacheBytes = defaultTailCacheBytes
	}
	if o.proveAfter <= 0 {
		o.proveAfter = defaultProveAfter
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Loglet is a log in a directory. See the package comment.
type Loglet struct {
	opts Options
	fs   vfs.FS
	dir  string
	lock io.Closer

	// tail is the durable tail: the position shifted left by one, and the seal in the lowest bit, so that both are
	// published at once and read without a lock.
	tail atomic.Uint64
	// closed is set under mu, and read anywhere.
	closed atomic.Bool

	mu         sync.Mutex
	queue      []*group // waiting for the committer, oldest first; new entries join the last
	committing bool     // somebody is the committer
	next       vlog.Position
	trimmed    vlog.Position // durable
	sealGroup  *group        // the group that seals, once there is one
	poison     error
	segs       []*segment // live ones, the last is active
	unverified []*segment // sealed ones whose blocks Open has not read; constant after Open
	verified   bool       // verifyLoop has read them
	garbage    []*segment // trimmed, to be recycled when the last read is through
	cache      cache
	arena      []byte        // where groups gather
	tailMoved  chan struct{} // closed at the next change of tail, poison or closed; nil while nobody waits

	// Read by the committer, and written by it under mu.
	seq    uint64 // of the next block
	proven bool   // the last block needs no further proof that it was synced

	idleSeq uint64 // seq when prove last looked; owned by the commit goroutine

	segMu  sync.Mutex // guards upcoming and the making of segment ids; taken before mu
	upcome *segment   // prepared to follow the active one
	spares []spare    // owned by the preparer, and by Open and roll under segMu

	calls sync.WaitGroup // calls under way; Add under mu while not closed
	work  chan struct{}  // hands the committer's role to the commit goroutine
	dirty chan struct{}  // tells the commit goroutine of blocks that are not proven
	prep  chan struct{}  // wakes the preparer
	stop  chan struct{}  // ends all goroutines
	done  sync.WaitGroup
}

var (
	_ vlog.Loglet  = (*Loglet)(nil)
	_ vlog.Remover = (*Loglet)(nil)
)

// Open opens the log in dir, which is created if needed, and recovers it. One process, and in it one Loglet, may have a
// directory open at a time. Errors: *vlog.CorruptError if something known to have been synced is damaged (in older segments
// it is found later, see Options.VerifyAll), vlog.ErrMissing with Options.MustExist.
func Open(dir string, o Options) (_ *Loglet, err error) {
	o = o.withDefaults()
	l := &Loglet{
		opts: o, fs: o.FS, dir: dir,
		work: make(chan struct{}, 1), dirty: make(chan struct{}, 1), prep: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	l.cache.limit = o.TailCacheBytes
	if o.MustExist {
		if _, err := l.fs.Stat(dir); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", vlog.ErrMissing, dir, err)
		}
	} else if err := mkdirAll(l.fs, dir); err != nil {
		return nil, fmt.Errorf("vlog/local: create %s: %w", dir, err)
	}
	if l.lock, err = l.fs.Lock(l.fs.PathJoin(dir, "LOCK")); err != nil {
		return nil, fmt.Errorf("vlog/local: lock %s (is another process using it?): %w", dir, err)
	}
	if err := l.recover(); err != nil {
		return nil, errors.Join(err, l.closeFiles())
	}
	l.done.Add(2)
	if len(l.unverified) > 0 {
		l.done.Go(l.verifyLoop)
	}
	if !l.proven {
		wake(l.dirty)
	}
	go l.commitLoop()
	go l.prepareLoop()
	wake(l.prep)
	return l, nil
}

// wake signals a goroutine that looks for work by itself; one pending signal is enough.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// enter counts a call that Close must wait for. Caller holds mu.
func (l *Loglet) enter() error {
	if l.closed.Load() {
		return vlog.ErrClosed
	}
	l.calls.Add(1)
	return nil
}

// Tail implements vlog.Loglet. It never waits.
func (l *Loglet) Tail(context.Context) (vlog.Tail, error) {
	if l.closed.Load() {
		return vlog.Tail{}, vlog.ErrClosed
	}
	return l.durable(), nil
}

// durable is the tail as it is on the disk.
func (l *Loglet) durable() vlog.Tail {
	t := l.tail.Load()
	return vlog.Tail{Next: vlog.Position(t >> 1), Sealed: t&1 == 1}
}

// publish makes the tail known. Caller holds mu.
func (l *Loglet) publish(next vlog.Position, sealed bool) {
	t := uint64(next) << 1
	if sealed {
		t |= 1
	}
	l.tail.Store(t)
	l.signal()
}

// signal wakes every WaitTail. Caller holds mu.
func (l *Loglet) signal() {
	if l.tailMoved != nil {
		close(l.tailMoved)
		l.tailMoved = nil
	}
}

// WaitTail implements vlog.Loglet. If the log is poisoned and will therefore never reach atLeast, it returns that error.
func (l *Loglet) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	for {
		if l.closed.Load() {
			return vlog.Tail{}, vlog.ErrClosed
		}
		if t := l.durable(); t.Next >= atLeast || t.Sealed {
			return t, nil
		}
		l.mu.Lock()
		// Again under the lock: whoever moves the tail from now on finds the channel.
		if t := l.durable(); t.Next >= atLeast || t.Sealed {
			l.mu.Unlock()
			return t, nil
		}
		if l.closed.Load() || l.poison != nil {
			err := l.poison
			if l.closed.Load() {
				err = vlog.ErrClosed
			}
			l.mu.Unlock()
			return vlog.Tail{}, err
		}
		if l.tailMoved == nil {
			l.tailMoved = make(chan struct{})
		}
		moved := l.tailMoved
		l.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return vlog.Tail{}, ctx.Err()
		}
	}
}

// Seal implements vlog.Loglet. The seal is a flag of a block in the same ordered stream as the entries, so an entry
// queued before it is durable before it, and none is queued behind it.
func (l *Loglet) Seal(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if err := l.enter(); err != nil {
		l.mu.Unlock()
		return err
	}
	defer l.calls.Done()
	switch {
	case l.durable().Sealed:
		l.mu.Unlock()
		return nil
	case l.poison != nil:
		defer l.mu.Unlock()
		return l.poison
	case l.sealGroup != nil:
		g := l.sealGroup
		l.mu.Unlock()
		return g.wait(ctx)
	}
	g := l.lastGroup(0)
	g.seal = true
	l.sealGroup = g
	return l.finish(ctx, g)
}

// Trim implements vlog.Loglet. The trim point is exact for readers; the disk gets back whole segments.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	if err := l.enter(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	defer l.calls.Done()
	before = min(before, l.durable().Next)
	if before <= l.trimmed || l.poison != nil {
		defer l.mu.Unlock()
		return l.trimmed, l.poison
	}
	g := l.lastGroup(0)
	g.trim = max(g.trim, before)
	if err := l.finish(ctx, g); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trimmed, nil
}

// Close implements vlog.Loglet. If anything was appended it writes a last, empty block, which proves to the next Open
// that everything before it was synced: damage to it will then be noticed.
func (l *Loglet) Close() error {
	l.mu.Lock()
	if l.closed.Swap(true) {
		l.mu.Unlock()
		return nil
	}
	l.signal()
	l.mu.Unlock()
	l.calls.Wait()
	close(l.stop)
	l.done.Wait()
	var err error
	if active := l.segs[len(l.segs)-1]; l.poison == nil && !l.proven && active.end+blockHeaderSize <= active.size {
		g := l.proof()
		l.commit(g)
		err = g.err
	}
	return errors.Join(err, l.closeFiles())
}

// Remove implements vlog.Remover.
func (l *Loglet) Remove(context.Context) error {
	if err := l.Close(); err != nil {
		l.opts.Logger.Warn("closing a log that is to be removed", "dir", l.dir, "err", err)
	}
	if err := l.fs.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("vlog/local: remove %s: %w", l.dir, err)
	}
	return syncDir(l.fs, l.fs.PathDir(l.dir))
}

// closeFiles releases everything that Open has taken.
func (l *Loglet) closeFiles() error {
	var err error
	all := append(append([]*segment(nil), l.segs...), l.garbage...)
	if l.upcome != nil {
		all = append(all, l.upcome)
	}
	for _, s := range all {
		err = errors.Join(err, s.file.Close())
	}
	for _, s := range l.spares {
		err = errors.Join(err, s.file.Close())
	}
	l.segs, l.garbage, l.upcome, l.spares = nil, nil, nil, nil
	return errors.Join(err, l.lock.Close())
}
