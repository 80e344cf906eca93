package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rebase/test/engines"
	"rebase/vlog"
)

// testSeveralWriters: handles of their own compete for the tail; each gets on.
func testSeveralWriters(t *testing.T, w *world) {
	l := w.create(t)
	h := newHistory()
	var wg sync.WaitGroup
	for i := range 3 {
		handle := w.open(t, l)
		for j := range 4 {
			wg.Go(func() { h.writer(t, handle, fmt.Sprintf("%d-%d", i, j), func(n int) bool { return n < 150 }) })
		}
	}
	wg.Wait()
	h.check(t, w.open(t, l))
}

// testNobodyStarves: a writer with one append at a time gets on beside one that always has more to send than fits in what is under way.
func testNobodyStarves(t *testing.T, w *world) {
	w.opts.MaxBatchBytes = 4 << 10
	greedy, modest := w.create(t), (*Loglet)(nil)
	modest = w.open(t, greedy)
	ctx, cancel := context.WithCancel(bg)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := greedy.Append(ctx, make([]byte, 1<<10)); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	begin := time.Now()
	for range 50 {
		if _, err := modest.Append(bg, []byte("x")); err != nil {
			t.Error(err)
		}
	}
	tail, err := greedy.Tail(bg)
	t.Logf("%v an append, among %d of the other's, %v", time.Since(begin)/50, tail.Next, err)
	cancel()
	wg.Wait()
}

// flaky is a connection that breaks at random: before a request is sent, or after it has been sent and before its answer is read.
type flaky struct {
	net.Conn
	mu   sync.Mutex
	rng  *rand.Rand
	odds int
}

func (f *flaky) unlucky() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rng.IntN(f.odds) == 0
}

func (f *flaky) Write(p []byte) (int, error) {
	if f.unlucky() {
		n, _ := f.Conn.Write(p[:f.rng.IntN(len(p)+1)])
		f.Conn.Close()
		return n, errors.New("broken")
	}
	n, err := f.Conn.Write(p)
	if f.unlucky() { // it has arrived, but the answer will not
		time.Sleep(time.Duration(f.rng.IntN(3)) * time.Millisecond)
		f.Conn.Close()
	}
	return n, err
}

// testLostAnswers: connections break all the time, under several writers, with several batches under way.
func testLostAnswers(t *testing.T, w *world) {
	w.opts.MaxBatchBytes = 64 // some entries
	l := w.create(t)
	h := newHistory()
	var breaks atomic.Int64
	var wg sync.WaitGroup
	for i := range 2 {
		unreliable := &world{opts: w.opts}
		odds := 40
		seed := uint64(i)
		unreliable.opts.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			n := breaks.Add(1)
			c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			return &flaky{Conn: c, rng: rand.New(rand.NewPCG(seed, uint64(n))), odds: odds}, nil
		}
		handle := unreliable.open(t, l)
		for j := range 12 {
			wg.Go(func() { h.writer(t, handle, fmt.Sprintf("%d-%02d", i, j), func(n int) bool { return n < 100 }) })
		}
	}
	wg.Wait()
	h.check(t, w.open(t, l))
	if n := breaks.Load(); n < 20 {
		t.Fatalf("only %d connections: nothing was tested", n)
	}
}

// testMembersFail: servers of an ensemble are killed and paused, the leader among them, under writers of several handles; then the log is sealed
// in the middle of it.
func testMembersFail(t *testing.T, e engines.ZooKeeperEnsemble) {
	w := newWorld(e.Servers())
	l := w.create(t)
	h := newHistory()
	var wg sync.WaitGroup
	for i := range 3 {
		handle := w.open(t, l)
		for j := range 4 {
			wg.Go(func() { h.writer(t, handle, fmt.Sprintf("%d-%d", i, j), func(int) bool { return true }) })
		}
	}
	// progress returns when something has been acknowledged that was begun after now, and checks the tail against it.
	var probes int
	progress := func() {
		t.Helper()
		h.writer(t, l, fmt.Sprint("probe", probes), func(i int) bool { return i == 0 })
		h.mu.Lock()
		p := h.highest
		h.mu.Unlock()
		if tail, err := l.Tail(bg); err != nil || tail.Next <= p {
			t.Fatalf("tail %+v, %v after an append at %d", tail, err, p)
		}
		probes++
	}
	progress()
	leader := leaderOf(t, e)
	leader.Kill()
	progress()
	leader.Restart()
	progress()
	paused := leaderOf(t, e)
	paused.Stop()
	progress()
	paused.Cont()
	progress()
	var follower *engines.ZooKeeperServer
	for _, s := range e {
		if s != leaderOf(t, e) {
			follower = s
		}
	}
	follower.Kill()
	progress()
	if err := w.open(t, l).Seal(bg); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	follower.Restart()
	h.check(t, w.open(t, l))
}

// testNoQuorum: without a majority calls wait; with it back, they go on.
func testNoQuorum(t *testing.T, e engines.ZooKeeperEnsemble) {
	w := newWorld(e.Servers())
	l := w.create(t)
	if _, err := l.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	e[0].Stop()
	e[1].Stop()
	ctx, cancel := context.WithTimeout(bg, 300*time.Millisecond)
	defer cancel()
	if _, err := l.Append(ctx, []byte("b")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append without a quorum: %v", err)
	}
	if _, err := l.Tail(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("tail without a quorum: %v", err)
	}
	if err := l.Seal(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("seal without a quorum: %v", err)
	}
	sealed := make(chan error)
	go func() { sealed <- l.Seal(bg) }()
	e[0].Cont()
	e[1].Cont()
	if err := <-sealed; err != nil {
		t.Fatal(err)
	}
	tail, err := l.Tail(bg)
	if err != nil || !tail.Sealed || tail.Next < 2 || tail.Next > 3 {
		t.Fatalf("tail %+v, %v", tail, err)
	}
}

// testStaleServer: a server that was paused, and is behind, answers at once what it is asked when it goes on; a leader even what only it can know, if it
// does not know yet that it has been deposed. A tail that it tells must not lie below what has been acknowledged meanwhile.
func testStaleServer(t *testing.T, e engines.ZooKeeperEnsemble) {
	w := newWorld(e.Servers())
	l := w.create(t)
	leader := leaderOf(t, e)
	rounds := func(s *engines.ZooKeeperServer, n int) {
		patient := newWorld([]string{s.Address})
		patient.opts.Timeout = 30 * time.Second // does not give the server up
		stale := patient.open(t, l)
		var others []string
		for _, o := range e {
			if o != s {
				others = append(others, o.Address)
			}
		}
		fresh := newWorld(others).open(t, l)
		for range n {
			if _, err := stale.Append(bg, []byte("0")); err != nil {
				t.Fatal(err)
			}
			s.Stop()
			p, err := fresh.Append(bg, []byte("1"))
			if err != nil {
				t.Fatal(err)
			}
			got := make(chan vlog.Tail)
			go func() {
				tail, err := stale.Tail(bg)
				if err != nil {
					t.Error(err)
				}
				got <- tail
			}()
			time.Sleep(5 * time.Millisecond) // the question lies in the server's socket; it matters to none if it does not
			s.Cont()
			if tail := <-got; tail.Next <= p {
				t.Fatalf("tail %+v after an append at %d had been acknowledged", tail, p)
			}
		}
	}
	for _, s := range e {
		if s != leader {
			rounds(s, 10)
		}
	}
	rounds(leader, 1)
}
