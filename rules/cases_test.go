package rules

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"rebase/query"
	"rebase/tree"
)

// testCase is a case of testdata/*.test with the settings that hold for it. The
// language is described in testdata/README.md.
type testCase struct {
	file    string
	line    int
	text    string // the whole line
	verb    string
	arg     string
	want    string
	differs string

	data, value, auth, query, rules string
	now                             int64
	place, path                     string
}

func readCases(t testing.TB) []testCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*.test")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases: ", err)
	}
	var all []testCase
	for _, f := range files {
		all = append(all, readCaseFile(t, f)...)
	}
	return all
}

func readCaseFile(t testing.TB, file string) (cases []testCase) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := testCase{file: filepath.Base(file), data: "null", value: "null", auth: "null", query: "null", now: 1000, place: "/", path: "/"}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		set.line++
		line := lines.Text()
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "data":
			set.data = rest
		case "value":
			set.value = rest
		case "auth":
			set.auth = rest
		case "query":
			set.query = rest
		case "now":
			if _, err := fmt.Sscan(rest, &set.now); err != nil {
				t.Fatalf("%s:%d: %v", file, set.line, err)
			}
		case "at":
			set.place, set.path, _ = strings.Cut(rest, " ")
		case "rules":
			var doc []string
			for lines.Scan() && lines.Text() != "" {
				set.line++
				doc = append(doc, lines.Text())
			}
			set.line++
			set.rules = strings.Join(doc, "\n")
		case "differs":
			set.differs = rest
		case "eval", "weval", "read", "write", "update", "document":
			c := set
			i := strings.LastIndex(line, "=> ")
			if i < 0 {
				t.Fatalf("%s:%d: no =>", file, set.line)
			}
			c.verb, c.text, c.want = verb, line, line[i+3:]
			c.arg = strings.TrimSpace(line[len(verb):i])
			cases = append(cases, c)
			set.differs = ""
		default:
			t.Fatalf("%s:%d: unknown line %q", file, set.line, line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

// document is the rules document of the case; prefix is what stands before the
// expression of an eval.
func (c *testCase) document() (doc, prefix string) {
	switch c.verb {
	case "eval", "weval":
		kind := ".read"
		if c.verb == "weval" {
			kind = ".write"
		}
		prefix, suffix := `{"rules":{`, "}}"
		for _, key := range strings.Split(strings.Trim(c.place, "/"), "/") {
			if key != "" {
				prefix += quote(key) + ":{"
				suffix += "}"
			}
		}
		prefix += quote(kind) + `:"`
		return prefix + jsonInside(c.arg) + `"` + suffix, prefix
	}
	return c.rules, ""
}

func jsonInside(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

func mustTree(t testing.TB, text string) *tree.Node {
	t.Helper()
	n, err := tree.ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return n
}

func mustAuth(t testing.TB, text string) *Auth {
	t.Helper()
	a, err := ParseAuth([]byte(text))
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return a
}

func mustPath(t testing.TB, text string) tree.Path {
	t.Helper()
	p, err := tree.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// parseQuery reads a query as the cases write it.
func parseQuery(t testing.TB, text string) *query.Query {
	t.Helper()
	if text == "null" {
		return nil
	}
	var spec struct {
		OrderByChild                              string
		OrderByKey, OrderByValue, OrderByPriority bool
		StartAt, EndAt, EqualTo                   json.RawMessage
		LimitToFirst, LimitToLast                 int
	}
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	q := &query.Query{Limit: spec.LimitToFirst}
	switch {
	case spec.OrderByChild != "":
		q.Index = query.Index{Kind: query.ByChild, Path: tree.Path(spec.OrderByChild)}
	case spec.OrderByKey:
		q.Index.Kind = query.ByKey
	case spec.OrderByValue:
		q.Index.Kind = query.ByValue
	}
	if spec.LimitToLast > 0 {
		q.Limit, q.Last = spec.LimitToLast, true
	}
	bound := func(raw json.RawMessage) *query.Bound {
		if raw == nil {
			return nil
		}
		n := mustTree(t, string(raw))
		if q.Index.Kind == query.ByKey {
			return &query.Bound{Key: n.Str(), HasKey: true, Inclusive: true}
		}
		return &query.Bound{Value: n, Inclusive: true}
	}
	q.Start, q.End = bound(spec.StartAt), bound(spec.EndAt)
	if spec.EqualTo != nil {
		q.Start, q.End = bound(spec.EqualTo), bound(spec.EqualTo)
	}
	return q
}

// request makes the operation of a case, and the state after it in two ways: by
// changing the tree, and by an overlay.
func (c *testCase) request(t testing.TB) (req *Request, write bool, overlay State) {
	t.Helper()
	before := mustTree(t, c.data)
	req = &Request{Auth: mustAuth(t, c.auth), Now: c.now, State: TreeState(before), Trace: true}
	target, text, _ := strings.Cut(c.arg, " ")
	switch c.verb {
	case "eval", "read":
		if c.verb == "eval" {
			target = c.path
		}
		req.Path, req.Query = mustPath(t, target), parseQuery(t, c.query)
		return req, false, nil
	case "weval":
		target, text = c.path, c.value
	}
	at, prio, err := tree.ParseWritePath(target)
	if err != nil {
		t.Fatal(err)
	}
	req.Path = at
	changes := []Change{{at, prio, nil}}
	if c.verb == "update" {
		changes, req.Updates = nil, []tree.Path{}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		// In the text's order, which decides what is judged first.
		dec := json.NewDecoder(strings.NewReader(text))
		for depth := 0; ; {
			tok, err := dec.Token()
			if err != nil {
				break
			}
			if d, ok := tok.(json.Delim); ok {
				if d == '{' || d == '[' {
					depth++
				} else {
					depth--
				}
				continue
			}
			key, ok := tok.(string)
			if raw, isKey := members[key]; ok && isKey && depth == 1 {
				p, prio, err := tree.ParseWritePath(key)
				if err != nil {
					t.Fatal(err)
				}
				delete(members, key)
				changes = append(changes, Change{at.Join(p), prio, mustTree(t, string(raw))})
				req.Updates = append(req.Updates, p)
			}
		}
	} else {
		changes[0].Value = mustTree(t, text)
	}
	after := before
	for i := range changes {
		ch := &changes[i]
		if ch.Value.HasServerValues() {
			ch.Value = ch.Value.Resolve(c.now, func(rel tree.Path) *tree.Node { return before.At(ch.Path.Join(rel)) })
		}
		if ch.Priority {
			after = after.SetPriority(ch.Path, ch.Value)
		} else {
			after = after.Set(ch.Path, ch.Value)
		}
	}
	req.New = TreeState(after)
	return req, true, Overlay(req.State, changes)
}

// outcome runs a case: what this package says, in the words of the case, and in
// the one word that is compared with targaryen's.
func (c *testCase) outcome(t testing.TB) (got, word string) {
	t.Helper()
	doc, prefix := c.document()
	r, err := Parse([]byte(doc))
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%T: %v", err, err)
		}
		if prefix != "" {
			// Find the place in the expression that stands there in the document.
			for i := 0; i <= len(c.arg); i++ {
				if utf8.RuneCountInString(prefix+jsonInside(c.arg[:i]))+1 == e.Column && (i == len(c.arg) || utf8.RuneStart(c.arg[i])) {
					return fmt.Sprintf("error %d %s", utf8.RuneCountInString(c.arg[:i])+1, e.Msg), "error"
				}
			}
			return fmt.Sprintf("error in the document at column %d: %s", e.Column, e.Msg), "error"
		}
		return fmt.Sprintf("error %d:%d %s", e.Line, e.Column, e.Msg), "error"
	}
	if c.verb == "document" {
		return "ok", "ok"
	}
	req, write, overlay := c.request(t)
	decide := func(req *Request) Verdict {
		if write {
			return r.Write(req)
		}
		return r.Read(req)
	}
	v := decide(req)
	if v.Err != nil {
		t.Fatal(v.Err)
	}
	if v.Allowed == (v.Trace.Fix != "") {
		t.Errorf("%s:%d: allowed %v, fix %q", c.file, c.line, v.Allowed, v.Trace.Fix)
	}
	plain := *req
	plain.Trace = false
	if p := decide(&plain); p.Allowed != v.Allowed || p.Trace != nil {
		t.Errorf("%s:%d: traced %v, else %v", c.file, c.line, v.Allowed, p.Allowed)
	}
	if write {
		plain.New = overlay
		if p := decide(&plain); p.Allowed != v.Allowed {
			t.Errorf("%s:%d: on a tree %v, on an overlay %v", c.file, c.line, v.Allowed, p.Allowed)
		}
	}
	switch c.verb {
	case "eval", "weval":
		if len(v.Trace.Steps) != 1 {
			t.Fatalf("%s:%d: %d steps", c.file, c.line, len(v.Trace.Steps))
		}
		if s := v.Trace.Steps[0]; s.Failed != "" {
			return "fails " + s.Failed, "fails"
		}
		return fmt.Sprint(v.Allowed), fmt.Sprint(v.Allowed)
	}
	word = "deny"
	if v.Allowed {
		word = "allow"
	}
	if v.Trace.Decided < 0 {
		return word + " -", word
	}
	s := v.Trace.Steps[v.Trace.Decided]
	return fmt.Sprintf("%s %d:%d", word, s.Line, s.Column), word
}

// fits reports whether an outcome is what a case wants.
func fits(got, want string) bool {
	if got == want {
		return true
	}
	for _, kind := range []string{"fails", "error"} {
		if rest, ok := strings.CutPrefix(want, kind+" "); ok {
			got, ok := strings.CutPrefix(got, kind+" ")
			if !ok {
				return false
			}
			if kind == "fails" {
				return strings.Contains(got, rest)
			}
			place, text, _ := strings.Cut(rest, " ")
			gotPlace, gotText, _ := strings.Cut(got, " ")
			return place == gotPlace && text != "" && strings.Contains(gotText, text)
		}
	}
	// A bare verdict says nothing of the place.
	word, _, _ := strings.Cut(got, " ")
	return word == want && (want == "allow" || want == "deny")
}

func TestCases(t *testing.T) {
	cases := readCases(t)
	if len(cases) < 300 {
		t.Errorf("only %d cases", len(cases))
	}
	for i := range cases {
		c := &cases[i]
		if got, _ := c.outcome(t); !fits(got, c.want) {
			t.Errorf("%s:%d: %s\n  got %s", c.file, c.line, c.text, got)
		}
	}
}

// TestTargaryen compares with the recorded verdicts of another implementation.
func TestTargaryen(t *testing.T) {
	text, err := os.ReadFile("testdata/targaryen/verdicts.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded []struct{ File, Case, Verdict string }
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	cases := readCases(t)
	if len(cases) != len(recorded) {
		t.Fatalf("%d cases, %d verdicts: run verdicts.mjs as testdata/README.md says", len(cases), len(recorded))
	}
	for i := range cases {
		c, r := &cases[i], recorded[i]
		if r.File != c.file || r.Case != c.text {
			t.Fatalf("%s:%d: the recorded case is %s: %s; run verdicts.mjs as testdata/README.md says", c.file, c.line, r.File, r.Case)
		}
		_, ours := c.outcome(t)
		switch {
		case ours == r.Verdict && c.differs != "":
			t.Errorf("%s:%d: %s: targaryen agrees, but a difference is explained", c.file, c.line, c.text)
		case ours != r.Verdict && c.differs == "":
			t.Errorf("%s:%d: %s: targaryen says %s, and nothing explains why", c.file, c.line, c.text, r.Verdict)
		}
	}
}
