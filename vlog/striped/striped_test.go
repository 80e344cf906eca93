package striped

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
)

var bg = context.Background()

// world makes loglets over stripes of one kind, and opens them again.
type world struct {
	kinds map[string]vlog.Provider
	wish  Wish
	mu    sync.Mutex
	next  uint64
	ids   map[logtest.Log]uint64
}

func newWorld(wish Wish, provider vlog.Provider) *world {
	return &world{kinds: map[string]vlog.Provider{wish.Kind: provider}, wish: wish, ids: map[logtest.Log]uint64{}}
}

func (w *world) create(t testing.TB) logtest.Log {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	l, err := Open(bg, w.kinds, vlog.LogletSpec{ID: w.next, Create: true, Config: w.wish.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	w.ids[l] = w.next
	return l
}

func (w *world) open(t testing.TB, old logtest.Log) logtest.Log {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	id := w.ids[old]
	l, err := Open(bg, w.kinds, vlog.LogletSpec{ID: id, Config: old.(*Loglet).Config()})
	if err != nil {
		t.Fatal(err)
	}
	w.ids[l] = id
	return l
}

func (w *world) subject() logtest.Subject {
	return logtest.Subject{New: w.create, Reopen: w.open, Sparse: true}
}

// shared is memory that several handles have open.
type shared struct {
	mu   sync.Mutex
	logs map[string]*mem.Loglet
}

// user is one handle on it.
type user struct {
	*mem.Loglet
	ctx   context.Context
	close context.CancelFunc
}

func (s *shared) provider() vlog.Provider {
	return func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		name := fmt.Sprintf("%d.%d", spec.ID, spec.Stripe)
		if s.logs[name] == nil {
			s.logs[name] = mem.New()
		}
		u := &user{Loglet: s.logs[name]}
		u.ctx, u.close = context.WithCancel(bg)
		return u, nil
	}
}

func (u *user) Close() error { u.close(); return nil }

func (u *user) WaitTail(ctx context.Context, p vlog.Position) (vlog.Tail, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(u.ctx, cancel)()
	t, err := u.Loglet.WaitTail(ctx, p)
	if err != nil && u.ctx.Err() != nil {
		err = vlog.ErrClosed
	}
	return t, err
}

func names(n int) [][]byte {
	var out [][]byte
	for i := range n {
		out = append(out, fmt.Appendf(nil, "s%d", i))
	}
	return out
}

func TestConformance(t *testing.T) {
	for _, n := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("mem-%d", n), func(t *testing.T) {
			storage := new(mem.Storage)
			logtest.Run(t, newWorld(Wish{Kind: "mem", Configs: names(n)}, storage.Provider()).subject())
		})
	}
	t.Run("several handles", func(t *testing.T) {
		w := newWorld(Wish{Kind: "mem", Configs: names(3)}, (&shared{logs: map[string]*mem.Loglet{}}).provider())
		subject := w.subject()
		subject.Another = w.open
		logtest.Run(t, subject)
	})
	t.Run("local", func(t *testing.T) {
		logtest.Run(t, newWorld(Wish{Kind: "local", Configs: names(2)}, local.Provider(local.Options{Root: t.TempDir(), SegmentBytes: 16 << 10})).subject())
	})
}

func TestConfig(t *testing.T) {
	w := Wish{N: 3, Kind: "mem", Configs: [][]byte{{1}, {2}}}
	c, err := DecodeConfig(w.Encode())
	if err != nil || len(c.Stripes) != 3 || c.Stripes[2].Kind != "mem" || c.Stripes[2].Config[0] != 2 {
		t.Fatalf("the wish became %+v, %v", c, err)
	}
	stored := c.Encode()
	if again, err := DecodeConfig(stored); err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
		t.Fatalf("%+v became %+v, %v", c, again, err)
	}
	for i := range stored {
		if _, err := DecodeConfig(stored[:i]); err == nil {
			t.Errorf("the first %d bytes of a configuration pass for one", i)
		}
	}
	storage := new(mem.Storage)
	kinds := map[string]vlog.Provider{"mem": storage.Provider()}
	if _, err := Open(bg, kinds, vlog.LogletSpec{ID: 1, Create: true, Config: Wish{N: 2, Kind: "mem"}.Encode()}); err == nil {
		t.Error("two stripes in the same storage are accepted")
	}
	if _, err := Open(bg, kinds, vlog.LogletSpec{ID: 2, Create: true, Config: Wish{N: 2, Kind: "tape"}.Encode()}); err == nil {
		t.Error("stripes of an unknown kind are accepted")
	}
	missing := Config{[]Stripe{{"mem", []byte("a")}, {"mem", []byte("b")}}}
	if _, err := Open(bg, kinds, vlog.LogletSpec{ID: 3, Config: missing.Encode()}); !errors.Is(err, vlog.ErrMissing) {
		t.Errorf("open of stripes that are not there: %v", err)
	}
}
