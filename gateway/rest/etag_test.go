package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"

	"rebase/tree"
)

func TestETags(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	want := func(a answer, what string, status int, etag, body string) {
		t.Helper()
		// Go's client gives header names its own spelling; the value is bare.
		if a.status != status || a.header.Get("ETag") != etag || a.body != body {
			t.Errorf("%s:\n got %d %q %s\nwant %d %q %s", what, a.status, a.header.Get("ETag"), a.body, status, etag, body)
		}
	}
	const ask = "X-Firebase-ETag: true"
	// The example of the protocol's hash.
	const ab, etagAB = `{"a":1,"b":"x"}`, "jRI9dwRS9sb4SWm8uuoN7+xBk4g="
	want(f.do("GET", "/e.json", "", ask), "GET of nothing", 200, nullETag, "null")
	want(f.do("PUT", "/e.json", ab), "PUT that does not ask", 200, "", ab)
	want(f.do("PUT", "/e.json", ab, ask), "PUT", 200, etagAB, ab)
	want(f.do("GET", "/e.json", "", ask), "GET", 200, etagAB, ab)
	want(f.do("GET", "/e.json", "", "X-Firebase-ETag: TRUE"), "GET", 200, etagAB, ab)
	want(f.do("GET", "/e.json", ""), "GET that does not ask", 200, "", ab)
	want(f.do("GET", "/e.json?format=export", "", ask), "export", 200, etagAB, ab)
	want(f.do("GET", "/e.json?print=silent", "", ask), "silent", 204, etagAB, "")
	// If-None-Match gets an ETag without asking: the Go SDK relies on it.
	want(f.do("GET", "/e.json", "", "If-None-Match: "+etagAB), "not modified", 304, etagAB, "")
	want(f.do("GET", "/e.json", "", `If-None-Match: "x", W/"`+etagAB+`"`), "not modified, quoted", 304, etagAB, "")
	want(f.do("GET", "/e.json", "", "If-None-Match: *"), "not modified, any", 304, etagAB, "")
	want(f.do("GET", "/e.json", "", "If-None-Match: other"), "modified", 200, etagAB, ab)
	want(f.do("GET", "/none.json", "", "If-None-Match: null_etag"), "still nothing", 304, nullETag, "")
	want(f.do("GET", "/none.json", "", "If-None-Match: *"), "nothing", 200, nullETag, "null")
	// Conditional writes.
	const etag5 = "w28swksk9+tXf5jEdS9R5oSFAv8="
	want(f.do("PUT", "/e.json", `5`, "if-match: stale"), "PUT on other data", 412, etagAB, ab)
	want(f.do("PUT", "/e.json", `5`, "if-match: null_etag"), "PUT on data where none was expected", 412, etagAB, ab)
	want(f.do("PUT", "/e.json", `5`, "if-match: "+etagAB), "PUT", 200, etag5, `5`)
	want(f.do("DELETE", "/e.json", "", "if-match: "+etagAB), "DELETE of other data", 412, etag5, `5`)
	want(f.do("DELETE", "/e.json", "", `if-match: "`+etag5+`"`, ask), "DELETE, quoted", 200, nullETag, `null`)
	want(f.do("DELETE", "/e.json", "", "if-match: "+etag5), "DELETE of nothing", 412, nullETag, `null`)
	want(f.do("PUT", "/e.json", `"foo"`, "if-match: null_etag", ask), "PUT of the first", 200, "MRRL/+aA/uibaL//jghUpxXS/uY=", `"foo"`)
	// Priorities count.
	want(f.do("PUT", "/e.json", `{".value":5,".priority":1}`, ask), "with priority", 200, "oUSZ9VFwUrevB81K4PcN+7BHDJw=", `5`)
	// Nothing stale was written.
	want(f.do("PUT", "/e.json", `6`, "if-match: "+etag5), "priority changed", 412, "oUSZ9VFwUrevB81K4PcN+7BHDJw=", `5`)
	// Server values: the ETag is that of what was stored.
	a := f.do("PUT", "/now.json", `{".sv":"timestamp"}`, ask)
	n, err := strconv.ParseInt(a.body, 10, 64)
	if err != nil {
		t.Fatal(a)
	}
	want(a, "timestamp", 200, tree.Hash(tree.NewInt(n)), a.body)
	// POST: the new child's.
	if a := f.do("POST", "/l.json", `5`, ask); a.header.Get("ETag") != etag5 {
		t.Errorf("POST: %+v", a)
	}
	// The spelling on the wire is the service's.
	rec := &recorder{header: http.Header{}}
	req, _ := http.NewRequest("GET", "/now.json", nil)
	req.Header.Set("X-Firebase-ETag", "true")
	f.rest.ServeHTTP(rec, req)
	var names []string
	for name := range rec.header {
		names = append(names, name)
	}
	if !slices.Contains(names, "ETag") {
		t.Errorf("headers are %v", names)
	}
	// An empty condition is not that of an empty location.
	want(f.do("PUT", "/none.json", "1", "if-match: "), "empty condition", 412, nullETag, "null")
}

type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(s int)   { r.status = s }
func (r *recorder) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}

// TestETagContention: counters that are incremented by read and conditional write
// lose nothing.
func TestETagContention(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	f.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 10
	const writers, each = 10, 30
	f.put("/n.json", "0")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			a := f.do("GET", "/n.json", "", "X-Firebase-ETag: true")
			for done := 0; done < each; {
				n, err := strconv.Atoi(a.body)
				if err != nil {
					t.Error(err)
					return
				}
				a = f.do("PUT", "/n.json", fmt.Sprint(n+1), "if-match: "+a.header.Get("ETag"), "X-Firebase-ETag: true")
				switch a.status {
				case 200:
					done++
				case 412: // has the present value and its ETag
				default:
					t.Errorf("%+v", a)
					return
				}
			}
		})
	}
	wg.Wait()
	if got, want := f.get("/n.json"), fmt.Sprint(writers*each); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestIncrements: server-side increments from many clients sum up.
func TestIncrements(t *testing.T) {
	f := newFixture(t)
	f.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 10
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 10 {
				f.do("PATCH", "/c.json", `{"deep/n":{".sv":{"increment":1}}}`)
			}
		})
	}
	wg.Wait()
	if got := f.get("/c/deep/n.json"); got != "100" {
		t.Errorf("got %s", got)
	}
}
