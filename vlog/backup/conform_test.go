package backup

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"rebase/blob"
	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

// hybrid is a Loglet in memory that becomes an archive when it is sealed, so that the whole suite can be run: what it says of sealed
// loglets is then said of archives.
type hybrid struct {
	mu      sync.RWMutex
	bucket  blob.Bucket
	storage *mem.Storage
	name    string
	vlog.Loglet
	archived bool
}

func (h *hybrid) now() vlog.Loglet {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.Loglet
}

func (h *hybrid) Append(ctx context.Context, p ...[]byte) (vlog.Position, error) {
	return h.now().Append(ctx, p...)
}
func (h *hybrid) Tail(ctx context.Context) (vlog.Tail, error) { return h.now().Tail(ctx) }
func (h *hybrid) WaitTail(ctx context.Context, p vlog.Position) (vlog.Tail, error) {
	return h.now().WaitTail(ctx, p)
}
func (h *hybrid) Read(ctx context.Context, from, to vlog.Position, n int) ([]vlog.Entry, error) {
	return h.now().Read(ctx, from, to, n)
}
func (h *hybrid) Trim(ctx context.Context, p vlog.Position) (vlog.Position, error) {
	return h.now().Trim(ctx, p)
}
func (h *hybrid) Close() error { return h.now().Close() }

func (h *hybrid) Seal(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.archived {
		return h.Loglet.Seal(ctx)
	}
	if err := h.Loglet.Seal(ctx); err != nil {
		return err
	}
	tail, err := h.Loglet.Tail(ctx)
	if err != nil {
		return err
	}
	log := &oneSegment{segment: vlog.Segment{ID: 1, Kind: "mem", Start: 1, End: tail.Next, Sealed: true}, loglet: h.Loglet}
	if n, err := Archive(ctx, log, h.bucket, ArchiveOptions{Log: h.name, blockBytes: 2000, ObjectBytes: 200_000}); err != nil || n != 1 {
		return fmt.Errorf("archived %d: %w", n, err)
	}
	h.Loglet, h.archived = log.fresh, true
	return nil
}

func hybrids(bucket func(t testing.TB) blob.Bucket) logtest.Subject {
	n := 0
	open := func(t testing.TB, h *hybrid) *hybrid {
		l, err := h.storage.Provider()(bg, vlog.LogletSpec{ID: 1, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return &hybrid{bucket: h.bucket, storage: h.storage, name: h.name, Loglet: l}
	}
	return logtest.Subject{
		New: func(t testing.TB) logtest.Log {
			n++
			return open(t, &hybrid{bucket: bucket(t), storage: new(mem.Storage), name: fmt.Sprintf("log%d", n)})
		},
		Reopen: func(t testing.TB, closed logtest.Log) logtest.Log {
			h := closed.(*hybrid)
			if !h.archived {
				return open(t, h)
			}
			l, err := Provider(Options{Open: bucketOf(h.bucket)})(bg, vlog.LogletSpec{ID: 1, Config: h.Loglet.(vlog.Configured).Config()})
			if err != nil {
				t.Fatal(err)
			}
			return &hybrid{bucket: h.bucket, storage: h.storage, name: h.name, Loglet: l, archived: true}
		},
	}
}

func TestConformance(t *testing.T) {
	logtest.Run(t, hybrids(func(t testing.TB) blob.Bucket { return osBucket(t) }))
}

func TestConformanceS3(t *testing.T) {
	server := engines.S3(t)
	b, err := blob.Open(bg, server.URL(server.Bucket, "logs"))
	if err != nil {
		t.Fatal(err)
	}
	s := hybrids(func(testing.TB) blob.Bucket { return b })
	logtest.Run(t, s)
}

// archiving is a vlog.Log that is reconfigured, and what that seals archived, every few appends.
type archiving struct {
	*vlog.Log
	t       testing.TB
	bucket  blob.Bucket
	meta    *mem.Meta
	storage *shared

	mu      sync.Mutex
	appends int
}

func (a *archiving) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	p, err := a.Log.Append(ctx, payloads...)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.appends++; err == nil && a.appends%7 == 0 {
		if err := a.Reconfigure(bg, vlog.Segment{Kind: "mem"}); err != nil {
			a.t.Errorf("reconfigure: %v", err)
		}
		if a.appends%14 == 0 {
			if _, err := Archive(bg, a.Log, a.bucket, small(0)); err != nil {
				a.t.Errorf("archive: %v", err)
			}
		}
	}
	return p, err
}

// TestConformanceOfLog runs the suite on a log whose older part is archived while it is read, trimmed and appended to.
func TestConformanceOfLog(t *testing.T) {
	open := func(t testing.TB, a *archiving) *archiving {
		return &archiving{Log: openLog(t, a.meta, a.storage, a.bucket), t: t, bucket: a.bucket, meta: a.meta, storage: a.storage, appends: a.appends}
	}
	logtest.Run(t, logtest.Subject{
		New: func(t testing.TB) logtest.Log {
			b, _ := memBucket()
			return open(t, &archiving{bucket: b, meta: new(mem.Meta), storage: new(shared)})
		},
		Reopen: func(t testing.TB, closed logtest.Log) logtest.Log { return open(t, closed.(*archiving)) },
	})
}
