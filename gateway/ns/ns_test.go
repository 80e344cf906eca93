package ns

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for _, tc := range []struct{ url, host, want string }{
		{"/.ws?v=5&ns=Chat-1", "example.com", "chat-1"},
		{"/.ws?v=5&p=1:2:web:3&ns=a_b.c", "example.com", "a_b.c"},
		{"/.ws?v=5", "My-App.example.com:9000", "my-app"},
		{"/.ws?v=5&ns=", "my-app.example.com", "my-app"},
		{"/.ws?v=5", "localhost", "default"},
		{"/.ws?v=5", "LOCALHOST:9000", "default"},
		{"/.ws?v=5", "127.0.0.1:9000", "default"},
		{"/.ws?v=5", "[::1]:9000", "default"},
		{"/.ws?v=5", "[fe80::1%25eth0]:9000", "default"},
		{"/.ws?v=5", "server", "server"},
		{"/.ws?xns=q", "app.localhost:80", "app"},
		{"/.ws?ns=-a", "h", ""},
		{"/.ws?ns=a/b", "h", ""},
		{"/.ws?ns=a%20b", "h", ""},
		{"/.ws?ns=ä", "h", ""},
		{"/.ws?ns=" + strings.Repeat("a", 128), "h", strings.Repeat("a", 128)},
		{"/.ws?ns=" + strings.Repeat("a", 129), "h", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(tc.url, "?")
		r.Host = tc.host
		got, err := Of(r)
		var bad *Error
		if (tc.want == "") != errors.As(err, &bad) || got != tc.want {
			t.Errorf("%s at %s: got %q, %v; want %q", tc.url, tc.host, got, err, tc.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a")
	f.Add("A-b_c.d")
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(name); err != nil || again != name || strings.ToLower(s) != name {
			t.Fatalf("%q gave %q, then %q, %v", s, name, again, err)
		}
	})
}
