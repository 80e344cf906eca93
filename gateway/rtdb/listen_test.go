package rtdb

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"rebase/auth"
	"rebase/live"
	"rebase/tree"
)

func (p *peer) hashOf(text string) string {
	n, err := tree.ParseJSON([]byte(text))
	if err != nil {
		p.t.Fatal(err)
	}
	return tree.Hash(n)
}

func TestListenWithTheRightHashGetsNoData(t *testing.T) {
	r := newRig(t)
	r.set("a", `{"x":{".value":1,".priority":2},"y":"z"}`)
	p := r.dial()
	h := p.hashOf(`{"x":{".value":1,".priority":2},"y":"z"}`)
	n := p.request("q", fmt.Sprintf(`{"p":"/a","h":%q}`, h))
	p.expect(answerText(n, "ok", "{}"))
	r.set("a/y", `"w"`) // the listen is alive all the same
	p.expect(data("a/y", `"w"`))
	n = p.request("q", fmt.Sprintf(`{"p":"/a","h":%q}`, h))
	p.expect(data("a", `{"x":{".value":1,".priority":2},"y":"w"}`), answerText(n, "ok", "{}"))
}

func TestFilteredListen(t *testing.T) {
	r := newRig(t)
	r.set("l", `{".priority":"root","a":{"v":1},"b":{"v":2},"c":{"v":3}}`)
	p := r.dial()
	q := `{"i":"v","l":2,"vf":"r"}`
	n := p.request("q", `{"p":"/l","h":"","q":`+q+`,"t":1}`)
	window := `{"b":{"v":2},"c":{"v":3}}`
	p.expect(`{"t":"d","d":{"a":"d","b":{"p":"l","d":`+window+`,"t":1}}}`, answerText(n, "ok", `{"w":["no_index"]}`))

	// The hash of a window does not contain the root's priority.
	again := r.dial()
	n = again.request("q", fmt.Sprintf(`{"p":"/l","h":%q,"q":%s,"t":9}`, p.hashOf(window), q))
	again.expect(answerText(n, "ok", `{"w":["no_index"]}`))

	// One message for what enters and what leaves; a newcomer is whole.
	r.set("l/a/v", `9`)
	p.expect(`{"t":"d","d":{"a":"m","b":{"p":"l","d":{"b":null,"a":{"v":9}},"t":1}}}`)
	again.expect(`{"t":"d","d":{"a":"m","b":{"p":"l","d":{"b":null,"a":{"v":9}},"t":9}}}`)
	r.set("l/b/x", `1`) // outside of the window: nothing
	n = p.request("n", `{"p":"/l","q":`+q+`,"t":1}`)
	p.expect(ok(n))
	r.set("l/a/v", `0`)
	n = p.request("s", `{}`)
	p.expect(ok(n)) // and no push before
}

func TestKeyBoundsOfTheWire(t *testing.T) {
	r := newRig(t)
	r.set("l", `{"a":1,"b":2,"c":2,"d":3}`)
	p := r.dial()
	for _, tc := range []struct{ q, want string }{
		{`{"i":".value","sp":2,"sn":"[MAX_NAME]","sin":false}`, `{"d":3}`},
		{`{"i":".value","ep":2,"en":"[MIN_NAME]","ein":false}`, `{"a":1}`},
		{`{"i":".value","sp":2,"sn":"c","ep":2,"en":"c"}`, `{"c":2}`}, // sin is absent: inclusive
		{`{"i":".key","sp":"b","sin":false}`, `{"c":2,"d":3}`},
		{`{"i":".value","sp":2,"ep":2}`, `{"b":2,"c":2}`},
	} {
		n := p.request("q", `{"p":"/l","h":"","q":`+tc.q+`,"t":4}`)
		got := p.read()
		if got != `{"t":"d","d":{"a":"d","b":{"p":"l","d":`+tc.want+`,"t":4}}}` {
			t.Errorf("%s: %s", tc.q, got)
		}
		p.read()
		p.request("n", `{"p":"/l","q":`+tc.q+`,"t":4}`)
		p.read()
		_ = n
	}
}

func TestGetIsFilteredAndNeedsAnIndex(t *testing.T) {
	r := newRig(t)
	r.set("l", `{"a":{".value":1,".priority":3},"b":2,"0":5,"1":6}`)
	p := r.dial()
	n := p.request("g", `{"p":"/l","q":{}}`)
	p.expect(answerText(n, "ok", `{"0":5,"1":6,"a":{".value":1,".priority":3},"b":2}`)) // priorities, and no array
	n = p.request("g", `{"p":"/l","q":{"i":".key","sp":"a","ep":"a"}}`)
	p.expect(answerText(n, "ok", `{"a":{".value":1,".priority":3}}`))
	n = p.request("g", `{"p":"/l","q":{"i":"v/w","l":1,"vf":"l"}}`)
	p.expect(answerText(n, "failure", `"Index not defined, add \".indexOn\": \"v/w\", for path \"/l\", to the rules"`))
}

func TestReadsSeeTheClientsOwnWrites(t *testing.T) {
	p := newRig(t).dial()
	for i := range 50 {
		w := p.request("p", fmt.Sprintf(`{"p":"/n","d":%d}`, i))
		g := p.request("g", `{"p":"/n","q":{}}`)
		p.expect(ok(w), answerText(g, "ok", fmt.Sprint(i)))
	}
}

func TestPriorityPushes(t *testing.T) {
	r := newRig(t)
	r.set("a", `{"x":1}`)
	p := r.dial()
	p.listen("/a")
	n := p.request("p", `{"p":"/a/x/.priority","d":7}`)
	p.expect(data("a/x/.priority", "7"), ok(n))
	n = p.request("p", `{"p":"/a/.priority","d":"p"}`)
	p.expect(data("a/.priority", `"p"`), ok(n))
	n = p.request("m", `{"p":"/a","d":{"x/.priority":8,"y":1}}`)
	p.expect(`{"t":"d","d":{"a":"m","b":{"p":"a","d":{"y":1,"x/.priority":8}}}}`, ok(n))
}

func TestNestedListensAndWritesAbove(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	p.listen("/a/b")
	r.set("a", `{"b":{"c":1},"d":2}`)
	p.expect(data("a/b", `{"c":1}`))
	r.set("", `null`)
	p.expect(data("a/b", "null"))
	r.set("a/d", `1`)
	n := p.request("s", `{}`)
	p.expect(ok(n))
}

func TestCompoundHashGetsOnlyWhatDiffers(t *testing.T) {
	r := newRig(t)
	text := `{"a":{"x":1,"y":2},"b":"old","c":{"z":3}}`
	r.set("l", text)
	cache, _ := tree.ParseJSON([]byte(text))
	posts := []tree.Path{"a/y", "b"}
	hs := tree.CompoundHash(cache, posts)
	r.set("l/b", `"new"`)
	p := r.dial()
	ch := fmt.Sprintf(`{"ps":["a/y","b"],"hs":["%s"]}`, strings.Join(hs, `","`))
	n := p.request("q", fmt.Sprintf(`{"p":"/l","h":%q,"ch":%s}`, p.hashOf(text), ch))
	p.expect(`{"t":"d","d":{"a":"rm","b":{"p":"l","d":[{"s":"a/y","e":"b","m":{"b":"new"}}]}}}`, answerText(n, "ok", "{}"))

	// What cannot be used is answered with everything.
	n = p.request("q", `{"p":"/l/c","h":"?","ch":{"ps":["z",".priority"],"hs":["1","2","3"]}}`)
	p.expect(data("l/c", `{"z":3}`), answerText(n, "ok", "{}"))
}

func TestFailedListenDisturbsNoOther(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxReadBytes = 100 })
	r.set("big", `"`+strings.Repeat("x", 200)+`"`)
	p := r.dial()
	p.listen("/a")
	n := p.request("q", `{"p":"/big","h":""}`)
	p.expect(answerText(n, "too_big", `"The data requested exceeds the maximum size that can be accessed with a single request."`))
	n = p.request("q", `{"p":"/a.b","h":""}`)
	if got := p.read(); !strings.HasPrefix(got, fmt.Sprintf(`{"t":"d","d":{"r":%d,"b":{"s":"failure","d":"`, n)) {
		t.Fatal(got)
	}
	r.set("a", "1")
	p.expect(data("a", "1"))
}

func TestListenTwiceReplaces(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	p.listen("/a")
	p.listen("/a")
	r.set("a", "1")
	n := p.request("s", `{}`)
	p.expect(data("a", "1"), ok(n))
}

func TestManyTagsShareAnEvent(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	for tag := range 70 {
		n := p.request("q", fmt.Sprintf(`{"p":"/l","h":"","q":{"l":5,"vf":"l"},"t":%d}`, tag))
		p.expect(answerText(n, "ok", "{}"))
	}
	q := r.dial()
	n := q.request("q", `{"p":"/l","h":"","q":{"l":5,"vf":"l"},"t":1}`)
	q.expect(answerText(n, "ok", "{}"))
	r.set("l/a", "1")
	q.expect(`{"t":"d","d":{"a":"d","b":{"p":"l/a","d":1,"t":1}}}`)
}

// deliver gives an event to the only listen of a client, as the hub would.
func (r *rig) deliver(p *peer, ev *live.Event) {
	c := r.client(p)
	c.work.Lock()
	l := c.listens.all[0].l
	c.work.Unlock()
	r.db.Barrier(func(uint64) { c.Deliver(ev, l) })
}

func TestLostEventsAreMadeGood(t *testing.T) {
	r := newRig(t)
	r.set("a", `{"x":1}`)
	p := r.dial()
	p.listen("/a")
	r.deliver(p, &live.Event{Kind: live.Lost})
	p.expect(data("a", `{"x":1}`))
	r.set("a/y", "2")
	p.expect(data("a/y", "2"))
	if r.count.resyncs.Load() != 1 {
		t.Fatal("it is not counted")
	}
}

func TestRevokedListenNamesItsQueryInAnArray(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	n := p.request("q", `{"p":"/a","h":"","q":{"vf":"l","l":2,"i":".key"},"t":1}`)
	p.expect(answerText(n, "ok", "{}"))
	r.deliver(p, &live.Event{Kind: live.Revoked})
	p.expect(`{"t":"d","d":{"a":"c","b":{"p":"a","q":[{"i":".key","l":2,"vf":"l"}]}}}`)

	q := r.dial()
	q.listen("/b")
	r.deliver(q, &live.Event{Kind: live.Revoked})
	q.expect(`{"t":"d","d":{"a":"c","b":{"p":"b"}}}`)
	r.set("b", "1")
	q.expect(ok(q.request("s", `{}`))) // nothing came before
}

// gate is an authenticator that takes its time.
type gate chan struct{}

func (g gate) Authenticate(ctx context.Context, c auth.Credential) (auth.Identity, error) {
	<-g
	return auth.Open{}.Authenticate(ctx, c)
}

func TestRequestsWaitForAuth(t *testing.T) {
	g := make(gate)
	r := newRig(t, func(o *Options) { o.Authenticator = g })
	p := r.dial()
	a := p.request("gauth", `{"cred":"owner"}`)
	q := p.request("q", `{"p":"/a","h":"-"}`)
	w := p.request("p", `{"p":"/a","d":1}`)
	if got := r.export("a"); got != "null" {
		t.Fatal("the write overtook auth")
	}
	close(g)
	p.expect(answerText(a, "ok", `{"auth":null}`), data("a", "null"), answerText(q, "ok", "{}"), data("a", "1"), ok(w))
}
