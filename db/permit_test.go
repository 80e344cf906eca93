package db

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"rebase/rules"
	"rebase/tree"
)

func caller(t testing.TB, auth string) *Caller {
	t.Helper()
	c, err := NewCaller(false, false, []byte(auth))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) rules(text string) {
	r.t.Helper()
	if res := r.db.Do(r.t.Context(), &Op{Kind: OpSetRules, NS: "test", Rules: []byte(text), Caller: Root}); res.Err != nil {
		r.t.Fatal(res.Err)
	}
}

// wantDenied demands that the operation is refused and changes nothing.
func (r *rig) wantDenied(s *Session, op *Op) {
	r.t.Helper()
	before := r.get("")
	if res := s.Do(r.t.Context(), op); !errors.Is(res.Err, ErrDenied) || res.Current != nil {
		r.t.Errorf("%d at /%s: %v %v, want a denial", op.Kind, op.Path, res.Err, res.Current)
	}
	r.wantTree("", before)
}

const ownRules = `{"rules": {
	"users": {"$uid": {
		".read": "auth.uid == $uid",
		".write": "auth.uid == $uid",
		"age": {".validate": "newData.isNumber() && newData.val() >= 0"},
		"seen": {".validate": "newData.val() == now"}
	}},
	"open": {".write": true},
	"once": {".write": "!data.exists()", ".read": "auth != null"},
	"pair": {".write": true, ".validate": "newData.child('a').val() == newData.child('b').val()"},
	"count": {".write": "newData.val() == data.val() + 1", ".read": "auth != null"}
}}`

func TestRulesJudgeWrites(t *testing.T) {
	r := newRig(t)
	r.rules(ownRules)
	s := r.db.NewSession("test", "", caller(t, `{"uid":"ann"}`))

	r.do(s, r.set("users/ann", `{"age":3}`))
	r.do(s, &Op{Kind: OpSet, Path: "users/ann/seen", Value: tree.NewTimestamp()})
	r.wantDenied(s, r.set("users/bob", `{"age":3}`))
	r.wantDenied(s, r.set("users/ann/age", `-1`))
	r.wantDenied(s, r.set("users/ann/seen", `1`))
	r.wantDenied(s, r.set("users", `{"ann":{"age":1}}`))
	r.wantDenied(s, r.set("", `null`))
	r.wantDenied(s, &Op{Kind: OpSet, Path: "users/bob", Priority: true, Value: tree.NewInt(1)})
	r.do(s, &Op{Kind: OpSet, Path: "users/ann", Priority: true, Value: tree.NewInt(1)})
	r.do(s, r.set("once", "1"))
	r.wantDenied(s, r.set("once", "2"))

	// A merge: each path by itself, all by the one state that comes of it.
	r.wantDenied(s, &Op{Kind: OpMerge, Updates: []Update{{Path: "open/x", Value: tree.NewInt(1)}, {Path: "users/bob/age", Value: tree.NewInt(1)}}})
	r.wantDenied(s, &Op{Kind: OpMerge, Path: "pair", Updates: []Update{{Path: "a", Value: tree.NewInt(1)}}})
	r.do(s, &Op{Kind: OpMerge, Path: "pair", Updates: []Update{{Path: "a", Value: tree.NewInt(1)}, {Path: "b", Value: tree.NewInt(1)}}})
	r.do(s, &Op{Kind: OpMerge, Path: "", Updates: []Update{{Path: "open/x", Value: tree.NewInt(1)}, {Path: "users/ann/age", Value: tree.NewInt(9)}}})

	// Increments are judged by what they come to.
	increment := &Op{Kind: OpSet, Path: "users/ann/age", Value: parse(t, `{".sv":{"increment":-10}}`)}
	r.wantDenied(s, increment)

	// Another caller in the same session.
	s.SetCaller(caller(t, `{"uid":"bob"}`))
	r.wantDenied(s, r.set("users/ann/age", `4`))
	r.do(s, r.set("users/bob/age", `4`))
	s.SetCaller(Root)
	r.do(s, r.set("users", `null`))
}

func TestWithoutRulesOnlyAdminsAndTheOpenGetIn(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", caller(t, `{"uid":"ann"}`))
	r.wantDenied(s, r.set("a", "1"))
	open, err := NewCaller(false, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.SetCaller(open)
	r.do(s, r.set("a", "1"))
	r.rules(`{"rules":{}}`)
	r.wantDenied(s, r.set("a", "2"))
	r.wantDenied(s, &Op{Kind: OpSetRules, Rules: []byte(`{"rules":{".write":true}}`)})
	s.SetCaller(Root)
	r.do(s, r.set("a", "2"))
}

func TestAConditionIsJudgedBeforeTheRules(t *testing.T) {
	r := newRig(t)
	r.rules(ownRules)
	admin := r.db.NewSession("test", "", Root)
	r.do(admin, r.set("count", "5"))
	stale := tree.Hash(tree.NewInt(4))

	// Whoever may read is told the present value: the rules would refuse what the stale one led to.
	s := r.db.NewSession("test", "", caller(t, `{"uid":"ann"}`))
	res := s.Do(t.Context(), &Op{Kind: OpSet, Path: "count", Value: tree.NewInt(5), Hash: &stale})
	if !errors.Is(res.Err, ErrStale) || !tree.Equal(res.Current, tree.NewInt(5)) {
		t.Errorf("stale: %v %v", res.Err, res.Current)
	}
	fresh := tree.Hash(tree.NewInt(5))
	r.do(s, &Op{Kind: OpSet, Path: "count", Value: tree.NewInt(6), Hash: &fresh})

	// Whoever may not read learns nothing by guessing.
	s.SetCaller(caller(t, "null"))
	r.wantDenied(s, &Op{Kind: OpSet, Path: "count", Value: tree.NewInt(7), Hash: &stale})
}

func TestConditionsOnSeveralNodes(t *testing.T) {
	r := newRig(t)
	s := r.db.NewSession("test", "", Root)
	create := func(uid string) *Op {
		return &Op{Kind: OpMerge, If: []Condition{{Path: "emails/x"}, {Path: tree.Path("users/" + uid)}}, Updates: []Update{
			{Path: "emails/x", Value: tree.NewString(uid)}, {Path: tree.Path("users/" + uid), Value: tree.NewBool(true)}}}
	}
	r.do(s, create("a"))
	if res := s.Do(t.Context(), create("b")); !errors.Is(res.Err, ErrStale) {
		t.Errorf("the second: %v", res.Err)
	}
	r.wantTree("", `{"emails":{"x":"a"},"users":{"a":true}}`)
	r.do(s, &Op{Kind: OpSet, Path: "emails/x", If: []Condition{{"users/a", tree.Hash(tree.NewBool(true))}, {Path: "users/b"}}})
	r.wantTree("", `{"users":{"a":true}}`)
}

func TestDisconnectIsJudgedTwice(t *testing.T) {
	r := newRig(t)
	r.rules(ownRules)
	s := r.db.NewSession("test", "", caller(t, `{"uid":"ann"}`))
	r.wantDenied(s, &Op{Kind: OpDisconnectSet, Path: "users/bob/age", Value: tree.NewInt(1)})
	r.wantDenied(s, &Op{Kind: OpDisconnectMerge, Updates: []Update{{Path: "open/a", Value: tree.NewInt(1)}, {Path: "users/bob", Value: nil}}})
	r.do(s, &Op{Kind: OpDisconnectSet, Path: "users/ann/seen", Value: tree.NewTimestamp()})
	r.do(s, &Op{Kind: OpDisconnectSet, Path: "once", Value: tree.NewInt(1)})
	r.do(s, &Op{Kind: OpDisconnectSet, Path: "open/left", Value: tree.NewBool(true)})

	// What is not allowed any more when it is over is left out, and the rest is one change.
	r.do(r.db.NewSession("test", "", Root), r.set("once", "0"))
	r.clock.advance(1000)
	before := len(r.told())
	<-s.end()
	r.wantTree("", fmt.Sprintf(`{"once":0,"open":{"left":true},"users":{"ann":{"seen":%d}}}`, r.clock.now().UnixMilli()))
	if got := len(r.told()) - before; got != 1 {
		t.Errorf("told of %d changes, want one", got)
	}
}

// TestDisconnectOfSomebodyElse: whoever the session acts for last is judged, also by a server that has started again.
func TestDisconnectOfSomebodyElse(t *testing.T) {
	for _, crash := range []bool{false, true} {
		r := newRig(t)
		r.rules(ownRules)
		s := r.db.NewSession("test", "", caller(t, `{"uid":"ann"}`))
		r.do(s, &Op{Kind: OpDisconnectSet, Path: "users/ann/age", Value: tree.NewInt(1)})
		r.do(s, &Op{Kind: OpDisconnectSet, Path: "open/left", Value: tree.NewBool(true)})
		s.SetCaller(caller(t, "null"))
		r.do(s, r.set("open/here", "true"))
		if crash {
			if err := r.store.Flush(); err != nil {
				t.Fatal(err)
			}
			r.crash()
		} else {
			<-s.end()
		}
		r.wantTree("", `{"open":{"here":true,"left":true}}`)
	}
}

// TestReplicasJudgeAlike: a replay of the log decides as the first time, whatever the rules and callers were in between.
func TestReplicasJudgeAlike(t *testing.T) {
	allRules := []string{ownRules, `{"rules":{".write":"auth != null"}}`, `{"rules":{}}`,
		`{"rules":{".write":"newData.child('open').exists() || root.child('once').exists()"}}`}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		defer r.stop()
		sessions := []*Session{r.db.NewSession("test", "", Root), r.db.NewSession("test", "", caller(t, "null")), r.db.NewSession("test", "", caller(t, `{"uid":"ann"}`))}
		paths := []tree.Path{"users/ann/age", "users/bob/age", "open", "open/a", "once", "count", "pair"}
		path := func() tree.Path { return rapid.SampledFrom(paths).Draw(rt, "path") }
		value := func() *tree.Node {
			return rapid.SampledFrom([]*tree.Node{nil, tree.NewInt(1), tree.NewInt(-1), tree.NewTimestamp()}).Draw(rt, "value")
		}
		for range rapid.IntRange(1, 25).Draw(rt, "n") {
			i := rapid.IntRange(0, len(sessions)-1).Draw(rt, "session")
			s := sessions[i]
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0:
				r.rules(rapid.SampledFrom(allRules).Draw(rt, "rules"))
			case 1:
				s.SetCaller(caller(t, rapid.SampledFrom([]string{"null", `{"uid":"ann"}`, `{"uid":"bob"}`}).Draw(rt, "auth")))
			case 2:
				s.Do(t.Context(), &Op{Kind: OpDisconnectSet, Path: path(), Value: value()})
			case 3:
				<-s.end()
				sessions[i] = r.db.NewSession("test", s.ID(), caller(t, `{"uid":"bob"}`))
			case 4:
				a, b := path(), path()
				s.Do(t.Context(), &Op{Kind: OpMerge, Updates: []Update{{Path: a, Value: value()}, {Path: b, Value: value()}}})
			case 5:
				r.db.Do(t.Context(), &Op{Kind: OpSet, NS: "test", Path: path(), Value: value(), Caller: caller(t, `{"uid":"ann"}`)})
			default:
				s.Do(t.Context(), &Op{Kind: OpSet, Path: path(), Value: value()})
			}
		}
		again := r.replayed()
		defer again.Close()
		if got, want := dump(t, again, ""), r.get(""); got != want {
			rt.Errorf("replayed:\n%s\nfirst:\n%s", got, want)
		}
		if got, want := fmt.Sprint(metas(t, again)), fmt.Sprint(metas(t, r.store)); got != want {
			rt.Errorf("replayed:\n%q\nfirst:\n%q", got, want)
		}
	})
}

func TestViewsReadUnderTheirRules(t *testing.T) {
	r := newRig(t)
	r.rules(ownRules)
	ann, bob := caller(t, `{"uid":"ann"}`), caller(t, `{"uid":"bob"}`)
	v := r.db.View("test")
	defer v.Close()
	r.rules(`{"rules":{".read":true}}`)
	for _, tc := range []struct {
		p  tree.Path
		as *Caller
		ok bool
	}{{"users/ann", ann, true}, {"users/ann/age", ann, true}, {"users/ann", bob, false}, {"", ann, false}, {"", Root, true}} {
		if err := v.MayRead(tc.p, nil, tc.as); (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrDenied) {
			t.Errorf("/%s: %v, want %v", tc.p, err, tc.ok)
		}
	}
	now := r.db.View("test")
	defer now.Close()
	if err := now.MayRead("", nil, bob); err != nil {
		t.Errorf("under the new rules: %v", err)
	}
}

func TestLookedSaysWhatADecisionDependsOn(t *testing.T) {
	r := newRig(t)
	r.rules(`{"rules":{"a":{".read":"root.child('members').child(auth.uid).exists() && data.parent().hasChildren(['b'])"}}}`)
	var looked Looked
	r.db.Barrier(func(uint64) {
		if err := r.db.MayRead("test", "a/x", nil, caller(t, `{"uid":"u"}`), &looked); !errors.Is(err, ErrDenied) {
			t.Errorf("%v", err)
		}
	})
	if len(looked.At) != 1 || looked.At[0].Path != "members/u" || looked.At[0].Deep {
		t.Errorf("looked at %+v", looked.At)
	}
}

func TestEntriesOfOldAreRead(t *testing.T) {
	op := &Op{Kind: OpSet, NS: "test", Path: "a", Value: tree.NewInt(1), Fingerprint: 7}
	b := appendOp(nil, op, origin{now: 5})
	if b[0] != codecVersion || b[2] != flagValue|flagFingerprint {
		t.Fatalf("% x", b)
	}
	b[0] = 1 // the flags were a byte then
	got, o, err := decodeOp(b)
	if err != nil || !tree.Equal(got.Value, op.Value) || !o.caller.Admin() || !o.ofSession {
		t.Errorf("%+v %+v %v", got, o, err)
	}
}

var _ rules.State = (*Looked)(nil)

// TestWhatIsRememberedIsTrue: after any changes, what rules have seen before is as the store has it.
func TestWhatIsRememberedIsTrue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		defer r.stop()
		s := r.db.NewSession("test", "", Root)
		paths := []tree.Path{"", "a", "a/b", "a/b/c", "a/d", "b"}
		path := func() tree.Path { return rapid.SampledFrom(paths).Draw(rt, "path") }
		values := []string{"null", "1", `{"b":1}`, `{"b":{"c":1},"d":2}`, `{".value":1,".priority":2}`, `{"c":{".sv":"timestamp"}}`}
		for range rapid.IntRange(1, 30).Draw(rt, "n") {
			r.db.Barrier(func(uint64) {
				for range 3 {
					r.db.machine.present("test").Leaf(path())
				}
			})
			value := func() *tree.Node { return parse(t, rapid.SampledFrom(values).Draw(rt, "value")) }
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				s.Do(t.Context(), &Op{Kind: OpSet, Path: path(), Value: value()})
			case 1:
				s.Do(t.Context(), &Op{Kind: OpMerge, Path: path(), Updates: []Update{{Path: "b", Value: value()}, {Path: "d/x", Value: value()}, {Path: "c", Priority: true, Value: tree.NewInt(3)}}})
			case 2:
				s.Do(t.Context(), &Op{Kind: OpSet, Path: path(), Priority: true, Value: tree.NewInt(1)})
			default:
				s.Do(t.Context(), &Op{Kind: OpDisconnectSet, Path: path(), Value: value()})
				<-s.end()
				s = r.db.NewSession("test", "", Root)
			}
			for _, p := range paths {
				l := r.db.machine.looks.find("test", p)
				if l == nil {
					continue
				}
				if leaf, object, err := r.store.Leaf("test", p); err != nil || object != l.object || !tree.Equal(leaf, l.leaf) {
					rt.Fatalf("/%s: remembered %v %v, there is %v %v", p, l.leaf, l.object, leaf, object)
				}
			}
		}
	})
}
