package rtdb

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// lpPeer is a client that uses long polling as a browser's page does: scripts are "run" by looking for the calls in them.
type lpPeer struct {
	t        testing.TB
	base     string
	id, pw   string
	mu       sync.Mutex
	cond     *sync.Cond
	pending  map[int][]json.RawMessage // responses by number
	due      int
	messages []string
	closed   bool
	closeAt  int // -1: none
	segs     int
	next     int // r
	under    int // requests under way
}

var (
	startCall = regexp.MustCompile(`pLPCommand\('start',"([0-9a-f]{32})","(\w+)"\);`)
	dataCall  = regexp.MustCompile(`(?m)^pRTLPCB\((\d+),(\[.*\])\);$`)
	closeCall = regexp.MustCompile(`pLPCommand\('close'(?:,(\d+))?\);`)
)

func (r *rig) poller() *lpPeer {
	r.t.Helper()
	p := &lpPeer{t: r.t, base: r.http.URL + "/.lp?", pending: map[int][]json.RawMessage{}, closeAt: -1}
	p.cond = sync.NewCond(&p.mu)
	body := p.get("start=t&ser=123&cb=7&v=5&p=1:2:web:3&ns=test")
	m := startCall.FindStringSubmatch(body)
	if m == nil || !strings.Contains(body, `parent.window["pLPCommand7"]`) || !strings.Contains(body, `parent.window["pRTLPCB7"]`) {
		r.t.Fatalf("no start in %s", body)
	}
	p.id, p.pw = m[1], m[2]
	return p
}

// get loads a script and runs it.
func (p *lpPeer) get(query string) string {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", p.base+query, nil)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	b, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode == http.StatusTooManyRequests {
		time.Sleep(2 * time.Millisecond) // an SDK never has so many under way
		return p.get(query)
	}
	body := string(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range dataCall.FindAllStringSubmatch(body, -1) {
		var k int
		fmt.Sscan(m[1], &k)
		var messages []json.RawMessage
		if err := json.Unmarshal([]byte(m[2]), &messages); err != nil {
			p.t.Errorf("%v in %s", err, body)
		}
		if _, dup := p.pending[k]; dup || k < p.due {
			p.t.Errorf("response %d comes twice", k)
		}
		p.pending[k] = messages
	}
	for p.pending[p.due] != nil {
		for _, m := range p.pending[p.due] {
			p.messages = append(p.messages, string(m))
		}
		delete(p.pending, p.due)
		p.due++
	}
	if m := closeCall.FindStringSubmatch(body); m != nil {
		p.closed = true
		if m[1] != "" {
			fmt.Sscan(m[1], &p.closeAt)
		}
	}
	p.cond.Broadcast()
	return body
}

func (p *lpPeer) session() string { return fmt.Sprintf("id=%s&pw=%s&ser=9&ns=test", p.id, p.pw) }

func (p *lpPeer) poll() { p.start(p.session()) }

// start is get in the background. expect knows of it at once.
func (p *lpPeer) start(query string) {
	p.mu.Lock()
	p.under++
	p.mu.Unlock()
	go func() {
		p.get(query)
		p.mu.Lock()
		p.under--
		p.mu.Unlock()
		p.cond.Broadcast()
	}()
}

// pieces cuts a message as the SDK does.
func (p *lpPeer) pieces(text string, size int) (out []string) {
	packet := base64.URLEncoding.WithPadding('.').EncodeToString([]byte(text))
	total := (len(packet) + size - 1) / size
	for i := range total {
		out = append(out, fmt.Sprintf("&seg%%d=%d&ts%%d=%d&d%%d=%s", p.segs, total, packet[i*size:min((i+1)*size, len(packet))]))
		p.segs++
	}
	return out
}

func numbered(piece string, i int) string { return fmt.Sprintf(piece, i, i, i) }

func (p *lpPeer) request(action, body string) int {
	p.next++
	text := fmt.Sprintf(`{"t":"d","d":{"r":%d,"a":%q,"b":%s}}`, p.next, action, body)
	p.send(text)
	return p.next
}

func (p *lpPeer) send(text string) {
	for _, piece := range p.pieces(text, 1840) {
		query := p.session() + numbered(piece, 0)
		p.start(query)
	}
}

// expect waits for messages, polling.
func (p *lpPeer) expect(want ...string) {
	p.t.Helper()
	timeout := time.AfterFunc(deadline, func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.cond.Broadcast()
	})
	defer timeout.Stop()
	for _, w := range want {
		p.mu.Lock()
		for len(p.messages) == 0 && !p.closed {
			if p.under > 0 {
				p.cond.Wait()
				continue
			}
			// Which request gets an answer depends on which comes first. As a client does, poll again.
			p.mu.Unlock()
			p.poll()
			p.mu.Lock()
		}
		if len(p.messages) == 0 {
			p.mu.Unlock()
			p.t.Fatalf("the session ended before %s", w)
		}
		got := p.messages[0]
		p.messages = p.messages[1:]
		p.mu.Unlock()
		if w != "*" && got != w {
			p.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

func TestLongPolling(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	p.expect("*") // hello, in response 0
	p.poll()
	n := p.request("q", `{"p":"/a","h":"-"}`)
	p.expect(data("a", "null"), answerText(n, "ok", "{}"))
	p.poll()
	r.set("a", `"x\u2028y"`)
	p.expect(data("a", `"x\u2028y"`)) // escaped, for older browsers
	n = p.request("p", `{"p":"/a","d":"`+strings.Repeat("é", 5000)+`"}`)
	p.poll()
	p.expect(data("a", `"`+strings.Repeat("é", 5000)+`"`))
	p.poll()
	p.expect(ok(n))
}

func TestLongPollingPiecesInAnyOrder(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	p.expect("*")
	first := p.pieces(`{"t":"d","d":{"r":1,"a":"p","b":{"p":"/a","d":"one"}}}`, 16)
	second := p.pieces(`{"t":"d","d":{"r":2,"a":"p","b":{"p":"/b","d":"two"}}}`, 64)
	last := first[len(first)-1]
	query := p.session() + numbered(second[0], 0)
	for i, piece := range first[:len(first)-1] {
		query += numbered(piece, i+1)
	}
	p.start(query)
	p.start(p.session() + numbered(last, 0))
	if len(second) > 1 {
		for _, piece := range second[1:] {
			p.start(p.session() + numbered(piece, 0))
		}
	}
	p.poll()
	p.expect(ok(1), ok(2))
}

func TestLongPollingAnswersTheOlderPoll(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	p.expect("*")
	older := make(chan string)
	go func() { older <- p.get(p.session()) }()
	waitFor(t, "the poll is held", func() bool {
		q := r.srv.polling(p.id, p.pw)
		q.c.mu.Lock()
		defer q.c.mu.Unlock()
		return len(q.polls) == 1
	})
	p.poll()
	if body := <-older; body != "pRTLPCB(1,[]);\n" {
		t.Fatal(body)
	}
}

func TestLongPollingRefusesStrangers(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	if body := p.get("id=" + p.id + "&pw=wrong&ser=1"); body != "pLPCommand('close');" {
		t.Fatal(body)
	}
	for _, query := range []string{"start=t&cb=1);alert(1&ns=test", "start=t&ns=test", "start=t&cb=1&ns=*"} {
		res, err := http.Get(p.base + query)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", query, res.Status)
		}
	}
}

func TestLongPollingDisconnects(t *testing.T) {
	r := newRig(t)
	w := r.dial()
	w.listen("/here")
	p := r.poller()
	p.expect("*")
	n := p.request("o", `{"p":"/here","d":"left"}`)
	p.expect(ok(n))
	page := p.get(p.session() + "&dframe=t")
	if !strings.Contains(page, "disconn=t") || !strings.Contains(page, p.pw) {
		t.Fatal(page)
	}
	p.get(p.session() + "&disconn=t")
	w.expect(data("here", `"left"`))
	if body := p.get(p.session()); body != "pLPCommand('close');" {
		t.Fatal(body)
	}
}

func TestLongPollingEndsWhenNobodyPolls(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	r.srv.polling(p.id, p.pw).tickAt(r.srv.wheel.elapsed() + pollIdle + time.Second)
	waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
}

func (t *lpTransport) tickAt(now time.Duration) {
	t.c.tick(now)
}

func TestLongPollingEndsOnGarbage(t *testing.T) {
	for _, piece := range []string{"&seg0=0&ts0=1&d0=!!!", "&seg0=x&ts0=1&d0=", "&seg0=5000&ts0=1&d0=e30.", "&seg0=0&ts0=1&d0=e30."} {
		r := newRig(t)
		p := r.poller()
		p.get(p.session() + piece)
		waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
	}
}

// TestSwitchFromLongPolling moves a session to a WebSocket while data flow, and checks that nothing is lost, doubled or
// reordered.
func TestSwitchFromLongPolling(t *testing.T) {
	for _, order := range []string{"a then n", "n then a"} {
		t.Run(order, func(t *testing.T) {
			r := newRig(t)
			p := r.poller()
			p.expect("*")
			n := p.request("q", `{"p":"/n","h":"-"}`)
			p.expect(data("n", "null"), answerText(n, "ok", "{}"))
			n = p.request("o", `{"p":"/left","d":true}`)
			p.poll()
			p.expect(ok(n))

			stop, stopped := make(chan struct{}), make(chan int)
			go func() {
				i := 0
				for {
					select {
					case <-stop:
						stopped <- i
						return
					default:
						i++
						r.set("n", fmt.Sprint(i))
					}
				}
			}()
			polling := make(chan struct{})
			go func() {
				defer close(polling)
				for {
					p.get(p.session())
					p.mu.Lock()
					closed := p.closed
					p.mu.Unlock()
					if closed {
						return
					}
				}
			}()

			w := r.dialRaw("&s=" + p.id)
			w.expect(`{"t":"c","d":{"t":"a","d":null}}`)
			for range 2 {
				w.sendFrame(`{"t":"c","d":{"t":"p","d":{}}}`)
				w.expect(`{"t":"c","d":{"t":"o","d":null}}`)
			}
			w.next = 100
			onNew := func() {
				w.sendFrame(`{"t":"c","d":{"t":"a","d":{}}}`)
				w.request("p", `{"p":"/from","d":"ws"}`)
			}
			write := p.request("p", `{"p":"/from","d":"lp"}`) // before the end of the old connection
			if order == "a then n" {
				onNew()
				p.send(`{"t":"c","d":{"t":"n","d":{}}}`)
			} else {
				p.send(`{"t":"c","d":{"t":"n","d":{}}}`)
				waitFor(t, "the old connection ends", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.closed })
				onNew()
			}
			<-polling
			waitFor(t, "all responses are here", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.under == 0 })
			p.get(p.session() + "&disconn=t") // the page says goodbye, but only to the old connection
			close(stop)
			// One more change, which can only come over the WebSocket: those of the goroutine may all have come before the switch.
			last := <-stopped + 1
			r.set("n", fmt.Sprint(last))

			p.mu.Lock()
			got := p.messages
			if p.closeAt < 0 {
				t.Errorf("%d responses came, and none says that it is the last", p.due)
			}
			p.mu.Unlock()
			if len(got) == 0 || got[len(got)-1] != `{"t":"c","d":{"t":"n","d":{}}}` {
				t.Fatalf("the old connection ends with %v", got[max(0, len(got)-3):])
			}
			got = got[:len(got)-1]
			for m := ""; m != data("n", fmt.Sprint(last)); got = append(got, m) {
				m = w.read()
			}
			count, acks := 0, 0
			for _, m := range got {
				switch {
				case m == data("n", fmt.Sprint(count+1)):
					count++
				case m == ok(write) || m == ok(101):
					acks++
				default:
					t.Fatalf("%s after %d", m, count)
				}
			}
			for ; acks < 2; acks++ {
				w.expect(ok([]int{write, 101}[acks]))
			}
			if count != last {
				t.Fatalf("%d of %d changes came", count, last)
			}
			if got := r.export("from"); got != `"ws"` {
				t.Fatalf("requests were reordered: %s", got)
			}
			if r.export("left") != "null" {
				t.Fatal("the switch ran the onDisconnect operations")
			}
			w.conn.CloseNow()
			waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
			waitFor(t, "the onDisconnect operation runs", func() bool { return r.export("left") == "true" })
		})
	}
}

func TestSwitchOfUnknownSessionIsRefused(t *testing.T) {
	r := newRig(t)
	w := r.dialRaw("&s=0123456789abcdef0123456789abcdef")
	w.expect(`{"t":"c","d":{"t":"r","d":"` + strings.TrimPrefix(r.http.URL, "http://") + `"}}`)
}

func TestSwitchThatIsGivenUpLeavesTheSession(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	p.expect("*")
	w := r.dialRaw("&s=" + p.id)
	w.expect("{\"t\":\"c\",\"d\":{\"t\":\"a\",\"d\":null}}")
	w.conn.CloseNow()
	n := p.request("p", `{"p":"/a","d":1}`)
	p.expect(ok(n))
	waitFor(t, "the second connection is forgotten", func() bool {
		q := r.srv.polling(p.id, p.pw)
		q.c.mu.Lock()
		defer q.c.mu.Unlock()
		return q.c.other == nil && q.c.m.upgrade == notUpgrading
	})
	w = r.dialRaw("&s=" + p.id)
	w.expect("{\"t\":\"c\",\"d\":{\"t\":\"a\",\"d\":null}}")
}

// TestSwitchThatNeverEndsLeavesNothing: the client says that it continues on the WebSocket, and vanishes from both connections.
func TestSwitchThatNeverEndsLeavesNothing(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	p.expect("*")
	w := r.dialRaw("&s=" + p.id)
	w.expect("{\"t\":\"c\",\"d\":{\"t\":\"a\",\"d\":null}}")
	w.sendFrame(`{"t":"c","d":{"t":"a","d":{}}}`)
	q := r.srv.polling(p.id, p.pw)
	waitFor(t, "the server waits", func() bool { q.c.mu.Lock(); defer q.c.mu.Unlock(); return q.c.m.upgrade == newReady })
	q.tickAt(r.srv.wheel.elapsed() + pollIdle + time.Second)
	waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 0 })
	if _, err := w.readFrame(); err == nil {
		t.Fatal("the second connection goes on")
	}
}

// TestBrokenPollEndsTheSession: a browser that is killed says nothing, but its poll breaks off.
func TestBrokenPollEndsTheSession(t *testing.T) {
	r := newRig(t)
	// begin returns a session whose only poll has broken off.
	begin := func() (*lpPeer, *lpTransport) {
		p := r.poller()
		q := r.srv.polling(p.id, p.pw)
		held := func(n int) func() bool {
			return func() bool { q.c.mu.Lock(); defer q.c.mu.Unlock(); return len(q.polls) == n }
		}
		ctx, cancel := context.WithCancel(context.Background())
		req, _ := http.NewRequestWithContext(ctx, "GET", p.base+p.session(), nil)
		go http.DefaultClient.Do(req)
		waitFor(t, "the poll is held", held(1))
		cancel()
		waitFor(t, "the poll breaks off", held(0))
		return p, q
	}
	pollGoneLater := func(q *lpTransport) { q.tickAt(r.srv.wheel.elapsed() + pollGone + time.Second) }

	p, back := begin()
	p.poll() // somebody is there after all
	waitFor(t, "the poll is held", func() bool { back.c.mu.Lock(); defer back.c.mu.Unlock(); return len(back.polls) == 1 })
	pollGoneLater(back)
	if r.srv.Clients() != 1 {
		t.Fatal("a session with a poll has ended")
	}
	_, gone := begin()
	if r.srv.Clients() != 2 {
		t.Fatal("the second session has ended at once")
	}
	pollGoneLater(gone)
	waitFor(t, "the session ends", func() bool { return r.srv.Clients() == 1 })
}

// TestPollProvesReceipt: the same write again is a new one if the client has polled since the answer.
func TestPollProvesReceipt(t *testing.T) {
	r := newRig(t)
	p := r.poller()
	body := `{"p":"/n","d":{".sv":{"increment":1}}}`
	n := p.request("p", body)
	p.expect("*", ok(n))
	c := r.srv.polling(p.id, p.pw).c
	p.start(p.session())
	waitFor(t, "the poll is held", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.via.(*lpTransport).polls) == 1
	})
	p.get(p.session() + "&disconn=t")
	again := r.dial("&ls=" + p.id)
	again.expect(ok(again.request("p", body)))
	if got := r.export("n"); got != "2" {
		t.Fatalf("n is %s", got)
	}
}

func TestPollReceipts(t *testing.T) {
	var r pollReceipts
	check := func(what string, held, says bool, want uint64) {
		t.Helper()
		if got, ok := r.polled(held, says); got != want || ok != (want > 0) {
			t.Errorf("%s: %d %v, want %d", what, got, ok, want)
		}
	}
	r.responded(0, 0) // hello
	r.responded(3, time.Second)
	check("the response may be on its way", false, true, 0)
	check("a poll that says nothing is the only one", false, false, 3)
	check("no news", false, false, 0)
	r.responded(4, time.Second)
	r.responded(5, time.Second)
	check("the last but one has arrived", false, true, 4)
	check("two are under way", true, true, 5)
	r.responded(6, 25*time.Second)
	check("the client may have polled because of the time", false, false, 0)
	r.responded(6, time.Second)
	check("the next one proves it", false, false, 6)
}

func TestPollingClientsAreBounded(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxPolling = 2 })
	first := r.poller()
	r.poller()
	status := func() int {
		res, err := http.Get(first.base + "start=t&cb=1&ns=test")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	if got := status(); got != http.StatusServiceUnavailable {
		t.Fatalf("status %d", got)
	}
	first.get(first.session() + "&disconn=t")
	waitFor(t, "there is room again", func() bool { return status() == http.StatusOK })
}

// TestLongPollingRefusesWhatIsTooLong: if the session were ended instead, the client would send the write again for ever.
func TestLongPollingRefusesWhatIsTooLong(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxMessageBytes = 3000 })
	p := r.poller()
	p.expect("*")
	const refused = `"Data to write exceeds the maximum size that can be modified with a single request."`
	for _, n := range []int{5000, 5001, 5002} { // the end of the text falls differently
		p.segs = 0
		a := reassembler{max: 3000}
		text := `{"t":"d","d":{"a":"p","b":{"p":"a","d":"` + strings.Repeat("x", n) + `"},"r":7}}`
		for _, piece := range p.pieces(text, 1001) {
			segments, err := parseParams(numbered(piece, 0)[1:]).segments()
			if err != nil {
				t.Fatal(err)
			}
			messages, err := a.add(segments[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				if id, ok := edgesID(m.head, m.tail); !m.over || !ok || id != 7 || !strings.HasSuffix(text, string(m.tail)) {
					t.Fatalf("%+v", m)
				}
			}
		}
		if a.held != 0 || a.size != 0 {
			t.Fatalf("%d bytes are held", a.held)
		}
	}
	p.segs = 0
	q := r.srv.polling(p.id, p.pw)
	text := `{"t":"d","d":{"r":100,"a":"p","b":{"p":"/a","d":"` + strings.Repeat("x", 9000) + `"}}}`
	for i, piece := range p.pieces(text, 1840) {
		p.start(p.session() + numbered(piece, 0))
		waitFor(t, "the piece is taken", func() bool { q.upstream.Lock(); defer q.upstream.Unlock(); return q.pieces.next == i+1 })
	}
	p.expect(answerText(100, "write_too_big", refused))
	n := p.request("p", `{"p":"/a","d":1}`)
	p.expect(ok(n))
}
