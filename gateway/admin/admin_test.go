package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestAnswers(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "rebase_test_total", Help: "A test."})
	registry.MustRegister(counter)
	counter.Add(3)
	h := New(Options{Gatherer: registry, Version: "1.2.3"})
	for _, c := range []struct {
		method, target string
		code           int
		contains       string
	}{
		{"GET", "/_rebase/health", 200, `"status":"ok"`},
		{"GET", "/_rebase/ready", 200, `"status":"ready"`},
		{"GET", "/_rebase/version", 200, `"version":"1.2.3"`},
		{"GET", "/_rebase/version", 200, `"protocol":"5"`},
		{"GET", "/_rebase/metrics", 200, "rebase_test_total 3"},
		{"GET", "/_rebase/", 404, `"error":"not found"`},
		{"GET", "/_rebase/healthy", 404, `"error":"not found"`},
		{"POST", "/_rebase/health", 405, `"error":"method not allowed"`},
	} {
		w := get(h, c.method, c.target)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.contains) {
			t.Errorf("%s %s: %d %s, want %d with %s", c.method, c.target, w.Code, w.Body, c.code, c.contains)
		}
	}
	if w := get(New(Options{}), "GET", "/_rebase/metrics"); w.Code != 404 {
		t.Errorf("metrics without a gatherer: %d, want 404", w.Code)
	}
}

func TestReadyTellsTheReason(t *testing.T) {
	h := New(Options{Ready: func(context.Context) error { return errors.New("the disk is full") }})
	w := get(h, "GET", "/_rebase/ready")
	var got status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if w.Code != 503 || got.Status != "unavailable" || got.Error != "the disk is full" {
		t.Errorf("%d %+v", w.Code, got)
	}
	if w := get(h, "GET", "/_rebase/health"); w.Code != 200 {
		t.Errorf("health is %d while the server is not ready; it must not be restarted for that", w.Code)
	}
}

// A check that hangs, as one in a system call on a dead disk does, is answered
// for when its time is up.
func TestReadyDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := New(Options{Ready: func(context.Context) error { <-release; return nil }})
		start := time.Now()
		w := get(h, "GET", "/_rebase/ready")
		if w.Code != 503 || time.Since(start) != readyTimeout {
			t.Errorf("%d after %v, want 503 after %v", w.Code, time.Since(start), readyTimeout)
		}
		close(release)
	})
}
