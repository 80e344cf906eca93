package rtdb

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"rebase/db"
	"rebase/live"
	"rebase/store"
	"rebase/tree"
	"rebase/vlog/mem"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(crowdEnv); spec != "" {
		if err := crowd(spec); err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// rig is a server on a database in memory.
type rig struct {
	t     testing.TB
	db    *db.DB
	hub   *live.Hub
	srv   *Server
	http  *httptest.Server
	count counts
}

// counts implements Metrics.
type counts struct {
	opened, closed, in, out, resyncs, replays atomic.Int64
}

func (c *counts) ConnOpened(string)        { c.opened.Add(1) }
func (c *counts) ConnClosed(string)        { c.closed.Add(1) }
func (c *counts) MessagesIn(n, _ int)      { c.in.Add(int64(n)) }
func (c *counts) MessagesOut(n, bytes int) { c.out.Add(int64(n)) }
func (c *counts) Resync()                  { c.resyncs.Add(1) }
func (c *counts) Replay()                  { c.replays.Add(1) }

func newRig(t testing.TB, change ...func(*Options)) *rig {
	return newNode(t, db.Options{Log: mem.New()}, change...)
}

// newCluster is two servers with databases over one log.
func newCluster(t testing.TB) (a, b *rig) {
	log := mem.New()
	return newNode(t, db.Options{Log: log, Replicated: true, Node: 1, Incarnation: 1}), newNode(t, db.Options{Log: log, Replicated: true, Node: 2, Incarnation: 1})
}

func newNode(t testing.TB, node db.Options, change ...func(*Options)) *rig {
	quiet := slog.New(slog.DiscardHandler)
	st, err := store.Open("data", store.Options{FS: vfs.NewMem(), CacheBytes: 1 << 20, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, hub: live.New(slog.New(slog.DiscardHandler))}
	node.Store, node.Observer, node.Logger = st, r.hub, quiet
	r.db, err = db.Open(context.Background(), node)
	if err != nil {
		t.Fatal(err)
	}
	r.hub.Attach(r.db)
	o := Options{DB: r.db, Hub: r.hub, Logger: quiet, Metrics: &r.count}
	for _, f := range change {
		f(&o)
	}
	r.srv = New(o)
	r.http = httptest.NewServer(http.HandlerFunc(r.route))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		r.http.Close()
		if err := r.db.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) route(w http.ResponseWriter, req *http.Request) {
	switch req.URL.Path {
	case "/.ws":
		r.srv.ServeWS(w, req)
	case "/.lp":
		r.srv.ServeLP(w, req)
	default:
		http.NotFound(w, req)
	}
}

// set writes as somebody else.
func (r *rig) set(path tree.Path, text string) {
	r.t.Helper()
	v, err := tree.ParseJSON([]byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	if res := r.db.Do(context.Background(), &db.Op{Kind: db.OpSet, NS: "test", Path: path, Value: v, Caller: db.Root}); res.Err != nil {
		r.t.Fatal(res.Err)
	}
}

func (r *rig) export(path tree.Path) string {
	r.t.Helper()
	n, err := r.db.Store().Get("test", path)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(tree.AppendExport(nil, n))
}

// peer is a client that speaks the protocol by hand. It is built on another WebSocket library than the server.
type peer struct {
	t     testing.TB
	conn  *websocket.Conn
	hello struct {
		TS   int64  `json:"ts"`
		V    string `json:"v"`
		Host string `json:"h"`
		S    string `json:"s"`
	}
	mu   sync.Mutex
	next int // r
}

func (r *rig) url(query string) string {
	return "ws" + strings.TrimPrefix(r.http.URL, "http") + "/.ws?v=5&ns=test" + query
}

func (r *rig) dial(query ...string) *peer {
	r.t.Helper()
	p := r.dialRaw(strings.Join(query, ""))
	var m struct {
		T string
		D struct {
			T string
			D json.RawMessage
		}
	}
	text := p.read()
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.T != "c" || m.D.T != "h" {
		r.t.Fatalf("the first message is no hello: %s", text)
	}
	if err := json.Unmarshal(m.D.D, &p.hello); err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) dialRaw(query string) *peer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, r.url(query), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetReadLimit(1 << 30)
	r.t.Cleanup(func() { c.CloseNow() })
	return &peer{t: r.t, conn: c}
}

// deadline is how long a test waits for something that must happen.
const deadline = 15 * time.Second

func (p *peer) readFrame() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, b, err := p.conn.Read(ctx)
	return string(b), err
}

// read returns the next message, put together from its segments.
func (p *peer) read() string {
	p.t.Helper()
	m, err := p.tryRead()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return m
}

func (p *peer) tryRead() (string, error) {
	f, err := p.readFrame()
	if err != nil {
		return "", err
	}
	n, ok := parseCount([]byte(f))
	if !ok {
		return f, nil
	}
	if n == 0 {
		return "", fmt.Errorf("the server sent the frame 0, which makes clients deaf")
	}
	var b strings.Builder
	for range n {
		if f, err = p.readFrame(); err != nil {
			return "", err
		}
		if len(f) > segmentBytes {
			return "", fmt.Errorf("a segment has %d bytes", len(f))
		}
		b.WriteString(f)
	}
	return b.String(), nil
}

func (p *peer) sendFrame(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := p.conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// request sends a request and returns its number.
func (p *peer) request(action, body string) int {
	p.t.Helper()
	p.mu.Lock()
	p.next++
	n := p.next
	p.mu.Unlock()
	p.sendFrame(fmt.Sprintf(`{"t":"d","d":{"r":%d,"a":%q,"b":%s}}`, n, action, body))
	return n
}

// expect reads messages and compares them.
func (p *peer) expect(want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.read(); got != w {
			p.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

func ok(r int) string { return answerText(r, "ok", `""`) }

func answerText(r int, status, payload string) string {
	return fmt.Sprintf(`{"t":"d","d":{"r":%d,"b":{"s":%q,"d":%s}}}`, r, status, payload)
}

func data(path, value string) string {
	return fmt.Sprintf(`{"t":"d","d":{"a":"d","b":{"p":%q,"d":%s}}}`, path, value)
}

// listen listens and swallows the answer; it returns the data, "" if none were pushed.
func (p *peer) listen(path string) string {
	p.t.Helper()
	n := p.request("q", fmt.Sprintf(`{"p":%q,"h":"-"}`, path))
	first := p.read()
	p.expect(answerText(n, "ok", "{}"))
	return first
}

// waitFor waits for a condition that must come to hold.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: it does not happen", what)
		}
	}
}
