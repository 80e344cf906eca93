package rtdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestSegmentsBothWays(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	p.listen("/big")
	// Three bytes a rune, so that cuts fall inside runes if one is careless.
	value := strings.Repeat("€", 40_000)
	text := fmt.Sprintf(`{"t":"d","d":{"r":77,"a":"p","b":{"p":"/big","d":%q}}}`, value)
	runes := []rune(text)
	const size = 16384
	p.sendFrame(fmt.Sprint((len(runes) + size - 1) / size))
	for ; len(runes) > 0; runes = runes[min(size, len(runes)):] {
		p.sendFrame(string(runes[:min(size, len(runes))]))
	}
	p.expect(data("big", `"`+value+`"`), ok(77)) // read checks the segments; the library checks that each is UTF-8
}

func TestPreviousSessionIsEndedFirst(t *testing.T) {
	r := newRig(t)
	old := r.dial()
	n := old.request("o", `{"p":"/here","d":"left"}`)
	old.expect(ok(n))
	p := r.dial("&ls=" + old.hello.S)
	n = p.request("g", `{"p":"/here","q":{}}`)
	p.expect(answerText(n, "ok", `"left"`))
	if _, err := old.readFrame(); err == nil {
		t.Fatal("the previous connection goes on")
	}
}

func TestUnansweredWritesThatComeAgainAreNotAppliedTwice(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	body := `{"p":"/n","d":{".sv":{"increment":1}}}`
	for range 3 {
		p.request("p", body)
	}
	waitFor(t, "the writes are applied", func() bool { return r.export("n") == "3" })
	p.conn.CloseNow() // without having read an answer
	again := r.dial("&ls=" + p.hello.S)
	for range 3 {
		again.request("p", body)
	}
	extra := again.request("p", body) // a new one
	again.expect(ok(1), ok(2), ok(3), ok(extra))
	if got := r.export("n"); got != "4" {
		t.Fatalf("n is %s", got)
	}
	if got := r.count.replays.Load(); got != 3 {
		t.Fatalf("%d replays", got)
	}
}

// TestConfirmedWritesAreNotTakenForReplays: once the client is known to have the answers, the same write again is a new one.
func TestConfirmedWritesAreNotTakenForReplays(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	body := `{"p":"/n","d":{".sv":{"increment":1}}}`
	p.expect(ok(p.request("p", body)))
	c := r.client(p)
	// The library answers pings while it reads; the next write carries the news to the database.
	go func() {
		for range 2 {
			p.tryRead()
		}
	}()
	waitFor(t, "the answer is confirmed", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.m.live.confirmed == 1
	})
	p.request("p", `{"p":"/other","d":1}`)
	waitFor(t, "the write is applied", func() bool { return r.export("other") == "1" })
	p.conn.CloseNow()
	again := r.dial("&ls=" + p.hello.S)
	again.expect(ok(again.request("p", body)))
	if got := r.export("n"); got != "2" {
		t.Fatalf("n is %s", got)
	}
}

func (r *rig) client(p *peer) *client {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	return r.srv.clients[p.hello.S]
}

func closeCode(t *testing.T, p *peer) websocket.StatusCode {
	t.Helper()
	for {
		if _, err := p.readFrame(); err != nil {
			if code := websocket.CloseStatus(err); code != -1 {
				return code
			}
			t.Fatalf("closed without a code: %v", err)
		}
	}
}

func TestShutdownFlushesAndSaysGoingAway(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	lp := r.poller()
	lp.expect("*")
	lp.poll()
	n := p.request("o", `{"p":"/left","d":true}`)
	p.expect(ok(n))
	n = p.request("p", `{"p":"/big","d":"`+strings.Repeat("x", 10_000)+`"}`)
	done := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		waitFor(t, "the write is applied", func() bool { return r.export("big") != "null" })
		done <- r.srv.Shutdown(ctx)
	}()
	p.expect(ok(n))
	if code := closeCode(t, p); code != websocket.StatusGoingAway {
		t.Fatalf("code %d", code)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the polling client is told", func() bool { lp.mu.Lock(); defer lp.mu.Unlock(); return lp.closed })
	waitFor(t, "the onDisconnect operation runs", func() bool { return r.export("left") == "true" })
	res, err := http.Get(r.http.URL + "/.lp?start=t&cb=1&ns=test")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("a new session began: %s", res.Status)
	}
}

func TestShutdownCutsThoseWhoDoNotRead(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	p.listen("/v")
	for i := range 200 {
		r.set("v", fmt.Sprintf("%q", strings.Repeat("x", 200_000+i)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.srv.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if r.srv.Clients() != 0 {
		t.Fatal("clients are left")
	}
}

func TestBadInputClosesThatConnectionOnly(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxMessageBytes = 100_000 })
	good := r.dial()
	for name, tc := range map[string]struct {
		send func(p *peer)
		code websocket.StatusCode
	}{
		"no JSON":     {func(p *peer) { p.sendFrame(`{"t":`) }, websocket.StatusInvalidFramePayloadData},
		"no UTF-8":    {func(p *peer) { p.sendFrame("{\"t\":\"\xff\"}") }, websocket.StatusInvalidFramePayloadData},
		"no envelope": {func(p *peer) { p.sendFrame(`[]`) }, websocket.StatusInvalidFramePayloadData},
		"too big":     {func(p *peer) { p.sendFrame(strings.Repeat(" ", 100_001)) }, websocket.StatusMessageTooBig},
		"too big in segments, and no request": {func(p *peer) {
			p.sendFrame("9")
			for range 9 {
				p.sendFrame(strings.Repeat(" ", 16384))
			}
		}, websocket.StatusMessageTooBig},
		"binary": {func(p *peer) {
			p.conn.Write(context.Background(), websocket.MessageBinary, []byte("{}"))
		}, websocket.StatusUnsupportedData},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.dial()
			p.t = t
			tc.send(p)
			if code := closeCode(t, p); code != tc.code {
				t.Fatalf("code %d, want %d", code, tc.code)
			}
		})
	}
	good.expect(ok(good.request("s", `{}`)))
}

func TestWriteLargerThanAnSDKMayIsRefused(t *testing.T) {
	p := newRig(t).dial()
	n := p.request("p", `{"p":"/a","d":["`+strings.Repeat(`x`, 9<<20)+`","`+strings.Repeat(`x`, 7<<20)+`"]}`)
	p.expect(answerText(n, "write_too_big", `"Data to write exceeds the maximum size that can be modified with a single request."`))
}

// TestMessageThatIsTooLongIsAnswered: if the connection were closed instead, an SDK would send the write again for ever.
func TestMessageThatIsTooLongIsAnswered(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxMessageBytes = 100_000 })
	p := r.dial()
	filler := strings.Repeat("x", 200_000)
	const refused = `"Data to write exceeds the maximum size that can be modified with a single request."`
	for _, text := range []string{
		`{"t":"d","d":{"r":7,"a":"p","b":{"p":"/a","d":{"r":8,"x":"` + filler + `"}}}}`, // the JavaScript SDK
		`{"t":"d","d":{"a":"p","b":{"p":"a","d":{"x":"` + filler + `","r":8}},"r":7}}`,  // the Java SDK
		`{"d":{"a":"p","b":{"p":"a","d":"` + filler + `"},"r":7},"t":"d"}`,
	} {
		p.sendFrame(fmt.Sprint((len(text) + 16383) / 16384))
		for rest := text; rest != ""; rest = rest[min(len(rest), 16384):] {
			p.sendFrame(rest[:min(len(rest), 16384)])
		}
		p.expect(answerText(7, "write_too_big", refused))
	}
	p.expect(ok(p.request("p", `{"p":"/b","d":1}`)))
	if r.export("a") != "null" {
		t.Fatal("it was written")
	}
}

// TestBackPressure: a client that sends and does not read is not read any further, and all is answered when it reads.
func TestBackPressure(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxPipelined = 16 })
	r.set("v", `"`+strings.Repeat("v", 500_000)+`"`)
	p := r.dial()
	const n = 60
	go func() {
		for range n {
			p.request("g", `{"p":"/v","q":{}}`)
		}
		p.request("s", `{}`)
	}()
	c := r.client(p)
	waitFor(t, "something is queued", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.m.out.restBytes > maxQueuedRest })
	for range n {
		c.mu.Lock()
		if c.m.out.restBytes > maxQueuedRest+2*500_100 {
			t.Fatalf("%d bytes are queued", c.m.out.restBytes)
		}
		c.mu.Unlock()
		if got := p.read(); len(got) < 500_000 {
			t.Fatal(got)
		}
	}
	p.expect(ok(n + 1))
}

func TestSilentClientIsGivenUp(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	n := p.request("o", `{"p":"/left","d":true}`)
	p.expect(ok(n))
	c := r.client(p)
	waitFor(t, "the reader waits", func() bool { return !c.via.(*wsTransport).busy.Load() })
	now := r.srv.wheel.elapsed()
	c.tick(now + pingAfter + time.Second)
	c.mu.Lock()
	waiting := c.m.live.waiting
	c.mu.Unlock()
	if !waiting {
		t.Fatal("it was not pinged")
	}
	c.tick(now + giveUpAfter + time.Second)
	waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
	waitFor(t, "the onDisconnect operation runs", func() bool { return r.export("left") == "true" })
}

// TestTLS uses connections that are no plain sockets.
func TestTLS(t *testing.T) {
	r := newRig(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(r.route))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "wss"+strings.TrimPrefix(srv.URL, "https")+"/.ws?v=5&ns=test", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 30)
	p := &peer{t: t, conn: c}
	p.read()
	p.listen("/a")
	big := `"` + strings.Repeat("y", 1<<20) + `"`
	n := p.request("p", `{"p":"/a","d":`+big+`}`)
	p.expect(data("a", big), ok(n))
	for i := range 500 {
		r.set("a", fmt.Sprint(i))
	}
	for i := range 500 {
		p.expect(data("a", fmt.Sprint(i)))
	}
}

func TestPlainRequestsAreNotUpgraded(t *testing.T) {
	r := newRig(t)
	for path, want := range map[string]int{"/.ws?ns=test": http.StatusUpgradeRequired, "/.ws?ns=a/b": http.StatusBadRequest} {
		res, err := http.Get(r.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

func TestMetricsBalance(t *testing.T) {
	r := newRig(t)
	p := r.dial()
	p.expect(ok(p.request("s", `{}`)))
	p.conn.Close(websocket.StatusNormalClosure, "")
	waitFor(t, "the session ends", func() bool { return r.count.closed.Load() == 1 })
	if r.count.opened.Load() != 1 || r.count.in.Load() != 1 || r.count.out.Load() < 2 {
		t.Fatalf("opened %d, in %d, out %d", r.count.opened.Load(), r.count.in.Load(), r.count.out.Load())
	}
}
