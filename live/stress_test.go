package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/db"
	"rebase/store"
	"rebase/tree"
	"rebase/vlog"
	"rebase/vlog/mem"
)

// badLog fails once, and before that brings some batches twice, as a log may whose loglet is
// switched. Of the append that fails, none, some or all may be in the log.
type badLog struct {
	*mem.Loglet
	mu   sync.Mutex
	rng  *rand.Rand
	left int // appends until it fails; negative: it does not
	full bool
}

var errBadLog = errors.New("the log has failed")

func (l *badLog) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return 0, errBadLog
	}
	if l.left == 0 {
		l.Loglet.Append(ctx, payloads[:l.rng.IntN(len(payloads)+1)]...)
		return 0, errBadLog
	}
	l.left--
	if l.rng.IntN(8) == 0 {
		l.Loglet.Append(ctx, payloads[:l.rng.IntN(len(payloads)+1)]...)
	}
	return l.Loglet.Append(ctx, payloads...)
}

// world is a server that is started again and again on one log and one disk.
type world struct {
	t   *testing.T
	log *mem.Loglet
	fs  vfs.FS

	mu    sync.RWMutex // held for writing while the server is down
	db    *db.DB
	hub   *Hub
	store *store.Store

	proposed, answered atomic.Int64
}

func (w *world) up(rng *rand.Rand, appends int) {
	w.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.store, err = store.Open("data", store.Options{FS: w.fs, CacheBytes: 1 << 20, Logger: quiet}); err != nil {
		w.t.Fatal(err)
	}
	w.hub = New(quiet)
	log := &badLog{Loglet: w.log, rng: rng, left: -1}
	w.db, err = db.Open(context.Background(), db.Options{Log: log, Store: w.store, Observer: w.hub, Logger: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub.Attach(w.db)
	log.mu.Lock()
	log.left = appends
	log.mu.Unlock()
}

func (w *world) down() {
	if err := w.db.Close(context.Background()); err != nil && !errors.Is(err, errBadLog) {
		w.t.Error(err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// writer is a client that behaves as an SDK does: what was not answered before a connection
// broke it sends again, in order, before anything new.
type writer struct {
	w    *world
	rng  *rand.Rand
	name string
	last string // session id
	next uint64

	mu     sync.Mutex
	conn   int // counts connections; an answer of an earlier one is never seen
	unseen []*db.Op
}

func (c *writer) op() *db.Op {
	c.next++
	one := tree.NewIncrement(tree.NewInt(1))
	op := &db.Op{Kind: db.OpSet, Path: tree.Path("count/" + c.name), Value: one, Fingerprint: c.next}
	if c.rng.IntN(3) == 0 {
		score := tree.NewObject([]tree.Child{{Key: "v", Node: tree.NewInt(c.rng.Int64N(50))}})
		if c.rng.IntN(4) == 0 {
			score = nil
		}
		op.Kind, op.Path, op.Value = db.OpMerge, "", nil
		op.Updates = []db.Update{{Path: tree.Path("count/" + c.name), Value: one},
			{Path: tree.Path(fmt.Sprintf("list/k%d", c.rng.IntN(20))), Value: score}}
	}
	return op
}

// connect is one connection: it sends up to n new writes and breaks.
func (c *writer) connect(n int) {
	c.w.mu.RLock()
	defer c.w.mu.RUnlock()
	s := c.w.db.NewSession("test", c.last, db.Root)
	c.last = s.ID()
	c.mu.Lock()
	c.conn++
	again := append([]*db.Op(nil), c.unseen...)
	c.mu.Unlock()
	whole := c.rng.IntN(2) == 0
	if !whole { // it breaks before all has been sent again
		again = again[:c.rng.IntN(len(again)+1)]
	}
	for _, op := range again {
		c.propose(s, op)
	}
	if whole {
		if c.rng.IntN(2) == 0 {
			c.propose(s, &db.Op{Kind: db.OpDisconnectSet, Path: tree.Path("left/" + c.name), Value: tree.NewInt(1)})
		}
		for range n {
			op := c.op()
			c.mu.Lock()
			c.unseen = append(c.unseen, op)
			c.mu.Unlock()
			c.propose(s, op)
			if c.rng.IntN(10) == 0 {
				s.Wait(context.Background())
			}
		}
	}
	if whole && c.rng.IntN(3) == 0 { // a read behind the writes
		s.Wait(context.Background())
	}
	c.mu.Lock()
	c.conn++ // broken: no further answer arrives
	c.mu.Unlock()
	s.End()
}

func (c *writer) propose(s *db.Session, op *db.Op) {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	c.w.proposed.Add(1)
	copied := *op
	var answered atomic.Bool
	s.Propose(&copied, func(r db.Result) {
		c.w.answered.Add(1)
		if answered.Swap(true) {
			c.w.t.Error("answered twice")
		}
		if r.Err != nil || op.Fingerprint == 0 {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.conn != conn {
			return
		}
		if len(c.unseen) == 0 || c.unseen[0] != op {
			c.w.t.Errorf("%s: an answer out of order", c.name)
			return
		}
		c.unseen = c.unseen[1:]
	})
}

// listener comes and goes, and compares what it was told with what there is.
func (w *world) watch(rng *rand.Rand) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := &rig{t: w.t, hub: w.hub, db: w.db}
	p := []tree.Path{"", "list", "list", "list", "count"}[rng.IntN(5)]
	q := queries[rng.IntN(len(queries))]
	c := &client{r: r}
	var err error
	if c.l, err = w.hub.Listen("test", p, parseQuery(w.t, q), db.Root, c); err != nil {
		w.t.Error(err)
		return
	}
	data, _, _, err := c.l.Initial(0)
	if err != nil {
		w.t.Error(err)
		return
	}
	c.mu.Lock()
	c.data = data
	c.mu.Unlock()
	c.l.Start()
	if rng.IntN(3) == 0 {
		data, err := c.l.Resync()
		if err != nil {
			w.t.Error(err)
			return
		}
		c.mu.Lock()
		c.data = data
		c.mu.Unlock()
		c.l.Start()
	}
	time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
	w.compare(c)
	c.l.Close()
}

// compare holds what a client has against the state at one position.
func (w *world) compare(c *client) {
	var snap *store.Snapshot
	var got string
	w.db.Barrier(func(uint64) {
		snap = w.db.Snapshot()
		got = string(tree.AppendExport(nil, c.data.WithPriority(nil)))
	})
	defer snap.Close()
	n, err := snap.Get("test", c.l.Path())
	if err != nil {
		w.t.Error(err)
		return
	}
	want := string(tree.AppendExport(nil, c.l.Query().Filter(n)))
	if c.l.Query().IsDefault() {
		want = string(tree.AppendExport(nil, n))
	}
	if got != want {
		w.t.Errorf("/%s %s: the client has\n%s\nwant\n%s", c.l.Path(), c.l.Query().ID(), got, want)
	}
}

// Clients that write, break, and send again, listeners that come and go, a server that is
// restarted in the middle of everything, and a log that fails and repeats itself: every write
// counts once, every proposal is answered once, and every listener has what there is.
func TestStress(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &world{t: t, log: mem.New(), fs: vfs.NewMem()}
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{w: w, rng: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprintf("w%d", i)}
	}
	for round := range rounds {
		rng := rand.New(rand.NewPCG(seed, uint64(100+round)))
		appends := -1
		if round < rounds-1 {
			appends = 20 + rng.IntN(150)
		}
		w.up(rng, appends)
		var wg sync.WaitGroup
		for _, c := range writers {
			wg.Go(func() {
				for range 25 {
					if w.db.Err() != nil {
						return
					}
					c.connect(c.rng.IntN(12))
				}
			})
		}
		for i := range 3 {
			rng := rand.New(rand.NewPCG(seed, uint64(1000+10*round+i)))
			wg.Go(func() {
				for range 40 {
					w.watch(rng)
				}
			})
		}
		wg.Wait()
		if round == rounds-1 {
			w.settle(writers)
		}
		w.down()
	}
	old, fresh := w.replayed(w.fs), w.replayed(vfs.NewMem())
	if !maps.Equal(old, fresh) {
		t.Errorf("a replay from the log's begin has\n%q\nthe store has\n%q", fresh, old)
	}
	if p, a := w.proposed.Load(), w.answered.Load(); p != a {
		t.Errorf("%d proposals, %d answers", p, a)
	}
}

// settle lets all clients send what they have left, and counts.
func (w *world) settle(writers []*writer) {
	for _, c := range writers {
		s := w.db.NewSession("test", c.last, db.Root)
		for _, op := range append([]*db.Op(nil), c.unseen...) {
			c.propose(s, op)
		}
		if err := s.Wait(context.Background()); err != nil {
			w.t.Error(err)
		}
		n, err := w.store.Get("test", tree.Path("count/"+c.name))
		if err != nil || n.Int() != int64(c.next) {
			w.t.Errorf("%s: %d writes have counted as %d (%v)", c.name, c.next, n.Int(), err)
		}
	}
}

// replayed brings the store on fs up to the log's tail, and returns all that is in it.
func (w *world) replayed(fs vfs.FS) map[string]string {
	quiet := slog.New(slog.DiscardHandler)
	s, err := store.Open("data", store.Options{FS: fs, CacheBytes: 1 << 20, Logger: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	// A database that cannot append gives up as soon as it has replayed what there is.
	log := &badLog{Loglet: w.log, rng: rand.New(rand.NewPCG(1, 1)), full: true}
	if d, err := db.Open(context.Background(), db.Options{Log: log, Store: s, Logger: quiet}); !errors.Is(err, errBadLog) {
		w.t.Errorf("opened on a log that takes nothing: %v", err)
		if err == nil {
			d.Close(context.Background())
		}
	}
	all := map[string]string{"applied": fmt.Sprint(s.Applied())}
	n, err := s.Get("test", "")
	if err != nil {
		w.t.Error(err)
	}
	all["tree"] = string(tree.AppendExport(nil, n))
	if err := s.ScanMeta(nil, func(k, v []byte) bool { all["meta "+string(k)] = string(v); return true }); err != nil {
		w.t.Error(err)
	}
	return all
}
