package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rebase/gateway/limit"
)

// An open server has no limits unless they are asked for; a closed one has; flags change them.
func TestLimitsInForce(t *testing.T) {
	few := func(l *Limits) { l.User.Connections = 3 }
	changed := DefaultLimits()
	few(&changed)
	for _, c := range []struct {
		o    Options
		want Limits
	}{
		{Options{}, Limits{}},
		{Options{Access: AccessClosed}, DefaultLimits()},
		{Options{Limits: few}, Limits{User: limit.Limits{Connections: 3}}},
		{Options{Access: AccessClosed, Limits: few}, changed},
	} {
		if got := start(t, c.o).limits(); got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}

// A project's limits hold for its databases, at once; who meets them shows in the metrics.
func TestLimitsOfProject(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Options{Data: dir, Access: AccessClosed, Limits: func(l *Limits) { l.Database.Operations = limit.Rate{PerSecond: 1000} }})
	secret, err := os.ReadFile(filepath.Join(dir, RootSecretFile))
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w
	}
	if w := ask("POST", "/_rebase/auth/projects", `{"name":"small","limits":{"operations":0.01}}`); w.Code != http.StatusCreated {
		t.Fatal(w.Code, w.Body)
	}
	codes := map[int]int{}
	for range 10 {
		codes[ask("GET", "/a.json?ns=small-default-rtdb", "").Code]++
		if w := ask("GET", "/a.json?ns=large", ""); w.Code != 200 {
			t.Errorf("another database: %d %s", w.Code, w.Body)
		}
	}
	if codes[200] != 0 || codes[http.StatusServiceUnavailable] != 10 {
		t.Errorf("a database of a hundredth of an operation a second answers with %v", codes)
	}
	if w := ask("PATCH", "/_rebase/auth/projects/small", `{"limits":{"operations":-1}}`); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	if w := ask("GET", "/a.json?ns=small-default-rtdb", ""); w.Code != 200 {
		t.Errorf("without a limit: %d %s", w.Code, w.Body)
	}
	w := ask("GET", "/_rebase/metrics", "")
	text, err := io.ReadAll(w.Body)
	if err != nil || !strings.Contains(string(text), `rebase_limit_hits_total{kind="operations",outcome="refused",scope="database"} 10`) {
		t.Errorf("%v: the metrics do not tell", err)
	}
}

// A write that is too large is refused, on both ways in.
func TestLimitOfWrite(t *testing.T) {
	s := start(t, Options{Limits: func(l *Limits) { l.Write = 1000 }})
	for size, want := range map[int]int{900: 200, 1100: 400} {
		if code, body := call(t, "PUT", s.URL()+"/a.json", `"`+strings.Repeat("x", size)+`"`); code != want {
			t.Errorf("%d bytes: %d %s, want %d", size, code, body, want)
		}
	}
}
