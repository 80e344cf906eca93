package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rebase/db"
	"rebase/vlog"
	"rebase/vlog/mem"
)

func newCluster(t testing.TB) (a, b *fixture) {
	log := mem.New()
	return newNode(t, db.Options{Log: log, Replicated: true, Node: 1, Incarnation: 1}), newNode(t, db.Options{Log: log, Replicated: true, Node: 2, Incarnation: 1})
}

// What was acknowledged at one node is read at another: whole, shallow, by a query, with its ETag, and the rules.
func TestReadsAreStrong(t *testing.T) {
	a, b := newCluster(t)
	for i := range 50 {
		a.put("/n.json?ns=x", fmt.Sprintf(`{"k%d":%d}`, i, i))
		for target, want := range map[string]string{
			"/n.json?ns=x":                               fmt.Sprintf(`{"k%d":%d}`, i, i),
			"/n.json?ns=x&shallow=true":                  fmt.Sprintf(`{"k%d":true}`, i),
			`/n.json?ns=x&orderBy="$key"&limitToFirst=1`: fmt.Sprintf(`{"k%d":%d}`, i, i),
			"/n.json?ns=x&format=export&timeout=10s":     fmt.Sprintf(`{"k%d":%d}`, i, i),
			fmt.Sprintf("/n/k%d.json?ns=x", i):           fmt.Sprint(i),
			fmt.Sprintf("/n/k%d/.priority.json?ns=x", i): "null",
		} {
			if got := b.do("GET", target, ""); got.status != 200 || got.body != want {
				t.Fatalf("%s: %d %s, want %s", target, got.status, got.body, want)
			}
		}
		tag := b.do("GET", "/n.json?ns=x", "", "X-Firebase-ETag: true").header.Get("ETag")
		if tag == "" {
			t.Fatal("no ETag")
		}
		if got := b.do("PUT", "/n.json?ns=x", `"mine"`, "If-Match: "+tag); got.status != 200 {
			t.Fatalf("a conditional write with a fresh tag: %d %s", got.status, got.body)
		}
	}
}

// lateLog is the log as a node reads it that is behind.
type lateLog struct{ db.Log }

func (l lateLog) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	time.Sleep(10 * time.Millisecond)
	return l.Log.Read(ctx, from, to, maxBytes)
}

// A stream that is continued at another node does not begin with older data than were acknowledged before.
func TestStreamsBeginStrongly(t *testing.T) {
	log := mem.New()
	a := newNode(t, db.Options{Log: log, Replicated: true, Node: 1, Incarnation: 1})
	b := newNode(t, db.Options{Log: lateLog{log}, Replicated: true, Node: 2, Incarnation: 1})
	for i := range 10 {
		a.put("/n.json?ns=x", fmt.Sprint(i+1))
		s := b.listen("/n.json?ns=x")
		ev, err := s.next()
		if want := fmt.Sprintf(`{"path":"/","data":%d}`, i+1); err != nil || ev.data != want {
			t.Fatalf("the stream begins with %+v, %v; want %s", ev, err, want)
		}
		s.cancel()
	}
}

// A node whose server session was ended by another goes on writing; nothing is done twice.
func TestWritesOfANodeThatWasTakenForDead(t *testing.T) {
	a, b := newCluster(t)
	var writers sync.WaitGroup
	stop := make(chan struct{})
	made := make([]int, 8)
	for w := range made {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := a.do("PUT", fmt.Sprintf("/n%d.json?ns=x", w), `{".sv":{"increment":1}}`); got.status != 200 {
					t.Errorf("%d %s", got.status, got.body)
					return
				}
				made[w]++
			}
		})
	}
	ended := 0
	for ended < 20 {
		n, err := b.db.EndSessionsOf(context.Background(), func(node, _ uint64) bool { return node == 1 })
		if err != nil {
			t.Fatal(err)
		}
		ended += n
	}
	close(stop)
	writers.Wait()
	for w, n := range made {
		if got := b.get(fmt.Sprintf("/n%d.json?ns=x", w)); got != fmt.Sprint(n) {
			t.Errorf("%d writes were made, there are %s", n, got)
		}
	}
}

// Streams of a server that is drained end, and are led to the other server if that has a name.
func TestRedirectOfStreams(t *testing.T) {
	f := newFixture(t)
	var streams []*sse
	for range 10 {
		s := f.listen("/a.json?ns=x")
		if _, err := s.next(); err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	host := ""
	f.rest.Redirect(t.Context(), func() string { return host })
	for _, s := range streams {
		if _, err := s.next(); !errors.Is(err, io.EOF) {
			t.Errorf("a stream ends with %v", err) // in good order, or EventSource takes it for an error
		}
	}
	f.listen("/a.json?ns=x").cancel() // whoever stands before the servers would have led it elsewhere
	host = "s-other.example:9002"
	got := f.do("GET", "/a.json?auth=owner", "", "Accept: text/event-stream", "Host: x")
	if want := "//s-other.example:9002/a.json?"; got.status != http.StatusTemporaryRedirect || len(got.header.Get("Location")) < len(want) || got.header.Get("Location")[:len(want)] != want {
		t.Errorf("%d %v", got.status, got.header)
	}
	f.put("/a.json?ns=x", "1") // other requests stay
	f.rest.EndRedirect()
	f.listen("/a.json?ns=x").cancel()
}

// silentLog is a log that has lost its majority, until back is closed.
type silentLog struct {
	db.Log
	lost atomic.Bool
	back chan struct{}
}

func (l *silentLog) wait(ctx context.Context) {
	if l.lost.Load() {
		select {
		case <-l.back:
		case <-ctx.Done():
		}
	}
}

func (l *silentLog) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	l.wait(ctx)
	return l.Log.Append(ctx, payloads...)
}

func (l *silentLog) Tail(ctx context.Context) (vlog.Tail, error) {
	l.wait(ctx)
	return l.Log.Tail(ctx)
}

// Without a majority requests are refused after a while, and not kept for ever.
func TestNoMajority(t *testing.T) {
	log := &silentLog{Log: mem.New(), back: make(chan struct{})}
	f := newNode(t, db.Options{Log: log, Replicated: true, Node: 1, Incarnation: 1}, func(o *Options) { o.Patience = 50 * time.Millisecond })
	f.put("/a.json?ns=x", "1")
	log.lost.Store(true)
	for _, r := range []struct{ method, target, body string }{
		{"GET", "/a.json?ns=x", ""},
		{"GET", "/a.json?ns=x&timeout=1min", ""},
		{"GET", "/.settings/rules.json?ns=x", ""},
		{"PUT", "/a.json?ns=x", "2"},
		{"PATCH", "/.json?ns=x", `{"a":2}`},
		{"POST", "/a.json?ns=x", "2"},
		{"DELETE", "/a.json?ns=x", ""},
		{"PUT", "/.settings/rules.json?ns=x", `{"rules":{".read":true,".write":true}}`},
	} {
		a := f.do(r.method, r.target, r.body)
		a.want(t, r.method+" "+r.target, 503, msgNoLog)
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", r.method, r.target)
		}
	}
	// Nor when so much waits that there is no room for more.
	big := `"` + strings.Repeat("x", 9<<20) + `"`
	for range 9 {
		f.do("PUT", "/big.json?ns=x", big).want(t, "a large write", 503, msgNoLog)
	}
	f.do("PUT", "/a.json?ns=x", "2").want(t, "a small one behind them", 503, msgNoLog)
	close(log.back)
	for begin := time.Now(); ; {
		a := f.do("PUT", "/b.json?ns=x", "1")
		if a.status == 200 {
			break
		}
		if time.Since(begin) > 30*time.Second { // what has waited comes first
			t.Fatalf("with a majority again: %d %s", a.status, a.body)
		}
	}
}
