package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rebase/db"
	"rebase/live"
	"rebase/tree"
)

// sse is a client of a stream.
type sse struct {
	t      testing.TB
	resp   *http.Response
	cancel context.CancelFunc
	r      *bufio.Reader
}

type sseEvent struct{ name, data string }

// listen opens a stream that must be granted.
func (f *fixture) listen(target string, headers ...string) *sse {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", f.srv.URL+target, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		f.t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, b)
	}
	return &sse{f.t, resp, cancel, bufio.NewReaderSize(resp.Body, 1<<20)}
}

// next reads an event, by the grammar of Server-Sent Events as far as it is used.
func (s *sse) next() (sseEvent, error) {
	var ev sseEvent
	for {
		line, err := s.r.ReadString('\n')
		if err != nil {
			return ev, err
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			return ev, nil
		case strings.HasPrefix(line, "event: ") && ev.name == "":
			ev.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: ") && ev.data == "":
			ev.data = line[len("data: "):]
		default:
			return ev, fmt.Errorf("line %q in %+v", line, ev)
		}
	}
}

func (s *sse) want(name, data string) {
	s.t.Helper()
	ev, err := s.next()
	if err != nil || ev.name != name || ev.data != data {
		s.t.Fatalf("got %s %s, %v\nwant %s %s", ev.name, ev.data, err, name, data)
	}
}

func TestStream(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	f.put("/a.json", `{"x":1,"list":["p","q"]}`)
	f.put("/b.json", `1`)
	s := f.listen("/a.json")
	s.want("put", `{"path":"/","data":{"list":["p","q"],"x":1}}`)
	f.put("/a/x.json", `{"y z":[true,null,"\n"]}`)
	s.want("put", `{"path":"/x","data":{"y z":[true,null,"\n"]}}`)
	f.do("PATCH", "/a.json", `{"x/k":1,"m":{"n":2},"list":null}`)
	ev, err := s.next()
	if err != nil || ev.name != "patch" {
		t.Fatalf("%+v %v", ev, err)
	}
	var patch struct {
		Path string
		Data map[string]any
	}
	if err := json.Unmarshal([]byte(ev.data), &patch); err != nil || patch.Path != "/" || len(patch.Data) != 3 || patch.Data["x/k"] != 1.0 || patch.Data["list"] != nil {
		t.Errorf("%v %+v", err, patch)
	}
	f.put("/b.json", `2`)               // beside: no event
	f.put("/a/m/.priority.json", `"p"`) // shows only in the export: no event
	f.do("DELETE", "/a/x/k.json", "")
	s.want("put", `{"path":"/x/k","data":null}`)
	f.do("PATCH", "/a/m.json", `{"o/p":1,"q":{".value":2,".priority":3}}`)
	s.want("patch", `{"path":"/m","data":{"o/p":1,"q":2}}`)
	// Writes above.
	f.do("PATCH", "/.json", `{"a/x":null,"b":3,"a/m":5}`)
	s.want("patch", `{"path":"/","data":{"x":null,"m":5}}`)
	f.put("/.json", `{"a":"leaf"}`)
	s.want("put", `{"path":"/","data":"leaf"}`)
	f.do("DELETE", "/.json", "")
	s.want("put", `{"path":"/","data":null}`)
	f.do("POST", "/a.json", `7`)
	if ev, err := s.next(); err != nil || ev.name != "put" || !regexp.MustCompile(`^\{"path":"/-[-0-9A-Z_a-z]{19}","data":7\}$`).MatchString(ev.data) {
		t.Errorf("%+v %v", ev, err)
	}
	if got := f.hub.Stats().Listeners; got != 1 {
		t.Errorf("%d listeners", got)
	}
	s.cancel()
	f.eventually("the listener is gone", func() bool { return f.hub.Stats().Listeners == 0 })
}

// eventually waits for a condition that another goroutine brings about.
func (f *fixture) eventually(what string, ok func() bool) {
	f.t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.t.Fatal("never: " + what)
}

func TestStreamHeaders(t *testing.T) {
	f := newFixture(t)
	f.put("/a.json", `"`+strings.Repeat("x", 5000)+`"`)
	// Never compressed, even if the client would accept it.
	s := f.listen("/a.json", "Accept-Encoding: gzip, deflate", "Origin: http://shop.example", "Accept: application/json;q=0.1, text/event-stream;q=0.9")
	h := s.resp.Header
	if h.Get("Content-Encoding") != "" || h.Get("Cache-Control") != "no-cache" || h.Get("Access-Control-Allow-Origin") != "http://shop.example" {
		t.Errorf("%v", h)
	}
	s.want("put", `{"path":"/","data":"`+strings.Repeat("x", 5000)+`"}`)
}

func TestStreamQueries(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	loadDinosaurs(f)
	top := f.listen(`/dinosaurs.json?orderBy="height"&limitToLast=2`)
	scores := f.listen(`/scores.json?orderBy="$value"&startAt=80`)
	all := f.listen(`/pets.json?orderBy="$key"`)
	all.want("put", `{"path":"/","data":{"a":{"tag":{"name":"rex"}},"b":{"tag":{"name":"fido"}},"c":1}}`)
	scores.want("put", `{"path":"/","data":{"linhenykus":80,"pterodactyl":93}}`)
	ev, err := top.next()
	if err != nil || ev.name != "put" || !strings.Contains(ev.data, "stegosaurus") || strings.Contains(ev.data, "triceratops") {
		t.Fatalf("%+v %v", ev, err)
	}
	// A newcomer pushes another out, in one event.
	f.put("/dinosaurs/trex.json", `{"height":12}`)
	ev, err = top.next()
	if err != nil || ev.name != "patch" {
		t.Fatalf("%+v %v", ev, err)
	}
	if want := `{"path":"/","data":{"stegosaurus":null,"trex":{"height":12}}}`; ev.data != want {
		t.Errorf("got %s, want %s", ev.data, want)
	}
	// A change within a member.
	f.put("/dinosaurs/trex/order.json", `"theropoda"`)
	top.want("put", `{"path":"/trex/order","data":"theropoda"}`)
	// What leaves is replaced by the next.
	f.do("DELETE", "/dinosaurs/trex.json", "")
	if ev, err = top.next(); err != nil || ev.name != "patch" || !strings.Contains(ev.data, `"trex":null`) || !strings.Contains(ev.data, `"stegosaurus":{`) {
		t.Errorf("%+v %v", ev, err)
	}
	f.put("/scores/stegosaurus.json", `1`) // stays outside: no event
	f.put("/scores/triceratops.json", `99`)
	scores.want("put", `{"path":"/triceratops","data":99}`)
	f.put("/scores/triceratops.json", `9`)
	scores.want("put", `{"path":"/triceratops","data":null}`)
	f.do("DELETE", "/scores.json", "")
	scores.want("put", `{"path":"/","data":null}`)
	top.cancel()
	scores.cancel()
	all.cancel()
	f.eventually("the listeners are gone", func() bool { s := f.hub.Stats(); return s.Listeners == 0 && s.Views == 0 })
}

func TestStreamRefusals(t *testing.T) {
	f := newFixture(t)
	const accept = "Accept: text/event-stream"
	run(t, f, []step{
		{"GET", `/a.json?orderBy="height"&limitToLast=1`, "", []string{accept}, 400, `Index not defined, add ".indexOn": "height", for path "/a", to the rules`},
		{"GET", `/a.json?limitToLast=1`, "", []string{accept}, 400, `orderBy must be defined when other query parameters are defined`},
		{"GET", `/a.json?shallow=true`, "", []string{accept}, 400, `Streaming is not supported with shallow.`},
		{"GET", `/a/.priority.json`, "", []string{accept}, 400, `Streaming .priority is not supported.`},
		{"GET", `/a$.json`, "", []string{accept}, 400, msgBadPath},
		{"GET", `/a.json?auth=a.b.c`, "", []string{accept}, 401, msgBadToken},
		{"PUT", `/a.json`, "1", []string{accept}, 200, `1`}, // only GET streams
	})
	if n := f.hub.Stats().Listeners; n != 0 {
		t.Errorf("%d listeners are left", n)
	}
}

func TestStreamKeepAlive(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.KeepAlive = 5 * time.Millisecond })
	s := f.listen("/a.json")
	s.want("put", `{"path":"/","data":null}`)
	s.want("keep-alive", "null")
	s.want("keep-alive", "null")
}

// TestStreamShutdown: streams end cleanly, and no new ones begin.
func TestStreamShutdown(t *testing.T) {
	noLeaks(t)
	var open atomic.Int64
	f := newFixture(t, func(o *Options) { o.Metrics.Streams = func(d int) { open.Add(int64(d)) } })
	streams := []*sse{f.listen("/a.json"), f.listen("/.json"), f.listen(`/b.json?orderBy="$key"&limitToFirst=1`)}
	for _, s := range streams {
		s.want("put", `{"path":"/","data":null}`)
	}
	if open.Load() != 3 {
		t.Errorf("%d streams", open.Load())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := f.rest.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if open.Load() != 0 || f.hub.Stats().Listeners != 0 {
		t.Errorf("%d streams, %+v", open.Load(), f.hub.Stats())
	}
	for _, s := range streams {
		if _, err := s.next(); err != io.EOF { // not an unexpected one
			t.Errorf("got %v", err)
		}
	}
	f.do("GET", "/a.json", "", "Accept: text/event-stream").want(t, "after shutdown", 503, msgUnavailable)
	f.put("/a.json", "1") // others are still served
}

// shrinkBuffers gives connections opened from now on little room in the sockets.
func (f *fixture) shrinkBuffers() {
	tr := f.client.Transport.(*http.Transport)
	tr.CloseIdleConnections()
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(16 << 10)
		}
		return c, err
	}
}

// TestStreamSlowReader: a reader that takes nothing for a while gets the whole data
// again, and nobody waits for it.
func TestStreamSlowReader(t *testing.T) {
	noLeaks(t)
	var resyncs atomic.Int64
	f := newFixture(t, func(o *Options) {
		o.StreamQueueBytes = 100_000
		o.Metrics.Resync = func() { resyncs.Add(1) }
	})
	f.shrinkBuffers()
	slow := f.listen("/a.json")
	slow.want("put", `{"path":"/","data":null}`)
	// More than what the sockets between the two can hold.
	pad := strings.Repeat("x", 200_000)
	for i := range 40 {
		f.do("PUT", "/a/pad.json?print=silent", fmt.Sprintf(`"%s%d"`, pad, i))
	}
	f.put("/a/n.json", "1")
	f.put("/a/done.json", "true")
	replica, puts := slow.follow(func(n *tree.Node) bool { return n.Child("done") != nil })
	if resyncs.Load() == 0 || puts == 0 {
		t.Errorf("%d resynchronisations, %d whole puts: the reader was not slow", resyncs.Load(), puts)
	}
	if got := string(tree.AppendValue(nil, replica)); got != f.get("/a.json") {
		t.Errorf("the replica differs: %.100s", got)
	}
	// And it goes on.
	f.put("/a/n.json", "2")
	slow.want("put", `{"path":"/n","data":2}`)
}

// follow applies events to a copy of the data until it is as wanted. It counts puts
// of everything.
func (s *sse) follow(until func(*tree.Node) bool) (n *tree.Node, puts int) {
	s.t.Helper()
	for !until(n) {
		ev, err := s.next()
		if err != nil {
			s.t.Fatal(err)
		}
		if ev.name == "keep-alive" {
			continue
		}
		if n, err = applyEvent(n, ev); err != nil {
			s.t.Fatalf("%v in %.200s", err, ev.data)
		}
		if strings.HasPrefix(ev.data, `{"path":"/",`) && ev.name == "put" {
			puts++
		}
	}
	return n, puts
}

// applyEvent is what a client does with an event.
func applyEvent(n *tree.Node, ev sseEvent) (*tree.Node, error) {
	var d struct {
		Path string          `json:"path"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(ev.data), &d); err != nil {
		return nil, err
	}
	at, err := tree.ParsePath(d.Path)
	if err != nil {
		return nil, err
	}
	switch ev.name {
	case "put":
		v, err := tree.ParseJSON(d.Data)
		return n.Set(at, v), err
	case "patch":
		updates, err := parseUpdates(d.Data)
		for _, u := range updates {
			n = n.Set(at.Join(u.Path), u.Value)
		}
		return n, err
	}
	return nil, errors.New("unexpected event " + ev.name)
}

// TestStreamsFollow: whatever is written, streams of any kind end up with what a
// read gives, through overflowing queues too.
func TestStreamsFollow(t *testing.T) {
	noLeaks(t)
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 7))
		f := newFixture(t, func(o *Options) { o.StreamQueueBytes = 1 + int(seed)*200 })
		f.put("/.settings/rules.json", `{"rules":{".read":true,".write":true,"a":{".indexOn":["v",".value"]}}}`)
		targets := []string{"/.json?x", "/a.json?x", "/a/b.json?x",
			`/a.json?orderBy="v"&limitToLast=2`, `/a.json?orderBy="$key"&startAt="b"&limitToFirst=2`, `/a.json?orderBy="$value"&startAt=3`, `/a.json?orderBy="$priority"&limitToFirst=3`}
		streams := make([]*sse, len(targets))
		for i, target := range targets {
			streams[i] = f.listen(target)
		}
		for range 150 {
			randomWrite(f, rng)
		}
		// A replica is right if it reaches what a read gives after the last write;
		// events that do not show, or are yet to come, make it wait.
		for i, s := range streams {
			want := f.get(targets[i])
			s.follow(func(n *tree.Node) bool { return string(tree.AppendValue(nil, n)) == want && s.idle() })
		}
		for _, s := range streams {
			s.cancel()
		}
	}
}

// idle tells whether nothing is there to be read within a moment. It makes a test
// stricter, never wrong: an event that comes later is one that changes nothing.
func (s *sse) idle() bool { return s.r.Buffered() == 0 }

func randomWrite(f *fixture, rng *rand.Rand) {
	f.t.Helper()
	key := func() string { return string(rune('a' + rng.IntN(5))) }
	value := func() string {
		switch rng.IntN(5) {
		case 0:
			return "null"
		case 1:
			return fmt.Sprintf(`{"v":%d,"%s":{"q":true}}`, rng.IntN(6), key())
		case 2:
			return fmt.Sprintf(`{".value":%d,".priority":%d}`, rng.IntN(6), rng.IntN(3))
		case 3:
			return fmt.Sprintf(`["x",%d]`, rng.IntN(9))
		}
		return fmt.Sprint(rng.IntN(6))
	}
	path := "/a/" + key()
	switch rng.IntN(4) {
	case 0:
		path += "/" + key()
	case 1:
		path += "/v"
	}
	var a answer
	switch rng.IntN(10) {
	case 0:
		a = f.do("PUT", "/a.json", value())
	case 1, 2:
		a = f.do("PATCH", "/a.json", fmt.Sprintf(`{"a/v":%s,"%s/w/x":%s}`, value(), string(rune('b'+rng.IntN(4))), value()))
	case 3:
		a = f.do("DELETE", path+".json", "")
	case 4:
		a = f.do("PUT", path+"/.priority.json", fmt.Sprint(rng.IntN(3)))
		if a.status == 400 { // there is no such node
			return
		}
	default:
		a = f.do("PUT", path+".json", value())
	}
	if a.status != 200 {
		f.t.Fatalf("%s: %+v", path, a)
	}
}

// TestStreamStalledReader: a reader that never takes anything is given up.
func TestStreamStalledReader(t *testing.T) {
	noLeaks(t)
	var open atomic.Int64
	f := newFixture(t, func(o *Options) {
		o.WriteStall = 50 * time.Millisecond
		o.Metrics.Streams = func(d int) { open.Add(int64(d)) }
	})
	f.shrinkBuffers()
	s := f.listen("/a.json")
	s.want("put", `{"path":"/","data":null}`)
	pad := strings.Repeat("x", 5<<20)
	f.eventually("the stream is given up", func() bool {
		f.do("PUT", "/a.json?print=silent", `"`+pad+`"`)
		return open.Load() == 0
	})
}

// TestStalledDownload: the same for a long answer.
func TestStalledDownload(t *testing.T) {
	noLeaks(t)
	var ended atomic.Int64
	f := newFixture(t, func(o *Options) {
		o.WriteStall = 50 * time.Millisecond
		o.Metrics.Request = func(method string, _ int, _ time.Duration, _ int64) {
			if method == "GET" {
				ended.Add(1)
			}
		}
	})
	pad := strings.Repeat("x", 5<<20)
	for _, name := range []string{"a", "b"} {
		f.do("PUT", "/d/"+name+".json?print=silent", `"`+pad+`"`)
	}
	f.shrinkBuffers()
	for i, target := range []string{"/d.json", "/d.json?format=export"} {
		resp, err := f.client.Get(f.srv.URL + target)
		if err != nil {
			t.Fatal(err)
		}
		f.eventually("the answer is given up", func() bool { return ended.Load() == int64(i+1) })
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%s: all %d bytes came", target, len(b))
		}
		resp.Body.Close()
	}
}

func TestStreamHTTP2(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	srv := httptest.NewUnstartedServer(f.rest)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	f.srv.Close()
	f.srv, f.client = srv, srv.Client()
	f.put("/a.json", "1")
	s := f.listen("/a.json")
	if s.resp.ProtoMajor != 2 {
		t.Fatalf("protocol %s", s.resp.Proto)
	}
	s.want("put", `{"path":"/","data":1}`)
	f.put("/a.json", "2")
	s.want("put", `{"path":"/","data":2}`)
	s.cancel()
	f.eventually("the listener is gone", func() bool { return f.hub.Stats().Listeners == 0 })
}

// TestQueue follows the rules of overflow without a network.
func TestQueue(t *testing.T) {
	put := func(v string) *live.Event { return &live.Event{Kind: live.Put, Value: tree.NewString(v)} }
	q := newQueue(500)
	q.Deliver(put(strings.Repeat("x", 10_000)), nil) // alone, it may be of any size
	if evs, over := q.take(); len(evs) != 1 || over {
		t.Fatalf("%d %v", len(evs), over)
	}
	n := 0
	for _, over := q.take(); !over; n++ {
		q.Deliver(put("x"), nil)
		q.mu.Lock()
		over = q.overflow
		q.mu.Unlock()
	}
	if n < 3 || n > 10 {
		t.Errorf("overflow at the %dth event", n)
	}
	q.Deliver(put("x"), nil)
	if evs, over := q.take(); len(evs) != 0 || !over {
		t.Fatalf("%d %v", len(evs), over)
	}
	q.restart()
	q.Deliver(put("x"), nil)
	if evs, over := q.take(); len(evs) != 1 || over {
		t.Fatalf("%d %v", len(evs), over)
	}
	q.Deliver(&live.Event{Kind: live.Lost}, nil)
	if _, over := q.take(); !over {
		t.Fatal("Lost is no overflow")
	}
	// A revocation is never lost.
	q.Deliver(&live.Event{Kind: live.Revoked}, nil)
	if evs, over := q.take(); len(evs) != 1 || over {
		t.Fatalf("%d %v", len(evs), over)
	}
}

// TestRevoked: a listener that loses its right to read is told, and the stream ends.
func TestRevoked(t *testing.T) {
	f := newFixture(t)
	rec := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/a.json", nil)
	q := &request{Server: f.rest, r: req, out: &output{w: rec, r: req, stall: time.Minute}}
	c := &streamConn{q: q, rc: http.NewResponseController(rec)}
	in := newQueue(1000)
	l, err := f.hub.Listen("default", "a", defaultQuery(), db.Root, in)
	if err != nil {
		t.Fatal(err)
	}
	in.Deliver(&live.Event{Kind: live.Put, Path: "a/b", Value: tree.NewInt(1)}, l)
	in.Deliver(&live.Event{Kind: live.Revoked, Path: "a"}, l)
	more, err := c.drain(l, in)
	if want := "event: put\ndata: {\"path\":\"/b\",\"data\":1}\n\nevent: cancel\ndata: Permission denied\n\n"; more || err != nil || rec.Body.String() != want {
		t.Errorf("%v %v %q", more, err, rec.Body)
	}
}
