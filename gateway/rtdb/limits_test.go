package rtdb

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rebase/auth"
	"rebase/db"
	"rebase/gateway/limit"
)

// limited is a rig with limits; hits counts who had to wait, and who was refused.
func limited(t *testing.T, o limit.Options, change ...func(*Options)) (r *rig, waited, refused *atomic.Int64) {
	waited, refused = new(atomic.Int64), new(atomic.Int64)
	o.Hit = func(_ limit.Scope, _ limit.Kind, hard bool) {
		if hard {
			refused.Add(1)
		} else {
			waited.Add(1)
		}
	}
	l := limit.New(o)
	r = newRig(t, append(change, func(o *Options) { o.Limiter, o.Authenticator = l, named{} })...)
	if res := r.db.Do(context.Background(), &db.Op{Kind: db.OpSetRules, NS: "test", Rules: []byte(`{"rules":{".read":true,".write":true}}`), Caller: db.Root}); res.Err != nil {
		t.Fatal(res.Err)
	}
	return r, waited, refused
}

// One connection too many gets an answer before the upgrade, and there is room again when another has gone.
func TestTooManyConnections(t *testing.T) {
	r, _, refused := limited(t, limit.Options{Database: limit.Limits{Connections: 2}})
	first := r.dial()
	r.dial()
	_, resp, err := websocket.Dial(t.Context(), r.url(""), nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("a third connection: %v, %v", resp, err)
	}
	poll, err := http.Get(r.http.URL + "/.lp?start=t&cb=1&v=5&ns=test")
	if err != nil {
		t.Fatal(err)
	}
	poll.Body.Close()
	if poll.StatusCode != http.StatusServiceUnavailable || poll.Header.Get("Retry-After") == "" || refused.Load() != 2 {
		t.Errorf("a third session by long polling: %d; %d were refused", poll.StatusCode, refused.Load())
	}
	first.conn.CloseNow()
	waitFor(t, "room for another", func() bool {
		c, _, err := websocket.Dial(t.Context(), r.url(""), nil)
		if err == nil {
			c.CloseNow()
		}
		return err == nil
	})
}

// A client that is too fast is delayed; none of its writes fails or is lost, and their order stays.
func TestTooFast(t *testing.T) {
	r, waited, refused := limited(t, limit.Options{Connection: limit.Limits{Operations: limit.Rate{PerSecond: 500, Burst: 10}}})
	p := r.dial()
	const writes = 60
	for i := range writes {
		p.request("p", fmt.Sprintf(`{"p":"a","d":%d}`, i))
	}
	for i := range writes {
		p.expect(ok(i + 1))
	}
	if got := r.export("a"); got != fmt.Sprint(writes-1) {
		t.Errorf("the last write is %s", got)
	}
	if waited.Load() == 0 || refused.Load() != 0 {
		t.Errorf("%d waits, %d refusals", waited.Load(), refused.Load())
	}
}

// Bytes count as they come, also those of a message that is not complete, and those of answers.
func TestTooManyBytes(t *testing.T) {
	r, waited, _ := limited(t, limit.Options{Connection: limit.Limits{Bytes: limit.Rate{PerSecond: 1 << 20, Burst: 100}}})
	p := r.dial()
	p.sendFrame("3")
	p.sendFrame(fmt.Sprintf(`{"t":"d","d":{"r":1,"a":"p","b":{"p":"a","d":"%01000d`, 0))
	waitFor(t, "a wait for the first segment", func() bool { return waited.Load() > 0 })
	p.sendFrame(`"}`)
	p.sendFrame(`}}`)
	p.expect(ok(1))
	for try := 0; ; try++ {
		time.Sleep(5 * time.Millisecond) // so that nothing is owed
		before := waited.Load()
		p.request("g", `{"p":"a"}`)
		p.read()
		p.request("s", `{"c":{}}`)
		p.read()
		if waited.Load() > before {
			break
		}
		if try == 100 { // it is paid for within a millisecond, which may pass before the next request
			t.Fatal("an answer of 1,000 bytes is free")
		}
	}
}

// A client that polls is held back as any other, and loses nothing.
func TestTooFastByLongPolling(t *testing.T) {
	r, waited, refused := limited(t, limit.Options{Connection: limit.Limits{Operations: limit.Rate{PerSecond: 500, Burst: 5}}})
	p := r.poller()
	p.expect("*") // hello
	const writes = 30
	var want []string
	for i := range writes {
		n := p.request("p", fmt.Sprintf(`{"p":"a","d":%d}`, i))
		want = append(want, ok(n))
	}
	p.expect(want...)
	if got := r.export("a"); got != fmt.Sprint(writes-1) {
		t.Errorf("the last write is %s", got)
	}
	if waited.Load() == 0 || refused.Load() != 0 {
		t.Errorf("%d waits, %d refusals", waited.Load(), refused.Load())
	}
}

// Who would have to wait too long is told to come again; what it has sent is not answered with an error.
func TestMuchTooFast(t *testing.T) {
	r, _, refused := limited(t, limit.Options{User: limit.Limits{Operations: limit.Rate{PerSecond: 0.01, Burst: 3}}, MaxWait: time.Second})
	p := r.dial()
	p.request("auth", `{"cred":"bob"}`)
	p.read()
	for range 5 {
		p.request("p", `{"p":"a","d":1}`)
	}
	answers := 0
	for {
		text, err := p.tryRead()
		if err != nil {
			if code := websocket.CloseStatus(err); code != websocket.StatusTryAgainLater {
				t.Errorf("closed with %d: %v", code, err)
			}
			break
		}
		answers++
		if text != ok(answers+1) {
			t.Errorf("answered %s", text)
		}
	}
	// The close may overtake answers. SDKs send again what was not answered, and what had been done is known then.
	if answers > 3 || refused.Load() == 0 {
		t.Errorf("%d writes were answered, %d refused", answers, refused.Load())
	}
	if _, err := p.readFrame(); err == nil {
		t.Error("the connection is still there")
	}
}

// A session that ends while its client waits ends at once.
func TestEndWhileWaiting(t *testing.T) {
	r, waited, _ := limited(t, limit.Options{Connection: limit.Limits{Operations: limit.Rate{PerSecond: 0.001, Burst: 1}}, MaxWait: time.Hour})
	p := r.dial()
	p.request("p", `{"p":"a","d":1}`)
	p.request("p", `{"p":"a","d":2}`)
	waitFor(t, "a wait", func() bool { return waited.Load() > 0 })
	if err := r.srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// A user may have so many connections, an administrator more.
func TestTooManyConnectionsOfUser(t *testing.T) {
	r, _, _ := limited(t, limit.Options{User: limit.Limits{Connections: 2}})
	auth := `{"cred":"bob"}`
	for range 2 {
		p := r.dial()
		p.request("auth", auth)
		p.read()
	}
	p := r.dial()
	p.request("auth", auth)
	if _, err := p.tryRead(); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
		t.Errorf("a third connection of a user: %v", err)
	}
	for range 3 {
		p := r.dial()
		p.request("gauth", `{"cred":"owner"}`)
		p.read()
	}
	p = r.dial()
	p.request("auth", `{"cred":"eve"}`)
	p.read()
}

// named is an Authenticator that knows users by their ids, and the owner.
type named struct{}

func (named) Authenticate(_ context.Context, c auth.Credential) (auth.Identity, error) {
	if c.Token == "owner" {
		return auth.Identity{Admin: true}, nil
	}
	text, err := json.Marshal(map[string]string{"uid": c.Token})
	return auth.Identity{Auth: text, UID: c.Token, Project: c.NS}, err
}
