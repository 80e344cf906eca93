package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"pgregory.net/rapid"

	"rebase/test/engines"
	"rebase/vlog"
	"rebase/vlog/logtest"
)

func mustAppend(t testing.TB, l *Loglet, payloads ...string) vlog.Position {
	t.Helper()
	var b [][]byte
	for _, p := range payloads {
		b = append(b, []byte(p))
	}
	first, err := l.Append(bg, b...)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return first
}

// pattern is n bytes that differ from any other seed's.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>11 + seed)
	}
	return b
}

// keys are those that are stored of a Loglet.
func (b *bench) keys(t testing.TB, l *Loglet) []string {
	t.Helper()
	var all []string
	for _, prefix := range []string{l.keys.base, l.keys.index} {
		g, err := b.client.Get(bg, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range g.Kvs {
			all = append(all, string(kv.Key))
		}
	}
	return all
}

func (b *bench) count(t testing.TB, prefix string) int64 {
	t.Helper()
	g, err := b.client.Get(bg, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return g.Count
}

// What needs one etcd and nothing of it that others could not bear.
func TestLoglet(t *testing.T) {
	t.Parallel()
	b := newBench(engines.Etcd(t).Client(t))
	for name, test := range map[string]func(*testing.T, *bench){
		"Large": testLarge, "LargeMeetsSeal": testLargeMeetsSeal, "LargeIsSwept": testSwept, "TwoHandles": testTwoHandles, "Missing": testMissing,
		"Race": testCreationRace, "Sweep": testSweep, "Removed": testRemoved, "Compaction": testCompaction, "ManyBatches": testManyBatches,
		"SharedTail": testSharedTail, "Damage": testDamage, "Withdrawn": testWithdrawn, "TwoHandleModel": testTwoHandleModel, "Log": testLog,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

func testLarge(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	var want [][]byte
	add := func(payloads ...[]byte) {
		first, err := l.Append(bg, payloads...)
		if err != nil || int(first) != len(want)+1 {
			t.Fatalf("append at %d, %v; want %d", first, err, len(want)+1)
		}
		want = append(want, payloads...)
	}
	add([]byte("small"))
	add(pattern(1, 5<<20+17))
	add(pattern(2, 700_000), []byte("x"), pattern(3, 700_000), nil, pattern(4, 3<<20))
	add([]byte("small again"))
	many := make([][]byte, 280_000) // whose lengths alone fill a request
	for i := range many {
		many[i] = pattern(i, i%5)
	}
	add(many...)
	add(pattern(5, batchBytes-4)) // as large as fits into one request
	add(pattern(6, batchBytes-3))

	other := b.again(t, l)
	defer other.Close()
	for limit, handle := range map[int]*Loglet{1 << 20: l, 100 << 20: other} {
		p := vlog.Position(1)
		for int(p) <= len(want) {
			es, err := handle.Read(bg, p, 1<<60, limit)
			if err != nil || len(es) == 0 {
				t.Fatalf("read at %d: %d entries, %v", p, len(es), err)
			}
			size := 0
			for i, e := range es {
				if size += len(e.Payload); i > 0 && size > limit {
					t.Fatalf("read of %d bytes gave %d", limit, size)
				}
				if e.Pos != p || !bytes.Equal(e.Payload, want[p-1]) {
					t.Fatalf("entry %d at %d has %d bytes; want %d", e.Pos, p, len(e.Payload), len(want[p-1]))
				}
				p++
			}
		}
	}
	// Inside a large batch, and up to a position inside it.
	if es, err := other.Read(bg, 5, 7, 1<<20); err != nil || len(es) != 2 || !bytes.Equal(es[0].Payload, want[4]) || len(es[1].Payload) != 0 {
		t.Fatalf("read [5,7) = %d entries, %v", len(es), err)
	}
	if n := b.count(t, l.keys.intents()); n != 0 {
		t.Errorf("%d intents are left", n)
	}
	// Trimming deletes the pieces with the batch, and a reader that has the reference already learns of it.
	if first, err := other.Trim(bg, 9); err != nil || first != 9 {
		t.Fatalf("trim(9) = %d, %v", first, err)
	}
	if es, err := l.Read(bg, 2, 3, 1<<20); !errors.Is(err, vlog.ErrTrimmed) {
		t.Fatalf("read of a trimmed large entry = %d entries, %v", len(es), err)
	}
	if n := b.count(t, l.keys.bigs()); n != 2 {
		t.Errorf("%d large batches are left, want 2", n)
	}
	if _, err := l.Trim(bg, 1<<50); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, l.keys.base+"c/") + b.count(t, l.keys.bigs()) + b.count(t, l.keys.entries()); n != 0 {
		t.Errorf("%d keys are left of a log that was trimmed to its tail", n)
	}
}

func testLargeMeetsSeal(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	large := pattern(1, 4<<20)
	var wg sync.WaitGroup
	var mu sync.Mutex
	acked := 0
	for range 3 {
		wg.Go(func() {
			for {
				_, err := l.Append(bg, large)
				if errors.Is(err, vlog.ErrSealed) {
					return
				}
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				acked++
				mu.Unlock()
			}
		})
	}
	if _, err := l.WaitTail(bg, 3); err != nil {
		t.Fatal(err)
	}
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	tail, err := l.Tail(bg)
	if err != nil || !tail.Sealed || int(tail.Next) != acked+1 {
		t.Fatalf("tail %+v, %v after %d appends", tail, err, acked)
	}
	for _, got := range logtest.All(t, l, 1) {
		if got != string(large) {
			t.Fatal("a large entry is damaged")
		}
	}
	// What did not make it is deleted.
	if n := b.count(t, l.keys.intents()); n != 0 {
		t.Errorf("%d intents are left", n)
	}
	if n := b.count(t, l.keys.base+"c/"); int(n) != acked*5 {
		t.Errorf("%d pieces for %d entries", n, acked)
	}
}

// testSwept deletes what a dead writer left, and lets one that was only slow begin again.
func testSwept(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	dead, err := l.upload(bg, [][]byte{pattern(1, 3<<20)})
	if err != nil {
		t.Fatal(err)
	}
	sweeper := b.again(t, l)
	defer sweeper.Close()
	trim := func() {
		if _, err := sweeper.Trim(bg, 0); err != nil {
			t.Fatal(err)
		}
	}
	trim()
	trim()
	if n := b.count(t, l.keys.pieces(dead.id)); n != 4 {
		t.Fatalf("%d pieces of an upload that may be under way", n)
	}
	s := sweeper.strange[dead.id]
	s.since = s.since.Add(-leftBehind - time.Minute)
	sweeper.strange[dead.id] = s
	trim()
	if n := b.count(t, l.keys.pieces(dead.id)) + b.count(t, l.keys.intents()); n != 0 {
		t.Fatalf("%d keys are left of a dead upload", n)
	}
	// Its reference can never be appended.
	if _, err := l.submit(bg, bg, &request{ref: &dead, count: 1, size: 100}); !errors.Is(err, errSwept) {
		t.Fatalf("the reference to pieces that are gone: %v", err)
	}
	wantTail(t, l, 1, false)

	// One that is swept under way begins again by itself.
	done := make(chan error)
	go func() {
		_, err := l.Append(bg, pattern(2, 20<<20))
		done <- err
	}()
	for swept := false; !swept; {
		g, err := b.client.Get(bg, l.keys.intents(), clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range g.Kvs {
			if err := sweeper.abandon(bg, string(kv.Key)[len(l.keys.intents()):], 0); err != nil {
				t.Fatal(err)
			}
			swept = true
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := logtest.All(t, sweeper, 1); len(got) != 1 || got[0] != string(pattern(2, 20<<20)) {
		t.Fatalf("%d entries", len(got))
	}
	// After the seal nothing that is left behind has to be waited for.
	if _, err := l.upload(bg, [][]byte{pattern(3, 2<<20)}); err != nil {
		t.Fatal(err)
	}
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	trim()
	if n := b.count(t, l.keys.intents()); n != 0 {
		t.Errorf("%d intents are left in a sealed loglet", n)
	}
}

func wantTail(t testing.TB, l *Loglet, next vlog.Position, sealed bool) {
	t.Helper()
	if got, err := l.Tail(bg); err != nil || got != (vlog.Tail{Next: next, Sealed: sealed}) {
		t.Fatalf("tail = %+v, %v; want %d, %v", got, err, next, sealed)
	}
}

// testTwoHandles appends through handles of two processes, while both follow.
func testTwoHandles(t *testing.T, b *bench) {
	one := b.create(t)
	defer one.Close()
	two := b.again(t, one)
	defer two.Close()
	handles := []*Loglet{one, two}
	h := newHistory()
	const writers, each = 8, 60
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := h.append(bg, handles[w%2], w, i+1); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	for _, l := range handles {
		wg.Go(func() {
			for p := vlog.Position(1); p <= writers*each; {
				tail, err := l.WaitTail(bg, p+1)
				if err != nil || tail.Next <= p {
					t.Errorf("wait for %d = %+v, %v", p+1, tail, err)
					return
				}
				es, err := l.Read(bg, p, tail.Next, 1000)
				if err != nil || len(es) == 0 {
					t.Errorf("read [%d,%d) = %d entries, %v", p, tail.Next, len(es), err)
					return
				}
				p += vlog.Position(len(es))
			}
		})
	}
	wg.Wait()
	h.check(t, one)
	h.check(t, two)
	// Each hears of the other's seal.
	waiting := make(chan vlog.Tail)
	go func() {
		tail, err := two.WaitTail(bg, 1<<40)
		if err != nil {
			t.Error(err)
		}
		waiting <- tail
	}()
	if err := one.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if tail := <-waiting; tail != (vlog.Tail{Next: writers*each + 1, Sealed: true}) {
		t.Fatalf("the other saw %+v", tail)
	}
	if _, err := two.Append(bg, []byte("x")); !errors.Is(err, vlog.ErrSealed) {
		t.Fatalf("append after the other's seal: %v", err)
	}
}

func testMissing(t *testing.T, b *bench) {
	for _, config := range [][]byte{nil, Config{}.Encode(), Config{Creation: 4711}.Encode()} {
		if l, err := Provider(b.opts)(bg, vlog.LogletSpec{ID: 1, Config: config}); !errors.Is(err, vlog.ErrMissing) {
			t.Errorf("open %s = %v, %v", config, l, err)
		}
	}
	if _, err := Provider(b.opts)(bg, vlog.LogletSpec{ID: 1, Config: []byte("{")}); err == nil {
		t.Error("opened a broken configuration")
	}
	if _, err := Provider(b.opts)(bg, vlog.LogletSpec{ID: 1, Create: true, Config: Config{Endpoints: []string{"http://me:secret@10.0.0.1:2379"}}.Encode()}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password in the chain: %v", err)
	}
	if _, err := (&Clients{}).Get(nil); err == nil {
		t.Error("there is a client of no etcd")
	}
}

// testCreationRace creates one id twice: two logs that know nothing of each other.
func testCreationRace(t *testing.T, b *bench) {
	id := b.last.Add(1)
	one := b.open(t, vlog.LogletSpec{ID: id, Create: true})
	defer one.Close()
	two := b.open(t, vlog.LogletSpec{ID: id, Create: true, Config: one.Config()})
	defer two.Close()
	mustAppend(t, one, "one")
	wantTail(t, two, 1, false)
	if err := two.Seal(bg); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, one, "more")
	again := b.again(t, one)
	defer again.Close()
	wantTail(t, again, 3, false)
}

// testSweep removes Loglets that the chain has dropped, and only those.
func testSweep(t *testing.T, shared *bench) {
	b := newBench(shared.client)
	var all []*Loglet
	for range 5 {
		l := b.create(t)
		mustAppend(t, l, "x")
		all = append(all, l)
		l.Close()
	}
	l := b.open(t, vlog.LogletSpec{ID: 9, Create: true, Lowest: 4})
	defer l.Close()
	for i, old := range all {
		if left := len(b.keys(t, old)) > 0; left != (i+1 >= 4) {
			t.Errorf("loglet %d is left: %v", i+1, left)
		}
	}
}

func testRemoved(t *testing.T, b *bench) {
	l := b.create(t)
	mustAppend(t, l, "a")
	other := b.again(t, l)
	defer other.Close()
	waiting := make(chan error)
	go func() {
		_, err := other.WaitTail(bg, 100)
		waiting <- err
	}()
	if err := l.Remove(bg); err != nil {
		t.Fatal(err)
	}
	if keys := b.keys(t, l); len(keys) != 0 {
		t.Fatalf("left: %q", keys)
	}
	if err := <-waiting; !errors.Is(err, vlog.ErrClosed) {
		t.Errorf("who waited got %v", err)
	}
	_, appendErr := other.Append(bg, []byte("x"))
	_, tailErr := other.Tail(bg)
	_, trimErr := other.Trim(bg, 1)
	for i, err := range []error{appendErr, tailErr, trimErr, other.Seal(bg)} {
		if !errors.Is(err, vlog.ErrClosed) {
			t.Errorf("call %d on a removed loglet: %v", i, err)
		}
	}
	if keys := b.keys(t, l); len(keys) != 0 {
		t.Fatalf("came back: %q", keys)
	}
	if _, err := Provider(b.opts)(bg, vlog.LogletSpec{ID: 1, Config: l.Config()}); !errors.Is(err, vlog.ErrMissing) {
		t.Errorf("open a removed loglet: %v", err)
	}
	if err := l.Remove(bg); err != nil {
		t.Errorf("second remove: %v", err)
	}
}

// testCompaction sees to it that the history does not grow without bound.
func testCompaction(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	compacted := func(rev int64) bool {
		_, err := b.client.Get(bg, l.keys.tail(), clientv3.WithRev(rev))
		if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			t.Fatal(err)
		}
		return err != nil
	}
	fill := func() int64 { // up to the next compaction
		l.mu.Lock()
		l.space.writes = compactWrites - 1
		l.mu.Unlock()
		mustAppend(t, l, "x")
		for {
			l.mu.Lock()
			done := l.space.writes < compactWrites-1 && !l.space.compacting
			rev := l.known.rev
			l.mu.Unlock()
			if done {
				return rev
			}
			time.Sleep(time.Millisecond)
		}
	}
	first := fill()
	if compacted(first) {
		t.Error("the history is gone that others may still follow")
	}
	second := fill()
	if !compacted(first-1) || compacted(second) {
		t.Errorf("compacted: first %v, second %v", compacted(first-1), compacted(second))
	}
	l.opts.NoCompaction = true
	fill()
	fill()
	if compacted(second) {
		t.Error("compacted although it was not to be")
	}
}

// testManyBatches reads and trims more batches than one request takes.
func testManyBatches(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	const n = deleteAtOnce + 300
	var wg sync.WaitGroup
	for i := range n / 100 {
		wg.Go(func() {
			for j := range 100 {
				mustAppend(t, l, fmt.Sprint(i, j))
			}
		})
	}
	wg.Wait()
	for i := range deleteAtOnce { // each a batch of its own
		mustAppend(t, l, fmt.Sprint(i))
	}
	if got := b.count(t, l.keys.entries()); got <= deleteAtOnce {
		t.Fatalf("only %d batches", got)
	}
	fresh := b.again(t, l)
	defer fresh.Close()
	if got := logtest.All(t, fresh, 1); len(got) != n+deleteAtOnce {
		t.Fatalf("%d entries", len(got))
	}
	if first, err := fresh.Trim(bg, n+deleteAtOnce); err != nil || first != n+deleteAtOnce {
		t.Fatalf("trim = %d, %v", first, err)
	}
	if got := b.count(t, l.keys.entries()); got != 1 {
		t.Fatalf("%d batches are left", got)
	}
}

// testSharedTail asks for the tail from many places at once: each answer is at least as far as what had been appended before.
func testSharedTail(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	other := b.again(t, l)
	defer other.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 30 {
				p := mustAppend(t, l, "x")
				if tail, err := other.Tail(bg); err != nil || tail.Next <= p {
					t.Errorf("tail %+v, %v after an append at %d", tail, err, p)
				}
			}
		})
	}
	wg.Wait()
}

// testDamage reports what cannot be read instead of making something of it.
func testDamage(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	mustAppend(t, l, "good")
	mustAppend(t, l, "bad")
	mustAppend(t, l, string(pattern(1, 2<<20)))
	for key, at := range map[string]vlog.Position{l.keys.entry(2): 2, l.keys.piece(fmt.Sprintf("%016x-%08x", l.writer, 1), 1): 3} {
		g, err := b.client.Get(bg, key)
		if err != nil || len(g.Kvs) != 1 {
			t.Fatalf("get %s: %v", key, err)
		}
		value := bytes.Clone(g.Kvs[0].Value)
		value[len(value)/2] ^= 1
		if _, err := b.client.Put(bg, key, string(value)); err != nil {
			t.Fatal(err)
		}
		fresh := b.again(t, l)
		defer fresh.Close()
		_, err = fresh.Read(bg, at, at+1, 1<<20)
		var corrupt *vlog.CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("read of a damaged %s: %v", key, err)
		}
		if _, err := b.client.Delete(bg, key); err != nil {
			t.Fatal(err)
		}
		if _, err = fresh.Read(bg, at, at+1, 1<<20); err == nil {
			t.Errorf("read of a missing %s", key)
		}
	}
}

// testWithdrawn ends an Append's context while another is under way: what had not yet begun is not written.
func testWithdrawn(t *testing.T, b *bench) {
	l := b.create(t)
	defer l.Close()
	l.mu.Lock()
	l.committing = true // nobody commits
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() {
		_, err := l.Append(ctx, []byte("withdrawn"))
		done <- err
	}()
	for {
		l.mu.Lock()
		n := len(l.queue)
		l.mu.Unlock()
		if n == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.committing = false
	l.mu.Unlock()
	mustAppend(t, l, "stays")
	if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[stays]" {
		t.Fatalf("log is %q", got)
	}
}

// testTwoHandleModel compares random calls through two handles, large appends among them, with a slice.
func testTwoHandleModel(t *testing.T, b *bench) {
	rapid.Check(t, func(rt *rapid.T) {
		one := b.create(t)
		two := b.again(t, one)
		defer func() { one.Close(); two.Close() }()
		handles := []*Loglet{one, two}
		var model []string
		trimmed, sealed := vlog.Position(1), false
		pick := func(rt *rapid.T) *Loglet { return handles[rapid.IntRange(0, 1).Draw(rt, "handle")] }
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 100), rapid.IntRange(0, 1_200_000)), 1, 3).Draw(rt, "sizes")
				var payloads [][]byte
				for i, n := range sizes {
					payloads = append(payloads, pattern(len(model)+i, n))
				}
				first, err := pick(rt).Append(bg, payloads...)
				if sealed {
					if !errors.Is(err, vlog.ErrSealed) {
						rt.Fatalf("append to a sealed loglet: %v", err)
					}
					return
				}
				if err != nil || int(first) != len(model)+1 {
					rt.Fatalf("append at %d, %v; want %d", first, err, len(model)+1)
				}
				for _, p := range payloads {
					model = append(model, string(p))
				}
			},
			"read": func(rt *rapid.T) {
				l := pick(rt)
				from := vlog.Position(rapid.IntRange(1, len(model)+1).Draw(rt, "from"))
				es, err := l.Read(bg, from, 1<<60, rapid.IntRange(0, 1<<20).Draw(rt, "limit"))
				if from < trimmed {
					// A handle may still have what another has trimmed.
					if err != nil && !errors.Is(err, vlog.ErrTrimmed) {
						rt.Fatal(err)
					}
				} else if err != nil || len(es) == 0 && int(from) <= len(model) {
					rt.Fatalf("read at %d of %d: %d entries, %v", from, len(model), len(es), err)
				}
				for i, e := range es {
					if e.Pos != from+vlog.Position(i) || string(e.Payload) != model[e.Pos-1] {
						rt.Fatalf("wrong entry %d", e.Pos)
					}
				}
			},
			"trim": func(rt *rapid.T) {
				p := vlog.Position(rapid.IntRange(0, len(model)+2).Draw(rt, "before"))
				got, err := pick(rt).Trim(bg, p)
				if err != nil || got < trimmed || got > max(p, trimmed) || int(got) > len(model)+1 {
					rt.Fatalf("trim(%d) = %d, %v; was %d", p, got, err, trimmed)
				}
				trimmed = got
			},
			"seal": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
					if err := pick(rt).Seal(bg); err != nil {
						rt.Fatal(err)
					}
					sealed = true
				}
			},
			"wait": func(rt *rapid.T) {
				if tail, err := pick(rt).WaitTail(bg, vlog.Position(len(model)+1)); err != nil || int(tail.Next) != len(model)+1 {
					rt.Fatalf("wait = %+v, %v; want %d", tail, err, len(model)+1)
				}
			},
			"": func(rt *rapid.T) {
				if tail, err := pick(rt).Tail(bg); err != nil || int(tail.Next) != len(model)+1 || tail.Sealed != sealed {
					rt.Fatalf("tail = %+v, %v; want %d, %v", tail, err, len(model)+1, sealed)
				}
			},
		})
	})
}

// testLog runs a whole log on etcd: the chain in Meta, and a change of its Loglet under appends.
func testLog(t *testing.T, b *bench) {
	open := func() *vlog.Log {
		l, err := vlog.Open(bg, vlog.Options{
			Meta: Meta(b.client, b.opts.Prefix+"/chain"), Providers: map[string]vlog.Provider{Kind: Provider(b.opts)}, Initial: vlog.Segment{Kind: Kind},
		})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	one, two := open(), open()
	defer one.Close()
	defer two.Close()
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				l := []*vlog.Log{one, two}[w%2]
				if _, err := l.Append(bg, fmt.Appendf(nil, "%d/%d", w, i)); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	for range 3 {
		if err := one.Reconfigure(bg, vlog.Segment{Kind: Kind}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if _, err := two.Tail(bg); err != nil {
		t.Fatal(err)
	}
	if n := len(two.Chain().Segments); n != 4 {
		t.Errorf("%d segments", n)
	}
	got := logtest.All(t, two, 1)
	if fmt.Sprint(got) != fmt.Sprint(logtest.All(t, one, 1)) {
		t.Error("two processes read two logs")
	}
	last := map[string]string{}
	counts := map[string]int{}
	for _, body := range got {
		counts[body]++
		last[strings.Split(body, "/")[0]] = body
	}
	if len(counts) != writers*each { // an entry that met a seal may stand there twice
		t.Errorf("%d different entries", len(counts))
	}
	tail, err := one.Tail(bg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := one.Trim(bg, tail.Next); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, indexPrefix(b.opts.Prefix)); n == 0 {
		t.Error("the active loglet is gone")
	}
}

// A writer whose transaction came too late leaves a sign, which another heeds once. A sealed loglet and one that was removed get none.
func TestLateWriter(t *testing.T) {
	t.Parallel()
	client := engines.Etcd(t).Client(t)
	place := newBench(client)
	quick := place.create(t)
	late := place.again(t, quick)
	sign := func() (writer string, rev int64) {
		t.Helper()
		g, err := client.Get(bg, quick.keys.late())
		if err != nil {
			t.Fatal(err)
		}
		if len(g.Kvs) == 0 {
			return "", 0
		}
		return string(g.Kvs[0].Value), g.Kvs[0].ModRevision
	}
	heeded := func(l *Loglet) int64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.heeded
	}
	mustAppend(t, quick, "a")
	if writer, _ := sign(); writer != "" {
		t.Fatalf("a sign of %s, who is alone", writer)
	}
	mustAppend(t, late, "b") // does not know of a
	writer, rev := sign()
	if writer != writerName(late.writer) {
		t.Fatalf("the sign is of %q", writer)
	}
	for range 2 {
		if _, err := quick.Tail(bg); err != nil { // so that it is not late itself
			t.Fatal(err)
		}
		mustAppend(t, quick, "c")
		if got := heeded(quick); got != rev {
			t.Fatalf("the sign of %d was not heeded: %d", rev, got)
		}
	}
	mustAppend(t, quick, "d")
	if got := heeded(late); got != 0 {
		t.Fatalf("it heeded its own sign, of %d", got)
	}
	other := place.again(t, quick)
	mustAppend(t, other, "e") // and gives way, whom nobody is behind
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if g, err := client.Get(bg, quick.keys.writer(other.writer)); err != nil || len(g.Kvs) > 0 {
		t.Fatalf("a handle that was closed while it gave way has left %v, %v", g.Kvs, err)
	}

	if err := quick.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Append(bg, []byte("e")); !errors.Is(err, vlog.ErrSealed) {
		t.Fatal(err)
	}
	if _, now := sign(); now != rev {
		t.Fatalf("a sign in a sealed loglet: %d, %d before", now, rev)
	}
	if err := quick.Remove(bg); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Append(bg, []byte("e")); err == nil {
		t.Fatal("an append to what was removed")
	}
	if left, err := client.Get(bg, quick.keys.base, clientv3.WithPrefix()); err != nil || len(left.Kvs) > 0 {
		t.Fatalf("left: %v, %v", left.Kvs, err)
	}
}
