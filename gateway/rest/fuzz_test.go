package rest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzRequest sends whole requests: none may be answered with 5xx or a redirect,
// none may panic, and what claims to be JSON is JSON.
func FuzzRequest(f *testing.F) {
	for _, s := range [][4]string{
		{"GET", `/.json?print=pretty&format=export`, "", ""},
		{"GET", `/dinosaurs.json?orderBy="height"&startAt=3,"a"&limitToLast=2`, "", ""},
		{"GET", `/a/.priority.json?callback=f&download=%22x&timeout=3ms`, "", ""},
		{"GET", `/a.json?shallow=true&startAfter=%ff&limitToFirst=2`, "", ""},
		{"GET", `//a%2f//b%25.json?auth=a.b.c;x=%zz`, "Accept: text/event-stream", ""},
		{"PUT", `/a.json?writeSizeLimit=tiny`, "If-Match: x\r\nX-Firebase-ETag: true", `{"a":{".sv":"timestamp"},".priority":1}`},
		{"PATCH", `/a.json?print=silent`, "", `{"b/c":[1,null,2.5e300],"b/.priority":null}`},
		{"POST", `/a.json?x-http-method-override=DELETE`, "Accept-Encoding: gzip", `"` + strings.Repeat("x", 2000) + `"`},
		{"POST", `/l.json?ns=Other`, "", `{".value":1,".priority":{".sv":{"increment":1}}}`},
		{"PUT", `/.settings/rules.json?dryRun=true`, "", `{"rules":{/**/".indexOn":["a"]}}`},
		{"OPTIONS", `/.inspect/databases.json`, "Origin: null", ""},
	} {
		f.Add(s[0], s[1], s[2], s[3])
	}
	fx := newFixture(f)
	loadDinosaurs(fx)
	f.Fuzz(func(t *testing.T, method, target, headers, body string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n\r\n"
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return // the server would not let it through
		}
		req.Body = http.NoBody
		if body != "" {
			req.Body = http.MaxBytesReader(nil, readCloser{strings.NewReader(body)}, 1<<20)
		}
		req.ContentLength = int64(len(body))
		stream := wantsStream(req)
		if stream {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
			defer cancel()
			req = req.WithContext(ctx)
		}
		rec := httptest.NewRecorder()
		fx.rest.ServeHTTP(rec, req)
		if rec.Code >= 500 || rec.Code >= 300 && rec.Code < 400 && rec.Code != http.StatusNotModified {
			t.Fatalf("status %d: %s", rec.Code, rec.Body)
		}
		b := rec.Body.Bytes()
		if stream || len(b) == 0 || rec.Header().Get("Content-Encoding") != "" ||
			rec.Header().Get("Content-Type") != jsonType || bytes.HasPrefix([]byte(req.URL.Path), []byte("/.settings")) {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%d, not JSON: %q", rec.Code, b)
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
