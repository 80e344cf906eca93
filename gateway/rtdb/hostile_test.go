package rtdb

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestOutboxOfOneWhoIsAlwaysBehind: the queue is never empty, and must not remember all that it ever held.
func TestOutboxOfOneWhoIsAlwaysBehind(t *testing.T) {
	o := outbox{epoch: 1}
	next := 0
	for i := range 100_000 {
		o.push(frame(fmt.Sprintf("%06d", i)), 1, 1<<20)
		if i < 10 {
			continue
		}
		for _, it := range o.take(nil, 6) {
			if string(it.f) != fmt.Sprintf("%06d", next) {
				t.Fatalf("got %s, want %06d", it.f, next)
			}
			next++
		}
	}
	if len(o.items)-o.head != 10 || cap(o.items) > 1000 {
		t.Fatalf("%d items are queued in a slice of %d", len(o.items)-o.head, cap(o.items))
	}
}

// TestPingsOfOneWhoDoesNotRead: pongs are queued like answers, and those who do not take them are not read either.
func TestPingsOfOneWhoDoesNotRead(t *testing.T) {
	r := newRig(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.http.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /.ws?v=5&ns=test HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReaderSize(conn, 16), nil); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	waitFor(t, "the session begins", func() bool { return r.srv.Clients() == 1 })
	var c *client
	r.srv.mu.Lock()
	for _, c = range r.srv.clients {
	}
	r.srv.mu.Unlock()
	ping := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame(make([]byte, 125))))
	many := []byte(strings.Repeat(string(ping), 1000))
	conn.SetWriteDeadline(time.Now().Add(3 * time.Second))
	for range 400 { // 50 MB, more than the kernel holds
		if _, err := conn.Write(many); err != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m.out.restBytes > maxQueuedRest+1000 {
		t.Fatalf("%d bytes are queued", c.m.out.restBytes)
	}
}

// TestSlowClientIsNotSilent: as long as a client has not taken what it asked for, its next messages are not read, so its silence says
// nothing.
func TestSlowClientIsNotSilent(t *testing.T) {
	r := newRig(t)
	r.set("v", `"`+strings.Repeat("v", 9<<20)+`"`)
	p := r.dial()
	const n = 5
	go func() {
		for range n {
			p.request("g", `{"p":"/v","q":{}}`)
		}
	}()
	c := r.client(p)
	waitFor(t, "the server stops reading", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return !c.hasRoom() })
	if next := c.tick(r.srv.wheel.elapsed() + giveUpAfter + time.Second); next == 0 {
		t.Fatal("the client was given up")
	}
	for range n {
		p.read()
	}
}

// TestSwitchOfOneWhoIsBehind: pushes were dropped when the client goes on over a WebSocket; the data must follow there at
// once. And when it is gone, nothing is left of the old connection, though no poll came for its end.
func TestSwitchOfOneWhoIsBehind(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxQueuedPushBytes = 100 })
	p := r.poller()
	n := p.request("q", `{"p":"/n","h":"-"}`)
	p.expect("*", data("n", "null"), answerText(n, "ok", "{}"))
	old := r.srv.polling(p.id, p.pw)
	waitFor(t, "no poll is held", func() bool { old.c.mu.Lock(); defer old.c.mu.Unlock(); return len(old.polls) == 0 })
	w := r.dialRaw("&s=" + p.id)
	w.expect(`{"t":"c","d":{"t":"a","d":null}}`)
	for i := range 10 {
		r.set("n", fmt.Sprint(i))
	}
	if r.count.resyncs.Load() == 0 {
		t.Fatal("nothing was dropped")
	}
	if err := old.c.receive(old, []byte(`{"t":"c","d":{"t":"n","d":{}}}`)); err != nil {
		t.Fatal(err)
	}
	w.expect(data("n", "9"))
	w.conn.CloseNow()
	waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	if len(r.srv.pollers) != 0 {
		t.Fatal("the polling transport is still known")
	}
}
