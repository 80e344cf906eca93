package db

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"rebase/tree"
	"rebase/vlog"
)

func tailOf(fingerprints ...uint64) []resend {
	var tail []resend
	for i, f := range fingerprints {
		tail = append(tail, resend{writeRef{seq: uint64(i + 1)}, f})
	}
	return tail
}

func TestMatcher(t *testing.T) {
	for _, tt := range []struct {
		name     string
		tail     []uint64
		writes   []uint64
		replayed int
	}{
		{"nothing in common", []uint64{1, 2}, []uint64{3, 4}, 0},
		{"all again", []uint64{1, 2, 3}, []uint64{1, 2, 3, 4}, 3},
		{"the last again", []uint64{1, 2, 3}, []uint64{3, 4}, 1},
		{"a beginning that is no end", []uint64{1, 2, 3}, []uint64{1, 5}, 0},
		{"a middle that is no end", []uint64{1, 2, 3}, []uint64{2}, 0},
		{"equal writes, all again", []uint64{1, 1, 1}, []uint64{1, 1, 1}, 3},
		{"equal writes, some again", []uint64{1, 1, 1}, []uint64{1, 1, 2}, 2},
		{"the longest end wins", []uint64{1, 2, 1}, []uint64{1, 2, 1}, 3},
		{"the longer candidate fails", []uint64{1, 2, 1}, []uint64{1, 3}, 1},
	} {
		m := newMatcher(tailOf(tt.tail...))
		for _, w := range tt.writes {
			if m.feed(w) {
				break
			}
		}
		if got := len(m.replayed()); got != tt.replayed {
			t.Errorf("%s: %d replays, want %d", tt.name, got, tt.replayed)
		}
	}
}

// With distinct writes the matcher finds exactly those that are sent again.
func TestMatcherExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(rt, "tail")
		answered := rapid.IntRange(0, n).Draw(rt, "answered")
		fresh := rapid.IntRange(0, 5).Draw(rt, "fresh")
		var prints []uint64
		for i := range n {
			prints = append(prints, uint64(i+1))
		}
		writes := append([]uint64(nil), prints[answered:]...)
		for i := range fresh {
			writes = append(writes, uint64(1000+i))
		}
		m := newMatcher(tailOf(prints...))
		for _, w := range writes {
			if m.feed(w) {
				break
			}
		}
		if got := len(m.replayed()); got != n-answered {
			rt.Fatalf("%d replays, want %d", got, n-answered)
		}
	})
}

func increment(fingerprint uint64) *Op {
	return &Op{Kind: OpSet, Path: "n", Value: tree.NewIncrement(tree.NewInt(1)), Fingerprint: fingerprint}
}

func TestResentWriteAppliesOnce(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, increment(11))
	r.do(a, &Op{Kind: OpSet, Path: "v", Value: tree.NewString("old"), Fingerprint: 12})
	r.do(r.db.NewSession("test", "", Root), r.set("v", `"newer"`))

	b := r.db.NewSession("test", a.ID(), Root) // a's client comes back: it has no answers
	first := make(chan Result, 1)
	b.Propose(increment(11), func(res Result) { first <- res })
	res := r.do(b, &Op{Kind: OpSet, Path: "v", Value: tree.NewString("old"), Fingerprint: 12})
	if !res.Replayed || !(<-first).Replayed {
		t.Error("not recognised")
	}
	r.wantTree("", `{"n":1,"v":"newer"}`)
	r.do(b, increment(11)) // a new one, equal to the old
	r.wantTree("n", "2")
	if got := r.db.Stats().Replayed; got != 2 {
		t.Errorf("%d replays counted, want 2", got)
	}
}

func TestResendAcrossCrashAndTwoReconnects(t *testing.T) {
	for _, flush := range []bool{true, false} {
		r := newRig(t)
		a := r.db.NewSession("test", "", Root)
		r.do(a, increment(11))
		if flush {
			if err := r.store.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		r.crash()
		b := r.db.NewSession("test", a.ID(), Root)
		r.do(b, increment(11))
		c := r.db.NewSession("test", b.ID(), Root) // that answer is lost too
		r.do(c, increment(11))
		r.wantTree("n", "1")
	}
}

func TestConfirmedWriteIsNew(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, increment(11))
	a.Confirm(a.LastSeq())
	r.do(a, increment(12))
	a.Confirm(a.LastSeq())
	r.do(a, r.set("other", "1")) // carries the confirmation into the log
	b := r.db.NewSession("test", a.ID(), Root)
	r.do(b, increment(12))
	r.wantTree("n", "3")
}

func TestConfirmationIsTakenToTheEnd(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, increment(11))
	a.Confirm(a.LastSeq())
	b := r.db.NewSession("test", a.ID(), Root)
	r.do(b, increment(11))
	r.wantTree("n", "2")
}

// A write that may begin a replay is held back, but not for ever, and a read behind it does
// not wait for the time to pass.
func TestHeldBackWrite(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, increment(11))
	r.do(a, increment(12))
	b := r.db.NewSession("test", a.ID(), Root)
	b.Propose(increment(11), func(Result) {}) // would have to be followed by 12
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantTree("n", "3")

	c := r.db.NewSession("test", a.ID(), Root)
	begin := time.Now()
	r.do(c, increment(11))
	if time.Since(begin) < holdBack {
		t.Error("an ambiguous write was not held back")
	}
	r.wantTree("n", "4")
}

// SDKs restore their listens before they send their writes again, and a listen waits for the
// session's writes.
func TestResentBehindReads(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, increment(11))
	b := r.db.NewSession("test", a.ID(), Root)
	if err := b.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := r.do(b, increment(11)); !res.Replayed {
		t.Error("not recognised")
	}
	r.wantTree("n", "1")
}

// A write long after the return is a new one, whatever it equals.
func TestWriteAfterTheReplayWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a := r.db.NewSession("test", "", Root)
		r.do(a, increment(11))
		b := r.db.NewSession("test", a.ID(), Root)
		time.Sleep(replayWindow + time.Second)
		synctest.Wait()
		if res := r.do(b, increment(11)); res.Replayed {
			t.Error("taken for a replay")
		}
		r.wantTree("n", "2")
		r.stop()
	})
}

func TestRefusedWriteIsDecidedAnew(t *testing.T) {
	r := newRig(t)
	op := func() *Op {
		return &Op{Kind: OpSet, Path: "x", Priority: true, Value: tree.NewInt(1), Fingerprint: 5}
	}
	a := r.db.NewSession("test", "", Root)
	if res := a.Do(t.Context(), op()); res.Err != ErrNoNode {
		t.Fatal(res.Err)
	}
	r.do(r.db.NewSession("test", "", Root), r.set("x", "1"))
	b := r.db.NewSession("test", a.ID(), Root)
	if res := r.do(b, op()); res.Replayed {
		t.Error("a refused write was taken for an applied one")
	}
	r.wantTree("x", `{".value":1,".priority":1}`)
}

func TestTakeOverEndsTheOldSessionFirst(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, &Op{Kind: OpDisconnectSet, Path: "online", Value: nil})
	r.do(a, r.set("online", "true"))
	r.db.NewSession("test", a.ID(), Root)
	r.wantTree("online", "null")
}

// An entry that is in the log twice, as after a switch of loglets, is applied once.
func TestDuplicateEntry(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	r.do(s, increment(0))
	entries, err := r.log.Read(t.Context(), 1, 2, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.log.Append(t.Context(), entries[0].Payload); err != nil {
		t.Fatal(err)
	}
	r.do(s, r.set("sync", "1"))
	r.wantTree("n", "1")
}

func TestEndedSessionsExpire(t *testing.T) {
	r := newRig(t)
	for range 10 {
		s := r.db.NewSession("test", "", Root)
		r.do(s, increment(3))
		<-s.end()
	}
	if n := len(metas(t, r.store)); n != 30 { // s, t and e of each
		t.Errorf("%d records, want 30", n)
	}
	r.clock.advance(8 * 24 * time.Hour)
	for range 6 {
		s := r.db.NewSession("test", "", Root)
		r.do(s, r.set("x", "1"))
		<-s.end()
	}
	if n := len(metas(t, r.store)); n != 12 { // s and d of each
		t.Errorf("%d records, want 12", n)
	}
	r.clock.advance(time.Hour)
	for range 2 {
		s := r.db.NewSession("test", "", Root)
		r.do(s, r.set("x", "1"))
		<-s.end()
	}
	if n := len(metas(t, r.store)); n != 4 {
		t.Errorf("%d records, want 4", n)
	}
}

// A long tail is kept in chunks, which confirmation removes.
func TestTailChunks(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	for i := range 200 {
		r.do(s, increment(uint64(i+1)))
	}
	r.crash()
	b := r.db.NewSession("test", s.ID(), Root)
	results := make(chan Result, 60)
	for i := 150; i < 200; i++ {
		b.Propose(increment(uint64(i+1)), func(res Result) { results <- res })
	}
	for range 50 {
		if res := <-results; !res.Replayed {
			t.Fatal("not recognised")
		}
	}
	r.wantTree("n", "200")
	b.Confirm(b.LastSeq())
	r.do(b, r.set("x", "1"))
	tails := 0
	for k := range metas(t, r.store) {
		if k[0] == recTail && string(k[1:17]) == string(b.id[:]) {
			tails++
		}
	}
	if tails != 1 {
		t.Errorf("%d chunks of a confirmed session, want 1", tails)
	}
}

// A client comes back while its last writes are still on their way to the log.
func TestTakeOverWaitsForAnEndUnderWay(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	var b *Session
	began := make(chan struct{})
	returned := make(chan struct{})
	r.db.Barrier(func(uint64) { // nothing is applied
		for i := range 3 {
			a.Propose(increment(uint64(i+1)), func(Result) {})
		}
		a.End()
		go func() { close(began); b = r.db.NewSession("test", a.ID(), Root); close(returned) }()
		<-began
		time.Sleep(20 * time.Millisecond)
	})
	<-returned
	results := make(chan Result, 3)
	for i := range 3 {
		b.Propose(increment(uint64(i+1)), func(res Result) { results <- res })
	}
	for range 3 {
		if res := <-results; !res.Replayed {
			t.Error("not recognised")
		}
	}
	r.wantTree("n", "3")
}

// The connection breaks again before the client has sent all of its writes again, at any place,
// and before it has sent any.
func TestBreakWithinTheReplay(t *testing.T) {
	const n = 4
	for sent := range n + 1 {
		for _, crash := range []bool{false, true} {
			r := newRig(t)
			a := r.db.NewSession("test", "", Root)
			for i := range n {
				r.do(a, increment(uint64(i+1)))
			}
			last := a
			for range 3 {
				s := r.db.NewSession("test", last.ID(), Root)
				for i := range sent {
					s.Propose(increment(uint64(i+1)), func(Result) {})
				}
				<-s.end()
				last = s
				if crash {
					r.crash()
				}
			}
			s := r.db.NewSession("test", last.ID(), Root)
			for i := range n {
				s.Propose(increment(uint64(i+1)), func(Result) {})
			}
			r.do(s, increment(100))
			r.wantTree("n", fmt.Sprint(n+1))
			<-s.end()
			// Nothing of that can come again but the last session's own writes.
			r.db.Barrier(func(uint64) {
				_, writes, err := r.db.machine.resendable(s.id, "test")
				if err != nil || len(writes) != n+1 {
					t.Errorf("sent %d: %d writes may come again, %v", sent, len(writes), err)
				}
			})
			r.stop()
		}
	}
}

// The server dies after it has greeted a client that came back, before the client has sent
// anything again.
func TestCrashBeforeTheReplay(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, increment(1))
	last := a
	for range 3 {
		last = r.db.NewSession("test", last.ID(), Root)
		r.crash()
	}
	if res := r.do(r.db.NewSession("test", last.ID(), Root), increment(1)); !res.Replayed {
		t.Error("not recognised")
	}
	r.wantTree("n", "1")
}

// A server that can no longer go on may still greet clients. It must not make them forget under
// which name the next server will know them.
func TestSessionOfAFailedDatabase(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, increment(1))
	r.db.fail(errors.New("as a test"))
	b := r.db.NewSession("test", a.ID(), Root)
	if b.ID() != a.ID() {
		t.Error("the session has a name of its own")
	}
	if res := b.Do(t.Context(), increment(1)); !errors.Is(res.Err, ErrSessionEnded) {
		t.Errorf("a write is answered by %v", res.Err)
	}
	<-b.end()
	r.db.Close(t.Context())
	if err := r.store.Close(); err != nil {
		t.Error(err)
	}
	r.start(r.fs)
	if res := r.do(r.db.NewSession("test", b.ID(), Root), increment(1)); !res.Replayed {
		t.Error("not recognised")
	}
}

// What a client has confirmed outlives a crash, also if its session had nothing more to say.
func TestConfirmationOutlivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, busy, ended := r.db.NewSession("test", "", Root), r.db.NewSession("test", "", Root), r.db.NewSession("test", "", Root)
		for _, s := range []*Session{a, busy, ended} {
			r.do(s, increment(1))
			r.do(s, increment(2))
			s.Confirm(s.LastSeq())
		}
		<-ended.end()
		time.Sleep(confirmPause / 2)
		r.do(busy, increment(2))
		time.Sleep(confirmPause)
		synctest.Wait()
		r.crash()
		if res := r.do(r.db.NewSession("test", a.ID(), Root), increment(2)); res.Replayed {
			t.Error("a write whose answer had arrived was expected once more")
		}
		if res := r.do(r.db.NewSession("test", busy.ID(), Root), increment(2)); !res.Replayed {
			t.Error("not recognised")
		}
		again := r.replayed()
		if got, want := metas(t, again), metas(t, r.store); !maps.Equal(got, want) {
			t.Errorf("replayed records %q, want %q", got, want)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
		r.stop()
	})
}

// What is no repeatable write shows that all repeated ones have come: it is not held back, and a
// write behind it is new, whatever it equals. So it is that a client whose presence the server's
// crash has ended can say again that it is there.
func TestPresenceAfterACrash(t *testing.T) {
	r := newRig(t)
	online := func() *Op {
		return &Op{Kind: OpSet, Path: "online", Value: tree.NewBool(true), Fingerprint: 7}
	}
	offline := func() *Op { return &Op{Kind: OpDisconnectSet, Path: "online"} }
	a := r.db.NewSession("test", "", Root)
	r.do(a, offline())
	r.do(a, online())
	a.Confirm(a.LastSeq())
	r.crash()
	r.wantTree("online", "null")
	b := r.db.NewSession("test", a.ID(), Root)
	r.do(b, offline())
	if res := r.do(b, online()); res.Replayed {
		t.Error("taken for a replay")
	}
	r.wantTree("online", "true")
}

// A session that is named by a client of another namespace has no say there.
func TestPreviousOfAnotherNamespace(t *testing.T) {
	r := newRig(t)
	a := r.db.NewSession("other", "", Root)
	r.do(a, increment(1))
	b := r.db.NewSession("test", a.ID(), Root)
	if res := r.do(b, increment(1)); res.Replayed {
		t.Error("taken for a replay")
	}
	r.wantTree("n", "1")
}

// A batch that is in the log twice, as after a switch of loglets, is applied once, also if it
// contains the end of the session.
func TestDuplicateEntriesBehindTheEnd(t *testing.T) {
	for _, crash := range []bool{false, true} {
		r := newRig(t)
		s := r.db.NewSession("test", "", Root)
		r.do(s, increment(0))
		<-s.end()
		entries, err := r.log.Read(t.Context(), 1, 3, 1<<20)
		if err != nil || len(entries) != 2 {
			t.Fatal(entries, err)
		}
		for _, e := range entries {
			if _, err := r.log.Append(t.Context(), e.Payload); err != nil {
				t.Fatal(err)
			}
		}
		if crash {
			r.crash()
		}
		r.do(r.db.NewSession("test", "", Root), r.set("sync", "1"))
		r.wantTree("n", "1")
		if got, want := metas(t, r.replayed()), metas(t, r.store); !maps.Equal(got, want) {
			t.Errorf("replayed records %q, want %q", got, want)
		}
	}
}

func FuzzDecodeOp(f *testing.F) {
	hash := "h"
	f.Add(appendOp(nil, &Op{Kind: OpSet, NS: "n", Path: "a/b", Value: tree.NewInt(1), Hash: &hash, Fingerprint: 3}, origin{now: 5, confirmed: 1}))
	f.Add(appendOp(nil, &Op{Kind: OpMerge, NS: "n", Updates: []Update{{"x", true, tree.NewString("s")}}}, origin{replayOf: &writeRef{seq: 9}}))
	f.Add(appendOp(nil, &Op{Kind: OpSetRules, NS: "n", Rules: []byte("{}")}, origin{}))
	f.Add(appendOp(nil, &Op{Kind: OpSet, NS: "n", If: []Condition{{"a", "h"}, {"b", ""}}}, origin{named: true, caller: caller(f, `{"uid":"x"}`), ofSession: true}))
	f.Add(appendOp(nil, &Op{Kind: opEndOther, NS: "n"}, origin{replayOf: &writeRef{session: SessionID{1}}, owned: true, begins: true, owner: owner{1, 2}}))
	f.Add(appendOp(nil, &Op{Kind: opDigest}, origin{owned: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		op, o, err := decodeOp(b)
		if err != nil {
			return
		}
		again, o2, err := decodeOp(appendOp(nil, op, o))
		if err != nil || again.Kind != op.Kind || again.Path != op.Path || !tree.Equal(again.Value, op.Value) || o2.now != o.now ||
			!slices.Equal(again.If, op.If) || o2.named != o.named || o2.owned != o.owned || o2.begins != o.begins || o2.owner != o.owner || o2.caller.Admin() != o.caller.Admin() {
			t.Fatalf("%+v became %+v, %v", op, again, err)
		}
	})
}

var _ = vlog.Position(0)

// The end of a session undoes what it wrote; a client that is back writes it once more, and means it, whether
// it sends the old write again or makes a new one.
func TestPresenceIsNotAReplay(t *testing.T) {
	online := func() *Op {
		return &Op{Kind: OpMerge, Path: "users", Updates: []Update{{Path: "a/online", Value: tree.NewBool(true)}, {Path: "a/since", Value: tree.NewTimestamp()}}, Fingerprint: 7}
	}
	r := newRig(t)
	a := r.db.NewSession("test", "", Root)
	r.do(a, &Op{Kind: OpDisconnectSet, Path: "users/a/online", Value: tree.NewBool(false)})
	r.do(a, increment(8))
	r.do(a, online())
	for range 3 {
		b := r.db.NewSession("test", a.ID(), Root)
		r.wantTree("users/a/online", "false")
		r.do(b, &Op{Kind: OpDisconnectSet, Path: "users/a/online", Value: tree.NewBool(false)})
		if res := r.do(b, online()); res.Replayed {
			t.Error("taken for a replay")
		}
		r.wantTree("users/a/online", "true")
		a = b
	}
	r.wantTree("n", "1")

	// What the end did not touch is still recognised.
	c := r.db.NewSession("test", "", Root)
	r.do(c, &Op{Kind: OpDisconnectSet, Path: "elsewhere", Value: tree.NewInt(1)})
	r.do(c, increment(9))
	d := r.db.NewSession("test", c.ID(), Root)
	if res := r.do(d, increment(9)); !res.Replayed {
		t.Error("an increment was made twice")
	}

	// Nor is an increment made twice where the end wrote: it counts each time.
	e := r.db.NewSession("test", "", Root)
	r.do(e, &Op{Kind: OpDisconnectSet, Path: "n", Value: tree.NewIncrement(tree.NewInt(-1))})
	r.do(e, increment(10))
	f := r.db.NewSession("test", e.ID(), Root)
	if res := r.do(f, increment(10)); !res.Replayed {
		t.Error("an increment where the end wrote was made twice")
	}
}
