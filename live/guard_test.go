package live

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rebase/db"
	"rebase/query"
	"rebase/tree"
)

func caller(t testing.TB, auth string) *db.Caller {
	t.Helper()
	c, err := db.NewCaller(false, false, []byte(auth))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *rig) rules(text string) {
	r.t.Helper()
	r.do(&db.Op{Kind: db.OpSetRules, Rules: []byte(text)})
}

// listenAs is listen in somebody's name. It returns nil if that is denied.
func (r *rig) listenAs(as *db.Caller, p tree.Path, q string) *client {
	r.t.Helper()
	c := &client{r: r}
	var err error
	if c.l, err = r.hub.Listen("test", p, parseQuery(r.t, q), as, c); err != nil {
		r.t.Fatal(err)
	}
	if c.data, _, _, err = c.l.Initial(0); errors.Is(err, db.ErrDenied) {
		return nil
	} else if err != nil {
		r.t.Fatal(err)
	}
	c.l.Start()
	return c
}

const memberRules = `{"rules": {
	"rooms": {"$room": {
		".read": "root.child('members').child($room).child(auth.uid).exists()",
		"list": {".read": "auth != null && query.limitToLast <= 2"}
	}},
	"box": {".read": "data.child('shared').val() == true"},
	"kids": {".read": "data.hasChildren(['a'])"},
	"prio": {".read": "data.getPriority() == 1"},
	"any": {".read": true}
}}`

func TestListenersMustBeAllowed(t *testing.T) {
	r := newRig(t)
	r.rules(memberRules)
	r.set("members/x/ann", "true")
	ann, bob := caller(t, `{"uid":"ann"}`), caller(t, `{"uid":"bob"}`)
	for _, tc := range []struct {
		as *db.Caller
		p  tree.Path
		q  string
		ok bool
	}{
		{ann, "rooms/x", "", true}, {ann, "rooms/x/deep/er", "", true}, {bob, "rooms/x", "", false}, {ann, "rooms/y", "", false},
		{ann, "rooms", "", false}, {ann, "", "", false}, {db.Root, "", "", true}, {nil, "rooms", "", false}, {bob, "any/thing", "", true},
		{bob, "rooms/y/list", "", false}, {bob, "rooms/y/list", `{"l":2,"vf":"r"}`, true}, {bob, "rooms/y/list", `{"l":3,"vf":"r"}`, false},
		{caller(t, "null"), "rooms/y/list", `{"l":2,"vf":"r"}`, false},
	} {
		if c := r.listenAs(tc.as, tc.p, tc.q); (c != nil) != tc.ok {
			t.Errorf("/%s %s: let in %v, want %v", tc.p, tc.q, c != nil, tc.ok)
		} else if c != nil {
			c.l.Close()
		}
	}
	if st := r.hub.Stats(); st.Listeners != 0 || st.Views != 0 || len(r.hub.places) != 0 {
		t.Errorf("left behind: %+v, %d places", st, len(r.hub.places))
	}
}

func TestAChangeOfDataRevokes(t *testing.T) {
	for _, tc := range []struct {
		name         string
		allow, leave func(r *rig) // leave changes something without a consequence
		p            tree.Path
		revoke       func(r *rig)
	}{
		{"the node is removed", func(r *rig) { r.set("members/x/ann", "true") }, func(r *rig) { r.set("members/x/ann", "5") }, "rooms/x",
			func(r *rig) { r.set("members/x/ann", "null") }},
		{"one above it is removed", func(r *rig) { r.set("members/x/ann", `{"since":1}`) }, func(r *rig) { r.set("members/x/ann/since", "2") }, "rooms/x",
			func(r *rig) { r.set("members", "null") }},
		{"what is below it is removed", func(r *rig) { r.set("members/x/ann", `{"since":{"a":1}}`) }, func(r *rig) { r.set("members/x/ann/q", "2"); r.set("members/x/ann/q", "null") }, "rooms/x",
			func(r *rig) { r.set("members/x/ann/since/a", "null") }},
		{"one above it is replaced", func(r *rig) { r.set("members/x/ann", "true") }, func(r *rig) { r.set("members/x", `{"ann":1,"bob":2}`) }, "rooms/x",
			func(r *rig) { r.set("members/x", `{"bob":2}`) }},
		{"by a merge of several", func(r *rig) { r.set("members/x/ann", "true") }, func(r *rig) { r.merge("members", "x/bob=1", "y/ann=1") }, "rooms/x",
			func(r *rig) { r.merge("", "rooms/x/secret=1", "members/x/ann=null", "other=1") }},
		{"in what is read itself", func(r *rig) { r.set("box", `{"shared":true}`) }, func(r *rig) { r.set("box/n", "1") }, "box",
			func(r *rig) { r.set("box/shared", "false") }},
		{"a child that must be", func(r *rig) { r.set("kids", `{"a":1,"b":1}`) }, func(r *rig) { r.set("kids/b", "2") }, "kids",
			func(r *rig) { r.set("kids/a", "null") }},
		{"a priority", func(r *rig) { r.set("prio", `{".priority":1,"a":1}`) }, func(r *rig) { r.set("prio/a", "2") }, "prio",
			func(r *rig) { r.do(&db.Op{Kind: db.OpSet, Path: "prio", Priority: true, Value: tree.NewInt(2)}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			r.rules(memberRules)
			tc.allow(r)
			c := r.listenAs(caller(t, `{"uid":"ann"}`), tc.p, "")
			if c == nil {
				t.Fatal("denied")
			}
			bystander := r.listenAs(db.Root, tc.p, "")
			tc.leave(r)
			c.mu.Lock()
			if strings.Contains(strings.Join(c.got, "\n"), "revoked") {
				t.Fatalf("revoked too early: %q", c.got)
			}
			c.got = nil
			c.mu.Unlock()
			tc.revoke(r)
			c.want("revoked") // and nothing of the change that did it
			tc.allow(r)
			r.set(tc.p.Child("later"), "1")
			c.want()
			if got := bystander.got; len(got) == 0 {
				t.Errorf("the bystander heard %q", got)
			}
			bystander.l.Close()
			if st := r.hub.Stats(); st.Listeners != 0 || len(r.hub.places) != 0 {
				t.Errorf("left behind: %+v, %d places", st, len(r.hub.places))
			}
		})
	}
}

func TestAChangeOfRulesRevokes(t *testing.T) {
	r := newRig(t)
	r.rules(`{"rules":{".read":true}}`)
	plain, view := r.listenAs(caller(t, "null"), "a", ""), r.listenAs(caller(t, "null"), "a", `{"l":2,"vf":"l"}`)
	stays, waits := r.listenAs(caller(t, "null"), "b", ""), r.listenAs(caller(t, `{"uid":"x"}`), "a", "")
	r.rules(`{"rules":{"a":{".read":"auth != null"},"b":{".read":true}}}`)
	plain.want("revoked")
	view.want("revoked")
	r.set("a/x", "1")
	r.set("b", "1")
	plain.want()
	view.want()
	stays.want("put /b 1")
	waits.want("put /a/x 1")
	for _, c := range []*client{plain, view} {
		if _, err := c.l.Resync(); !errors.Is(err, ErrListenerClosed) {
			t.Errorf("resync of a revoked listener: %v", err)
		}
	}
	if st := r.hub.Stats(); st.Listeners != 2 || st.Views != 0 {
		t.Errorf("left: %+v", st)
	}
}

func TestAChangeOfCallerRevokes(t *testing.T) {
	r := newRig(t)
	r.rules(memberRules)
	r.set("members", `{"x":{"ann":true,"bob":true},"y":{"ann":true}}`)
	ann := caller(t, `{"uid":"ann"}`)
	x, y := r.listenAs(ann, "rooms/x", ""), r.listenAs(ann, "rooms/y", "")
	r.hub.SetCaller([]*Listener{x.l, y.l}, caller(t, `{"uid":"bob"}`))
	x.want()
	y.want("revoked")
	r.set("members/x/ann", "null") // that is not what it depends on any more
	x.want()
	r.set("members/x/bob", "null")
	x.want("revoked")
}

// TestRevokedBeforeStart: whoever is still reading the initial data is told when that is over, and nothing else.
func TestRevokedBeforeStart(t *testing.T) {
	r := newRig(t)
	r.rules(memberRules)
	r.set("members/x/ann", "true")
	c := &client{r: r}
	c.l, _ = r.hub.Listen("test", "rooms/x", query.Query{}, caller(t, `{"uid":"ann"}`), c)
	if _, _, _, err := c.l.Initial(0); err != nil {
		t.Fatal(err)
	}
	r.set("rooms/x/before", "1")
	r.set("members/x/ann", "null")
	r.set("rooms/x/after", "1")
	c.want()
	c.l.Start()
	c.want("revoked")
	c.l.Start()
	c.want()
}

// TestNobodyHearsWhatHeMayNotRead: after any changes, exactly those listen still who have been allowed at every moment, and none
// of them has heard of a change after which he was not.
func TestNobodyHearsWhatHeMayNotRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		r.rules(memberRules)
		type listening struct {
			c    *client
			p    tree.Path
			uid  string
			over bool
		}
		var all []*listening
		allowed := func(l *listening) bool {
			v := r.db.View("test")
			defer v.Close()
			return v.MayRead(l.p, nil, caller(t, fmt.Sprintf(`{"uid":%q}`, l.uid))) == nil
		}
		paths := []tree.Path{"members", "members/x", "members/x/ann", "members/x/bob", "members/y/ann", "members/x/ann/deep", "box", "box/shared", "kids", "kids/a", "rooms/x/m"}
		values := []string{"null", "true", "1", `{"ann":true}`, `{"shared":true}`, `{"a":1}`, `{"x":{"ann":1}}`}
		for range rapid.IntRange(1, 30).Draw(rt, "n") {
			if rapid.Bool().Draw(rt, "listen") {
				l := &listening{p: rapid.SampledFrom([]tree.Path{"rooms/x", "rooms/x/m", "rooms/y", "box", "kids"}).Draw(rt, "at"),
					uid: rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "uid")}
				l.c = r.listenAs(caller(t, fmt.Sprintf(`{"uid":%q}`, l.uid)), l.p, "")
				if (l.c != nil) != allowed(l) {
					rt.Fatalf("/%s as %s: let in %v", l.p, l.uid, l.c != nil)
				}
				if l.c != nil {
					all = append(all, l)
				}
				continue
			}
			var pairs []string
			for i := range rapid.IntRange(1, 3).Draw(rt, "updates") {
				p := rapid.SampledFrom(paths).Draw(rt, fmt.Sprint("path", i))
				pairs = append(pairs, string(p)+"="+rapid.SampledFrom(values).Draw(rt, fmt.Sprint("value", i)))
			}
			op := &db.Op{Kind: db.OpMerge}
			for _, pair := range pairs {
				p, v, _ := strings.Cut(pair, "=")
				op.Updates = append(op.Updates, db.Update{Path: tree.Path(p), Value: parse(r.t, v)})
			}
			res := r.write.Do(t.Context(), op)
			if res.Err != nil {
				continue // paths that are above one another
			}
			for _, l := range all {
				l.c.mu.Lock()
				got := strings.Join(l.c.got, "\n")
				l.c.got = nil
				l.c.mu.Unlock()
				want := !l.over && !allowed(l)
				if (got == "revoked") != want || l.over && got != "" || strings.Contains(got, "revoked") && got != "revoked" {
					rt.Fatalf("after %q /%s as %s (over %v, allowed %v) heard %q", pairs, l.p, l.uid, l.over, allowed(l), got)
				}
				l.over = l.over || want
			}
		}
	})
}
