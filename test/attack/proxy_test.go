package attack

import (
	"net/http"
	"strings"
	"testing"

	"rebase/server"
)

// An open server believes everyone, so it must not stand behind a proxy: who comes through one is refused, whatever is asked for.
func TestOpenServerBehindProxy(t *testing.T) {
	s, err := server.Start(t.Context(), server.Options{Data: t.TempDir(), Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	v := &victim{t: t, s: s, addr: strings.TrimPrefix(s.URL(), "http://"), root: "no secret at all"}
	if status, _ := v.raw("PUT", "/a.json?ns=x", "", `"OPEN"`); status != http.StatusOK {
		t.Fatalf("without a proxy: %d", status)
	}
	for _, header := range []string{
		"X-Forwarded-For: 203.0.113.5", "x-forwarded-for: 127.0.0.1", "X-Forwarded-Host: db.example.com", "X-Forwarded-Proto: https", "Forwarded: for=203.0.113.5",
	} {
		for _, r := range []struct{ method, path string }{
			{"GET", "/a.json?ns=x"}, {"PUT", "/a.json?ns=x"}, {"DELETE", "/.json?ns=x"}, {"GET", "/.settings/rules.json?ns=x"}, {"GET", "/.lp?start=t&cb=1&v=5&ns=x"},
			{"GET", "/_rebase/debug/pprof/heap?debug=1"}, {"GET", "/_rebase/auth/projects"}, {"GET", "/_rebase/demo/"},
			{"POST", "/identitytoolkit.googleapis.com/v1/accounts:signUp?key=x"},
		} {
			status, answer := v.raw(r.method, r.path, "", `"EVE"`, header, "Authorization: Bearer owner")
			if status != http.StatusForbidden || strings.Contains(answer, "OPEN") {
				t.Errorf("%s %s with %q: %d %.100s", r.method, r.path, header, status, answer)
			}
		}
		status, _ := v.raw("GET", "/.ws?v=5&ns=x", "", "", header, "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
		if status != http.StatusForbidden {
			t.Errorf("a WebSocket with %q: %d", header, status)
		}
	}
	if _, answer := v.raw("GET", "/a.json?ns=x", "", ""); answer != `"OPEN"` {
		t.Errorf("what was there is %s", answer)
	}
}
