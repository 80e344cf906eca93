package live

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rebase/db"
	"rebase/store"
	"rebase/tree"
)

func TestPlainListeners(t *testing.T) {
	r := newRig(t)
	r.set("a/b", `{"x":1}`)
	root, a, b, x, other := r.listen("", ""), r.listen("a", ""), r.listen("a/b", ""), r.listen("a/b/x", ""), r.listen("z", "")

	r.set("a/b/x", "2")
	for _, c := range []*client{root, a, b, x} {
		c.want("put /a/b/x 2")
	}
	r.set("a", `{"b":{"x":3},"c":4}`)
	root.want(`put /a {"b":{"x":3},"c":4}`)
	a.want(`put /a {"b":{"x":3},"c":4}`)
	b.want(`put /a/b {"x":3}`)
	x.want(`put /a/b/x 3`)

	r.merge("a", "b/x=5", "c=null", "d/e=6")
	root.want("merge /a b/x=5 c=null d/e=6")
	b.want("put /a/b/x 5")
	x.want("put /a/b/x 5")

	r.merge("", "a/b/x=7", "a/b/y=8", "q=1")
	b.want("merge /a/b x=7 y=8")
	x.want("put /a/b/x 7")

	r.do(&db.Op{Kind: db.OpSet, Path: "a/b", Priority: true, Value: tree.NewInt(1)})
	b.want("priority /a/b 1")
	x.want()
	other.want()
	if got := other.view(); got != "null" {
		t.Errorf("the other listener has %s", got)
	}
}

func TestAnEventIsSharedByAllThatSeeTheSame(t *testing.T) {
	r := newRig(t)
	var events []*Event
	sub := subscriber(func(ev *Event, _ *Listener) {
		events = append(events, ev)
		ev.Memo(MemoWS, func(*Event) any { return len(events) })
	})
	for range 3 {
		for _, p := range []tree.Path{"", "a"} {
			l, err := r.hub.Listen("test", p, parseQuery(t, ""), db.Root, sub)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, _, err := l.Initial(0); err != nil {
				t.Fatal(err)
			}
			l.Start()
		}
	}
	r.set("a/b", "1")
	if len(events) != 6 {
		t.Fatalf("%d deliveries, want 6", len(events))
	}
	for _, ev := range events {
		if ev != events[0] || ev.Memo(MemoWS, nil) != 1 {
			t.Error("the event was not shared")
		}
	}
}

type subscriber func(*Event, *Listener)

func (f subscriber) Deliver(ev *Event, l *Listener) { f(ev, l) }

func TestQueryWindow(t *testing.T) {
	r := newRig(t)
	r.set("list", `{"a":1,"b":2,"c":3,"d":4}`)
	last2 := r.listen("list", `{"l":2,"vf":"r"}`)
	if got := last2.view(); got != `{"c":3,"d":4}` {
		t.Fatalf("initial %s", got)
	}
	r.set("list/e", "5")
	last2.want("merge /list c=null e=5")
	r.set("list/a", "9") // outside
	last2.want()
	r.set("list/e", "6") // stays
	last2.want("put /list/e 6")
	r.set("list/d", "null") // leaves; c comes back, whole
	last2.want("merge /list d=null c=3")
	r.set("list", `{"x":{"deep":1}}`)
	last2.want(`put /list {"x":{"deep":1}}`)
	r.set("list/x/deep", "2") // deep inside a member
	last2.want("put /list/x/deep 2")
	r.set("list", "null")
	last2.want("put /list null")
	r.set("list/n", "1")
	last2.want("put /list/n 1")
}

func TestViewsAreShared(t *testing.T) {
	r := newRig(t)
	a := r.listen("list", `{"i":".key","l":2,"vf":"l"}`)
	b := r.listen("list", `{"i":".key","l":2,"vf":"l"}`)
	c := r.listen("list", `{"i":".key","l":3,"vf":"l"}`)
	if s := r.hub.Stats(); s.Views != 2 || s.Listeners != 3 {
		t.Errorf("%+v, want 2 views and 3 listeners", s)
	}
	a.l.Close()
	a.l.Close()
	r.set("list/1", "1")
	a.want()
	b.want("put /list/1 1")
	c.want("put /list/1 1")
	b.l.Close()
	c.l.Close()
	if s := r.hub.Stats(); s.Views != 0 || s.Listeners != 0 {
		t.Errorf("%+v after the last was closed", s)
	}
	if len(r.hub.spaces) != 0 {
		t.Error("places nobody listens to are kept")
	}
}

func TestEventsBeforeStartAreKept(t *testing.T) {
	r := newRig(t)
	r.set("a", "1")
	c := r.prepare("a", "")
	r.set("a", "2")
	c.want()
	r.set("a", "3")
	c.l.Start()
	c.want("put /a 2", "put /a 3")
	r.set("a", "4")
	c.want("put /a 4")
}

func TestTooManyEventsBeforeStart(t *testing.T) {
	r := newRig(t)
	c := r.prepare("a", "")
	for i := range maxPending + 5 {
		r.set("a", fmt.Sprint(i))
	}
	c.l.Start()
	c.want("lost")
	data, err := c.l.Resync()
	if err != nil {
		t.Fatal(err)
	}
	r.set("a", "-1")
	if data.Int() != maxPending+4 {
		t.Errorf("resync gave %d", data.Int())
	}
	c.l.Start()
	c.want("put /a -1")
}

// Few events may be too much as well.
func TestTooLargeEventsBeforeStart(t *testing.T) {
	r := newRig(t)
	c := r.prepare("a", "")
	big := tree.NewString(strings.Repeat("x", maxPendingBytes/4))
	for i := range 5 {
		r.do(setOp(tree.Path(fmt.Sprintf("a/%d", i)), big))
	}
	if len(c.l.pending) != 0 {
		t.Errorf("%d events are kept", len(c.l.pending))
	}
	c.l.Start()
	c.want("lost")
}

// What may not be read at first may not be read later either.
func TestResyncTooBig(t *testing.T) {
	r := newRig(t)
	for _, q := range []string{"", `{"i":".key","l":5,"vf":"l"}`} {
		r.set("a", `{"x":1}`)
		c := &client{r: r}
		l, err := r.hub.Listen("test", "a", parseQuery(t, q), db.Root, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := l.Initial(100); err != nil {
			t.Fatal(err)
		}
		l.Start()
		r.set("a", fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 200)))
		if _, err := l.Resync(); !errors.Is(err, store.ErrTooBig) {
			t.Errorf("query %q: %v", q, err)
		}
	}
	if s := r.hub.Stats(); s.Listeners != 0 || s.Views != 0 {
		t.Errorf("refused listeners stay: %+v", s)
	}
}

func TestClosedListener(t *testing.T) {
	r := newRig(t)
	c := r.listen("a", "")
	c.l.Close()
	r.set("a", "1")
	c.want()
	if _, err := c.l.Resync(); err != ErrListenerClosed {
		t.Errorf("resync of a closed listener: %v", err)
	}
}

func TestListenTooBig(t *testing.T) {
	r := newRig(t)
	r.set("a", `{"x":"0123456789","y":"0123456789"}`)
	for _, q := range []string{"", `{"i":".key","l":5,"vf":"l"}`} {
		c := &client{r: r}
		l, err := r.hub.Listen("test", "a", parseQuery(t, q), db.Root, c)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := l.Initial(10); err == nil {
			t.Errorf("query %q: more than 10 bytes were given", q)
		}
	}
	if s := r.hub.Stats(); s.Listeners != 0 || s.Views != 0 {
		t.Errorf("refused listeners stay: %+v", s)
	}
}

var queries = []string{
	"",
	`{"i":".key","l":2,"vf":"l"}`,
	`{"l":2,"vf":"r"}`,
	`{"i":".value","sp":1,"ep":3}`,
	`{"i":"v","l":3,"vf":"r"}`,
	`{"i":"v/w","sp":2,"l":2,"vf":"l"}`,
	`{"i":"v","sp":2,"sn":"b","ep":"x"}`,
	`{"i":".priority","sp":1,"l":2,"vf":"l"}`,
	`{"i":".key","sp":"b"}`,
}

// Whatever happens, a client that does what it is told has what a new reader would get.
func TestClientsFollow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		path := rapid.SampledFrom([]tree.Path{"", "l", "l/a", "l/b", "l/c", "l/1", "l/2", "l/a/v", "l/b/v", "l/c/v/w", "l/d", "l/d/v"})
		value := rapid.SampledFrom([]string{"null", "1", "2", "3", `"s"`, `{"v":1}`, `{"v":2,".priority":1}`, `{"v":{"w":3}}`, `{"a":{"v":1},"b":{"v":2},"c":3}`,
			`{"a":{".value":1,".priority":2},"z":{"v":{"w":2},".priority":"p"}}`})
		var clients []*client
		listen := func() {
			p := rapid.SampledFrom([]tree.Path{"l", "l", "", "l/a"}).Draw(rt, "listen at")
			c := r.prepare(p, rapid.SampledFrom(queries).Draw(rt, "query"))
			clients = append(clients, c)
			if rapid.Bool().Draw(rt, "late") {
				r.set(path.Draw(rt, "path"), value.Draw(rt, "value"))
			}
			c.l.Start()
		}
		listen()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 7).Draw(rt, "step") {
			case 0:
				listen()
			case 1:
				p := path.Draw(rt, "path")
				r.write.Do(t.Context(), &db.Op{Kind: db.OpSet, Path: p, Priority: true, Value: tree.NewInt(int64(rapid.IntRange(0, 2).Draw(rt, "priority")))})
			case 2:
				r.merge("l", "a="+value.Draw(rt, "a"), "b/v="+value.Draw(rt, "b"), "e="+value.Draw(rt, "e"))
			case 7:
				priority := tree.NewInt(int64(rapid.IntRange(0, 2).Draw(rt, "priority")))
				r.do(&db.Op{Kind: db.OpMerge, Path: "l", Updates: []db.Update{
					{Path: "a", Priority: true, Value: priority}, {Path: "a/v", Value: parse(t, value.Draw(rt, "a"))},
					{Path: "", Priority: true, Value: priority}, {Path: "b", Priority: true, Value: priority},
				}})
			case 3:
				r.merge("", "l/c/v="+value.Draw(rt, "c"), "m="+value.Draw(rt, "m"))
			default:
				r.set(path.Draw(rt, "path"), value.Draw(rt, "value"))
			}
			for _, c := range clients {
				fresh := r.prepare(c.l.Path(), "")
				want := string(tree.AppendExport(nil, fresh.data))
				got := c.view()
				if !c.l.Query().IsDefault() {
					want = string(tree.AppendExport(nil, c.l.Query().Filter(fresh.data)))
					// The priority of a query's root is not part of its result.
					c.data = c.data.WithPriority(nil)
					got = c.view()
				}
				fresh.l.Close()
				if got != want {
					rt.Fatalf("/%s %s: the client has\n%s\nwant\n%s", c.l.Path(), c.l.Query().ID(), got, want)
				}
			}
		}
	})
}
