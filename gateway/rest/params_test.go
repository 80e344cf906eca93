package rest

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rebase/auth"
	"rebase/tree"
)

const dinosaurs = `{
  "bruhathkayosaurus": {"appeared": -70000000, "height": 25, "order": "saurischia"},
  "lambeosaurus": {"appeared": -76000000, "height": 2.1, "order": "ornithischia"},
  "linhenykus": {"appeared": -85000000, "height": 0.6, "order": "theropoda"},
  "pterodactyl": {"appeared": -150000000, "height": 0.6, "order": "pterosauria"},
  "stegosaurus": {"appeared": -155000000, "height": 4, "order": "ornithischia"},
  "triceratops": {"appeared": -68000000, "height": 3, "order": "ornithischia"}
}`

const dinosaurRules = `{"rules": {".read": true, ".write": true,
  "dinosaurs": {".indexOn": ["height", "order"]}, // as in Firebase's guide
  "scores": {".indexOn": ".value"}, "pets": {".indexOn": "tag/name"}}}`

func loadDinosaurs(f *fixture) {
	f.t.Helper()
	f.put("/.settings/rules.json", dinosaurRules)
	f.put("/dinosaurs.json", dinosaurs)
	f.put("/scores.json", `{"bruhathkayosaurus":55,"lambeosaurus":21,"linhenykus":80,"pterodactyl":93,"stegosaurus":5,"triceratops":22}`)
	f.put("/pets.json", `{"a":{"tag":{"name":"rex"}},"b":{"tag":{"name":"fido"}},"c":1}`)
	f.put("/other.json", `{"x":{"height":1},"y":{"height":2}}`)
	f.put("/prio.json", `{"a":{".value":1,".priority":3},"b":{".value":2,".priority":1},"c":{".value":3,".priority":"x"},"d":4}`)
	f.put("/list.json", `["zero","one","two","three"]`)
}

// keysOf gives the top-level keys of an object, in the order they are written.
func keysOf(t *testing.T, body string) string {
	t.Helper()
	if body == "null" {
		return ""
	}
	n, err := tree.ParseJSON([]byte(body))
	if err != nil || body[0] != '{' {
		t.Fatalf("%v: %s", err, body)
	}
	var keys []string
	for _, c := range n.Children() {
		keys = append(keys, c.Key)
	}
	return strings.Join(keys, " ")
}

func TestQueries(t *testing.T) {
	noLeaks(t)
	f := newFixture(t)
	loadDinosaurs(f)
	for _, c := range []struct{ target, want string }{
		{`/dinosaurs.json?orderBy="height"&startAt=3`, "bruhathkayosaurus stegosaurus triceratops"},
		{`/dinosaurs.json?orderBy="height"&endAt=0.6`, "linhenykus pterodactyl"},
		{`/dinosaurs.json?orderBy="height"&startAfter=3`, "bruhathkayosaurus stegosaurus"},
		{`/dinosaurs.json?orderBy="height"&endBefore=2.1`, "linhenykus pterodactyl"},
		{`/dinosaurs.json?orderBy="height"&equalTo=0.6`, "linhenykus pterodactyl"},
		{`/dinosaurs.json?orderBy="height"&startAt=0.6,"pterodactyl"&endAt=3`, "lambeosaurus pterodactyl triceratops"},
		{`/dinosaurs.json?orderBy="height"&limitToLast=1`, "bruhathkayosaurus"},
		{`/dinosaurs.json?orderBy="height"&limitToFirst=3`, "lambeosaurus linhenykus pterodactyl"},
		{`/dinosaurs.json?orderBy="height"`, "bruhathkayosaurus lambeosaurus linhenykus pterodactyl stegosaurus triceratops"},
		{`/dinosaurs.json?orderBy="order"&equalTo="ornithischia"&limitToLast=2`, "stegosaurus triceratops"},
		{`/dinosaurs.json?orderBy="$key"&startAt="a"&endAt="m"`, "bruhathkayosaurus lambeosaurus linhenykus"},
		{`/dinosaurs.json?orderBy="$key"&startAfter="lambeosaurus"&limitToFirst=2`, "linhenykus pterodactyl"},
		{`/dinosaurs.json?orderBy="$key"&equalTo="triceratops"`, "triceratops"},
		{`/dinosaurs.json?orderBy=%22$key%22&limitToLast=1`, "triceratops"},
		{`/scores.json?orderBy="$value"&limitToLast=3`, "bruhathkayosaurus linhenykus pterodactyl"},
		{`/scores.json?orderBy="$value"&startAt=22&endAt=80`, "bruhathkayosaurus linhenykus triceratops"},
		{`/pets.json?orderBy="tag/name"&equalTo="rex"`, "a"},
		{`/pets.json?orderBy="tag/name"&equalTo=null`, "c"},
		{`/pets.json?orderBy="tag/name"&limitToFirst=2`, "b c"},
		{`/prio.json?orderBy="$priority"&limitToFirst=2`, "b d"},
		{`/prio.json?orderBy="$priority"&startAt=2&endAt=4`, "a"},
		{`/prio.json?orderBy="$priority"&equalTo="x"`, "c"},
		{`/dinosaurs.json?orderBy="$key"&equalTo="none"`, ""},
		{`/nothing.json?orderBy="$key"&limitToFirst=1`, ""},
		{`/dinosaurs/triceratops/height.json?orderBy="$key"&limitToFirst=1`, ""}, // a leaf has no children
	} {
		if got := keysOf(t, f.get(c.target)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.target, got, c.want)
		}
	}
	run(t, f, []step{
		{"GET", `/pets.json?orderBy="tag/name"&equalTo="rex"`, "", nil, 200, `{"a":{"tag":{"name":"rex"}}}`},
		{"GET", `/list.json?orderBy="$key"&limitToFirst=2`, "", nil, 200, `["zero","one"]`},
		{"GET", `/list.json?orderBy="$key"&limitToLast=1`, "", nil, 200, `{"3":"three"}`},
		{"GET", `/prio.json?orderBy="$priority"&limitToLast=1&format=export`, "", nil, 200, `{"c":{".value":3,".priority":"x"}}`},
		{"GET", `/pets.json?orderBy="tag/name"&equalTo="rex"&print=silent`, "", nil, 204, ``},
		{"GET", `/pets.json?orderBy="tag/name"&equalTo="rex"&timeout=3s`, "", nil, 200, `{"a":{"tag":{"name":"rex"}}}`},
	})
}

// TestErrorTexts has a case for each text of the real service.
func TestErrorTexts(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxWriteBytes = 1000 })
	f.put("/x.json", "1")
	run(t, f, []step{
		// Queries.
		{"GET", `/dinosaurs.json?orderBy="height"&startAt=3`, "", nil, 400, `Index not defined, add ".indexOn": "height", for path "/dinosaurs", to the rules`},
		{"GET", `/a/b.json?orderBy="$value"&limitToLast=1`, "", nil, 400, `Index not defined, add ".indexOn": ".value", for path "/a/b", to the rules`},
		{"GET", `/.json?orderBy="h"`, "", nil, 400, `Index not defined, add ".indexOn": "h", for path "/", to the rules`},
		{"GET", `/d.json?startAt=3`, "", nil, 400, `orderBy must be defined when other query parameters are defined`},
		{"GET", `/d.json?limitToLast=3`, "", nil, 400, `orderBy must be defined when other query parameters are defined`},
		{"GET", `/d.json?orderBy=height`, "", nil, 400, `orderBy must be a valid JSON encoded path`},
		{"GET", `/d.json?orderBy="he.ght"`, "", nil, 400, `orderBy must be a valid JSON encoded path`},
		{"GET", `/d.json?orderBy="$key"&startAt=[1]`, "", nil, 400, `Constraint index field must be a JSON primitive`},
		{"GET", `/d.json?orderBy="h"&equalTo=abc`, "", nil, 400, `Constraint index field must be a JSON primitive`},
		{"GET", `/d.json?orderBy="$key"&limitToFirst=x`, "", nil, 400, `limitToFirst must be an integer`},
		{"GET", `/d.json?orderBy="$key"&limitToFirst=0`, "", nil, 400, `limitToFirst must be positive`},
		{"GET", `/d.json?orderBy="$key"&limitToLast=-1`, "", nil, 400, `limitToLast must be positive`},
		{"GET", `/d.json?orderBy="$key"&limitToFirst=1&limitToLast=1`, "", nil, 400, `Only one of limitToFirst and limitToLast may be specified`},
		{"GET", `/d.json?orderBy="$key"&equalTo="a"&startAt="a"`, "", nil, 400, `equalTo cannot be specified in addition to startAfter, startAt, endAt, or endBefore`},
		{"GET", `/d.json?orderBy="$key"&startAt=1`, "", nil, 400, `Provided key index type is invalid, must be string`},
		{"GET", `/d.json?shallow=true&orderBy="$key"`, "", nil, 400, msgShallowMixed},
		{"GET", `/d.json?shallow=true&limitToFirst=x`, "", nil, 400, `limitToFirst must be an integer`},
		{"GET", `/d.json?shallow=true&limitToFirst=0`, "", nil, 400, `limitToFirst must be positive`},
		// A selection of what to delete is not supported, and must not delete all.
		{"DELETE", `/x.json?orderBy="$key"&limitToFirst=1`, "", nil, 400, msgQueryOnWrite},
		{"PUT", `/x.json?shallow=true`, "2", nil, 400, msgQueryOnWrite},
		{"GET", `/x.json`, "", nil, 200, `1`},
		// Bodies.
		{"PUT", "/x.json", "", nil, 400, msgNoData},
		{"POST", "/x.json", "", nil, 400, msgNoData},
		{"PATCH", "/x.json", "", nil, 400, msgNoData},
		{"PUT", "/x.json", " \n ", nil, 400, msgNoData},
		{"PUT", "/x.json", "{", nil, 400, msgBadJSON},
		{"PUT", "/x.json", "'x'", nil, 400, msgBadJSON},
		{"PUT", "/x.json", `{"a":1} x`, nil, 400, msgBadJSON},
		{"PUT", "/x.json", `1 2`, nil, 400, msgBadJSON},
		{"PUT", "/x.json", `01`, nil, 400, msgBadJSON},
		{"PUT", "/x.json", "\"\xff\"", nil, 400, msgBadJSON},
		{"PUT", "/x.json", "{\"a\xff\":1}", nil, 400, msgBadJSON},
		{"POST", "/x.json", `{"a":undefined}`, nil, 400, msgBadJSON},
		{"PUT", "/x.json", `{"a.b":1}`, nil, 400, `Invalid data; couldn't parse key beginning at 1:2. Key value can't be empty or contain $ # [ ] / or .`},
		{"PUT", "/x.json", "{\"a\":1,\n  \"b\":{\"\":2}}", nil, 400, `Invalid data; couldn't parse key beginning at 2:8. Key value can't be empty or contain $ # [ ] / or .`},
		{"PUT", "/x.json", `{"a/b":1}`, nil, 400, `Invalid data; couldn't parse key beginning at 1:2. Key value can't be empty or contain $ # [ ] / or .`},
		{"POST", "/x.json", `[{"$a":1}]`, nil, 400, `Invalid data; couldn't parse key beginning at 1:3. Key value can't be empty or contain $ # [ ] / or .`},
		{"PATCH", "/x.json", `1`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `[1]`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `"s"`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `{"a":1`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `{"a":1} 2`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `{"a$":1}`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `{"":1}`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `{".value":1}`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `{".sv":"timestamp"}`, nil, 400, msgBadObject},
		{"PATCH", "/x.json", `{"a":{"b#":1}}`, nil, 400, `Invalid data; couldn't parse key beginning at 1:7. Key value can't be empty or contain $ # [ ] / or .`},
		{"PUT", "/x.json", `"` + strings.Repeat("x", 1000) + `"`, nil, 400, msgWriteTooBig},
		{"GET", "/x.json", "", nil, 200, `1`},
		// Conditions.
		{"GET", "/x.json", "", []string{"if-match: x"}, 400, msgIfMatchMethod},
		{"POST", "/x.json", "1", []string{"if-match: x"}, 400, msgIfMatchMethod},
		{"PATCH", "/x.json", `{"a":1}`, []string{"if-match: x"}, 400, msgIfMatchMethod},
		{"PATCH", "/x.json", `{"a":1}`, []string{"X-Firebase-ETag: true"}, 400, msgETagMethod},
		{"GET", `/x.json?orderBy="$key"`, "", []string{"X-Firebase-ETag: true"}, 400, msgETagQuery},
		{"GET", `/x.json?shallow=true`, "", []string{"If-None-Match: x"}, 400, msgETagQuery},
		// Other parameters.
		{"GET", "/x.json?timeout=16min", "", nil, 400, badTimeout},
		{"GET", "/x.json?writeSizeLimit=huge", "", nil, 400, "writeSizeLimit must be one of tiny, small, medium, large and unlimited"},
		{"GET", "/x.json?callback=a(b)", "", nil, 400, "callback must be the name of a JavaScript function"},
		{"GET", "/x.json?auth=a.b.c", "", nil, 401, msgBadToken},
	})
	// A chunked body has no length to look at beforehand.
	req, _ := http.NewRequest("PUT", f.srv.URL+"/x.json", io.MultiReader(strings.NewReader(`"`), strings.NewReader(strings.Repeat("x", 2000))))
	resp, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 400 || errorText(t, string(b)) != msgWriteTooBig {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}

const badTimeout = "timeout must be a number of ms, s or min, like 3s, above 0 and at most 15min"

// Errors without a text of the real service: the status is what matters.
func TestRefusedData(t *testing.T) {
	f := newFixture(t)
	deep := strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)
	for _, s := range []struct{ method, target, body string }{
		{"PATCH", "/x.json", `{"a":1,"a/b":2}`},
		{"PATCH", "/x.json", `{"a/b/c":1,"a/b":2}`},
		{"PATCH", "/x.json", `{"a":1,"a/":2}`},
		{"PUT", "/x.json", `{".value":1,"a":2}`},
		{"PUT", "/x.json", `{".value":1,".priority":true}`},
		{"PUT", "/x.json", `{".foo":1}`},
		{"PUT", "/x.json", deep},
		{"PUT", "/x.json", strings.Repeat("[", 100_000)},
		{"POST", strings.Repeat("/a", 32) + ".json", `1`},
		{"PUT", "/x.json", `{"` + strings.Repeat("k", 769) + `":1}`},
	} {
		a := f.do(s.method, s.target, s.body)
		if a.status != 400 || errorText(t, a.body) == "" {
			t.Errorf("%s %s %.60s: %d %s", s.method, s.target, s.body, a.status, a.body)
		}
	}
	if got := f.get("/.json"); got != "null" {
		t.Errorf("something was written: %.100s", got)
	}
}

func TestShallow(t *testing.T) {
	f := newFixture(t)
	f.put("/s.json", `{"2":1,"10":{"x":1},"a":{"b":{"c":1}},"b b":true,"\"q\"":0}`)
	f.put("/leaf.json", `"v"`)
	run(t, f, []step{
		{"GET", "/s.json?shallow=true", "", nil, 200, `{"2":true,"10":true,"\"q\"":true,"a":true,"b b":true}`},
		{"GET", "/leaf.json?shallow=true", "", nil, 200, `"v"`},
		{"GET", "/none.json?shallow=true", "", nil, 200, `null`},
		{"GET", "/.json?shallow=true", "", nil, 200, `{"leaf":true,"s":true}`},
		{"GET", "/s.json?shallow=false", "", nil, 200, `{"2":1,"10":{"x":1},"\"q\"":0,"a":{"b":{"c":1}},"b b":true}`},
		// As firebase-tools asks, whose startAfter is the bare key.
		{"GET", "/s.json?shallow=true&limitToFirst=2", "", nil, 200, `{"2":true,"10":true}`},
		{"GET", "/s.json?shallow=true&limitToFirst=2&startAfter=10&timeout=30000ms", "", nil, 200, `{"\"q\"":true,"a":true}`},
		{"GET", `/s.json?shallow=true&limitToFirst=2&startAfter=%22q%22`, "", nil, 200, `{"a":true,"b b":true}`},
		{"GET", "/s.json?shallow=true&limitToFirst=50&startAfter=a", "", nil, 200, `{"b b":true}`},
		{"GET", "/s.json?shallow=true&limitToFirst=50&startAfter=b%20b", "", nil, 200, `null`},
		{"GET", "/s.json?shallow=true&limitToFirst=1&print=pretty", "", nil, 200, "{\n  \"2\" : true\n}"},
		{"GET", "/s.json?shallow=true&callback=f", "", nil, 200, `f({"2":true,"10":true,"\"q\"":true,"a":true,"b b":true});`},
		{"GET", "/s.json?shallow=true&print=silent", "", nil, 204, ``},
	})
}

func TestPrint(t *testing.T) {
	f := newFixture(t)
	run(t, f, []step{
		{"PUT", "/a.json?print=silent", `{"b":[1,2],"c":"x"}`, nil, 204, ``},
		{"PATCH", "/a.json?print=silent", `{"d":1}`, nil, 204, ``},
		{"POST", "/p.json?print=silent", `1`, nil, 204, ``},
		{"DELETE", "/p.json?print=silent", ``, nil, 204, ``},
		{"GET", "/a.json?print=silent", ``, nil, 204, ``},
		{"GET", "/none.json?print=silent", ``, nil, 204, ``},
		{"GET", "/a$.json?print=silent", ``, nil, 400, msgBadPath},
	})
	pretty := f.get("/a.json?print=pretty")
	if want := string(tree.Indent(nil, []byte(f.get("/a.json")))); pretty != want || !strings.Contains(pretty, "\n") {
		t.Errorf("got %q, want %q", pretty, want)
	}
	if got, want := f.get("/a.json?print=pretty&format=export"), string(tree.Indent(nil, []byte(f.get("/a.json?format=export")))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCallback(t *testing.T) {
	f := newFixture(t)
	f.put("/a.json", "\"x\u2028y\"")
	a := f.do("GET", "/a.json?callback=app.got", "")
	a.want(t, "JSONP", 200, `app.got("x\u2028y");`)
	if ct := a.header.Get("Content-Type"); ct != javascriptType {
		t.Errorf("content type %q", ct)
	}
	// Only GET; the parameter means nothing to a write.
	a = f.do("PUT", "/a.json?callback=app.got", "1")
	a.want(t, "PUT", 200, `1`)
	f.do("GET", "/a.json?callback=f&format=export", "").want(t, "export", 200, `f(1);`)
}

func TestCallbackNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"f": true, "_$": true, "a.b.c": true, "a1": true, "list[3]": true, "a[0][12].b": true, "jQuery.cb_1": true,
		"": false, ".a": false, "a.": false, "a..b": false, "1a": false, "a.1": false, "a b": false, "a(b)": false,
		"a;b": false, "<script>": false, "a[": false, "a[x]": false, "a[]": false, "a[1": false, "a[1]b": false,
		"é": false, "a\n": false, "[1]": false, strings.Repeat("a", 257): false,
	} {
		if validCallback(name) != ok {
			t.Errorf("%q: want %v", name, ok)
		}
	}
}

func TestDownload(t *testing.T) {
	f := newFixture(t)
	f.put("/a.json", "1")
	for target, want := range map[string]string{
		"/a.json":                               "",
		"/a.json?download=my.json":              "attachment; filename=my.json",
		"/a.json?download=a%20b.json":           `attachment; filename="a b.json"`,
		"/a.json?download=%22%0d%0aX:%20y":      `attachment; filename*=utf-8''%22%0D%0AX%3A%20y`,
		"/a.json?download=":                     "attachment",
		"/a.json?download=e.json&format=export": "attachment; filename=e.json",
	} {
		a := f.do("GET", target, "")
		if got := a.header.Get("Content-Disposition"); got != want && !strings.EqualFold(got, want) || a.body != "1" {
			t.Errorf("%s: got %q, want %q; body %q", target, got, want, a.body)
		}
		if a.header.Get("X") != "" {
			t.Errorf("%s: header injected", target)
		}
	}
}

func TestParseTimeout(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"3ms": 3 * time.Millisecond, "3s": 3 * time.Second, "3min": 3 * time.Minute, "15min": 15 * time.Minute,
		"900s": 15 * time.Minute, "1.5s": 1500 * time.Millisecond, "30000ms": 30 * time.Second,
		"0.0000001ms": 1,
		"0s":          0, "-1s": 0, "16min": 0, "901s": 0, "3": 0, "s": 0, "": 0, "3 s": 0, "3h": 0, "1e99min": 0, "NaNs": 0, "infmin": 0, "3sec": 0,
	} {
		got, err := parseTimeout(s)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d, err := parseTimeout(rapid.String().Draw(t, "s"))
		if err == nil && (d <= 0 || d > maxTimeout) {
			t.Fatalf("accepted %v", d)
		}
	})
}

// TestTimeoutExpires reads with a timeout that has passed before the first leaf.
func TestTimeoutExpires(t *testing.T) {
	f := newFixture(t)
	f.put("/a.json", `{"b":[1,2,3],"c":{"d":1}}`)
	for _, target := range []string{"/a.json?", "/a.json?format=export&", "/a.json?shallow=true&", `/a.json?orderBy="$key"&limitToFirst=1&`} {
		f.do("GET", target+"timeout=0.000001ms", "").want(t, target, 400, msgTimedOut)
		if a := f.do("GET", target+"timeout=1min", ""); a.status != 200 {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
	}
	// The bounded read gives the same as the other.
	loadDinosaurs(f)
	for _, target := range []string{"/.json?x=1", "/prio.json?format=export&print=pretty", "/list.json?x=1", "/scores/stegosaurus.json?x=1", "/none.json?x"} {
		if got, want := f.get(target+"&timeout=1min"), f.get(target); got != want {
			t.Errorf("%s:\n got %s\nwant %s", target, got, want)
		}
	}
}

func TestWriteSizeLimit(t *testing.T) {
	f := newFixture(t)
	big := func(n int) string { return `{"k":"` + strings.Repeat("x", n) + `"}` }
	run(t, f, []step{
		{"PUT", "/a.json?writeSizeLimit=tiny&print=silent", big(1 << 20), nil, 400, msgWriteTooBig},
		{"PUT", "/a.json?writeSizeLimit=small&print=silent", big(1 << 20), nil, 204, ""},
		// What is removed counts too.
		{"PUT", "/a.json?writeSizeLimit=tiny", `1`, nil, 400, msgWriteTooBig},
		{"DELETE", "/a.json?writeSizeLimit=tiny", ``, nil, 400, msgWriteTooBig},
		{"PATCH", "/.json?writeSizeLimit=tiny&print=silent", `{"a/k":null}`, nil, 400, msgWriteTooBig},
		{"PATCH", "/.json?writeSizeLimit=tiny", `{"b/k":1}`, nil, 200, `{"b/k":1}`},
		{"POST", "/a.json?writeSizeLimit=tiny&print=silent", `1`, nil, 204, ``},
		{"DELETE", "/a.json?writeSizeLimit=unlimited&disableTriggers=true", ``, nil, 200, `null`},
		{"DELETE", "/a.json?writeSizeLimit=tiny", ``, nil, 200, `null`},
	})
}

func TestReadLimit(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxReadBytes = 10_000 })
	children := make([]string, 200)
	for i := range children {
		children[i] = fmt.Sprintf(`"k%03d":"%s"`, i, strings.Repeat("x", 100))
	}
	if a := f.do("PUT", "/a.json?print=silent", "{"+strings.Join(children, ",")+"}"); a.status != 204 {
		t.Fatalf("%+v", a)
	}
	run(t, f, []step{
		{"GET", "/a.json", "", nil, 400, msgReadTooBig},
		{"GET", "/a.json?timeout=1min", "", nil, 400, msgReadTooBig},
		{"GET", "/a.json?format=export&print=pretty", "", nil, 400, msgReadTooBig},
		{"GET", `/a.json?orderBy="$key"&startAt="k000"`, "", nil, 400, msgReadTooBig},
		{"GET", `/a.json`, "", []string{"Accept: text/event-stream"}, 400, msgReadTooBig},
	})
	if a := f.do("GET", "/a.json?format=export", ""); a.status != 200 || len(a.body) < 20_000 {
		t.Errorf("the export is limited: %d, %d bytes", a.status, len(a.body))
	}
}

func TestGzip(t *testing.T) {
	f := newFixture(t)
	long := `"` + strings.Repeat("abc ", 50_000) + `"`
	f.put("/long.json", long)
	f.put("/short.json", "1")
	for _, c := range []struct {
		target, accept, encoding string
	}{
		{"/long.json", "gzip", "gzip"},
		{"/long.json", "deflate, gzip;q=0.5", "gzip"},
		{"/long.json", "*", "gzip"},
		{"/long.json?format=export", "gzip", "gzip"},
		{"/long.json", "gzip;q=0", ""},
		{"/long.json", "br", ""},
		{"/long.json", "", ""},
		{"/short.json", "gzip", ""},
	} {
		var headers []string
		if c.accept != "" {
			headers = append(headers, "Accept-Encoding: "+c.accept)
		}
		a := f.do("GET", c.target, "", headers...)
		body := a.body
		if a.header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.body) > len(b)/10 {
				t.Errorf("%s: compressed to %d of %d", c.target, len(a.body), len(b))
			}
			body = string(b)
		}
		want := long
		if strings.HasPrefix(c.target, "/short") {
			want = "1"
		}
		if a.header.Get("Content-Encoding") != c.encoding || body != want {
			t.Errorf("%+v: encoding %q, body right: %v", c, a.header.Get("Content-Encoding"), body == want)
		}
		if !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%+v: Vary is %q", c, a.header.Values("Vary"))
		}
	}
}

const (
	// The header and claims of the tokens that the SDKs make up for an emulator.
	mockToken = "eyJhbGciOiJub25lIiwidHlwZSI6IkpXVCJ9.eyJzdWIiOiJ1IiwiaWF0IjowLCJleHAiOjM2MDB9."
)

func TestCredentialsInOpenMode(t *testing.T) {
	f := newFixture(t)
	f.put("/a.json", "1")
	for _, c := range []struct {
		target, header string
		status         int
	}{
		{"/a.json", "Authorization: Bearer owner", 200},
		{"/a.json", "Authorization: Bearer ya29.some-google-token", 200},
		{"/a.json", "Authorization: Bearer " + mockToken, 200},
		{"/a.json", "Authorization: Basic Zm9v", 200},
		{"/a.json?access_token=owner", "", 200},
		{"/a.json?access_token=ya29.x", "", 200},
		{"/a.json?auth=" + mockToken, "", 200}, // has expired in 1970, and that is fine
		{"/a.json?auth=owner", "", 200},
		{"/a.json?auth=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn", "", 200},
		{"/a.json?auth=", "", 200},
		{"/a.json?auth=a.b.c", "", 401},
		{"/a.json?auth=a.b", "", 401},
		{"/a.json?auth=" + mockToken + "x.", "", 401},
		{`/a.json?auth_variable_override={"uid":"x"}`, "Authorization: Bearer owner", 200},
		{`/a.json?auth_variable_override=null`, "Authorization: Bearer owner", 200},
		{`/a.json?auth_variable_override=[1]`, "Authorization: Bearer owner", 400},
		{"/a.json?ac=whatever&disableTriggers=true&unknown=1", "", 200},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		if a := f.do("GET", c.target, "", headers...); a.status != c.status {
			t.Errorf("%s %s: %d %s", c.target, c.header, a.status, a.body)
		}
	}
}

// TestCredentialsEnforced uses an authenticator that is not the open one.
func TestCredentialsEnforced(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Auth = strictAuth{} })
	rules := `{"rules":{}}`
	run(t, f, []step{
		{"GET", "/.settings/rules.json", "", nil, 401, "Unauthorized request."},
		{"PUT", "/.settings/rules.json", rules, []string{"Authorization: Bearer wrong"}, 401, msgBadToken},
		{"PUT", "/.settings/rules.json", rules, []string{"Authorization: Bearer expired"}, 401, "Auth token is expired."},
		{"PUT", "/.settings/rules.json", rules, []string{"Authorization: Bearer secret"}, 200, `{"status":"ok"}`},
		{"GET", "/.settings/rules.json?auth=secret", "", nil, 200, rules},
		{"GET", "/.settings/rules.json?access_token=secret", "", nil, 200, rules},
		{"GET", "/.inspect/databases.json", "", nil, 401, "Unauthorized request."},
		{"GET", "/a.json?auth=broken", "", nil, 503, msgUnavailable},
	})
}

type strictAuth struct{}

func (strictAuth) Authenticate(_ context.Context, c auth.Credential) (auth.Identity, error) {
	switch c.Token {
	case "secret":
		return auth.Identity{Admin: true}, nil
	case "expired":
		return auth.Identity{}, &auth.Error{Status: auth.StatusExpiredToken}
	case "broken":
		return auth.Identity{}, errors.New("the keys could not be fetched")
	}
	return auth.Identity{}, &auth.Error{Status: auth.StatusInvalidToken}
}
