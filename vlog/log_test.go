package vlog_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var bg = context.Background()

// world is everything outside a Log that its Options name.
type world struct {
	meta    vlog.MetaStore
	storage mem.Storage
	fs      *vfs.MemFS
}

func newWorld() *world { return &world{meta: new(mem.Meta), fs: vfs.NewMem()} }

func (w *world) options() vlog.Options {
	return vlog.Options{
		Meta: w.meta,
		Providers: map[string]vlog.Provider{
			"mem":    w.storage.Provider(),
			"sparse": sparseProvider(&w.storage),
			"local":  local.Provider(local.Options{FS: w.fs, Root: "data", SegmentBytes: 8 << 10}),
		},
		Initial: vlog.Segment{Kind: "mem", Config: []byte("log")},
	}
}

func (w *world) open(t testing.TB) *vlog.Log {
	t.Helper()
	l, err := vlog.Open(bg, w.options())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConformanceOverMemory(t *testing.T) {
	logtest.Run(t, logtest.Subject{New: func(t testing.TB) logtest.Log { return newWorld().open(t) }})
}

// diskLog is a Log over local Loglets that remembers its world, so that it can be opened again.
type diskLog struct {
	*vlog.Log
	world *world
}

func (w *world) openDisk(t testing.TB) logtest.Log {
	w.meta = local.FileMeta("data", w.fs)
	o := w.options()
	o.Initial.Kind = "local"
	l, err := vlog.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	return diskLog{l, w}
}

func TestConformanceOverLocal(t *testing.T) {
	logtest.Run(t, logtest.Subject{
		New:    func(t testing.TB) logtest.Log { return newWorld().openDisk(t) },
		Reopen: func(t testing.TB, l logtest.Log) logtest.Log { return l.(diskLog).world.openDisk(t) },
	})
}

// restless reconfigures itself every few appends, from memory to disk and back: nobody may notice.
type restless struct {
	diskLog
	n *atomic.Int64
}

func (l restless) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if n := l.n.Add(1); n%7 == 0 {
		next := vlog.Segment{Kind: "local", Config: []byte("log")}
		if n%2 == 0 {
			next.Kind = "mem"
		}
		if err := l.Reconfigure(ctx, next); err != nil && !errors.Is(err, vlog.ErrOvertaken) {
			return 0, err
		}
	}
	return l.diskLog.Append(ctx, payloads...)
}

func TestConformanceUnderReconfiguration(t *testing.T) {
	wrap := func(l logtest.Log) logtest.Log { return restless{l.(diskLog), new(atomic.Int64)} }
	logtest.Run(t, logtest.Subject{
		New:    func(t testing.TB) logtest.Log { return wrap(newWorld().openDisk(t)) },
		Reopen: func(t testing.TB, l logtest.Log) logtest.Log { return wrap(l.(restless).world.openDisk(t)) },
	})
}

func mustAppend(t testing.TB, l *vlog.Log, s string) vlog.Position {
	t.Helper()
	p, err := l.Append(bg, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReconfigure(t *testing.T) {
	w := newWorld()
	l := w.open(t)
	mustAppend(t, l, "a")
	mustAppend(t, l, "b")
	if err := l.Reconfigure(bg, vlog.Segment{Kind: "local", Config: []byte("log")}); err != nil {
		t.Fatal(err)
	}
	if p := mustAppend(t, l, "c"); p != 3 {
		t.Fatalf("first append after the switch at %d", p)
	}
	// Twice without an append between: an empty segment in the middle.
	for range 2 {
		if err := l.Reconfigure(bg, vlog.Segment{Kind: "mem", Config: []byte("log")}); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, l, "d")
	c := l.Chain()
	if len(c.Segments) != 4 || c.Active().ID != 4 || c.Segments[1].End != 4 || c.Segments[2].Start != 4 || c.Active().Start != 4 {
		t.Fatalf("chain is %+v", c)
	}
	check := func(l *vlog.Log) {
		t.Helper()
		if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[a b c d]" {
			t.Fatalf("log is %q", got)
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = w.open(t)
	check(l)

	// Trim drops whole segments from the chain, and their storage.
	first, err := l.Trim(bg, 4)
	if err != nil || first != 4 {
		t.Fatalf("trim = %d, %v", first, err)
	}
	if c := l.Chain(); len(c.Segments) != 1 || c.Lowest != 4 || c.First() != 4 {
		t.Fatalf("chain after trim is %+v", c)
	}
	if _, err := l.Read(bg, 3, 5, 100); !errors.Is(err, vlog.ErrTrimmed) {
		t.Fatalf("read of a dropped segment: %v", err)
	}
	if names, err := w.fs.List("data/log"); err != nil || len(names) != 0 {
		t.Fatalf("storage of the dropped segment: %v, %v", names, err)
	}
	if got := logtest.All(t, l, 4); fmt.Sprint(got) != "[d]" {
		t.Fatalf("log is %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// A kind that cannot be opened must not stop the log.
func TestReconfigureToUnusableKind(t *testing.T) {
	l := newWorld().open(t)
	defer l.Close()
	if err := l.Reconfigure(bg, vlog.Segment{Kind: "none"}); err == nil {
		t.Fatal("no error")
	}
	mustAppend(t, l, "goes on")
	if n := len(l.Chain().Segments); n != 1 {
		t.Fatalf("chain of %d", n)
	}
}

// Two processes share a chain: what one installs the other finds when it meets the seal.
func TestTwoProcesses(t *testing.T) {
	w := newWorld()
	loglets := map[string]vlog.Loglet{}
	var mu sync.Mutex
	o := w.options()
	o.Providers["mem"] = func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		mu.Lock()
		defer mu.Unlock()
		name := fmt.Sprint(spec.ID, string(spec.Config))
		if loglets[name] == nil {
			loglets[name] = mem.New()
		}
		return shared{loglets[name]}, nil
	}
	a, err := vlog.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := vlog.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var acked sync.Map
	for i, l := range []*vlog.Log{a, b, a, b} {
		wg.Go(func() {
			for n := range 100 {
				body := fmt.Sprintf("%d/%d", i, n)
				p, err := l.Append(bg, []byte(body))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				if old, twice := acked.LoadOrStore(p, body); twice {
					t.Errorf("position %d given to %s and %s", p, old, body)
				}
				if n%10 == 5 && i < 2 {
					if err := l.Reconfigure(bg, vlog.Segment{Kind: "mem", Config: fmt.Appendf(nil, "%d", i)}); err != nil && !errors.Is(err, vlog.ErrOvertaken) {
						t.Errorf("reconfigure: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, l := range []*vlog.Log{a, b} {
		// A tail comes from the newest chain; before it a Log may read by an older one.
		if _, err := l.Tail(bg); err != nil {
			t.Fatal(err)
		}
	}
	got := logtest.All(t, a, 1)
	acked.Range(func(p, body any) bool {
		if got[p.(vlog.Position)-1] != body {
			t.Errorf("%s was acknowledged at %d, where stands %s", body, p, got[p.(vlog.Position)-1])
		}
		return true
	})
	if other := logtest.All(t, b, 1); !reflect.DeepEqual(got, other) {
		t.Error("the two see different logs")
	}
}

// shared is a Loglet that outlives the Log that closes it.
type shared struct{ vlog.Loglet }

func (shared) Close() error { return nil }

// A reconfigurer that dies between the seal and the installation leaves a sealed log without a successor.
func TestRollForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		l := w.open(t)
		mustAppend(t, l, "a")
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		orphan, err := w.storage.Provider()(bg, vlog.LogletSpec{ID: 1, Config: []byte("log")})
		if err != nil {
			t.Fatal(err)
		}
		if err := orphan.Seal(bg); err != nil {
			t.Fatal(err)
		}
		l = w.open(t)
		defer l.Close()
		begin := time.Now()
		if p := mustAppend(t, l, "b"); p != 2 {
			t.Fatalf("append at %d", p)
		}
		if waited := time.Since(begin); waited < 200*time.Millisecond {
			t.Fatalf("rolled forward after %v, before whoever sealed it had time to install his chain", waited)
		}
		if c := l.Chain(); len(c.Segments) != 2 || c.Active().Kind != "mem" || string(c.Active().Config) != "log" {
			t.Fatalf("chain is %+v", c)
		}
		if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[a b]" {
			t.Fatalf("log is %q", got)
		}
	})
}

// fickle is a register whose writes succeed or fail and report an error either way.
type fickle struct {
	mem.Meta
	apply atomic.Bool
	fail  atomic.Bool
}

func (m *fickle) Store(ctx context.Context, value []byte, ifVersion uint64) (uint64, error) {
	if !m.fail.Load() {
		return m.Meta.Store(ctx, value, ifVersion)
	}
	if m.apply.Load() {
		if _, err := m.Meta.Store(ctx, value, ifVersion); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("connection lost")
}

func TestUnknownOutcomeOfConditionalWrite(t *testing.T) {
	for _, applied := range []bool{true, false} {
		w := newWorld()
		meta := new(fickle)
		w.meta = meta
		l := w.open(t)
		mustAppend(t, l, "a")
		meta.apply.Store(applied)
		meta.fail.Store(true)
		err := l.Reconfigure(bg, vlog.Segment{Kind: "mem", Config: []byte("next")})
		if (err == nil) != applied {
			t.Fatalf("applied %v: reconfigure: %v", applied, err)
		}
		meta.fail.Store(false)
		mustAppend(t, l, "b")
		if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[a b]" {
			t.Fatalf("applied %v: log is %q", applied, got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A log whose storage is gone must not come back as an empty one.
func TestLostStorage(t *testing.T) {
	w := newWorld()
	l := w.openDisk(t)
	if _, err := l.Append(bg, []byte("precious")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.fs.RemoveAll("data/log"); err != nil {
		t.Fatal(err)
	}
	o := w.options()
	if _, err := vlog.Open(bg, o); !errors.Is(err, vlog.ErrMissing) {
		t.Fatalf("open: %v", err)
	}
}

// keepsDirectories is a file system on which the process dies when it is about to remove a directory.
type keepsDirectories struct{ vfs.FS }

func (keepsDirectories) RemoveAll(string) error { return errors.New("died") }

// TestDeathBeforeRemoval: a Loglet that the chain has dropped, and whose directory is still there because the process died
// before it came to that, is removed by the next Open, and nothing else is.
func TestDeathBeforeRemoval(t *testing.T) {
	w := newWorld()
	o := w.options()
	o.Initial.Kind = "local"
	o.Providers["local"] = local.Provider(local.Options{FS: keepsDirectories{w.fs}, Root: "data", SegmentBytes: 8 << 10})
	l, err := vlog.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := l.Append(bg, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := l.Reconfigure(bg, o.Initial); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Trim(bg, 3); err == nil {
		t.Fatal("the removal did not fail, so this proves nothing")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"000000x", "1", "notes"} { // none of them the name of a Loglet
		if err := w.fs.MkdirAll("data/log/"+other, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before, err := w.fs.List("data/log")
	if err != nil || len(before) != 3+4 {
		t.Fatalf("before: %v, %v", before, err)
	}
	l = w.open(t)
	defer l.Close()
	names, err := w.fs.List("data/log")
	slices.Sort(names)
	if want := []string{"000000x", "000003", "000004", "1", "notes"}; err != nil || !slices.Equal(names, want) {
		t.Fatalf("after: %v, %v, want %v", names, err, want)
	}
	if got := logtest.All(t, l, 3); len(got) != 1 {
		t.Fatalf("the log holds %q", got)
	}
}
