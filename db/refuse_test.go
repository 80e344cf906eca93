package db

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rebase/tree"
)

// What is refused whatever the state is leaves nothing, or nearly nothing, in the log.
func TestRefusedWritesStayOutOfTheLog(t *testing.T) {
	large := `"` + strings.Repeat("x", 1<<20) + `"`
	for _, c := range []struct {
		name, rules, auth string
		logged            bool
	}{
		{"no rules", ``, `null`, false},
		{"nobody may", `{"rules":{}}`, `{"uid":"ann"}`, false},
		{"not signed in", `{"rules":{"a":{".write":"auth != null && data.exists()"}}}`, `null`, false},
		{"another", `{"rules":{"$uid":{".write":"auth.uid == $uid"}}}`, `{"uid":"bob"}`, false},
		{"what is written", `{"rules":{"a":{".write":true,".validate":"newData.val().length < 10"}}}`, `null`, false},
		{"what is there", `{"rules":{"a":{".write":"data.exists()"}}}`, `null`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if c.rules != "" {
				r.rules(c.rules)
			}
			as := caller(t, c.auth)
			s := r.db.NewSession("test", "", as)
			before := r.logBytes()
			for _, op := range []*Op{
				r.set("a", large), {Kind: OpMerge, Updates: []Update{{Path: "a", Value: parse(t, large)}}},
				{Kind: OpDisconnectSet, Path: "a", Value: parse(t, large)}, {Kind: OpDisconnectMerge, Updates: []Update{{Path: "a", Value: parse(t, large)}}},
			} {
				for _, op.Fingerprint = range []uint64{0, 7} {
					if res := s.Do(t.Context(), op); !errors.Is(res.Err, ErrDenied) {
						t.Errorf("kind %d: %v, want a denial", op.Kind, res.Err)
					}
				}
			}
			one := r.set("a", large)
			one.NS, one.Caller = "test", as
			if res := r.db.Do(t.Context(), one); !errors.Is(res.Err, ErrDenied) {
				t.Errorf("without a session: %v, want a denial", res.Err)
			}
			if grown := r.logBytes() - before; (grown > 4<<10) != c.logged {
				t.Errorf("refused writes have left %d bytes in the log", grown)
			}
		})
	}
}

// A write that was refused before the log is found among its client's writes when these come again.
func TestRefusedWritesAreSentAgain(t *testing.T) {
	r := newRig(t)
	r.rules(`{"rules":{"n":{".write":true}}}`)
	as := caller(t, `null`)
	increment := func() *Op {
		return &Op{Kind: OpSet, Path: "n", Value: parse(t, `{".sv":{"increment":1}}`), Fingerprint: 1}
	}
	refused := func() *Op {
		op := r.set("no", `"`+strings.Repeat("x", smallWrite)+`"`)
		op.Fingerprint = 2
		return op
	}
	old := r.db.NewSession("test", "", as)
	old.Do(t.Context(), increment())
	old.Do(t.Context(), refused())
	old.Do(t.Context(), increment())
	again := r.db.NewSession("test", old.ID(), as)
	done := make(chan Result, 3)
	for _, op := range []*Op{increment(), refused(), increment()} {
		again.Propose(op, func(res Result) { done <- res })
	}
	for i := range 3 {
		if res := <-done; i == 1 && !errors.Is(res.Err, ErrDenied) || i != 1 && !res.Replayed {
			t.Errorf("write %d: %+v", i, res)
		}
	}
	r.wantTree("n", "2")
}

// logBytes is how much the log holds.
func (r *rig) logBytes() (n int) {
	r.t.Helper()
	entries, err := r.log.Read(r.t.Context(), 1, math.MaxInt64, math.MaxInt)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		n += len(e.Payload)
	}
	return n
}

// What is refused before the log would be refused by apply, on every state.
func TestRefusalsHoldOnEveryState(t *testing.T) {
	pad := strings.Repeat("x", smallWrite)
	callers := []*Caller{nil, nobody, caller(t, `{"uid":"a"}`), caller(t, `{"uid":"b","token":{"m":true}}`)}
	conditions := []string{"true", "false", "auth != null", "auth.uid == $k", "data.exists()", "!newData.exists()", "newData.child('b').exists()", "root.child('a/b').val() == 1",
		"newData.parent().child('b').exists()", "newData.val().length < 10", "auth.token.m === true", "newData.getPriority() != null"}
	values := []string{"null", "1", `"` + pad + `"`, `{"a":"` + pad + `","b":1}`, `{"b":{"a":"` + pad + `"}}`, `{".value":"` + pad + `",".priority":1}`}
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		cond := func(name string) string { return rapid.SampledFrom(conditions).Draw(rt, name) }
		text := `{"rules":{"$k":{".read":"` + cond("read") + `",".write":"` + cond("write") + ` && ` + cond("and") + `",".validate":"` + cond("validate") +
			`","$l":{".write":"` + cond("below") + `",".validate":"` + cond("valid") + `"}}}}`
		text = strings.ReplaceAll(text, `".read":"newData`, `".read":"data`) // reads have no newData
		text = strings.ReplaceAll(text, `".read":"!newData`, `".read":"!data`)
		r := newRig(t)
		defer r.stop()
		r.rules(text)
		path := func(name string) tree.Path {
			return rapid.SampledFrom([]tree.Path{"a", "b", "a/a", "a/b", "b/a", "c/d/e"}).Draw(rt, name)
		}
		value := func(name string) *tree.Node { return parse(t, rapid.SampledFrom(values).Draw(rt, name)) }
		op := &Op{Kind: OpSet, NS: "test", Path: path("path"), Value: value("value")}
		if rapid.Bool().Draw(rt, "merge") {
			op = &Op{Kind: OpMerge, NS: "test", Updates: []Update{{Path: "a/" + path("one"), Value: value("v1")}, {Path: "b/" + path("two"), Value: value("v2")}}}
		}
		as := rapid.SampledFrom(callers).Draw(rt, "caller")
		if !r.db.refuses(op, as) {
			return
		}
		refused++
		for _, state := range values {
			for _, at := range []tree.Path{"", "a", "a/b"} {
				if res := r.db.Do(t.Context(), &Op{Kind: OpSet, NS: "test", Path: at, Value: parse(t, state), Caller: Root}); res.Err != nil {
					t.Fatal(res.Err)
				}
				updates := op.Updates
				if op.Kind == OpSet {
					updates = []Update{{Value: op.Value}}
				}
				if ok, err := r.db.machine.mayWrite(r.store, "test", op.Path, updates, as, r.db.now()); ok || err != nil {
					rt.Fatalf("%s\n%v may write %+v where /%s is %.40s (%v)", text, as, op, at, state, err)
				}
			}
		}
	})
	if refused == 0 {
		t.Error("nothing was refused: the test proves nothing")
	}
}
