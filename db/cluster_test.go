package db

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/tree"
	"rebase/vlog"
	"rebase/vlog/mem"
)

func ofNode(n uint64) func(node, _ uint64) bool {
	return func(node, _ uint64) bool { return node == n }
}

func (n *node) want(p tree.Path, want string) {
	n.c.t.Helper()
	n.sync()
	if got := dump(n.c.t, n.store, p); got != want {
		n.c.t.Errorf("node %d: /%s is %s, want %s", n.number+1, p, got, want)
	}
}

func set(t testing.TB, p tree.Path, json string) *Op {
	return &Op{Kind: OpSet, Path: p, Value: parse(t, json), Fingerprint: 1}
}

// Any node can end the sessions of another: what they have queued runs, once, under the rules that bind them, and they do
// nothing any more.
func TestSessionsOfAnotherNodeAreEnded(t *testing.T) {
	c := newCluster(t, 2)
	defer c.stop()
	a, b := c.nodes[0], c.nodes[1]
	if res := a.db.Do(t.Context(), &Op{Kind: OpSetRules, NS: "test", Caller: Root, Rules: []byte(
		`{"rules":{"may":{".write":"auth.uid == 'x'"},"mayonce":{".write":"!data.exists() || newData.val() == 1"},"free":{".write":true}}}`)}); res.Err != nil {
		t.Fatal(res.Err)
	}
	s := a.db.NewSession("test", "", caller(t, `{"uid":"x"}`))
	for _, op := range []*Op{set(t, "may", "1"),
		{Kind: OpDisconnectMerge, Updates: []Update{{Path: "may", Value: tree.NewIncrement(tree.NewInt(1))}, {Path: "free", Value: tree.NewIncrement(tree.NewInt(1))}}},
		{Kind: OpDisconnectSet, Path: "mayonce", Value: tree.NewInt(2)}} {
		if res := s.Do(t.Context(), op); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	if res := b.db.Do(t.Context(), &Op{Kind: OpSet, NS: "test", Path: "mayonce", Value: tree.NewInt(1), Caller: Root}); res.Err != nil {
		t.Fatal(res.Err) // so that the end of the session may not set it
	}
	told := make(chan struct{})
	s.OnEnded(func() { close(told) })
	a.wire.stall(true)
	var pending Result
	answered := make(chan struct{})
	s.Propose(set(t, "free", "100"), func(r Result) { pending = r; close(answered) })

	if n, err := b.db.EndSessionsOf(t.Context(), ofNode(1)); n != 2 || err != nil { // s, and the server's
		t.Errorf("%d sessions were ended: %v", n, err)
	}
	if n, err := b.db.EndSessionsOf(t.Context(), ofNode(1)); n != 0 || err != nil {
		t.Errorf("%d sessions were ended a second time: %v", n, err)
	}
	<-told
	a.wire.stall(false)
	<-answered
	if pending.Err != ErrSessionEnded || pending.Replayed {
		t.Errorf("a write behind the end gives %+v", pending)
	}
	<-s.end() // as the gateway does when it hears
	if res := s.Do(t.Context(), set(t, "free", "7")); res.Err != ErrSessionEnded {
		t.Errorf("a session that was ended does %v", res.Err)
	}
	late := make(chan struct{})
	s.OnEnded(func() { close(late) })
	<-late
	for _, n := range c.nodes {
		n.want("", `{"free":1,"may":2,"mayonce":1}`)
	}
	c.compare()
}

// A node that was taken for dead goes on with a server session of its own, and loses nothing of what others are waiting for.
func TestServerSessionIsBegunAnew(t *testing.T) {
	c := newCluster(t, 2)
	defer c.stop()
	a, b := c.nodes[0], c.nodes[1]
	add := func() *Op {
		return &Op{Kind: OpSet, NS: "test", Path: "n", Value: tree.NewIncrement(tree.NewInt(1)), Caller: Root}
	}
	for range 20 {
		if res := a.db.Do(t.Context(), add()); res.Err != nil {
			t.Fatal(res.Err)
		}
		a.wire.stall(true)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if res := a.db.Do(t.Context(), add()); res.Err != nil {
					t.Error(res.Err)
				}
			})
		}
		if n, err := b.db.EndSessionsOf(t.Context(), ofNode(1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		a.wire.stall(false)
		all.Wait()
	}
	b.want("n", "120")
	c.compare()
}

// The first entry of a session may still be on its way when its client turns up elsewhere: then it comes too late. So does one that
// is no first entry if all about its session is forgotten.
func TestEntriesThatComeTooLate(t *testing.T) {
	for _, afterDays := range []bool{false, true} {
		c := newCluster(t, 2)
		var ahead atomic.Int64
		for _, n := range c.nodes {
			n.stop(t.Context())
			n.clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			n.start()
		}
		a, b := c.nodes[0], c.nodes[1]
		s := a.db.NewSession("test", "", Root)
		if afterDays {
			if res := s.Do(t.Context(), set(t, "a", "1")); res.Err != nil {
				t.Fatal(res.Err)
			}
			s.Confirm(1)
		}
		a.wire.stall(true)
		answered := make(chan Result, 1)
		s.Propose(set(t, "b", "1"), func(r Result) { answered <- r })
		again := b.db.NewSession("test", s.ID(), Root) // ends it
		if afterDays {
			s.End()
			for _, pause := range []time.Duration{8 * 24 * time.Hour, time.Minute} { // what has a tail is kept longer
				ahead.Add(int64(pause))
				for range 20 {
					x := b.db.NewSession("test", newSessionID().String(), Root)
					if res := x.Do(t.Context(), &Op{Kind: OpSet, Path: "x", Value: tree.NewInt(1)}); res.Err != nil {
						t.Fatal(res.Err)
					}
					<-x.end()
				}
			}
			if rec, err := b.store.Meta(recordKey(recSession, s.id)); rec != nil || err != nil {
				t.Fatalf("the session is still remembered: %q, %v", rec, err)
			}
		}
		if res := again.Do(t.Context(), set(t, "b", "2")); res.Err != nil {
			t.Fatal(res.Err)
		}
		a.wire.stall(false)
		if res := <-answered; res.Err != ErrSessionEnded {
			t.Errorf("days later: %v: an entry that comes too late gives %+v", afterDays, res)
		}
		a.want("b", "2")
		c.compare()
		c.stop()
	}
}

// Somebody who asks for a session while the log stands still can give up, and again and again, without filling the queue.
func TestGivingUpASession(t *testing.T) {
	c := newCluster(t, 2)
	defer c.stop()
	a, b := c.nodes[0], c.nodes[1]
	s := a.db.NewSession("test", "", Root)
	if res := s.Do(t.Context(), set(t, "a", "1")); res.Err != nil {
		t.Fatal(res.Err)
	}
	b.wire.stall(true)
	before := b.db.Stats().Proposed
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if x, err := b.db.ResumeSession(ctx, "test", s.ID(), Root); x != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(x, err)
		}
		cancel()
	}
	if n := b.db.Stats().Proposed - before; n > 1 {
		t.Errorf("%d entries wait to say the same", n)
	}
	b.wire.stall(false)
	x := b.db.NewSession("test", s.ID(), Root)
	if res := x.Do(t.Context(), set(t, "a", "1")); res.Err != nil || !res.Replayed {
		t.Errorf("a write that comes again: %+v", res)
	}
}

// A client that moves finds what it has seen before, also where nothing is known of its session.
func TestWhoMovesSeesNothingOlder(t *testing.T) {
	c := newCluster(t, 2)
	defer c.stop()
	for i := range 200 {
		from, to := c.nodes[i%2], c.nodes[1-i%2]
		if res := from.db.Do(t.Context(), &Op{Kind: OpSet, NS: "test", Path: "n", Value: tree.NewInt(int64(i)), Caller: Root}); res.Err != nil {
			t.Fatal(res.Err)
		}
		to.db.NewSession("test", newSessionID().String(), Root)
		if got := dump(t, to.store, "n"); got != fmt.Sprint(i) {
			t.Fatalf("after move %d the client sees %s", i, got)
		}
	}
}

// Entries can be there twice with those of other nodes in between, and in part.
func TestRepeatedBatches(t *testing.T) {
	c := newCluster(t, 2)
	defer c.stop()
	var all sync.WaitGroup
	for i, n := range c.nodes {
		n.wire.mu.Lock()
		n.wire.twice, n.wire.random = 8, newRandom(uint64(i))
		n.wire.mu.Unlock()
		for j := range 8 {
			all.Go(func() {
				s := n.db.NewSession("test", "", Root)
				for k := range 50 {
					op := &Op{Kind: OpSet, Path: tree.Path(fmt.Sprintf("n%d/%d", i, j)), Value: tree.NewIncrement(tree.NewInt(1)), Fingerprint: uint64(k + 1)}
					if res := s.Do(t.Context(), op); res.Err != nil || res.Replayed {
						t.Errorf("%+v", res)
					}
				}
				<-s.end()
			})
		}
	}
	all.Wait()
	want := strings.Repeat(`,"x":50`, 8)
	for i := range 8 {
		want = strings.Replace(want, "x", fmt.Sprint(i), 1)
	}
	for _, n := range c.nodes {
		n.want("n0", "{"+want[1:]+"}")
		n.want("n1", "{"+want[1:]+"}")
	}
	if c.nodes[0].db.Stats().Replayed == 0 {
		t.Error("nothing came twice")
	}
	c.compare()
}

// sparse is a log that uses every 16th position only, with a tail that says so.
type sparse struct{ *mem.Loglet }

func (s sparse) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	p, err := s.Loglet.Append(ctx, payloads...)
	return p << 4, err
}

func (s sparse) Tail(ctx context.Context) (vlog.Tail, error) {
	t, err := s.Loglet.Tail(ctx)
	return vlog.Tail{Next: t.Next<<4 - 3, Sealed: t.Sealed}, err
}

func (s sparse) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	t, err := s.Loglet.WaitTail(ctx, (atLeast+3+15)>>4)
	return vlog.Tail{Next: t.Next<<4 - 3, Sealed: t.Sealed}, err
}

func (s sparse) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	entries, err := s.Loglet.Read(ctx, (from+15)>>4, (to+15)>>4, maxBytes)
	for i := range entries {
		entries[i].Pos <<= 4
	}
	return entries, err
}

func TestSparsePositions(t *testing.T) {
	log, fs := sparse{mem.New()}, vfs.NewMem()
	o := Options{Log: log, Replicated: true, Node: 1, Logger: slog.New(slog.DiscardHandler)}
	for run := range 3 {
		o.Incarnation++
		o.Store = openStore(t, fs)
		d, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if res := d.Do(t.Context(), &Op{Kind: OpSet, NS: "test", Path: "n", Value: tree.NewInt(int64(i)), Caller: Root}); res.Err != nil || res.Pos%16 != 0 {
				t.Fatalf("%+v", res)
			}
			if err := d.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := dump(t, o.Store, "n"); got != fmt.Sprint(i) {
				t.Fatalf("run %d: %s", run, got)
			}
		}
		d.NewSession("test", "", Root).Do(t.Context(), set(t, "a", "1")) // left open
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := o.Store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	o.Store, o.Replicated = openStore(t, vfs.NewMem()), false
	defer o.Store.Close()
	if _, err := Open(t.Context(), o); err == nil {
		t.Error("a single server's log may leave something out")
	}
}

// slowTail counts how often the log's end is asked for, and can hold the answer back.
type slowTail struct {
	*mem.Loglet
	asked atomic.Int64
	hold  chan struct{}
}

func (l *slowTail) Tail(ctx context.Context) (vlog.Tail, error) {
	if l.asked.Add(1) > 1 { // the first is Open's
		select {
		case <-l.hold:
		case <-ctx.Done():
			return vlog.Tail{}, ctx.Err()
		}
	}
	return l.Loglet.Tail(ctx)
}

func TestSyncsShareATailCheck(t *testing.T) {
	log := &slowTail{Loglet: mem.New(), hold: make(chan struct{})}
	s := openStore(t, vfs.NewMem())
	defer s.Close()
	d, err := Open(t.Context(), Options{Log: log, Store: s, Replicated: true, Node: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a read that is given up: %v", err)
	}
	for log.asked.Load() < 2 { // its question is still on the way
		time.Sleep(time.Millisecond)
	}
	first := d.tails.join(d)
	for range 100 {
		if d.tails.join(d) != first {
			t.Fatal("those who wait behind a question ask one by one")
		}
	}
	close(log.hold)
	<-first.done
	if n := log.asked.Load(); n != 3 || first.err != nil {
		t.Errorf("the log's end was asked for %d times: %v", n, first.err)
	}
	log.hold = make(chan struct{})
	log.asked.Store(1)
	log.hold = make(chan struct{})
	stuck := make(chan error)
	go func() { stuck <- d.Sync(context.Background()) }()
	for log.asked.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	d.Close(t.Context())
	if err := <-stuck; !errors.Is(err, ErrClosed) {
		t.Errorf("at the end: %v", err)
	}
	if err := d.Sync(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("behind the end: %v", err)
	}
}

// A replica that was away while the log was trimmed says so, also while it runs.
func TestTooOld(t *testing.T) {
	c := newCluster(t, 2)
	defer c.stop()
	a, b := c.nodes[0], c.nodes[1]
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	began := make(chan struct{}, 1)
	go b.db.Barrier(func(uint64) { began <- struct{}{}; <-held }) // it stands still
	<-began
	for i := range 10 {
		if res := a.db.Do(t.Context(), &Op{Kind: OpSet, NS: "test", Path: "n", Value: parse(t, fmt.Sprintf(`"%d%s"`, i, strings.Repeat("x", 1<<20))), Caller: Root}); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	tail, err := a.log.Tail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.log.Trim(t.Context(), tail.Next-1); err != nil {
		t.Fatal(err)
	}
	release()
	<-b.db.Failed()
	var old *TooOldError
	if err := b.db.Err(); !errors.Is(err, ErrTooOld) || !errors.As(err, &old) || old.First != uint64(tail.Next-1) || old.Applied >= old.First {
		t.Errorf("the replica stops with %v", err)
	}
	if err := b.db.Sync(t.Context()); err == nil {
		t.Error("a replica that has stopped still answers strong reads")
	}
}

// What a single server writes has no owner, so that its log and records stay as they were.
func TestASingleServerHasNoOwner(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	r.do(s, set(t, "a", "1"))
	r.do(s, &Op{Kind: OpDisconnectSet, Path: "b", Value: tree.NewInt(1)})
	s = r.db.NewSession("test", s.ID(), Root)
	r.do(s, set(t, "c", "1"))
	<-s.end()
	entries, err := r.log.Read(t.Context(), 1, 100, 1<<20)
	if err != nil || len(entries) < 5 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		_, body, _ := vlog.DecodeEnvelope(e.Payload)
		op, o, err := decodeOp(body)
		if err != nil || o.owned || o.begins || op.Kind >= opEndOther {
			t.Errorf("entry %d: %+v %+v %v", e.Pos, op, o, err)
		}
	}
	plain := (&sessionState{ns: "n", caller: Root})
	b := r.store.NewBatch()
	plain.saveHead(b)
	if err := b.Commit(r.store.Applied()); err != nil {
		t.Fatal(err)
	}
	rec, err := r.store.Meta(recordKey(recSession, plain.id))
	if want := append([]byte{1, 'n', 0}, append(make([]byte, 16), callerAdmin)...); err != nil || !bytes.Equal(rec, want) {
		t.Errorf("the record is %x, want %x", rec, want)
	}
}

// All sessions that a cluster has left are ended when its state becomes a single server's.
func TestASingleServerContinuesACluster(t *testing.T) {
	c := newCluster(t, 2)
	a := c.nodes[0]
	for _, n := range c.nodes {
		s := n.db.NewSession("test", "", Root)
		if res := s.Do(t.Context(), &Op{Kind: OpDisconnectSet, Path: tree.Path(fmt.Sprint("left", n.number)), Value: tree.NewInt(1)}); res.Err != nil {
			t.Fatal(res.Err)
		}
	}
	a.sync()
	if err := a.store.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		n.stop(t.Context())
	}
	s := openStore(t, a.fs)
	defer s.Close()
	log, err := vlog.Open(t.Context(), vlog.Options{Meta: &c.meta, Providers: map[string]vlog.Provider{"mem": c.lets.provider}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), Options{Log: log, Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close(t.Context())
	if got := dump(t, s, ""); got != `{"left0":1,"left1":1}` {
		t.Error(got)
	}
}
