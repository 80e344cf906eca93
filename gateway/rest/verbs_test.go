package rest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// step is a request and its answer; the steps of a test share a database.
type step struct {
	method, target, body string
	headers              []string
	status               int
	want                 string
}

func run(t *testing.T, f *fixture, steps []step) {
	t.Helper()
	for i, s := range steps {
		a := f.do(s.method, s.target, s.body, s.headers...)
		a.want(t, fmt.Sprintf("step %d: %s %s %.80s", i, s.method, s.target, s.body), s.status, s.want)
	}
}

func TestVerbs(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	run(t, f, []step{
		// Missing data is null, never 404.
		{"GET", "/nothing/here.json", "", nil, 200, "null"},
		{"GET", "/.json", "", nil, 200, "null"},
		{"DELETE", "/nothing/here.json", "", nil, 200, "null"},
		// PUT replaces and answers with what was written.
		{"PUT", "/users/jack/name.json", `{"first":"Jack", "last":"Sparrow"}`, nil, 200, `{"first":"Jack","last":"Sparrow"}`},
		{"GET", "/users/jack/name.json", "", nil, 200, `{"first":"Jack","last":"Sparrow"}`},
		{"GET", "/users/jack/name/first.json", "", nil, 200, `"Jack"`},
		{"GET", "/users/jack/name/.json", "", nil, 200, `{"first":"Jack","last":"Sparrow"}`},
		{"GET", "/.json", "", nil, 200, `{"users":{"jack":{"name":{"first":"Jack","last":"Sparrow"}}}}`},
		// PATCH changes the named children only.
		{"PATCH", "/users/jack/name/.json", `{"last":"Jones"}`, nil, 200, `{"last":"Jones"}`},
		{"GET", "/users/jack/name.json", "", nil, 200, `{"first":"Jack","last":"Jones"}`},
		// Deep keys, also ones that delete.
		{"PATCH", "/users.json", `{"jack/name/last":"Daw","anne/age":20,"jack/name/first":null}`, nil, 200, `{"jack/name/last":"Daw","anne/age":20,"jack/name/first":null}`},
		{"GET", "/users.json", "", nil, 200, `{"anne":{"age":20},"jack":{"name":{"last":"Daw"}}}`},
		{"PATCH", "/users.json", `{}`, nil, 200, `{}`},
		{"DELETE", "/users/jack/name/last.json", "", nil, 200, `null`},
		{"GET", "/users.json", "", nil, 200, `{"anne":{"age":20}}`},
		{"PUT", "/users.json", `null`, nil, 200, `null`},
		{"GET", "/.json", "", nil, 200, `null`},
		// Primitives.
		{"PUT", "/v.json", ` "x" `, nil, 200, `"x"`},
		{"PUT", "/v.json", `false`, nil, 200, `false`},
		{"PUT", "/v.json", `9007199254740993`, nil, 200, `9007199254740993`},
		{"PUT", "/v.json", `-0.0`, nil, 200, `0`},
		{"PUT", "/v.json", `{}`, nil, 200, `null`},
		// Arrays.
		{"PUT", "/a.json", `["x",null,"z"]`, nil, 200, `["x",null,"z"]`},
		{"GET", "/a.json", "", nil, 200, `["x",null,"z"]`},
		{"GET", "/a.json?format=export", "", nil, 200, `{"0":"x","2":"z"}`},
		{"GET", "/a/2.json", "", nil, 200, `"z"`},
		// Unknown verbs.
		{"TRACE", "/a.json", "", nil, 405, `Method not allowed.`},
		{"FETCH", "/a.json", "", nil, 405, `Method not allowed.`},
	})
}

func TestPostAddsPushID(t *testing.T) {
	f := newFixture(t)
	var last string
	for i := range 50 {
		a := f.do("POST", "/list.json", fmt.Sprintf(`{"i":%d}`, i))
		m := regexp.MustCompile(`^\{"name":"(-[-0-9A-Z_a-z]{19})"\}$`).FindStringSubmatch(a.body)
		if a.status != 200 || m == nil {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if m[1] <= last {
			t.Fatalf("push id %s does not follow %s", m[1], last)
		}
		last = m[1]
		if got, want := f.get("/list/"+last+"/i.json"), fmt.Sprint(i); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	f.do("POST", "/list/.priority.json", "1").want(t, "POST to a priority", 400, msgBadPath)
}

func TestMethodOverride(t *testing.T) {
	f := newFixture(t)
	run(t, f, []step{
		{"POST", "/a.json", `{"x":1,"y":2}`, []string{"X-HTTP-Method-Override: PUT"}, 200, `{"x":1,"y":2}`},
		{"POST", "/a.json?x-http-method-override=PATCH", `{"x":3}`, nil, 200, `{"x":3}`},
		{"POST", "/a.json?X-HTTP-Method-Override=get", ``, nil, 200, `{"x":3,"y":2}`},
		{"POST", "/a/x.json", "", []string{"X-HTTP-Method-Override: DELETE"}, 200, `null`},
		{"GET", "/a.json?x-http-method-override=DELETE", "", nil, 200, `{"y":2}`}, // only POST is overridden
		{"PUT", "/b.json", `1`, []string{"X-HTTP-Method-Override: DELETE"}, 200, `1`},
		{"POST", "/a.json", `1`, []string{"X-HTTP-Method-Override: CONNECT"}, 405, `Method not allowed.`},
	})
}

func TestHead(t *testing.T) {
	f := newFixture(t)
	f.put("/a.json", `{"x":[1,2,3]}`)
	a := f.do("HEAD", "/a.json", "", "X-Firebase-ETag: true")
	if a.status != 200 || a.body != "" || a.header.Get("Content-Length") != fmt.Sprint(len(`{"x":[1,2,3]}`)) || a.header.Get("ETag") == "" {
		t.Errorf("%+v", a)
	}
	if a := f.do("HEAD", "/a/.$.json", ""); a.status != 400 {
		t.Errorf("%+v", a)
	}
	if a := f.do("HEAD", "/a.json?format=export", ""); a.status != 200 {
		t.Errorf("%+v", a)
	}
}

func TestCORS(t *testing.T) {
	f := newFixture(t)
	a := f.do("OPTIONS", "/a/b.json", "", "Origin: http://shop.example", "Access-Control-Request-Method: PUT",
		"Access-Control-Request-Headers: content-type, x-firebase-etag")
	if a.status != 200 || a.body != "" {
		t.Errorf("%+v", a)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  "http://shop.example",
		"Access-Control-Allow-Headers": "content-type, x-firebase-etag",
		"Access-Control-Allow-Methods": allowedMethods,
		"Access-Control-Max-Age":       "3600",
		"Allow":                        allowedMethods,
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := f.do("GET", "/a.json", "").header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("without Origin: %q", got)
	}
	// Errors too: a page cannot read them otherwise.
	a = f.do("PUT", "/a.json", "{", "Origin: http://shop.example")
	if a.status != 400 || a.header.Get("Access-Control-Allow-Origin") != "http://shop.example" ||
		a.header.Get("Access-Control-Expose-Headers") != "ETag" || !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Origin") {
		t.Errorf("%+v", a)
	}
}

func TestPaths(t *testing.T) {
	f := newFixture(t)
	run(t, f, []step{
		{"PUT", "/a%20b/%C3%A9%20%F0%9F%98%80.json", `1`, nil, 200, `1`},
		{"GET", "/.json", "", nil, 200, `{"a b":{"é 😀":1}}`},
		{"GET", "/a%20b.json", "", nil, 200, `{"é 😀":1}`},
		// No redirect to a cleaned path.
		{"GET", "//a%20b.json", "", nil, 200, `{"é 😀":1}`},
		{"GET", "//a%20b///é%20😀/.json", "", nil, 200, `1`},
		{"GET", "/a%20b/.json", "", nil, 200, `{"é 😀":1}`},
		{"GET", "/a%20b%2F%C3%A9%20%F0%9F%98%80.json", "", nil, 200, `1`},
		{"PUT", "/p+q.json", `2`, nil, 200, `2`},
		{"GET", "/p%2Bq.json", "", nil, 200, `2`},
		{"PUT", "/%25.json", `3`, nil, 200, `3`},
		{"GET", "/%25.json", "", nil, 200, `3`},
		{"PUT", "/..json", `1`, nil, 400, msgBadPath},
		{"GET", "/a/../b.json", "", nil, 400, msgBadPath},
		{"GET", "/a/./b.json", "", nil, 400, msgBadPath},
		{"GET", "/a.b.json", "", nil, 400, msgBadPath},
		{"GET", "/a%23.json", "", nil, 400, msgBadPath},
		{"GET", "/a$.json", "", nil, 400, msgBadPath},
		{"GET", "/a%5B0%5D.json", "", nil, 400, msgBadPath},
		{"GET", "/a%01.json", "", nil, 400, msgBadPath},
		{"GET", "/a%ff.json", "", nil, 400, msgBadPath},
		{"GET", "/.info/connected.json", "", nil, 400, msgBadPath},
		{"PUT", "/.info/x.json", "1", nil, 400, msgBadPath},
		{"GET", "/.priority/x.json", "", nil, 400, msgBadPath},
		{"GET", "/" + strings.Repeat("k", 769) + ".json", "", nil, 400, msgBadPath},
		{"GET", strings.Repeat("/a", 33) + ".json", "", nil, 400, msgBadPath},
		{"GET", strings.Repeat("/a", 32) + ".json", "", nil, 200, `null`},
		// Not a path of the API.
		{"GET", "/", "", nil, 400, msgNotJSON},
		{"GET", "/a", "", nil, 400, msgNotJSON},
		{"PUT", "/a.jsonx", "1", nil, 400, msgNotJSON},
		{"GET", "/a.json/", "", nil, 400, msgNotJSON},
	})
}

func TestNamespaces(t *testing.T) {
	f := newFixture(t)
	run(t, f, []step{
		{"PUT", "/a.json?ns=One", `1`, nil, 200, `1`},
		{"PUT", "/a.json?ns=two", `2`, nil, 200, `2`},
		{"GET", "/a.json?ns=one", "", nil, 200, `1`},
		{"GET", "/a.json?ns=two", "", nil, 200, `2`},
		{"GET", "/a.json", "", nil, 200, `null`},
		{"GET", "/.inspect/databases.json?ns=two", "", nil, 200, `[{"name":"one"},{"name":"two"}]`},
		{"PUT", "/.inspect/databases.json?ns=two", "1", nil, 405, `Method not allowed.`},
		{"GET", "/.inspect/other.json", "", nil, 404, `There is nothing to inspect here.`},
	})
	if a := f.do("GET", "/a.json?ns=no/slash", ""); a.status != 400 {
		t.Errorf("%+v", a)
	}
}

func TestPriority(t *testing.T) {
	f := newFixture(t)
	run(t, f, []step{
		{"PUT", "/p.json", `{".priority":7,"a":{".value":1,".priority":"x"}}`, nil, 200, `{"a":1}`},
		{"GET", "/p.json", "", nil, 200, `{"a":1}`},
		{"GET", "/p.json?format=export", "", nil, 200, `{".priority":7,"a":{".value":1,".priority":"x"}}`},
		{"GET", "/p/.priority.json", "", nil, 200, `7`},
		{"GET", "/p/a/.priority.json", "", nil, 200, `"x"`},
		{"GET", "/p/none/.priority.json", "", nil, 200, `null`},
		{"PUT", "/p/a/.priority.json", `3`, nil, 200, `3`},
		{"GET", "/p/a.json?format=export", "", nil, 200, `{".value":1,".priority":3}`},
		{"PATCH", "/p.json", `{".priority":8,"b":true}`, nil, 200, `{"b":true,".priority":8}`},
		{"GET", "/p/.priority.json", "", nil, 200, `8`},
		{"PATCH", "/.json", `{"p/a/.priority":null}`, nil, 200, `{"p/a/.priority":null}`},
		{"GET", "/p.json?format=export", "", nil, 200, `{".priority":8,"a":1,"b":true}`},
		{"DELETE", "/p/.priority.json", "", nil, 200, `null`},
		{"GET", "/p.json?format=export", "", nil, 200, `{"a":1,"b":true}`},
		{"PUT", "/none/.priority.json", `1`, nil, 400, msgNoPriority},
		{"PATCH", "/p/.priority.json", `{"a":1}`, nil, 400, msgBadPath},
		{"PUT", "/p/.priority.json", `1`, []string{"if-match: x"}, 400, msgETagQuery},
	})
	if a := f.do("PUT", "/p/.priority.json", `true`); a.status != 400 {
		t.Errorf("%+v", a)
	}
}

func TestServerValues(t *testing.T) {
	f := newFixture(t)
	a := f.do("PUT", "/t.json", `{"at":{".sv":"timestamp"},"n":{".sv":{"increment":2}}}`)
	if !regexp.MustCompile(`^\{"at":1\d{12},"n":2\}$`).MatchString(a.body) {
		t.Errorf("%+v", a)
	}
	if got := f.get("/t.json"); got != a.body {
		t.Errorf("stored %s, answered %s", got, a.body)
	}
	run(t, f, []step{
		{"PATCH", "/t.json", `{"n":{".sv":{"increment":2.5}}}`, nil, 200, `{"n":4.5}`},
		{"PUT", "/t/n.json", `{".sv":{"increment":-4.5}}`, nil, 200, `0`},
	})
	for _, bad := range []string{`{".sv":"now"}`, `{".sv":{"increment":"1"}}`, `{".sv":1}`, `{".sv":"timestamp","x":1}`} {
		if a := f.do("PUT", "/t.json", bad); a.status != 400 {
			t.Errorf("%s: %d %s", bad, a.status, a.body)
		}
	}
}
