package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/blob"
	"rebase/vlog"
	"rebase/vlog/mem"
)

var bg = context.Background()

// oneSegment is a Log of a single sealed segment.
type oneSegment struct {
	segment vlog.Segment
	loglet  interface {
		Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error)
	}
	fresh vlog.Loglet
}

func (l *oneSegment) Chain() vlog.Chain {
	return vlog.Chain{Lowest: l.segment.ID, Segments: []vlog.Segment{l.segment}}
}

func (l *oneSegment) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	shift := l.segment.Start - 1
	es, err := l.loglet.Read(ctx, from-shift, to-shift, maxBytes)
	var trimmed *vlog.TrimmedError
	if errors.As(err, &trimmed) {
		err = &vlog.TrimmedError{First: trimmed.First + shift}
	}
	for i := range es {
		es[i].Pos += shift
	}
	return es, err
}

func (l *oneSegment) Replace(_ context.Context, id uint64, next vlog.Segment, fresh vlog.Loglet) error {
	if id != l.segment.ID {
		return errors.New("no such segment")
	}
	l.segment.Kind, l.segment.Config, l.fresh = next.Kind, next.Config, fresh
	return nil
}

// bucketOf opens one bucket under any URL.
func bucketOf(b blob.Bucket) func(context.Context, string) (blob.Bucket, error) {
	return func(context.Context, string) (blob.Bucket, error) { return b, nil }
}

func memBucket() (blob.Bucket, vfs.FS) {
	fs := vfs.NewMem()
	return blob.OpenFolder("/bucket", fs), fs
}

func osBucket(t testing.TB) blob.Bucket {
	return blob.OpenFolder(filepath.Join(t.TempDir(), "bucket"), vfs.Default)
}

// failing is a Bucket that stops working at an operation: it and all later ones fail, as if the process had died. With late the
// operation itself is still carried out.
type failing struct {
	blob.Bucket
	left atomic.Int64
	late bool
	hit  atomic.Bool
}

var errCrash = errors.New("crash")

func (f *failing) step(op func() error) error {
	n := f.left.Add(-1)
	if n > 0 {
		return op()
	}
	f.hit.Store(true)
	if n == 0 && f.late {
		_ = op()
	}
	return errCrash
}

func (f *failing) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	return f.step(func() error { return f.Bucket.Put(ctx, key, r, size) })
}

func (f *failing) Get(ctx context.Context, key string, off, n int64) (r io.ReadCloser, err error) {
	err = f.step(func() (err error) { r, err = f.Bucket.Get(ctx, key, off, n); return err })
	return r, err
}

func (f *failing) Size(ctx context.Context, key string) (n int64, err error) {
	err = f.step(func() (err error) { n, err = f.Bucket.Size(ctx, key); return err })
	return n, err
}

func (f *failing) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	if f.step(func() error { return nil }) != nil {
		return func(yield func(blob.Object, error) bool) { yield(blob.Object{}, errCrash) }
	}
	return f.Bucket.List(ctx, prefix)
}

func (f *failing) Delete(ctx context.Context, key string) error {
	return f.step(func() error { return f.Bucket.Delete(ctx, key) })
}

// shared is storage of loglets in memory that several Logs have open, as nodes of a cluster have.
type shared struct {
	mu      sync.Mutex
	loglets map[string]*mem.Loglet
}

func (s *shared) provider(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("%d/%s", spec.ID, spec.Config)
	l := s.loglets[name]
	if l == nil {
		if !spec.Create {
			return nil, vlog.ErrMissing
		}
		if s.loglets == nil {
			s.loglets = map[string]*mem.Loglet{}
		}
		l = mem.New()
		s.loglets[name] = l
	}
	h := &handle{Loglet: l}
	h.ctx, h.cancel = context.WithCancel(bg)
	return h, nil
}

// handle is one opening of a shared loglet.
type handle struct {
	*mem.Loglet
	closed atomic.Bool
	ctx    context.Context
	cancel context.CancelFunc
}

func (h *handle) Append(ctx context.Context, p ...[]byte) (vlog.Position, error) {
	if h.closed.Load() {
		return 0, vlog.ErrClosed
	}
	return h.Loglet.Append(ctx, p...)
}

func (h *handle) Tail(ctx context.Context) (vlog.Tail, error) { return h.WaitTail(ctx, 0) }

func (h *handle) WaitTail(ctx context.Context, p vlog.Position) (vlog.Tail, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	t, err := h.Loglet.WaitTail(ctx, p)
	if h.closed.Load() {
		return vlog.Tail{}, vlog.ErrClosed
	}
	return t, err
}

func (h *handle) Read(ctx context.Context, from, to vlog.Position, n int) ([]vlog.Entry, error) {
	if h.closed.Load() {
		return nil, vlog.ErrClosed
	}
	return h.Loglet.Read(ctx, from, to, n)
}

func (h *handle) Trim(ctx context.Context, p vlog.Position) (vlog.Position, error) {
	if h.closed.Load() {
		return 0, vlog.ErrClosed
	}
	return h.Loglet.Trim(ctx, p)
}

func (h *handle) Close() error {
	h.closed.Store(true)
	h.cancel()
	return nil
}

func (h *handle) Remove(ctx context.Context) error { return h.Loglet.Remove(ctx) }

func openLog(t testing.TB, meta vlog.MetaStore, s *shared, b blob.Bucket) *vlog.Log {
	t.Helper()
	l, err := vlog.Open(bg, vlog.Options{Meta: meta, Initial: vlog.Segment{Kind: "mem"}, Providers: map[string]vlog.Provider{
		"mem": s.provider, Kind: Provider(Options{Open: bucketOf(b)}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// fill appends entries and reconfigures after every so many.
func fill(t testing.TB, l *vlog.Log, from, to, segment int) {
	t.Helper()
	for i := from; i <= to; i++ {
		p, err := l.Append(bg, body(i))
		if err != nil || int(p) != i {
			t.Fatalf("append %d = %d, %v", i, p, err)
		}
		if i%segment == 0 {
			if err := l.Reconfigure(bg, vlog.Segment{Kind: "mem"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func body(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("entry %d ", i), i%50)) }

type reader interface {
	Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error)
}

// want checks that a log holds the entries of fill from one position to another.
func want(t testing.TB, l reader, from, to int) {
	t.Helper()
	for p := from; p <= to; {
		es, err := l.Read(bg, vlog.Position(p), vlog.Position(to+1), 700)
		if err != nil || len(es) == 0 {
			t.Fatalf("read [%d,%d] at %d: %d entries, %v", from, to, p, len(es), err)
		}
		for _, e := range es {
			if int(e.Pos) != p || string(e.Payload) != string(body(p)) {
				t.Fatalf("at %d stands entry %d: %.30q", p, e.Pos, e.Payload)
			}
			p++
		}
	}
}

// small makes objects small, so that there are several.
func small(before vlog.Position) ArchiveOptions {
	return ArchiveOptions{Log: "test", Before: before, ObjectBytes: 3000, blockBytes: 500}
}

func listing(t testing.TB, b blob.Bucket) (keys []string) {
	t.Helper()
	for o, err := range b.List(bg, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// dense is a sealed loglet of equal entries.
type dense struct {
	payload []byte
	n       int
}

func (d *dense) Read(_ context.Context, from, to vlog.Position, maxBytes int) (out []vlog.Entry, err error) {
	for p := from; p < min(to, vlog.Position(d.n+1)) && (maxBytes >= len(d.payload) || len(out) == 0); p++ {
		out = append(out, vlog.Entry{Pos: p, Payload: d.payload})
		maxBytes -= len(d.payload)
	}
	return out, nil
}
