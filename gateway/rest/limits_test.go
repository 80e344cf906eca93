package rest

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/gateway/limit"
)

// from makes a request as from another machine.
func (f *fixture) from(remote, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = remote
	w := httptest.NewRecorder()
	f.rest.ServeHTTP(w, r)
	return w
}

func TestTooManyRequests(t *testing.T) {
	noLeaks(t)
	l := limit.New(limit.Options{Address: limit.Limits{Operations: limit.Rate{PerSecond: 0.1, Burst: 3}}})
	f := newFixture(t, func(o *Options) { o.Limiter = l })
	for range 3 {
		if w := f.from("10.0.0.1:1", "PUT", "/a.json?ns=test", "1"); w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	w := f.from("10.0.0.1:2", "PUT", "/a.json?ns=test", "2")
	seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if w.Code != http.StatusTooManyRequests || err != nil || seconds < 1 || seconds > 10 {
		t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if text := errorText(t, w.Body.String()); !strings.HasPrefix(text, "Too many requests: too many operations of this address.") {
		t.Errorf("the error is %q", text)
	}
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Error("a page cannot read the refusal")
	}
	// Credentials that are no good count too, or they could be tried without end.
	if w := f.from("10.0.0.1:2", "GET", "/a.json?ns=test&auth=a.b.c", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("a try with a bad token: %d", w.Code)
	}
	// Others are not concerned, nor are administrators.
	if w := f.from("10.0.0.2:2", "GET", "/a.json?ns=test", ""); w.Code != 200 || w.Body.String() != "1" {
		t.Errorf("another address: %d %s", w.Code, w.Body)
	}
	r := httptest.NewRequest("GET", "/a.json?ns=test", nil)
	r.RemoteAddr = "10.0.0.1:3"
	r.Header.Set("Authorization", "Bearer owner")
	admin := httptest.NewRecorder()
	if f.rest.ServeHTTP(admin, r); admin.Code != 200 {
		t.Errorf("an administrator: %d", admin.Code)
	}
}

// Bodies and answers count, and who is a little too fast waits.
func TestTooManyRequestBytes(t *testing.T) {
	noLeaks(t)
	var mu sync.Mutex
	waits := 0
	l := limit.New(limit.Options{
		Address: limit.Limits{Bytes: limit.Rate{PerSecond: 100_000, Burst: 1000}},
		Hit: func(_ limit.Scope, _ limit.Kind, refused bool) {
			mu.Lock()
			defer mu.Unlock()
			if !refused {
				waits++
			}
		},
	})
	f := newFixture(t, func(o *Options) { o.Limiter = l })
	for range 3 {
		if w := f.from("10.0.0.1:1", "PUT", "/a.json?ns=test", `"`+strings.Repeat("x", 4000)+`"`); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if waits != 2 {
		t.Errorf("%d of three large writes had to wait, want 2", waits)
	}
	if w := f.from("10.0.0.1:1", "PUT", "/a.json?ns=test&print=silent", `"`+strings.Repeat("x", 1_000_000)+`"`); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := f.from("10.0.0.1:1", "GET", "/b.json?ns=test", ""); w.Code != http.StatusTooManyRequests {
		t.Errorf("after much too much: %d", w.Code)
	}
}

// Streams are connections.
func TestTooManyStreams(t *testing.T) {
	noLeaks(t)
	l := limit.New(limit.Options{Database: limit.Limits{Connections: 1}})
	f := newFixture(t, func(o *Options) { o.Limiter = l })
	f.put("/a.json?ns=test", "1")
	open := func() (*http.Response, error) {
		req, err := http.NewRequest("GET", f.srv.URL+"/a.json?ns=test", nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "text/event-stream")
		return f.client.Do(req)
	}
	first, err := open()
	if err != nil || first.StatusCode != 200 {
		t.Fatal(first, err)
	}
	second, err := open()
	if err != nil {
		t.Fatal(err)
	}
	second.Body.Close()
	if second.StatusCode != http.StatusServiceUnavailable || second.Header.Get("Retry-After") == "" {
		t.Errorf("a second stream: %d", second.StatusCode)
	}
	if got := f.get("/a.json?ns=test"); got != "1" {
		t.Errorf("a read beside the stream: %s", got)
	}
	first.Body.Close()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		again, err := open()
		if err != nil {
			t.Fatal(err)
		}
		again.Body.Close()
		if again.StatusCode == 200 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("there is never room for another stream")
		}
	}
}
