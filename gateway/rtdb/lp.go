package rtdb

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"rebase/gateway/ns"
)

// Long polling: browsers begin with it when a WebSocket has failed them before, and switch to a WebSocket as soon as one
// works. The client loads scripts into a hidden frame; a script that the server holds back until it has something to say
// calls pRTLPCB with a running number and messages. What the client has to say is in the URLs. The client has at
// most two requests under way.

const (
	// pollIdle is how long a client may be without a poll.
	pollIdle = 45 * time.Second
	// pollHold is how long a poll is held back; clients themselves start a new one after 25 seconds.
	pollHold = 50 * time.Second
	// pollGone is how long a client whose poll broke off may be without another. SDKs never repeat such a poll.
	pollGone = 10 * time.Second
	// pollRenewed is the age from which a poll may cross with the next one of its client.
	pollRenewed = 20 * time.Second
	// pollBytes is how much goes into one response, at least one message.
	pollBytes = 256 << 10
	// maxPolls bounds the requests of a client that are under way, and those whose messages are.
	maxPolls = 8
)

// lpTransport is a session's long polling.
type lpTransport struct {
	c        *client
	id       string
	password string
	dead     atomic.Bool

	upstream sync.Mutex // one request's messages at a time
	pieces   reassembler
	held     int64 // of the budget for unfinished messages; guarded as pieces is
	released bool  // held is given back for good

	// Guarded by c.mu.
	polls     []*poll // held back, oldest first
	taking    int     // requests whose messages are being carried out
	responses int     // number of the next response
	seen      time.Duration
	gone      bool   // the last poll broke off
	left      []item // the last messages, when the session goes on elsewhere
	over      bool   // no response follows the one that has what is left
	receipts  pollReceipts
}

// poll is a request that waits for output.
type poll struct {
	wake  chan struct{}
	begun time.Duration
	now   bool // answer it, even with nothing
}

// pollReceipts finds out which answers have arrived from the polls that come. A client has at most two requests under way,
// and the second only to say something: one that says nothing is sent when there is no other. (A client whose response breaks off polls no
// more.) So such a poll proves that all responses have arrived, as does any poll while another is held; one
// with messages may have been sent while the last response was on its way. A client also polls anew
// when a poll is too old, and that may cross with the response to the old one.
type pollReceipts struct {
	sent      uint64 // the last proposal whose answer is in a response
	before    uint64 // the same, without the last response
	crossing  bool   // the last response went to an old poll
	confirmed uint64
}

// responded notes a response; taken is the last proposal whose answer is in it or in an earlier one.
func (r *pollReceipts) responded(taken uint64, age time.Duration) {
	r.before, r.sent, r.crossing = r.sent, taken, age >= pollRenewed
}

// polled notes a new poll and returns the last proposal whose answer has arrived; ok is false if that is no news.
func (r *pollReceipts) polled(held, says bool) (seq uint64, ok bool) {
	seq = r.before
	if held || !says && !r.crossing {
		seq = r.sent
	}
	if seq <= r.confirmed {
		return 0, false
	}
	r.confirmed = seq
	return seq, true
}

func (p *poll) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

var _ transport = (*lpTransport)(nil)

func (t *lpTransport) name() string { return "lp" }

func (t *lpTransport) ready() {
	if len(t.polls) > 0 {
		t.polls[0].signal()
	}
}

func (t *lpTransport) finish(ws.StatusCode, string) {
	if t.over {
		return
	}
	t.over = true
	for _, p := range t.polls {
		p.signal()
	}
	if len(t.polls) == 0 {
		t.abort() // the next poll will be told
	}
}

// retire ends the connection with the response that has what is queued, even if no poll is held now. c.mu is held.
func (t *lpTransport) retire() {
	t.over = true
	for _, p := range t.polls {
		p.signal()
	}
}

func (t *lpTransport) abort() {
	if !t.dead.CompareAndSwap(false, true) {
		return
	}
	go func() {
		t.c.mu.Lock()
		t.over = true
		for _, p := range t.polls {
			p.signal()
		}
		t.c.mu.Unlock()
		t.c.srv.removePolling(t)
		t.c.lost(t)
	}()
}

// endTransmission sends what is queued and says that the rest comes elsewhere. c.mu is held.
func (t *lpTransport) endTransmission(items []item) {
	t.left = append(items, item{f: controlFrame("n", emptyObj)})
	t.over = true
	for _, p := range t.polls {
		p.signal()
	}
}

// tick ends a session whose client does not poll. c.mu is held.
func (t *lpTransport) tick(now time.Duration) time.Duration {
	if len(t.polls) > 0 {
		return now + pollIdle
	}
	patience := pollIdle
	if t.gone {
		patience = pollGone
	}
	if now-t.seen >= patience {
		t.c.srv.o.Logger.Info("a client polls no more; its session is ended", "ns", t.c.ns, "session", t.id, "after", patience)
		t.abort()
		return 0
	}
	return t.seen + patience
}

// ServeLP serves /.lp.
func (s *Server) ServeLP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "long polling uses GET", http.StatusMethodNotAllowed)
		return
	}
	q := parseParams(r.URL.RawQuery)
	if q.get("start") == "t" {
		s.startPolling(w, r, q)
		return
	}
	t := s.polling(q.get("id"), q.get("pw"))
	switch {
	case t == nil:
		script(w, []byte("pLPCommand('close');"))
	case q.get("disconn") == "t":
		// After a switch the client's page says goodbye too, but the session goes on.
		t.c.lost(t)
		s.removePolling(t)
		script(w, nil)
	case q.get("dframe") == "t":
		t.serveFrame(w)
	default:
		t.servePoll(w, r, q)
	}
}

// polling finds a session by its id and password.
func (s *Server) polling(id, password string) *lpTransport {
	s.mu.Lock()
	t := s.pollers[id]
	s.mu.Unlock()
	if t == nil || subtle.ConstantTimeCompare([]byte(t.password), []byte(password)) != 1 {
		return nil
	}
	return t
}

func (s *Server) removePolling(t *lpTransport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pollers[t.id] == t {
		delete(s.pollers, t.id)
		go t.release()
	}
}

func (s *Server) startPolling(w http.ResponseWriter, r *http.Request, q params) {
	name, err := ns.Of(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	cb := q.get("cb")
	if cb == "" || len(cb) > 16 || strings.Trim(cb, "0123456789") != "" { // it becomes part of a script
		http.Error(w, "cb is not a number", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	closing, full := s.closing, len(s.pollers) >= s.o.MaxPolling
	s.mu.Unlock()
	switch {
	case closing:
		http.Error(w, shuttingDown, http.StatusServiceUnavailable)
		return
	case full:
		http.Error(w, "too many clients poll", http.StatusServiceUnavailable)
		return
	}
	limits, err := s.o.Limiter.Connect(name, r.RemoteAddr)
	if err != nil {
		refuseConnection(w, err)
		return
	}
	s.takeOver(q.get("ls"))
	c, err := s.newClient(name, q.get("ls"), "lp")
	if err != nil {
		limits.Release()
		http.Error(w, "the log is not available; try again", http.StatusServiceUnavailable)
		return
	}
	c.limits, c.remote = limits, r.RemoteAddr
	c.presentAppInURL(q)
	t := &lpTransport{c: c, id: c.sess.ID(), password: rand.Text(), seen: s.wheel.elapsed()}
	t.pieces.max = s.o.MaxMessageBytes / 3 * 4
	s.mu.Lock()
	s.pollers[t.id] = t
	s.mu.Unlock()
	if !c.begin(t, r.Host) {
		limits.Release()
		s.removePolling(t)
		http.Error(w, shuttingDown, http.StatusServiceUnavailable)
		return
	}

	var b bytes.Buffer
	for _, f := range []struct{ name, args string }{{"pLPCommand", "c,a1,a2,a3,a4"}, {"pRTLPCB", "n,d"}} {
		fmt.Fprintf(&b, "function %s(%s){var f=parent.window[%q];if(f)f(%s);}\n", f.name, f.args, f.name+cb, f.args)
	}
	fmt.Fprintf(&b, "pLPCommand('start',%q,%q);\n", t.id, t.password)
	c.mu.Lock()
	first, _ := t.collect(nil)
	c.mu.Unlock()
	b.Write(t.render(first))
	if err := script(w, b.Bytes()); err != nil {
		t.abort()
	}
}

// servePoll takes what the client says and holds the request until there is something to say to it.
func (t *lpTransport) servePoll(w http.ResponseWriter, r *http.Request, q params) {
	c := t.c
	segments, err := q.segments()
	p := &poll{wake: make(chan struct{}, 1), begun: c.srv.wheel.elapsed()}
	c.mu.Lock()
	t.seen, t.gone = p.begun, false
	confirmed, arrived := t.receipts.polled(len(t.polls) > 0, err != nil || len(segments) > 0)
	for _, older := range t.polls {
		older.now = true
		older.signal()
	}
	tooMany := len(t.polls) >= maxPolls || t.taking >= maxPolls
	if !tooMany {
		t.polls = append(t.polls, p)
		t.taking++
	}
	c.mu.Unlock()
	if tooMany {
		http.Error(w, "too many polls", http.StatusTooManyRequests)
		return
	}
	if arrived {
		c.sess.Confirm(confirmed)
	}
	if err == nil && len(segments) > 0 {
		// The request must be there to take output meanwhile: the messages may have to wait for room.
		go func() { t.taken(t.take(segments)) }()
	} else {
		t.taken(err)
	}

	hold := time.NewTimer(pollHold)
	defer hold.Stop()
	for {
		c.mu.Lock()
		response, ok := t.collect(p)
		if ok {
			t.removePoll(p)
		}
		c.mu.Unlock()
		if ok {
			if err := script(w, t.render(response)); err != nil {
				t.abort() // the number of this response will never arrive, so nothing after it would be heard
			}
			return
		}
		select {
		case <-p.wake:
		case <-hold.C:
			c.mu.Lock()
			p.now = true
			c.mu.Unlock()
		case <-r.Context().Done():
			c.mu.Lock()
			t.removePoll(p)
			t.gone = len(t.polls) == 0
			c.mu.Unlock()
			c.srv.wheel.schedule(&c.timed, c.srv.wheel.elapsed()+pollGone)
			return
		}
	}
}

// taken ends what take has begun.
func (t *lpTransport) taken(err error) {
	c := t.c
	if err != nil && err != errEnded {
		c.srv.o.Logger.Warn("a session is ended because of what the client sent", "ns", c.ns, "session", t.id, "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t.taking--
	if err != nil {
		t.finish(ws.StatusPolicyViolation, "")
	}
}

// take carries out what came with a request.
func (t *lpTransport) take(segments []segment) error {
	t.upstream.Lock()
	defer t.upstream.Unlock()
	if t.released {
		return errEnded
	}
	for _, s := range segments {
		t.c.limits.Debit(len(s.data))
		messages, err := t.pieces.add(s)
		for _, m := range messages {
			t.c.srv.o.Metrics.MessagesIn(1, len(m.text))
			err := error(nil)
			if m.over {
				err = t.c.oversized(t, m.head, m.tail)
			} else {
				err = t.c.receive(t, m.text)
			}
			if err != nil {
				return err
			}
		}
		if err == nil && !t.c.srv.unfinished.Resize(&t.held, int64(t.pieces.held)) {
			err = errBusy
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// release gives back what unfinished messages hold, when nobody can finish them any more. It waits for messages that are
// being carried out.
func (t *lpTransport) release() {
	t.upstream.Lock()
	defer t.upstream.Unlock()
	t.released = true
	t.pieces = reassembler{}
	t.c.srv.unfinished.Resize(&t.held, 0)
}

var errBusy = errors.New("the server is busy with other large messages")

// removePoll forgets p, whose place the next one takes. c.mu is held.
func (t *lpTransport) removePoll(p *poll) {
	t.seen = t.c.srv.wheel.elapsed()
	i := slices.Index(t.polls, p)
	if i < 0 {
		return
	}
	t.polls = slices.Delete(t.polls, i, i+1)
	if len(t.polls) > 0 {
		t.polls[0].signal() // it may have something to say by now
	}
}

// response is what a poll is answered with.
type response struct {
	number int
	items  []item
	last   bool // the connection ends with it
}

// collect takes what the response to p is to say, or to the request that begins the session; ok is false if there is nothing yet.
// c.mu is held.
func (t *lpTransport) collect(p *poll) (r response, ok bool) {
	c := t.c
	if p != nil && len(t.polls) > 0 && t.polls[0] != p {
		return r, false // the oldest first
	}
	r.items, t.left = t.left, nil
	if c.via == t {
		r.items = c.take(nil, pollBytes)
		if c.m.out.empty() {
			c.drained()
		} else {
			c.queued = true
		}
	}
	if len(r.items) == 0 && p != nil && !p.now && !t.over {
		return r, false
	}
	var age time.Duration
	if p != nil {
		age = c.srv.wheel.elapsed() - p.begun
	}
	t.receipts.responded(c.m.out.taken, age)
	r.number = t.responses
	t.responses++
	if r.last = t.over && (c.via != t || c.m.out.empty()); r.last {
		t.abort()
	}
	return r, true
}

// render makes a response's script. It may be long, so c.mu must not be held: changes of the database would wait.
func (t *lpTransport) render(r response) []byte {
	body := append([]byte(nil), "pRTLPCB("...)
	body = strconv.AppendInt(body, int64(r.number), 10)
	body = append(body, ",["...)
	n, size := 0, 0
	for _, it := range r.items {
		text := it.f.text()
		if text == nil {
			continue // no message, but a frame of WebSockets
		}
		if n > 0 {
			body = append(body, ',')
		}
		body = appendScriptJSON(body, text)
		n, size = n+1, size+len(text)
	}
	body = append(body, "]);\n"...)
	if n > 0 {
		t.c.srv.o.Metrics.MessagesOut(n, size)
	}
	if r.last {
		body = append(body, "pLPCommand('close',"...)
		body = strconv.AppendInt(body, int64(r.number), 10)
		body = append(body, ");\n"...)
	}
	return body
}

// appendScriptJSON appends JSON as a script can hold it: older browsers take two characters for ends of lines.
func appendScriptJSON(dst, text []byte) []byte {
	for {
		i := bytes.Index(text, []byte("\u2028"[:2]))
		if i < 0 || i+2 >= len(text) {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		switch text[i+2] {
		case 0xa8:
			dst = append(dst, `\u2028`...)
		case 0xa9:
			dst = append(dst, `\u2029`...)
		default:
			dst = append(dst, text[i:i+3]...)
		}
		text = text[i+3:]
	}
}

// serveFrame serves the page that says goodbye when the client's page is left. A synchronous request is the only one that old browsers
// finish; Chromium refuses those at that moment, but finishes one that is marked to outlive its page.
func (t *lpTransport) serveFrame(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	fmt.Fprintf(w, `<!DOCTYPE html><html><body><script>
var left=false,url="/.lp?disconn=t&id="+%q+"&pw="+%q;
function leave(){if(left)return;left=true;
try{var x=new XMLHttpRequest();x.open("GET",url,false);x.send()}
catch(e){if(window.fetch)fetch(url,{keepalive:true}).catch(function(){})}}
window.onpagehide=window.onunload=leave;
</script></body></html>
`, t.id, t.password)
}

func script(w http.ResponseWriter, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/javascript; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, err := w.Write(body)
	return err
}
