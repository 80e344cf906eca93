package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/blob"
	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/mem"
)

func kinds(c vlog.Chain) string {
	var out []string
	for _, s := range c.Segments {
		out = append(out, s.Kind)
	}
	return fmt.Sprint(out)
}

func archive(t testing.TB, l Log, b blob.Bucket, o ArchiveOptions) int {
	t.Helper()
	n, err := Archive(bg, l, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestArchive goes through the life of a log on files: archived in two steps, read throughout, reopened, trimmed.
func TestArchive(t *testing.T) {
	dir, b := t.TempDir(), osBucket(t)
	open := func() *vlog.Log {
		l, err := vlog.Open(bg, vlog.Options{Meta: local.FileMeta(dir, nil), Initial: vlog.Segment{Kind: "local", Config: []byte("log")},
			Providers: map[string]vlog.Provider{"local": local.Provider(local.Options{Root: dir, SegmentBytes: 64 << 10}), Kind: Provider(Options{})}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	fillLocal := func(from, to int) {
		for i := from; i <= to; i++ {
			if _, err := l.Append(bg, body(i)); err != nil {
				t.Fatal(err)
			}
			if i%100 == 0 {
				if err := l.Reconfigure(bg, vlog.Segment{Kind: "local", Config: []byte("log")}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	fillLocal(1, 350)
	// A reader before, during and after: it must notice nothing.
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				want(t, l, 1, 350)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	var progress []Progress
	o := small(201)
	o.Progress = func(p Progress) { progress = append(progress, p) }
	if n := archive(t, l, b, o); n != 2 {
		t.Fatalf("archived %d segments, want 2", n)
	}
	if got := kinds(l.Chain()); got != "[backup backup local local]" {
		t.Fatalf("chain is %s", got)
	}
	if last := progress[len(progress)-1]; last.Segment != 2 || last.Done != 201 || last.End != 201 || last.Bytes < 20_000 {
		t.Fatalf("progress ends with %+v", last)
	}
	if n := archive(t, l, b, o); n != 0 {
		t.Fatalf("archived %d segments again", n)
	}
	if n := archive(t, l, b, small(0)); n != 1 {
		t.Fatalf("archived %d segments, want 1", n)
	}
	close(stop)
	readers.Wait()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*"))
	if err != nil || len(names) != 1 {
		t.Errorf("storage of archived segments is still there: %q, %v", names, err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open()
		want(t, l, 1, 350)
	}
	fillLocal(351, 360)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open()
	defer l.Close()
	want(t, l, 1, 360)
	if p, err := l.Trim(bg, 150); err != nil || p != 150 {
		t.Fatalf("trim = %d, %v", p, err)
	}
	for _, p := range []vlog.Position{1, 100, 149} {
		var trimmed *vlog.TrimmedError
		if _, err := l.Read(bg, p, 200, 100); !errors.As(err, &trimmed) || trimmed.First != 150 && (p > 100 || trimmed.First != 101) {
			t.Fatalf("read at %d: %v", p, err)
		}
	}
	want(t, l, 150, 360)
	for _, key := range listing(t, b) {
		if strings.HasPrefix(key, segmentOf("test", 1)) {
			t.Errorf("trimmed away, but still there: %s", key)
		}
	}
}

// TestCrash stops the bucket at each operation of an Archive, and then does it again in a new process.
func TestCrash(t *testing.T) {
	for _, late := range []bool{false, true} {
		crashes := 0
		for at := int64(1); ; at++ {
			b, _ := memBucket()
			meta, storage := new(mem.Meta), new(shared)
			l := openLog(t, meta, storage, b)
			fill(t, l, 1, 230, 100)
			f := &failing{Bucket: b, late: late}
			f.left.Store(at)
			_, err := Archive(bg, l, f, small(0))
			if f.hit.Load() != (err != nil) {
				t.Fatalf("crash at %d: %v", at, err)
			}
			want(t, l, 201, 230) // reading what is archived would find the bucket dead
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = openLog(t, meta, storage, b)
			want(t, l, 1, 230)
			archive(t, l, b, small(0))
			if got := kinds(l.Chain()); got != "[backup backup mem]" {
				t.Fatalf("crash at %d: chain is %s", at, got)
			}
			want(t, l, 1, 230)
			// The second run has found what the first had written: there is nothing twice.
			var firsts []string
			for _, key := range listing(t, b) {
				name := key[strings.LastIndex(key, "/")+1:]
				firsts = append(firsts, key[:strings.LastIndex(key, "/")]+name[:min(len(name), 18)])
			}
			for i := 1; i < len(firsts); i++ {
				if firsts[i] == firsts[i-1] {
					t.Fatalf("crash at %d: twice in the bucket: %s", at, firsts[i])
				}
			}
			l.Close()
			if err == nil {
				break
			}
			crashes++
		}
		if crashes < 30 {
			t.Fatalf("only %d crashes", crashes)
		}
	}
}

// lostMeta loses the answer to the next Store, or what was asked for.
type lostMeta struct {
	*mem.Meta
	lose  bool
	after bool
}

func (m *lostMeta) Store(ctx context.Context, value []byte, ifVersion uint64) (uint64, error) {
	if !m.lose {
		return m.Meta.Store(ctx, value, ifVersion)
	}
	m.lose = false
	if m.after {
		m.Meta.Store(ctx, value, ifVersion)
	}
	return 0, errCrash
}

func TestUnknownOutcome(t *testing.T) {
	for _, after := range []bool{false, true} {
		b, _ := memBucket()
		meta := &lostMeta{Meta: new(mem.Meta), after: after}
		l := openLog(t, meta, new(shared), b)
		defer l.Close()
		fill(t, l, 1, 105, 100)
		meta.lose = true
		_, err := Archive(bg, l, b, small(0))
		if after && err != nil {
			t.Errorf("the chain was stored: %v", err)
		}
		want(t, l, 1, 105)
		archive(t, l, b, small(0))
		if got := kinds(l.Chain()); got != "[backup mem]" {
			t.Fatalf("chain is %s", got)
		}
		want(t, l, 1, 105)
	}
}

// TestTwoArchivers has nodes archive the same segments at once, with readers on each, while one trims.
func TestTwoArchivers(t *testing.T) {
	for round := range 8 {
		b, _ := memBucket()
		meta, storage := new(mem.Meta), new(shared)
		first := openLog(t, meta, storage, b)
		fill(t, first, 1, 420, 100)
		logs := []*vlog.Log{first, openLog(t, meta, storage, b), openLog(t, meta, storage, b)}
		var wg sync.WaitGroup
		for i, l := range logs {
			wg.Go(func() {
				o := small(0)
				if i == 2 {
					o.ObjectBytes = 2000 // another version of the program may cut otherwise
				}
				if _, err := Archive(bg, l, b, o); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
			})
			wg.Go(func() { want(t, l, 151, 420) })
		}
		if round%2 == 1 {
			wg.Go(func() {
				if _, err := logs[1].Trim(bg, 150); err != nil {
					t.Errorf("trim: %v", err)
				}
			})
		}
		wg.Wait()
		for i, l := range logs {
			want(t, l, 151, 420)
			if err := l.Close(); err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
		l := openLog(t, meta, storage, b)
		want(t, l, 151, 420)
		for _, s := range l.Chain().Segments[:len(l.Chain().Segments)-1] {
			if s.Kind != Kind {
				t.Errorf("segment %d is still %s", s.ID, s.Kind)
			}
		}
		l.Close()
	}
}

// TestReplacedArchive puts a second archive of a segment in the place of the first: the removal of the first must leave the second whole.
func TestReplacedArchive(t *testing.T) {
	b, _ := memBucket()
	meta, storage := new(mem.Meta), new(shared)
	l := openLog(t, meta, storage, b)
	fill(t, l, 1, 110, 100)
	archive(t, l, b, small(0))
	before := len(listing(t, b))
	s := l.Chain().Segments[0]
	a := archiver{ArchiveOptions: ArchiveOptions{Log: "test", ObjectBytes: 2000, blockBytes: 300}, log: l, bucket: b}
	a.Logger = slog.New(slog.DiscardHandler)
	if done, err := a.segment(bg, s); !done || err != nil {
		t.Fatalf("second archive: %v, %v", done, err)
	}
	want(t, l, 1, 110)
	l.Close()
	l = openLog(t, meta, storage, b)
	defer l.Close()
	want(t, l, 1, 110)
	if after := len(listing(t, b)); after < before/2 || after > 2*before {
		t.Errorf("%d objects before, %d now", before, after)
	}
	h, err := OpenHistory(bg, b, "test")
	if err != nil {
		t.Fatal(err)
	}
	want(t, h, 1, 100)
}

// TestSweep: what a crash between dropping and removing has left is deleted by the next Archive, and nothing else.
func TestSweep(t *testing.T) {
	b, _ := memBucket()
	meta, storage := new(mem.Meta), new(shared)
	l := openLog(t, meta, storage, b)
	defer l.Close()
	fill(t, l, 1, 310, 100)
	neighbour := openLog(t, new(mem.Meta), new(shared), b)
	defer neighbour.Close()
	fill(t, neighbour, 1, 310, 100)
	o := small(0)
	o.Log = "test2"
	archive(t, neighbour, b, o)
	neighbours := len(listing(t, b))
	archive(t, l, b, small(0))
	// The chain loses two segments, and the process dies.
	value, version, err := meta.Load(bg)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := vlog.DecodeChain(value)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := meta.Store(bg, chain.Truncate(201, chain.Reconfiguration).Append(nil), version); err != nil {
		t.Fatal(err)
	}
	l2 := openLog(t, meta, storage, b)
	defer l2.Close()
	archive(t, l2, b, small(0))
	mine := 0
	for _, key := range listing(t, b) {
		if strings.HasPrefix(key, segmentOf("test", 1)) || strings.HasPrefix(key, segmentOf("test", 2)) {
			t.Errorf("left over: %s", key)
		}
		if strings.HasPrefix(key, folderOf("test2")) {
			mine++
		}
	}
	if mine != neighbours {
		t.Errorf("the neighbour had %d objects and has %d", neighbours, mine)
	}
	want(t, l2, 201, 310)
}

// TestS3 archives to a server that is killed in between, and reads while it is down.
func TestS3(t *testing.T) {
	server := engines.S3(t)
	b, err := blob.Open(bg, server.URL(server.Bucket, "cold"))
	if err != nil {
		t.Fatal(err)
	}
	meta, storage := new(mem.Meta), new(shared)
	l := openLog(t, meta, storage, b)
	fill(t, l, 1, 330, 100)
	o := small(0)
	var restart sync.WaitGroup
	objects := 0
	o.Progress = func(Progress) {
		if objects++; objects == 10 {
			server.Kill()
			restart.Go(func() {
				time.Sleep(50 * time.Millisecond) // so that something fails; it matters to none
				server.Start()
			})
		}
	}
	if n := archive(t, l, b, o); n != 3 {
		t.Fatalf("archived %d", n)
	}
	restart.Wait()
	want(t, l, 1, 330)
	l.Close()
	// A log starts while its cold part is away; reading there waits.
	server.Kill()
	l = openLog(t, meta, storage, b)
	defer l.Close()
	want(t, l, 301, 330)
	ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
	defer cancel()
	if _, err := l.Read(ctx, 1, 10, 100); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("read while the store is away: %v", err)
	}
	done := make(chan error)
	go func() {
		es, err := l.Read(bg, 1, 10, 1000)
		if err == nil && len(es) == 0 {
			err = errors.New("nothing read")
		}
		done <- err
	}()
	server.Start()
	if err := <-done; err != nil {
		t.Fatalf("read across the outage: %v", err)
	}
	want(t, l, 1, 330)
	if _, err := l.Trim(bg, 250); err != nil {
		t.Fatal(err)
	}
	want(t, l, 250, 330)
}

// TestHistory reads an archive without the log.
func TestHistory(t *testing.T) {
	b, _ := memBucket()
	if _, err := OpenHistory(bg, b, "test"); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("history of nothing: %v", err)
	}
	l := openLog(t, new(mem.Meta), new(shared), b)
	fill(t, l, 1, 450, 100)
	archive(t, l, b, small(0))
	h, err := OpenHistory(bg, b, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.End() != 401 || len(h.Segments()) != 4 {
		t.Fatalf("history ends at %d, segments %v", h.End(), h.Segments())
	}
	want(t, h, 1, 400)
	if es, err := h.Read(bg, 401, 500, 100); err != nil || len(es) != 0 {
		t.Fatalf("behind the end: %v, %v", es, err)
	}
	if _, err := l.Trim(bg, 120); err != nil {
		t.Fatal(err)
	}
	l.Close()
	h, err = OpenHistory(bg, b, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, p := range []vlog.Position{1, 100, 110} {
		var trimmed *vlog.TrimmedError
		if _, err := h.Read(bg, p, 200, 100); !errors.As(err, &trimmed) || trimmed.First != 101 && trimmed.First != 120 {
			t.Fatalf("read at %d: %v", p, err)
		}
	}
	want(t, h, 120, 400)
}
