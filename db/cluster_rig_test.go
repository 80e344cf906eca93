package db

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/store"
	"rebase/vlog"
	"rebase/vlog/mem"
)

// cluster is several databases over one chain of loglets, each with a handle of its own on the log.
type cluster struct {
	t     testing.TB
	meta  mem.Meta
	lets  sharedLoglets
	nodes []*node

	mu          sync.Mutex
	incarnation uint64
	digests     map[uint64]map[string]bool // by position: all different digests that were reported
	reports     int
	late        [][][]byte // appends of dead nodes that are still on their way
}

// node is one of them; number 0 is node 1.
type node struct {
	c           *cluster
	number      int
	fs          *vfs.MemFS
	log         *vlog.Log
	wire        *wire
	store       *store.Store
	db          *DB
	incarnation uint64
	clock       func() time.Time
}

func newCluster(t testing.TB, n int) *cluster {
	c := &cluster{t: t, digests: map[uint64]map[string]bool{}}
	for i := range n {
		c.nodes = append(c.nodes, &node{c: c, number: i, fs: vfs.NewCrashableMem()})
		c.nodes[i].start()
	}
	return c
}

func (c *cluster) stop() {
	for _, n := range c.nodes {
		n.wire.stall(false)
		n.stop(context.Background())
	}
}

func (n *node) start() {
	n.c.mu.Lock()
	n.c.incarnation++
	n.incarnation = n.c.incarnation
	n.c.mu.Unlock()
	must := func(err error) {
		if err != nil {
			n.c.t.Fatalf("start node %d: %v", n.number+1, err)
		}
	}
	var err error
	n.log, err = vlog.Open(context.Background(), vlog.Options{
		Meta: &n.c.meta, Providers: map[string]vlog.Provider{"mem": n.c.lets.provider}, Initial: vlog.Segment{Kind: "mem"}})
	must(err)
	n.wire = &wire{Log: n.log, c: n.c, open: make(chan struct{})}
	close(n.wire.open)
	n.store, err = store.Open("data", store.Options{FS: n.fs, CacheBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	must(err)
	n.db, err = Open(context.Background(), n.options())
	must(err)
}

func (n *node) options() Options {
	return Options{Log: n.wire, Store: n.store, Now: n.clock, Logger: slog.New(slog.DiscardHandler), Replicated: true,
		Node: uint64(n.number + 1), Incarnation: n.incarnation, OnDigest: n.c.digest}
}

func (c *cluster) digest(pos uint64, sum [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.digests[pos] == nil {
		c.digests[pos] = map[string]bool{}
	}
	c.digests[pos][fmt.Sprintf("%x", sum)] = true
	c.reports++
}

func (n *node) stop(ctx context.Context) {
	if n.db == nil {
		return
	}
	n.db.Close(ctx)
	if err := n.store.Close(); err != nil {
		n.c.t.Errorf("close the store of node %d: %v", n.number+1, err)
	}
	n.log.Close()
	n.db = nil
}

// kill is kill -9: what is not on the disk is gone, sessions stay open, and what the log was given may arrive later.
func (n *node) kill() {
	clone := n.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))})
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	n.stop(gone)
	n.fs = clone
}

// sync has the node see what all others have.
func (n *node) sync() {
	if err := n.db.Sync(context.Background()); err != nil {
		n.c.t.Fatalf("sync of node %d: %v", n.number+1, err)
	}
}

func (n *node) digest() (pos uint64, sum [32]byte) {
	snap := n.db.Snapshot()
	defer snap.Close()
	sum, err := snap.Digest(context.Background(), 0)
	if err != nil {
		n.c.t.Fatal(err)
	}
	return snap.Applied(), sum
}

// wire is a node's way to the log. It can stand still, and it brings things twice, as a log does that is sealed under an append.
type wire struct {
	*vlog.Log
	c *cluster

	mu      sync.Mutex
	open    chan struct{} // closed unless the way is blocked
	twice   int           // of 8 appends, so many are there twice, in part or whole
	random  *rand.Rand
	latency time.Duration
	appends int
}

func (w *wire) stall(yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.open:
		if yes {
			w.open = make(chan struct{})
		}
	default:
		if !yes {
			close(w.open)
		}
	}
}

func (w *wire) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	w.mu.Lock()
	open, before := w.open, 0
	if w.twice > 0 && w.random.IntN(8) < w.twice {
		before = w.random.IntN(len(payloads) + 1)
	}
	w.appends++
	w.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
		w.c.mu.Lock()
		defer w.c.mu.Unlock()
		var copies [][]byte
		for _, p := range payloads {
			copies = append(copies, append([]byte(nil), p...))
		}
		w.c.late = append(w.c.late, copies)
		return 0, ctx.Err()
	}
	if w.latency > 0 {
		time.Sleep(w.latency)
	}
	if before > 0 {
		if _, err := w.Log.Append(ctx, payloads[:before]...); err != nil {
			return 0, err
		}
		time.Sleep(50 * time.Microsecond) // others may come in between
	}
	return w.Log.Append(ctx, payloads...)
}

// sharedLoglets are loglets in memory that several handles have open at once. Closing one closes nothing.
type sharedLoglets struct {
	mu   sync.Mutex
	lets map[string]*mem.Loglet
}

type sharedLoglet struct {
	*mem.Loglet
	name string
}

func (l sharedLoglet) Close() error                 { return nil }
func (l sharedLoglet) Remove(context.Context) error { return nil }
func (l sharedLoglet) Config() []byte               { return []byte(l.name) }

func (s *sharedLoglets) provider(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := string(spec.Config)
	if spec.Create {
		if s.lets == nil {
			s.lets = map[string]*mem.Loglet{}
		}
		name = fmt.Sprint(len(s.lets))
		s.lets[name] = mem.New()
	}
	l := s.lets[name]
	if l == nil {
		return nil, vlog.ErrMissing
	}
	return sharedLoglet{l, name}, nil
}

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
