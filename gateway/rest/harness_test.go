package rest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"rebase/db"
	"rebase/live"
	"rebase/store"
	"rebase/vlog"
	"rebase/vlog/mem"
)

// fixture is a server over a real database on a file system in memory.
type fixture struct {
	t      testing.TB
	db     *db.DB
	hub    *live.Hub
	rest   *Server
	srv    *httptest.Server
	client *http.Client
}

// noLeaks checks at the end of the test that all goroutines started in it are gone.
// Call it first.
func noLeaks(t testing.TB) {
	opt := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, opt) })
}

func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	return newNode(t, db.Options{}, change...)
}

// newNode is a server of a cluster, if node.Log is the cluster's log.
func newNode(t testing.TB, node db.Options, change ...func(*Options)) *fixture {
	t.Helper()
	ctx := context.Background()
	fs := vfs.NewMem()
	quiet := slog.New(slog.DiscardHandler)
	log, err := vlog.Open(ctx, vlog.Options{
		Meta:      new(mem.Meta),
		Providers: map[string]vlog.Provider{"mem": mem.Provider()},
		Initial:   vlog.Segment{Kind: "mem"},
	})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open("store", store.Options{FS: fs, CacheBytes: 8 << 20, MemTableBytes: 4 << 20, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	hub := live.New(slog.New(slog.DiscardHandler))
	if node.Log == nil {
		node.Log = log
	}
	node.Store, node.Observer, node.Logger = st, hub, quiet
	d, err := db.Open(ctx, node)
	if err != nil {
		t.Fatal(err)
	}
	hub.Attach(d)
	o := Options{DB: d, Hub: hub}
	for _, f := range change {
		f(&o)
	}
	f := &fixture{t: t, db: d, hub: hub, rest: New(o)}
	f.srv = httptest.NewServer(f.rest)
	tr := f.srv.Client().Transport.(*http.Transport)
	tr.DisableCompression = true
	f.client = f.srv.Client()
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := f.rest.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		f.srv.Close()
		if err := d.Close(ctx); err != nil {
			t.Error("db:", err)
		}
		if err := st.Close(); err != nil {
			t.Error("store:", err)
		}
		if err := log.Close(); err != nil {
			t.Error("log:", err)
		}
	})
	return f
}

type answer struct {
	status int
	body   string
	header http.Header
}

// do sends a request; headers are "Name: value".
func (f *fixture) do(method, target, body string, headers ...string) answer {
	f.t.Helper()
	req, err := http.NewRequest(method, f.srv.URL+target, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if body == "" {
		req.Body = nil
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Add(k, v)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{resp.StatusCode, string(b), resp.Header}
}

// put stores JSON.
func (f *fixture) put(target, body string) {
	f.t.Helper()
	if a := f.do("PUT", target, body); a.status != 200 {
		f.t.Fatalf("PUT %s: %d %s", target, a.status, a.body)
	}
}

// get reads JSON, which must be there.
func (f *fixture) get(target string) string {
	f.t.Helper()
	a := f.do("GET", target, "")
	if a.status != 200 {
		f.t.Fatalf("GET %s: %d %s", target, a.status, a.body)
	}
	return a.body
}

// want checks status and body. A body of an error is compared as the text of it.
func (a answer) want(t testing.TB, what string, status int, body string) {
	t.Helper()
	got := a.body
	if a.status >= 400 && a.status != 412 {
		if !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: content type of an error is %q", what, a.header.Get("Content-Type"))
		}
		got = errorText(t, a.body)
	}
	if a.status != status || got != body {
		t.Errorf("%s:\n got %d %s\nwant %d %s", what, a.status, got, status, body)
	}
}

func errorText(t testing.TB, body string) string {
	t.Helper()
	var e struct {
		Error *string `json:"error"`
	}
	if err := decodeStrict(body, &e); err != nil || e.Error == nil {
		t.Errorf("not an error document: %q (%v)", body, err)
		return body
	}
	return *e.Error
}

func decodeStrict(body string, v any) error {
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v)
}
