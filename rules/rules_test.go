package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rebase/query"
	"rebase/tree"
)

const sample = `// The rules of a chat.
{
  /* one
     key */
  "rules": {
    ".read": "auth != null && // not a comment
              root.child('a/*b*/').exists()",
    ".write": true, // ends here: "
    "users": {
      ".indexOn": ["name", "address/city", ".value", "name"],
      "$uid": {
        "messages": { ".indexOn": "time" },
        ".validate": "newData.hasChildren(['a', \"b\"])"
      },
      "admin": { "log": { ".indexOn": [".key", ".priority"] } }
    },
    "$room": { "$id": { ".indexOn": "score" }, "deep": { "x": {} } },
    "é\u0041": { ".indexOn": ".value" }
  }
}
`

func mustParse(t testing.TB, text string) *Rules {
	t.Helper()
	r, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestIndexesAt(t *testing.T) {
	r := mustParse(t, sample)
	for _, test := range []struct {
		path  tree.Path
		want  string
		under bool
	}{
		{"", "", true},
		{"users", "name address/city .value", true},
		{"users/u1", "", true},
		{"users/u1/messages", "time", true},
		{"users/u1/messages/m", "", false},
		{"users/u1/other", "", false},
		// The literal key hides the wildcard, for all that is below.
		{"users/admin", "", false},
		{"users/admin/messages", "", false},
		{"users/admin/log", "", false},
		{"lobby", "", true},
		{"lobby/7", "score", true},
		{"lobby/7/x", "", false},
		{"lobby/deep", "", false},
		{"lobby/deep/x", "", false},
		{"éA", ".value", true},
		{"éA/b", "", false},
	} {
		var names []string
		for _, ix := range r.IndexesAt(test.path) {
			names = append(names, ix.String())
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("IndexesAt(%q) = %q, want %q", test.path, got, test.want)
		}
		if got := r.HasIndexUnder(test.path); got != test.under {
			t.Errorf("HasIndexUnder(%q) = %v", test.path, got)
		}
	}
}

func TestIndexes(t *testing.T) {
	var got []string
	for _, d := range mustParse(t, sample).Indexes() {
		got = append(got, strings.Join(d.Pattern, "/")+" "+d.Index.String())
	}
	want := []string{"users name", "users address/city", "users .value", "users/$/messages time", "$/$ score", "éA .value"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	root := mustParse(t, `{"rules":{".indexOn":"x"}}`)
	if d := root.Indexes(); len(d) != 1 || len(d[0].Pattern) != 0 || !root.HasIndexUnder("") || root.HasIndexUnder("x") {
		t.Errorf("%v", d)
	}
}

func TestNoRules(t *testing.T) {
	var none *Rules
	for _, r := range []*Rules{none, mustParse(t, `{"rules":{}}`)} {
		if r.Indexes() != nil || r.IndexesAt("a") != nil || r.IndexesAt("") != nil || r.HasIndexUnder("") {
			t.Error("rules from nothing")
		}
		if got := strictCompact(t, r); got != `{"rules":{}}` {
			t.Error(got)
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	r := mustParse(t, sample)
	for _, p := range []tree.Path{"", "users", "users/u1/messages", "lobby/7/x/y/z"} {
		if n := testing.AllocsPerRun(100, func() { r.IndexesAt(p); r.HasIndexUnder(p) }); n > 0 {
			t.Errorf("%q: %v allocations", p, n)
		}
	}
}

func strictCompact(t testing.TB, r *Rules) string {
	t.Helper()
	var raw json.RawMessage
	if err := json.Unmarshal(r.Strict(), &raw); err != nil {
		t.Fatalf("%v in %s", err, r.Strict())
	}
	out, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestStrict(t *testing.T) {
	const want = `{
  "rules": {
    ".read": "auth != null && // not a comment\n              root.child('a/*b*/').exists()",
    ".write": true,
    "users": {
      ".indexOn": ["name", "address/city", ".value", "name"],
      "$uid": {
        "messages": {
          ".indexOn": "time"
        },
        ".validate": "newData.hasChildren(['a', \"b\"])"
      },
      "admin": {
        "log": {
          ".indexOn": [".key", ".priority"]
        }
      }
    },
    "$room": {
      "$id": {
        ".indexOn": "score"
      },
      "deep": {
        "x": {}
      }
    },
    "éA": {
      ".indexOn": ".value"
    }
  }
}
`
	r := mustParse(t, sample)
	if got := string(r.Strict()); got != want {
		t.Errorf("%s", got)
	}
	if !json.Valid(r.Strict()) {
		t.Error("not JSON")
	}
	// The caller's copy is its own.
	clear(r.Strict())
	if got := string(r.Strict()); got != want {
		t.Error("Strict shares its memory")
	}
}

func TestStringEscapes(t *testing.T) {
	r := mustParse(t, `{"rules":{".read":"true /*\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83d\u0041\udc00`+"\r\n\t"+`*/"}}`)
	var doc struct {
		Rules map[string]string `json:"rules"`
	}
	if err := json.Unmarshal(r.Strict(), &doc); err != nil {
		t.Fatal(err)
	}
	if got, want := doc.Rules[".read"], "true /*\"\\/\b\f\n\r\té\U0001F600\uFFFDA\uFFFD\r\n\t*/"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestErrors(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 300)
	for _, test := range []struct{ in, want string }{
		{"", `Line 1: Parse error: expected a value, but the document ends`},
		{"\n\n  hello", `Line 3: Parse error: expected a value, found 'h'`},
		{"{\"rules\": {\n  \".read\": true\n  \".write\": true\n}}", `Line 3: Parse error: expected ',' or '}', found '"'`},
		{"{\"rules\": {\n  ,\n}}", `Line 2: Parse error: expected a key in double quotes, found ','`},
		{"{\"rules\": {\"a\": {},\n,}}", `Line 2: Parse error: expected a key in double quotes, found ','`},
		{"{\"rules\": {}}\nx", `Line 2: Parse error: expected the end of the document, found 'x'`},
		{"{\"rules\": {} /* x\n }", `Line 1: Parse error: comment is not closed`},
		{"{\"rules\": {\n\".read\": \"a\n\n}}", `Line 2: Parse error: the string is not closed`},
		{`{"rules": {".read": "\x"}}`, `Line 1: Parse error: unknown escape sequence`},
		{`{"rules": {".read": "\u12g4"}}`, `Line 1: Parse error: \u needs four hexadecimal digits`},
		{"{\"rules\": {\".read\": \"\x01\"}}", `Line 1: Parse error: control character '\x01' in a string`},
		{"{\n\"rules\": {\".read\": \"\xff\"}}", `Line 2: Parse error: the document is not UTF-8`},
		{`{"rules" {}}`, `Line 1: Parse error: expected ':', found '{'`},
		{`{rules: {}}`, `Line 1: Parse error: expected a key in double quotes, found 'r'`},
		{`{"rules": tru}`, `Line 1: Parse error: expected a value, found 't'`},
		{`{"rules": {".indexOn": ["a",,]}}`, `Line 1: Parse error: expected a value, found ','`},
		{strings.Repeat(" ", MaxDocumentBytes) + `{}`, `Line 1: The document is larger than 1048576 bytes`},
		{`{"rules": {".indexOn": ["a" "b"]}}`, `Line 1: Parse error: expected ',' or ']', found '"'`},
		{deep, `Line 1: Parse error: nested too deeply`},
		{`[]`, `Line 1: Expected an object with exactly one key, "rules"`},
		{`{}`, `Line 1: Expected an object with exactly one key, "rules"`},
		{"{\"rules\": {},\n\"more\": {}}", `Line 2: Expected an object with exactly one key, "rules"`},
		{`{"rules": true}`, `Line 1: Expected '{'`},
		{"{\"rules\": {\n\"a\": \"b\"}}", `Line 2: Expected '{'`},
		{"{\"rules\": {\n\"a\": {}, \"a\": {}}}", `Line 2: Duplicate key "a"`},
		{"{\"rules\": {\n\n\".reed\": true}}", `Line 3: Unknown rule ".reed"; the rules are .read, .write, .validate and .indexOn`},
		{`{"rules": {".read": 1}}`, `Line 1: Expected a string or a boolean as the value of ".read"`},
		{`{"rules": {".write": null}}`, `Line 1: Expected a string or a boolean as the value of ".write"`},
		{`{"rules": {".validate": {}}}`, `Line 1: Expected a string or a boolean as the value of ".validate"`},
		{`{"rules": {".indexOn": true}}`, `Line 1: Expected a string or an array of strings as the value of .indexOn`},
		{"{\"rules\": {\".indexOn\": [\"a\",\n1]}}", `Line 2: Expected a string in .indexOn`},
		{`{"rules": {".indexOn": ""}}`, `Line 1: Invalid index "": it is .value or the path of a child`},
		{`{"rules": {".indexOn": "a.b"}}`, `Line 1: Invalid index "a.b": it is .value or the path of a child`},
		{`{"rules": {"a/b": {}}}`, `Line 1: Invalid key "a/b": keys are 1 to 768 bytes without control characters and . $ # [ ] /`},
		{`{"rules": {"": {}}}`, `Line 1: Invalid key "": keys are 1 to 768 bytes without control characters and . $ # [ ] /`},
		{`{"rules": {"$": {}}}`, `Line 1: Invalid wildcard "$": it is $ and a name of letters, digits and _`},
		{`{"rules": {"$a-b": {}}}`, `Line 1: Invalid wildcard "$a-b": it is $ and a name of letters, digits and _`},
		{"{\"rules\": {\"$a\": {},\n\"$b\": {}}}", `Line 2: Only one wildcard may stand beside others: "$b" is the second`},
		{"{\"rules\": {\"$a\": {\"x\":\n{\"$a\": {}}}}}", `Line 2: The wildcard "$a" is already used above`},
	} {
		_, err := Parse([]byte(test.in))
		var e *Error
		if !errors.As(err, &e) || err.Error() != test.want {
			t.Errorf("%.60q:\n got %v\nwant %s", test.in, err, test.want)
		}
	}
	_, err := Parse([]byte("{\"rules\": {\n  \"é\": 1}}"))
	var e *Error
	if !errors.As(err, &e) || e.Line != 2 || e.Column != 8 {
		t.Errorf("%+v", e)
	}
}

func TestAccepted(t *testing.T) {
	for _, text := range []string{
		"\uFEFF{\"rules\":{}}",
		"//\n{//\r\n\"rules\"/**/:/***/{}//\n}//",
		// The same name on two paths that do not meet.
		`{"rules": {"a": {"$x": {}}, "b": {"$x": {}}}}`,
		`{"rules": {".read": false, ".write": "false", ".validate": true, ".indexOn": []}}`,
		// A comma after the last.
		`{"rules": {".indexOn": ["a", /**/], "a": {},},}`,
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(`{"rules":{"$a":{".indexOn":[".value","b/c"]},"x":{"$a":{".read":"\ud83d\ude00"}}}}`))
	f.Add([]byte("{\"rules\":{\".write\":\"a\nb\"}} // end"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Msg == "" {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		strict := r.Strict()
		if !json.Valid(strict) {
			t.Fatalf("not JSON: %s", strict)
		}
		again, err := Parse(strict)
		if err != nil {
			t.Fatalf("%v in %s", err, strict)
		}
		if string(again.Strict()) != string(strict) {
			t.Fatalf("%s\nbecame\n%s", strict, again.Strict())
		}
		defs := r.Indexes()
		if fmt.Sprint(defs) != fmt.Sprint(again.Indexes()) {
			t.Fatal("indexes differ")
		}
		for _, d := range defs {
			checkDef(t, r, d)
		}
	})
}

// checkDef looks a declaration up by a path that no literal key can hide.
func checkDef(t *testing.T, r *Rules, d IndexDef) {
	var p tree.Path
	for _, part := range d.Pattern {
		if !r.HasIndexUnder(p) {
			t.Fatalf("no index under %q, but %v", p, d)
		}
		if part == Wildcard {
			part = "no such literal key"
			if r.at(p).children[part] != nil {
				return
			}
		}
		p = p.Child(part)
	}
	if !slices.Contains(r.IndexesAt(p), d.Index) || !r.HasIndexUnder(p) {
		t.Fatalf("IndexesAt(%q) = %v lacks %v", p, r.IndexesAt(p), d.Index)
	}
}

func BenchmarkIndexesAt(b *testing.B) {
	r := mustParse(b, sample)
	var n []query.Index
	for b.Loop() {
		n = r.IndexesAt("users/u1/messages")
	}
	if len(n) != 1 {
		b.Fatal(n)
	}
}
