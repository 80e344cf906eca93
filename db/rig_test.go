package db

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/store"
	"rebase/tree"
	"rebase/vlog"
	"rebase/vlog/mem"
)

// rig is a database on a log and a store in memory, with a record of what it told.
type rig struct {
	t     *testing.T
	log   *mem.Loglet
	fs    vfs.FS
	store *store.Store
	db    *DB
	clock *clock

	mu      sync.Mutex
	changes []Change
}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func (r *rig) Applied(c *Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, *c)
}

func (r *rig) told() []Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Change(nil), r.changes...)
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, log: mem.New(), clock: &clock{t: time.UnixMilli(1_700_000_000_000)}}
	r.start(vfs.NewMem())
	t.Cleanup(func() { r.stop() })
	return r
}

// start opens the store on fs and the database over it.
func (r *rig) start(fs vfs.FS) {
	r.t.Helper()
	r.fs = fs
	r.store = openStore(r.t, fs)
	var err error
	r.db, err = Open(r.t.Context(), r.options())
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) options() Options {
	return Options{Log: r.log, Store: r.store, Observer: r, Now: r.clock.now, Logger: slog.New(slog.DiscardHandler)}
}

func (r *rig) stop() {
	if r.db == nil {
		return
	}
	if err := r.db.Close(context.Background()); err != nil {
		r.t.Errorf("close: %v", err)
	}
	if err := r.store.Close(); err != nil {
		r.t.Errorf("close the store: %v", err)
	}
	r.db = nil
}

func openStore(t *testing.T, fs vfs.FS) *store.Store {
	t.Helper()
	s, err := store.Open("data", store.Options{FS: fs, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *rig) get(p tree.Path) string { return dump(r.t, r.store, p) }

func dump(t testing.TB, s store.Reader, p tree.Path) string {
	t.Helper()
	n, err := s.Get("test", p)
	if err != nil {
		t.Fatal(err)
	}
	return string(tree.AppendExport(nil, n))
}

func (r *rig) wantTree(p tree.Path, want string) {
	r.t.Helper()
	if got := r.get(p); got != want {
		r.t.Errorf("/%s is %s, want %s", p, got, want)
	}
}

func parse(t testing.TB, s string) *tree.Node {
	t.Helper()
	n, err := tree.ParseJSON([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return n
}

// do proposes and demands success.
func (r *rig) do(s *Session, op *Op) Result {
	r.t.Helper()
	res := s.Do(r.t.Context(), op)
	if res.Err != nil {
		r.t.Fatalf("%+v: %v", op, res.Err)
	}
	return res
}

func (r *rig) set(p tree.Path, json string) *Op {
	return &Op{Kind: OpSet, Path: p, Value: parse(r.t, json)}
}

// replayed opens a second database over the same log and an empty store.
func (r *rig) replayed() *store.Store {
	r.t.Helper()
	s := openStore(r.t, vfs.NewMem())
	m, err := newMachine(s)
	if err != nil {
		r.t.Fatal(err)
	}
	d := &DB{vlog: r.log, store: s, machine: m, log: slog.New(slog.DiscardHandler)}
	tail, err := r.log.Tail(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for d.applied+1 < tail.Next {
		if err := d.applyUpTo(r.t.Context(), tail.Next); err != nil {
			r.t.Fatal(err)
		}
	}
	return s
}

// metas is everything the store holds beside the tree.
func metas(t testing.TB, s store.Reader) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.ScanMeta(nil, func(k, v []byte) bool { all[string(k)] = string(v); return true })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var _ Log = (*mem.Loglet)(nil)
var _ = vlog.Position(0)
