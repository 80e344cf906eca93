package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rebase/live"
	"rebase/tree"
)

// serve sends a request without a network.
func (f *fixture) serve(method, target, body string) *discard {
	var req *http.Request
	if body == "" {
		req = httptest.NewRequest(method, target, nil)
	} else {
		req = httptest.NewRequest(method, target, strings.NewReader(body))
	}
	req.Host = "localhost" // the default database, as with the test server
	w := &discard{header: http.Header{}}
	f.rest.ServeHTTP(w, req)
	return w
}

type discard struct {
	header http.Header
	status int
	bytes  int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(s int)   { d.status = s }
func (d *discard) Write(b []byte) (int, error) {
	d.bytes += len(b)
	return len(b), nil
}

func BenchmarkGetLeaf(b *testing.B) {
	f := newFixture(b)
	f.put("/a/b/c.json", `"value"`)
	b.ReportAllocs()
	for b.Loop() {
		if w := f.serve("GET", "/a/b/c.json", ""); w.status != 200 {
			b.Fatal(w)
		}
	}
}

func BenchmarkPutLeaf(b *testing.B) {
	f := newFixture(b)
	b.ReportAllocs()
	for b.Loop() {
		if w := f.serve("PUT", "/a/b/c.json", `"value"`); w.status != 200 {
			b.Fatal(w)
		}
	}
}

// BenchmarkRead reads about 10 MB in the two ways.
func BenchmarkRead(b *testing.B) {
	f := newFixture(b)
	for i := range 100 {
		part := make([]string, 1000)
		for j := range part {
			part[j] = fmt.Sprintf(`"key%04d":{"name":"child %d of %d","n":%d,"ok":true}`, j, j, i, i*j)
		}
		f.put(fmt.Sprintf("/big/part%02d.json", i), "{"+strings.Join(part, ",")+"}")
	}
	for _, target := range []string{"/big.json", "/big.json?format=export"} {
		b.Run(target, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := f.serve("GET", target, "")
				if w.bytes < 1<<20 {
					b.Fatalf("%d bytes", w.bytes)
				}
				b.SetBytes(int64(w.bytes))
			}
		})
	}
}

// BenchmarkStreamEvent encodes one change for 1000 streams.
func BenchmarkStreamEvent(b *testing.B) {
	v, err := tree.ParseJSON([]byte(`{"text":"` + strings.Repeat("x", 1000) + `","at":1700000000000}`))
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	for b.Loop() {
		ev := &live.Event{Kind: live.Put, Path: "rooms/r/messages/m", Value: v}
		in := queued{ev, encodingOf(ev)}
		for range 1000 {
			buf = appendEvent(buf[:0], in, "rooms/r")
		}
	}
}
