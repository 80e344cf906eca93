package server

import (
	"bytes"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A panic in a handler is our mistake, and must be seen at the usual log level. The client
// sees a response that breaks off.
func TestPanicsAreLogged(t *testing.T) {
	var out bytes.Buffer
	logger := testLogger(&out)
	h := reportPanics(logger, func(http.ResponseWriter, *http.Request) { panic("the sky fell") })
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("panicked with %v", v)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a.json", nil))
	}()
	if s := out.String(); !strings.Contains(s, "level=ERROR") || !strings.Contains(s, "the sky fell") || !strings.Contains(s, "httplog_test.go") {
		t.Errorf("logged: %s", s)
	}
	out.Reset()
	h = reportPanics(logger, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	func() {
		defer func() { recover() }()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a.json", nil))
	}()
	if out.Len() > 0 {
		t.Errorf("a response broken off on purpose was logged: %s", out.String())
	}
}

func TestAcceptErrorsAreLogged(t *testing.T) {
	var out bytes.Buffer
	l := log.New(httpLog{testLogger(&out)}, "", 0)
	l.Printf("http: TLS handshake error from 127.0.0.1:1: EOF")
	if out.Len() > 0 {
		t.Errorf("a client's mistake was logged: %s", out.String())
	}
	l.Printf("http: Accept error: %v; retrying in %v", "accept tcp: too many open files", "5ms")
	if s := out.String(); !strings.Contains(s, "level=WARN") || !strings.Contains(s, "too many open files") {
		t.Errorf("logged: %s", s)
	}
}

func TestBrowsersAskForAnIcon(t *testing.T) {
	s := start(t, Options{})
	want(t, "GET", s.URL()+"/favicon.ico", "", 204, "")
}

// Profiles are there on the loopback address, for who calls it by its name.
func TestProfiles(t *testing.T) {
	s := start(t, Options{})
	get := func(host, site string) int {
		t.Helper()
		req, err := http.NewRequest("GET", s.URL()+"/_rebase/debug/pprof/goroutine?debug=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		if site != "" {
			req.Header.Set("Sec-Fetch-Site", site)
		}
		res, err := client(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, c := range []struct {
		host, site string
		status     int
	}{
		{"", "", 200},
		{"localhost:9000", "", 200},
		{"[::1]:9000", "none", 200},
		{"evil.example:9000", "", 403}, // a name that was made to mean this machine
		{"", "cross-site", 403},
	} {
		if got := get(c.host, c.site); got != c.status {
			t.Errorf("host %q, site %q: %d, want %d", c.host, c.site, got, c.status)
		}
	}
}

func TestProfilesAreKeptFromOtherMachines(t *testing.T) {
	for _, o := range []Options{{Listen: "0.0.0.0:0"}, {Access: AccessClosed}} { // before a closed one on the loopback there is a proxy
		for _, o.Debug = range []bool{false, true} {
			s := start(t, o)
			want := map[bool]int{false: 404, true: 200}[o.Debug]
			if got, _ := call(t, "GET", s.URL()+"/_rebase/debug/pprof/", ""); got != want {
				t.Errorf("listen %q, debug %t: %d, want %d", o.Listen, o.Debug, got, want)
			}
			s.Shutdown(t.Context())
		}
	}
}

func TestAddressWithoutAPort(t *testing.T) {
	_, err := Start(t.Context(), Options{Listen: "9000", Data: t.TempDir()})
	if e, ok := err.(*StartError); !ok || e.Kind != KindAddress || !strings.Contains(e.Advice, "127.0.0.1:9000") {
		t.Errorf("the start failed with %v", err)
	}
}
