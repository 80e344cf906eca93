package rtdb

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rebase/db"
)

func resetTo(host string) string { return fmt.Sprintf(`{"t":"c","d":{"t":"r","d":%q}}`, host) }

// Clients that are sent elsewhere have had their answers, and the connection is closed behind the reset.
func TestRedirect(t *testing.T) {
	r := newRig(t)
	var peers []*peer
	for range 20 {
		peers = append(peers, r.dial())
	}
	before := r.db.Stats().Proposed
	n := peers[0].request("p", `{"p":"/a","d":1}`)
	m := peers[0].request("o", `{"p":"/gone","d":true}`)
	waitFor(t, "the server has the requests", func() bool { return r.db.Stats().Proposed >= before+2 })
	done := make(chan struct{})
	go func() {
		r.srv.Redirect(t.Context(), func() string { return "s-other.example:9002" })
		close(done)
	}()
	for i, p := range peers {
		if i == 0 {
			p.expect(ok(n), ok(m))
		}
		p.expect(resetTo("s-other.example:9002"))
		if _, err := p.readFrame(); err == nil {
			t.Error("the connection goes on behind a reset")
		}
	}
	<-done
	waitFor(t, "the sessions end", func() bool { return r.srv.Clients() == 0 && r.export("gone") == "true" })

	late := r.dial() // it is greeted
	late.expect(resetTo("s-other.example:9002"))
	if _, err := late.readFrame(); err == nil {
		t.Error("a client that comes late may stay")
	}
	r.srv.EndRedirect()
	p := r.dial()
	p.expectOK("p", `{"p":"/a","d":2}`)
}

// expectOK makes a request that must succeed.
func (p *peer) expectOK(action, body string) {
	p.t.Helper()
	p.expect(ok(p.request(action, body)))
}

// Who is to come back to the same address is told the one it has used: SDKs take an empty host for a host.
func TestRedirectToTheSameAddress(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	go r.srv.Redirect(t.Context(), func() string { return "" })
	p.expect(resetTo(p.hello.Host))
	if !strings.HasSuffix(r.http.URL, p.hello.Host) {
		t.Errorf("the client has called the server %q, it is told %q", r.http.URL, p.hello.Host)
	}
}

// Where no other address is known, whoever comes back to this one stays: it would be sent round and round.
func TestRedirectToNowhere(t *testing.T) {
	r := newRig(t)
	var host atomic.Value
	host.Store("other:1")
	r.srv.Redirect(t.Context(), func() string { return host.Load().(string) })
	r.dial().expect(resetTo("other:1"))
	host.Store("") // the other server has died
	r.dial().expectOK("p", `{"p":"/a","d":1}`)
}

// A client whose write is never answered is told after a while all the same.
func TestRedirectGivesUpWaiting(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	standing, release := make(chan struct{}), make(chan struct{})
	go r.db.Barrier(func(uint64) { close(standing); <-release })
	<-standing
	p.request("p", `{"p":"/a","d":1}`)
	waitFor(t, "the write is under way", func() bool { return r.db.Stats().Proposed > 0 })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go r.srv.Redirect(ctx, func() string { return "other:1" })
	p.expect(resetTo("other:1"))
	close(release)
}

func TestRedirectOfPollers(t *testing.T) {
	for _, held := range []bool{true, false} {
		r := newRig(t)
		p := r.poller()
		p.expect("*") // hello
		if held {
			p.poll()
		}
		go r.srv.Redirect(t.Context(), func() string { return "other:1" })
		if !held {
			waitFor(t, "the client is told", func() bool {
				r.srv.mu.Lock()
				defer r.srv.mu.Unlock()
				for _, c := range r.srv.clients {
					c.mu.Lock()
					defer c.mu.Unlock()
					return c.moved
				}
				return false
			})
			p.poll()
		}
		p.expect(resetTo("other:1"))
		waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
	}
}

// A client that turns up at another node has its session ended there; its old connection is cut, and what it sends again
// counts once.
func TestClientMovesBetweenNodes(t *testing.T) {
	a, b := newCluster(t)
	p := a.dial()
	p.expectOK("o", `{"p":"/left","d":{".sv":{"increment":1}}}`)
	body := `{"p":"/n","d":{".sv":{"increment":1}}}`
	p.request("p", body)
	waitFor(t, "the write is applied", func() bool { return a.export("n") == "1" })
	q := b.dial("&ls=" + p.hello.S)
	q.expectOK("p", body) // sent again
	n := q.request("g", `{"p":"/","q":{}}`)
	q.expect(answerText(n, "ok", `{"left":1,"n":1}`))
	for {
		if _, err := p.readFrame(); err != nil {
			break
		}
	}
	waitFor(t, "the old session is gone", func() bool { return a.srv.Clients() == 0 })
	if b.count.replays.Load() != 1 {
		t.Error("the write was not recognised")
	}
	if got := a.export(""); got != `{"left":1,"n":1}` {
		t.Error(got)
	}
}

// A node that others take for dead drops its clients, long polling ones too, and serves them again when they come back.
func TestNodeThatWasTakenForDead(t *testing.T) {
	a, b := newCluster(t)
	p, l := a.dial(), a.poller()
	p.expectOK("p", `{"p":"/p","d":1}`)
	l.expect("*") // hello
	l.poll()
	l.expect(ok(l.request("p", `{"p":"/l","d":1}`)))
	if _, err := b.db.EndSessionsOf(t.Context(), func(node, _ uint64) bool { return node == 1 }); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := p.readFrame(); err != nil {
			break
		}
	}
	waitFor(t, "the clients are dropped", func() bool { return a.srv.Clients() == 0 })
	q := a.dial("&ls=" + p.hello.S)
	q.expectOK("p", `{"p":"/p","d":2}`)
	if res := b.db.Do(t.Context(), &db.Op{Kind: db.OpSet, NS: "test", Path: "x", Caller: db.Root}); res.Err != nil || b.export("p") != "2" {
		t.Error(res.Err, b.export("p"))
	}
}

// A get sees what was acknowledged at another node before; the same holds for one that waits, and its client's end ends the wait.
func TestGetsAreStrong(t *testing.T) {
	a, b := newCluster(t)
	p, q := a.dial(), b.dial()
	for i := range 100 {
		p.expectOK("p", fmt.Sprintf(`{"p":"/n","d":%d}`, i))
		n := q.request("g", `{"p":"/n","q":{}}`)
		q.expect(answerText(n, "ok", fmt.Sprint(i)))
	}
	standing, release := make(chan struct{}), make(chan struct{})
	go b.db.Barrier(func(uint64) { close(standing); <-release })
	<-standing
	p.expectOK("p", `{"p":"/n","d":"behind"}`)
	q.request("g", `{"p":"/n","q":{}}`)
	time.Sleep(10 * time.Millisecond)
	if b.srv.Clients() != 1 {
		t.Fatal("the client is gone")
	}
	q.conn.CloseNow()
	close(release)
	waitFor(t, "its session ends", func() bool { return b.srv.Clients() == 0 })
}
