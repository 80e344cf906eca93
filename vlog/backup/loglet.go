package backup

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"rebase/blob"
	"rebase/vlog"
)

// Kind is what the chain calls loglets of this package.
const Kind = "backup"

// Options says how to open archived segments. The zero value is good.
type Options struct {
	// Open opens the bucket of an archive; nil means blob.Open. It is asked when something is first read.
	Open func(ctx context.Context, url string) (blob.Bucket, error)
	// CacheBytes bounds the memory for blocks that were read lately, of all loglets together; 0 means 32 MiB.
	CacheBytes int
	// Logger hears of what could not be deleted, and of a store that is away; nil means none.
	Logger *slog.Logger
}

const (
	defaultCacheBytes = 32 << 20
	// readAhead is what is at least asked for at once: a request costs as much time as this does.
	readAhead = 1 << 20
	// deleters is how many objects are deleted at the same time.
	deleters = 16
)

// Provider opens archived segments. It refuses to create one: Archive does that.
func Provider(o Options) vlog.Provider {
	if o.Open == nil {
		o.Open = blob.Open
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = defaultCacheBytes
	}
	shared := newCache(o.CacheBytes)
	return func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		if spec.Create {
			return nil, errors.New("vlog/backup: an archive cannot be appended to; name another kind for the next part of the log")
		}
		cfg, err := DecodeConfig(spec.Config)
		if err != nil {
			return nil, err
		}
		return newLoglet(cfg, func(ctx context.Context) (blob.Bucket, error) { return o.Open(ctx, cfg.URL) }, shared, o.Logger), nil
	}
}

// Loglet is an archived segment. See the package comment.
type Loglet struct {
	cfg    Config
	open   func(context.Context) (blob.Bucket, error)
	cache  *cache
	logger *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool
	calls    sync.WaitGroup // Add under mu while not closed
	bucket   blob.Bucket    // nil until something is read
	manifest *manifest      // nil until something is read
	trimmed  vlog.Position  // as far as is known here
	asked    bool           // trimmed has been looked up in the store
	cleaning bool           // clean runs
	dirty    bool           // and is to run again
}

var (
	_ vlog.Loglet     = (*Loglet)(nil)
	_ vlog.Remover    = (*Loglet)(nil)
	_ vlog.Configured = (*Loglet)(nil)
)

func newLoglet(cfg Config, open func(context.Context) (blob.Bucket, error), c *cache, logger *slog.Logger) *Loglet {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	l := &Loglet{cfg: cfg, open: open, cache: c, logger: logger, trimmed: cfg.First}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Config implements vlog.Configured.
func (l *Loglet) Config() []byte { return l.cfg.Encode() }

// enter begins a call: it ends with the context or with Close, which waits for leave.
func (l *Loglet) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, vlog.ErrClosed
	}
	l.calls.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		l.calls.Done()
	}, nil
}

// outcome is the error of a call that ended because the loglet was closed.
func (l *Loglet) outcome(err error) error {
	if err != nil && l.ctx.Err() != nil {
		return vlog.ErrClosed
	}
	return err
}

// Append implements vlog.Loglet: it is always refused with ErrSealed.
func (l *Loglet) Append(ctx context.Context, _ ...[]byte) (vlog.Position, error) {
	_, leave, err := l.enter(ctx)
	if err != nil {
		return 0, err
	}
	leave()
	return 0, vlog.ErrSealed
}

// Tail implements vlog.Loglet. It is in the chain, and asks nothing of the store.
func (l *Loglet) Tail(ctx context.Context) (vlog.Tail, error) {
	_, leave, err := l.enter(ctx)
	if err != nil {
		return vlog.Tail{}, err
	}
	leave()
	return vlog.Tail{Next: l.cfg.Tail, Sealed: true}, nil
}

// WaitTail implements vlog.Loglet.
func (l *Loglet) WaitTail(ctx context.Context, _ vlog.Position) (vlog.Tail, error) {
	return l.Tail(ctx)
}

// Seal implements vlog.Loglet.
func (l *Loglet) Seal(ctx context.Context) error {
	_, err := l.Tail(ctx)
	return err
}

// Close implements vlog.Loglet. Calls that wait for the store are cut short.
func (l *Loglet) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.cancel()
	l.calls.Wait()
	return nil
}

// Read implements vlog.Loglet. It returns entries of one object at a time.
func (l *Loglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	ctx, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if to = min(to, l.cfg.Tail); from >= to {
		return nil, nil
	}
	entries, err := l.read(ctx, from, to, maxBytes)
	return entries, l.outcome(err)
}

func (l *Loglet) read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	m, trimmed, err := l.load(ctx)
	for err == nil && from >= trimmed {
		var entries []vlog.Entry
		entries, err = l.scan(ctx, m, from, to, maxBytes)
		if !errors.Is(err, blob.ErrNotFound) {
			return entries, err
		}
		// Another process may have trimmed.
		missing := err
		if trimmed, err = l.loadTrim(ctx); err == nil && from >= trimmed {
			return nil, l.missing(ctx, missing)
		}
	}
	if err != nil {
		return nil, err
	}
	return nil, &vlog.TrimmedError{First: trimmed}
}

// scan reads from the first object that has an entry in the range.
func (l *Loglet) scan(ctx context.Context, m *manifest, from, to vlog.Position, maxBytes int) (out []vlog.Entry, err error) {
	i, _ := slices.BinarySearchFunc(m.Objects, from, func(o object, p vlog.Position) int {
		if o.Next <= p {
			return -1
		}
		return 1
	})
	for ; i < len(m.Objects) && m.Objects[i].First < to && len(out) == 0; i++ {
		o := m.Objects[i]
		refs, err := l.index(ctx, o)
		if err != nil {
			return nil, err
		}
		// The last block that begins at or below from; the one behind it if from lies in between.
		b, found := slices.BinarySearchFunc(refs, from, func(r blockRef, p vlog.Position) int {
			return int(min(max(int64(r.first)-int64(p), -1), 1))
		})
		if !found && b > 0 {
			b--
		}
		for full := false; b < len(refs) && refs[b].first < to && !full; b++ {
			block, err := l.block(ctx, o, refs, b, maxBytes)
			if err != nil {
				return nil, err
			}
			err = records(block, func(e vlog.Entry) bool {
				if e.Pos < from {
					return true
				}
				if e.Pos >= to || len(e.Payload) > maxBytes && len(out) > 0 {
					full = true
					return false
				}
				maxBytes -= len(e.Payload)
				out = append(out, e)
				return true
			})
			if err != nil {
				return nil, l.corrupt(l.key(o), refs[b].offset, err)
			}
			full = full || maxBytes <= 0 && len(out) > 0
		}
	}
	return out, nil
}

func (l *Loglet) key(o object) string { return l.cfg.folder() + o.name() }

func (l *Loglet) corrupt(key string, offset uint64, err error) error {
	return &vlog.CorruptError{File: l.cfg.URL + " " + key, Offset: int64(offset),
		Reason: err.Error() + "; restore the object from a copy of the bucket, or trim the log behind it"}
}

// index returns the index of an object.
func (l *Loglet) index(ctx context.Context, o object) ([]blockRef, error) {
	k := cacheKey{l.key(o), -1}
	if v, ok := l.cache.get(k); ok {
		return v.([]blockRef), nil
	}
	p, err := l.fetch(ctx, k.object, o.Index, o.Size-o.Index)
	if err != nil {
		return nil, err
	}
	refs, err := decodeIndex(p, o)
	if err != nil {
		return nil, l.corrupt(k.object, o.Index, err)
	}
	l.cache.put(k, refs, len(refs)*indexEntrySize)
	return refs, nil
}

// block returns a block, checked. It fetches as many of those behind it in the same request as the caller has use for.
func (l *Loglet) block(ctx context.Context, o object, refs []blockRef, b, want int) ([]byte, error) {
	k := cacheKey{l.key(o), b}
	if v, ok := l.cache.get(k); ok {
		return v.([]byte), nil
	}
	endOf := func(i int) uint64 {
		if i+1 < len(refs) {
			return refs[i+1].offset
		}
		return o.Index
	}
	last, want := b, min(max(want, readAhead), l.cache.limit/4)
	for last+1 < len(refs) && endOf(last+1)-refs[b].offset <= uint64(want) {
		last++
	}
	begin := refs[b].offset
	p, err := l.fetch(ctx, k.object, begin, endOf(last)-begin)
	if err != nil {
		return nil, err
	}
	var wanted []byte
	for i := b; i <= last; i++ {
		block := p[refs[i].offset-begin : endOf(i)-begin]
		if last > b {
			block = slices.Clone(block) // so that one of them in the cache does not keep the others in memory
		}
		if err := decodeBlock(block, func(vlog.Entry) bool { return true }); err != nil {
			return nil, l.corrupt(k.object, refs[i].offset, err)
		}
		l.cache.put(cacheKey{k.object, i}, block, len(block))
		if i == b {
			wanted = block
		}
	}
	return wanted, nil
}
