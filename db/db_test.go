package db

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rebase/tree"
	"rebase/vlog"
)

func TestOperations(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	res := r.do(s, r.set("a/b", `{"x":1,"t":{".sv":"timestamp"}}`))
	if got := string(tree.AppendExport(nil, res.Value)); got != `{"t":1700000000000,"x":1}` {
		t.Errorf("stored %s", got)
	}
	r.wantTree("", `{"a":{"b":{"t":1700000000000,"x":1}}}`)

	r.do(s, &Op{Kind: OpMerge, Path: "a", Updates: []Update{
		{Path: "b/x", Value: parse(t, `{".sv":{"increment":4}}`)},
		{Path: "c", Value: parse(t, `"new"`)},
		{Path: "b/t"},
	}})
	r.wantTree("", `{"a":{"b":{"x":5},"c":"new"}}`)

	r.do(s, &Op{Kind: OpSet, Path: "a/c", Priority: true, Value: tree.NewInt(7)})
	r.wantTree("a/c", `{".value":"new",".priority":7}`)

	if res := s.Do(t.Context(), &Op{Kind: OpSet, Path: "none", Priority: true, Value: tree.NewInt(7)}); !errors.Is(res.Err, ErrNoNode) {
		t.Errorf("priority of a missing node: %v", res.Err)
	}
	wrong := "wrong"
	res = s.Do(t.Context(), &Op{Kind: OpSet, Path: "a/b/x", Value: tree.NewInt(9), Hash: &wrong})
	if !errors.Is(res.Err, ErrStale) || res.Current.Int() != 5 {
		t.Errorf("stale: %v, current %v", res.Err, res.Current.Int())
	}
	right := tree.Hash(tree.NewInt(5))
	r.do(s, &Op{Kind: OpSet, Path: "a/b/x", Value: tree.NewInt(9), Hash: &right})
	r.wantTree("a/b", `{"x":9}`)

	if got := len(r.told()); got != 4 {
		t.Errorf("told of %d changes, want 4", got)
	}
}

// An increment of a priority adds to the priority that the node has, however it is written.
func TestIncrementOfAPriority(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	r.do(s, r.set("", `{"leaf":{".value":1,".priority":5},"object":{"x":1,".priority":5},"plain":{"x":{".value":1,".priority":9}}}`))
	add := tree.NewIncrement(tree.NewInt(2))
	for _, p := range []tree.Path{"leaf", "object", "plain"} {
		r.do(s, &Op{Kind: OpSet, Path: p, Priority: true, Value: add})
	}
	r.wantTree("", `{"leaf":{".value":1,".priority":7},"object":{".priority":7,"x":1},"plain":{".priority":2,"x":{".value":1,".priority":9}}}`)
	r.do(s, r.set("object", `{"y":1,".priority":{".sv":{"increment":2}}}`))
	r.wantTree("object", `{".priority":9,"y":1}`)
}

func TestInvalidOperations(t *testing.T) {
	r := newRig(t)
	deep := tree.Path("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32")
	for name, op := range map[string]*Op{
		"depth":         r.set(deep, `{"x":1}`),
		"ancestor":      {Kind: OpMerge, Updates: []Update{{Path: "a", Value: tree.NewInt(1)}, {Path: "a/b", Value: tree.NewInt(1)}}},
		"twice":         {Kind: OpMerge, Updates: []Update{{Path: "a", Value: tree.NewInt(1)}, {Path: "a", Value: tree.NewInt(1)}}},
		"bool priority": {Kind: OpSet, Priority: true, Value: tree.NewBool(true)},
		"unknown kind":  {Kind: 99},
		"bad rules":     {Kind: OpSetRules, Rules: []byte(`{"rules":`)},
	} {
		s := r.db.NewSession("test", "", Root)
		if res := s.Do(t.Context(), op); res.Err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, ns := range []string{"", "A", "-a", "a/b", "a b", "ü"} {
		if CheckNamespace(ns) == nil {
			t.Errorf("namespace %q accepted", ns)
		}
	}
	if tail, _ := r.log.Tail(t.Context()); tail.Next != 1 {
		t.Errorf("a refused operation has entered the log")
	}
}

// Every history of operations gives the tree that the same calls on an in-memory node give, and
// a replay of the log from its start gives the same store, records included.
func TestModelAndReplay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		defer r.stop()
		var model *tree.Node
		sessions := []*Session{r.db.NewSession("test", "", Root), r.db.NewSession("test", "", Root)}
		path := rapid.Custom(func(rt *rapid.T) tree.Path {
			return tree.Path(rapid.SampledFrom([]string{"", "a", "a/b", "a/b/c", "a/d", "10", "9/x", "9/x/y"}).Draw(rt, "path"))
		})
		value := rapid.SampledFrom([]string{"null", "1", `"x"`, `{"b":{"c":true}}`, `{".value":2,".priority":"p"}`, `{"x":{"y":1},".priority":3}`, `{"d":1.5}`})
		for range rapid.IntRange(1, 25).Draw(rt, "ops") {
			i := rapid.IntRange(0, 1).Draw(rt, "session")
			s := sessions[i]
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0, 1:
				p, v := path.Draw(rt, "at"), parse(t, value.Draw(rt, "value"))
				s.Do(t.Context(), &Op{Kind: OpSet, Path: p, Value: v, Fingerprint: 1})
				model = model.Set(p, v)
			case 2:
				p := path.Draw(rt, "at")
				res := s.Do(t.Context(), &Op{Kind: OpSet, Path: p, Priority: true, Value: tree.NewInt(5)})
				if (res.Err != nil) != model.At(p).IsNull() {
					rt.Fatalf("priority of %q: %v", p, res.Err)
				}
				model = model.SetPriority(p, tree.NewInt(5))
			case 3:
				v := parse(t, value.Draw(rt, "value"))
				s.Do(t.Context(), &Op{Kind: OpMerge, Path: "a", Updates: []Update{{Path: "b", Value: v}, {Path: "e"}, {Path: "f/g", Value: v}}})
				model = model.Set("a/b", v).Set("a/e", nil).Set("a/f/g", v)
			case 4:
				s.Do(t.Context(), &Op{Kind: OpDisconnectSet, Path: path.Draw(rt, "at"), Value: parse(t, value.Draw(rt, "value"))})
			case 5:
				queued := disconnectModel(t, r, s)
				<-s.end()
				for _, u := range queued {
					model = model.Set(u.Path, u.Value)
				}
				sessions[i] = r.db.NewSession("test", "", Root)
			}
			want := string(tree.AppendExport(nil, model))
			if got := r.get(""); got != want {
				rt.Fatalf("the tree is %s, want %s", got, want)
			}
		}
		again := r.replayed()
		defer again.Close()
		if got, want := dump(t, again, ""), r.get(""); got != want {
			rt.Fatalf("replayed tree %s, want %s", got, want)
		}
		if got, want := metas(t, again), metas(t, r.store); !maps.Equal(got, want) {
			rt.Fatalf("replayed records %q, want %q", got, want)
		}
	})
}

// disconnectModel is what the session has queued, as the state knows it.
func disconnectModel(t *testing.T, r *rig, s *Session) (q disconnectQueue) {
	t.Helper()
	r.db.Barrier(func(uint64) {
		if st := r.db.machine.sessions[s.id]; st != nil {
			q = append(q, st.journal.queue...)
		}
	})
	return q
}

func TestPipelinedOrder(t *testing.T) {
	r := newRig(t)
	const n = 2000
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			s := r.db.NewSession("test", "", Root)
			var last int
			for i := 1; i <= n; i++ {
				s.Propose(&Op{Kind: OpSet, Path: tree.Path(fmt.Sprintf("c%d", c)), Value: tree.NewInt(int64(i))}, func(res Result) {
					if res.Err != nil {
						t.Error(res.Err)
					}
					if last++; last != i {
						t.Errorf("answer %d came as number %d", i, last)
					}
				})
			}
			if err := s.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			if got := r.get(tree.Path(fmt.Sprintf("c%d", c))); got != fmt.Sprint(n) {
				t.Errorf("after Wait the value is %s", got)
			}
		}()
	}
	wg.Wait()
	last := map[tree.Path]int64{}
	for _, c := range r.told() {
		v := c.Updates[0].Value.Int()
		if v != last[c.Base]+1 {
			t.Fatalf("told %s = %d after %d", c.Base, v, last[c.Base])
		}
		last[c.Base] = v
	}
}

func TestConcurrentIncrements(t *testing.T) {
	r := newRig(t)
	var wg sync.WaitGroup
	for range 100 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			op := &Op{Kind: OpSet, NS: "test", Path: "n", Value: tree.NewIncrement(tree.NewInt(1)), Caller: Root}
			if res := r.db.Do(t.Context(), op); res.Err != nil {
				t.Error(res.Err)
			}
		}()
	}
	wg.Wait()
	r.wantTree("n", "100")
}

func TestTimestampsNeverGoBack(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	a := r.do(s, r.set("a", `{".sv":"timestamp"}`))
	r.clock.advance(-time.Hour)
	b := r.do(s, r.set("b", `{".sv":"timestamp"}`))
	if b.Time < a.Time {
		t.Errorf("time went from %d to %d", a.Time, b.Time)
	}
	r.wantTree("b", fmt.Sprint(b.Time))
}

func TestRules(t *testing.T) {
	r := newRig(t)
	text := []byte(`{"rules": { /* c */ "list": {".indexOn": "age"}}}`)
	if res := r.db.Do(t.Context(), &Op{Kind: OpSetRules, NS: "test", Rules: text, Caller: Root}); res.Err != nil {
		t.Fatal(res.Err)
	}
	for range 2 {
		got, parsed := r.db.Rules("test")
		if string(got) != string(text) || len(parsed.IndexesAt("list")) != 1 {
			t.Errorf("rules are %q", got)
		}
		r.restart()
	}
	if got, _ := r.db.Rules("other"); got != nil {
		t.Errorf("another namespace has rules %q", got)
	}
}

// restart closes the server in good order and opens it on the same disk.
func (r *rig) restart() {
	r.t.Helper()
	if err := r.store.Flush(); err != nil {
		r.t.Fatal(err)
	}
	fs := r.fs
	r.stop()
	r.start(fs)
}

// crash forgets everything that was not flushed, as a kill -9 does.
func (r *rig) crash() {
	r.t.Helper()
	fs := r.fs
	r.stop()
	r.start(fs)
}

func TestFailedLogRefusesEverything(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	r.do(s, r.set("a", "1"))
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if res := s.Do(ctx, r.set("a", "2")); !errors.Is(res.Err, vlog.ErrClosed) || !errors.Is(res.Err, ErrClosed) {
			t.Errorf("after the log failed: %v", res.Err)
		}
		cancel()
	}
	<-r.db.Failed()
	r.wantTree("a", "1")
	if err := r.db.Close(t.Context()); err == nil {
		t.Error("Close hides the failure")
	}
	if err := r.store.Close(); err != nil {
		t.Error(err)
	}
	r.db = nil
}

func TestStoreAheadOfLogIsRefused(t *testing.T) {
	r := newRig(t)
	r.do(r.db.NewSession("test", "", Root), r.set("a", "1"))
	if err := r.store.Flush(); err != nil {
		t.Fatal(err)
	}
	fs := r.fs
	r.stop()
	fresh := newRig(t)
	s := openStore(t, fs)
	defer s.Close()
	o := fresh.options()
	o.Store = s
	if d, err := Open(t.Context(), o); err == nil {
		d.Close(t.Context())
		t.Fatal("opened a store that is ahead of its log")
	}
}

func TestTrimmedLogIsRefused(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	for range 10 {
		r.do(s, r.set("a", "1"))
	}
	if _, err := r.log.Trim(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	empty := newRig(t)
	o := empty.options()
	o.Log = r.log
	if d, err := Open(t.Context(), o); err == nil {
		d.Close(t.Context())
		t.Fatal("opened an empty store on a trimmed log")
	}
}
