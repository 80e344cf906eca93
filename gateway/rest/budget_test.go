package rest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Bodies that are too large together are refused, not held; the memory of one comes free when
// it has been answered.
func TestBodiesShareABudget(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxBodiesBytes = 3 << 20 })
	large := `"` + strings.Repeat("x", 2<<20) + `"`
	put := func(body io.Reader) int {
		req, err := http.NewRequest(http.MethodPut, f.srv.URL+"/big.json?ns=test&print=silent", body)
		if err != nil {
			t.Error(err)
			return 0
		}
		res, err := f.client.Do(req)
		if err != nil {
			t.Error(err)
			return 0
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode
	}
	pr, pw := io.Pipe()
	first := make(chan int, 1)
	go func() { first <- put(pr) }()
	if _, err := pw.Write([]byte(large[:len(large)-1])); err != nil {
		t.Fatal(err)
	}
	for f.rest.bodies.Left() > 1<<20 { // until the server holds 2 MiB of it
		time.Sleep(time.Millisecond)
	}
	if got := put(strings.NewReader(large)); got != http.StatusServiceUnavailable {
		t.Errorf("a second large body got %d, want 503", got)
	}
	if got := put(strings.NewReader(`"small"`)); got != http.StatusNoContent {
		t.Errorf("a small body got %d, want 204", got)
	}
	pw.Write([]byte(`"`))
	pw.Close()
	if got := <-first; got != http.StatusNoContent {
		t.Errorf("the first large body got %d, want 204", got)
	}
	if got := put(strings.NewReader(large)); got != http.StatusNoContent {
		t.Errorf("a large body got %d afterwards, want 204", got)
	}
}

// blockedWriter is a client that takes nothing until it is released.
type blockedWriter struct {
	*httptest.ResponseRecorder
	writing chan struct{}
	release chan struct{}
	once    sync.Once
}

func (w *blockedWriter) Write(b []byte) (int, error) {
	w.once.Do(func() { close(w.writing) })
	<-w.release
	return w.ResponseRecorder.Write(b)
}

// Responses that are too large together are refused, not built. A client that is slow to take
// one holds its text, no more, and that comes free with the last byte.
func TestReadsShareABudget(t *testing.T) {
	const size = 3 << 19
	var logged bytes.Buffer
	f := newFixture(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		o.MaxReadBytes = 4 << 20
		o.MaxReadsBytes = size * (nodeFactor + 3)
	})
	all := f.rest.reads.Left()
	for i := range 3 {
		f.put(fmt.Sprintf("/big/%d.json?ns=test", i), `{"a":"`+strings.Repeat("x", size/6)+`","b":"`+strings.Repeat("y", size/6)+`"}`)
	}
	f.put("/small.json?ns=test", `1`)
	get := func(target string, headers ...string) int {
		t.Helper()
		return f.do("GET", target+"ns=test", "", headers...).status
	}
	reads := []string{
		"/big.json?",
		"/big.json?timeout=1min&",
		"/big.json?print=pretty&",
		`/big.json?orderBy="$key"&startAt="0"&`,
	}
	for _, target := range reads {
		slow := &blockedWriter{ResponseRecorder: httptest.NewRecorder(), writing: make(chan struct{}), release: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.rest.ServeHTTP(slow, httptest.NewRequest("GET", target+"ns=test", nil))
		}()
		<-slow.writing
		if held := all - f.rest.reads.Left(); held < size || held > 2*size+size/2 {
			t.Errorf("%s: a response of %d bytes holds %d", target, size, held)
		}
		if got := get("/small.json?"); got != 200 {
			t.Errorf("%s: beside it a small read got %d", target, got)
		}
		others := f.rest.reads.Left() - size
		if !f.rest.reads.Take(others) {
			t.Fatal("the budget has a hole")
		}
		for _, other := range reads {
			if got := get(other); got != http.StatusServiceUnavailable {
				t.Errorf("%s beside %s: %d, want 503", other, target, got)
			}
		}
		if got := get("/big.json?", "Accept: text/event-stream"); got != http.StatusServiceUnavailable {
			t.Errorf("a stream beside %s: %d, want 503", target, got)
		}
		if a := f.do("PUT", "/other.json?ns=test", `"`+strings.Repeat("z", size)+`"`); a.status != 200 {
			t.Errorf("a write was refused for want of memory for reads: %d", a.status)
		}
		f.rest.reads.Give(others)
		close(slow.release)
		<-done
		if slow.Code != 200 || f.rest.reads.Left() != all {
			t.Errorf("%s: %d, and %d of %d bytes are free afterwards", target, slow.Code, f.rest.reads.Left(), all)
		}
	}
	if logged.Len() > 0 {
		t.Errorf("refusals were logged: %s", logged.String())
	}
}

// A client that has gone is no failure of the server.
func TestClientGoneIsNotCountedAsOurs(t *testing.T) {
	var status int
	var method string
	f := newFixture(t, func(o *Options) {
		o.Metrics.Request = func(m string, s int, _ time.Duration, _ int64) { method, status = m, s }
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := httptest.NewRequest("PUT", "/a.json?ns=test", strings.NewReader("1")).WithContext(ctx)
	f.rest.ServeHTTP(httptest.NewRecorder(), r)
	if status != statusClientGone {
		t.Errorf("counted as %d", status)
	}
	r = httptest.NewRequest("GET", "/a.json?ns=test", nil).WithContext(ctx)
	r.Header.Set("Accept", "text/event-stream")
	f.rest.ServeHTTP(httptest.NewRecorder(), r)
	if method != MethodStream {
		t.Errorf("a stream was counted as %s", method)
	}
}
