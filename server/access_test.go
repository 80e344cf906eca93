package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestNamesOfAnOpenServer: a page that has pointed its own name at this machine is refused.
func TestNamesOfAnOpenServer(t *testing.T) {
	o := Options{PublicURL: "https://dev.example.org:8443", ACME: ACME{Hosts: []string{"DB.example.com."}}}
	h := refuseNames(o, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9000": 200, "LocalHost:9000": 200, "my-app.localhost:9000": 200, "127.0.0.1:9000": 200, "[::1]:9000": 200, "192.168.1.5": 200, "db": 200, "": 200,
		"my-app.test": 200, "identitytoolkit.googleapis.com": 200, "my-app.firebaseio.com": 200, "my-app.europe-west1.firebasedatabase.app": 200,
		"dev.example.org": 200, "db.example.com:9000": 200, "localhost.": 200,
		"evil.com": 403, "evil.com:9000": 403, "127.0.0.1.evil.com": 403, "localhost.evil.com:9000": 403, "evilfirebaseio.com": 403, "127.0.0.1.nip.io": 403, "evil.com.": 403, "example.org": 403,
	} {
		r := httptest.NewRequest("GET", "http://x/.json", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%q: %d, want %d", host, w.Code, want)
		}
	}
}
