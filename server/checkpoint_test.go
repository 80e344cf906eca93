package server

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"rebase/store"
	"rebase/tree"
	"rebase/vlog"
	"rebase/vlog/mem"
)

// countedLog is a log of which only sizes are known.
type countedLog struct {
	ends  []int64 // total bytes after entry i+1
	first vlog.Position
}

func (l *countedLog) append(bytes int64) {
	total := bytes
	if n := len(l.ends); n > 0 {
		total += l.ends[n-1]
	}
	l.ends = append(l.ends, total)
}

func (l *countedLog) bytes() int64 { return l.before(vlog.Position(len(l.ends) + 1)) }

// before returns the bytes of the entries before p.
func (l *countedLog) before(p vlog.Position) int64 {
	if p <= 1 {
		return 0
	}
	return l.ends[p-2]
}

func (l *countedLog) Tail(context.Context) (vlog.Tail, error) {
	return vlog.Tail{Next: vlog.Position(len(l.ends) + 1)}, nil
}

func (l *countedLog) Trim(_ context.Context, before vlog.Position) (vlog.Position, error) {
	l.first = max(l.first, before)
	return l.first, nil
}

// However the log grows, a checkpoint keeps what the store would need after a
// crash and what it was told to retain, and keeps not much more than that.
func TestCheckpointsBoundTheLog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := store.Open("store", store.Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20,
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const retain = 64 << 10
		log := &countedLog{first: 1}
		c := &checkpointer{log: log, store: s, retain: retain, appended: log.bytes,
			logger: slog.New(slog.DiscardHandler), observe: func(time.Duration) {}}
		ctx := context.Background()
		c.mark(ctx)
		largest := int64(0) // between two checkpoints
		for range rapid.IntRange(1, 60).Draw(t, "checkpoints") {
			begin := log.bytes()
			for range rapid.IntRange(0, 5).Draw(t, "entries") {
				log.append(int64(rapid.IntRange(1, retain/4).Draw(t, "bytes")))
			}
			largest = max(largest, log.bytes()-begin)
			if pos := uint64(len(log.ends)); pos > s.Applied() {
				b := s.NewBatch()
				if err := b.Set("ns", "k", tree.NewInt(int64(pos))); err != nil {
					t.Fatal(err)
				}
				if err := b.Commit(pos); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
			if log.first > vlog.Position(s.Durable()+1) {
				t.Fatalf("trimmed before %d, but the store is durable only up to %d", log.first, s.Durable())
			}
			kept := log.bytes() - log.before(log.first)
			if log.first > 1 && kept < retain {
				t.Fatalf("%d bytes are left, %d were to be retained", kept, retain)
			}
			if kept > 2*retain+2*largest {
				t.Fatalf("%d bytes are left, with %d to be retained and at most %d between checkpoints", kept, retain, largest)
			}
			if len(c.marks) > 2*maxMarks {
				t.Fatalf("%d marks", len(c.marks))
			}
		}
	})
}

// A log that is small, and has been moved very often, is trimmed all the same, as far as the store allows.
func TestCheckpointsBoundTheChain(t *testing.T) {
	s, err := store.Open("store", store.Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	log, err := vlog.Open(ctx, vlog.Options{Meta: new(mem.Meta), Providers: map[string]vlog.Provider{"mem": mem.Provider()}, Initial: vlog.Segment{Kind: "mem"}})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := &checkpointer{log: log, chain: log.Chain, store: s, retain: 1 << 20, appended: func() int64 { return 0 },
		logger: slog.New(slog.DiscardHandler), observe: func(time.Duration) {}}
	apply := func(pos vlog.Position) {
		t.Helper()
		b := s.NewBatch()
		if err := b.Set("ns", "k", tree.NewInt(int64(pos))); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(uint64(pos)); err != nil {
			t.Fatal(err)
		}
		if err := c.checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range maxSegments + 10 {
		if _, err := log.Append(ctx, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := log.Reconfigure(ctx, vlog.Segment{Kind: "mem"}); err != nil {
			t.Fatal(err)
		}
	}
	apply(4)
	if first := log.Chain().First(); first != 5 {
		t.Errorf("the store has 4 entries, and the log begins at %d", first)
	}
	apply(maxSegments + 10)
	if n := len(log.Chain().Segments); n != maxSegments {
		t.Errorf("%d segments", n)
	}
}
