package tree

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"rebase/jsonscan"
)

// gather scans leaves and builds the tree of them.
func gather(r io.Reader) (*Node, error) {
	var n *Node
	prios := map[Path]*Node{}
	err := ScanLeaves(r, func(p Path, leaf *Node) error {
		n = n.Set(p, leaf)
		return nil
	}, func(p Path, prio *Node) error {
		prios[p] = prio
		return nil
	})
	for p, prio := range prios {
		n = n.SetPriority(p, prio)
	}
	return n, err
}

func TestScanLeavesLikeParseJSON(t *testing.T) {
	for text := range parseTable {
		if strings.Contains(text, `"a":1,"a"`) || strings.Contains(text, `"a":1,"b":2,"a"`) {
			continue // repeated keys are reported, not resolved
		}
		want, wantErr := ParseJSON([]byte(text))
		got, err := gather(iotest.OneByteReader(strings.NewReader(text)))
		if (err == nil) != (wantErr == nil) || err == nil && !Equal(got, want) {
			t.Errorf("%s: got %s, %v, want %s, %v", text, AppendExport(nil, got), err, AppendExport(nil, want), wantErr)
		}
	}
}

// chunks reads a few bytes at a time.
type chunks struct {
	data []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), c.size)], c.data)
	c.data = c.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A text with white space and priorities at any place.
func looseText(t *rapid.T, n *Node) string {
	space := func() string { return rapid.SampledFrom([]string{"", "", " ", "\n", " \t\r\n "}).Draw(t, "space") }
	var write func(n *Node) string
	write = func(n *Node) string {
		if n.IsLeaf() {
			if n.Priority() == nil && rapid.Bool().Draw(t, "bare") {
				return string(AppendExport(nil, n))
			}
			v, p := `".value":`+string(AppendLeafJSON(nil, n)), `".priority" :`+space()+string(AppendLeafJSON(nil, n.Priority()))
			if rapid.Bool().Draw(t, "priority first") {
				v, p = p, v
			}
			return "{" + v + space() + "," + space() + p + "}"
		}
		members := []string{}
		for _, c := range n.Children() {
			members = append(members, string(AppendJSONString(nil, c.Key))+space()+":"+space()+write(c.Node))
		}
		if n.Priority() != nil {
			i := rapid.IntRange(0, len(members)).Draw(t, "at")
			members = append(members[:i:i], append([]string{`".priority":` + string(AppendLeafJSON(nil, n.Priority()))}, members[i:]...)...)
		}
		if rapid.IntRange(0, 9).Draw(t, "noise") == 0 {
			members = append(members, `"nothing":{"at":[null,{".priority":3}]}`)
		}
		return "{" + space() + strings.Join(members, space()+","+space()) + space() + "}"
	}
	return space() + write(n) + space()
}

func TestScanLeavesOfAnyLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(3, true).Draw(t, "node")
		text := looseText(t, n)
		want, err := ParseJSON([]byte(text))
		if err != nil || !Equal(want, n) {
			t.Fatalf("%s: %s, %v", text, AppendExport(nil, want), err)
		}
		got, err := gather(&chunks{[]byte(text), rapid.IntRange(1, 20).Draw(t, "chunk")})
		if err != nil || !Equal(got, n) {
			t.Fatalf("%s: got %s, %v", text, AppendExport(nil, got), err)
		}
		// What is cut is refused.
		cut := rapid.IntRange(0, len(strings.TrimRight(text, " \t\r\n"))-1).Draw(t, "cut")
		if _, err := gather(strings.NewReader(text[:cut])); err == nil {
			if _, err := ParseJSON([]byte(text[:cut])); err != nil {
				t.Fatalf("%s is accepted", text[:cut])
			}
		}
	})
}

func TestScanLeavesRefuses(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{"a"`, `{"a":`, `{"a":1`, `[1`, `{"a":1}x`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `[1 2]`, `{"a":1]`, `tru`, `01`, `"a`, `"\x"`, `{"a":"\ud8"}`, "\"\xff\"", "{\"\xff\":1}",
		`{"":1}`, `{"a.b":1}`, `{".x":1}`, `{".value":{"a":1}}`, `{".value":1,"a":1}`, `{"a":1,".value":1}`, `{"a":[1],".sv":"timestamp"}`, `{".sv":"x"}`,
		`{"a":1,".priority":true}`, `{".value":1,".sv":"timestamp"}`, `1e999`, `{"a":{".value":1,"b":{"c":{"d":1}}}}`, `{"x":{"a":{"b":1},".value":2}}`,
		nested(MaxDepth+1, "1"), strings.Repeat("[", 1000), strings.Repeat(`{".value":`, 1000),
		`{"` + strings.Repeat("k", MaxKeyBytes+1) + `":1}`, `"` + strings.Repeat("x", MaxStringBytes+1) + `"`,
	} {
		for _, r := range []io.Reader{strings.NewReader(text), &chunks{[]byte(text), 1000}} {
			_, err := gather(r)
			if err == nil {
				t.Errorf("%.80s is accepted", text)
				continue
			}
			_, want := ParseJSON([]byte(text))
			if want == nil {
				t.Errorf("%.80s is refused for %v, but not by ParseJSON", text, err)
			}
		}
	}
}

func TestScanLeavesErrorsSayWhere(t *testing.T) {
	// The fault lies beyond the first buffer.
	text := "{\n" + strings.Repeat(" \"a\":null,\n", 20_000) + "\n  \"b\": ?}"
	_, err := gather(strings.NewReader(text))
	var syntax *jsonscan.SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != 20_003 || syntax.Column != 8 || syntax.Offset != strings.Index(text, "?") {
		t.Errorf("%v, want line 20003 column 8 offset %d", err, strings.Index(text, "?"))
	}
	line := `{"a":[` + strings.Repeat("null, ", 50_000) + `?]}` // no line ends where the buffer does
	if _, err = gather(strings.NewReader(line)); !errors.As(err, &syntax) || syntax.Line != 1 || syntax.Column != len(line)-2 {
		t.Errorf("%v, want line 1 column %d", err, len(line)-2)
	}
	_, err = gather(strings.NewReader(strings.Replace(text, `"b"`, `"b$"`, 1)))
	var key *KeyError
	if !errors.As(err, &key) || key.Line != 20_003 || key.Column != 3 {
		t.Errorf("%v, want 20003:3", err)
	}
	_, err = gather(strings.NewReader(`{"x":{"y":[0,{"a":1e999}]}}`))
	var value *ValueError
	if !errors.As(err, &value) || value.Path != "x/y/1/a" {
		t.Errorf("%v, want the path", err)
	}
	_, err = gather(strings.NewReader(`{"x":{"y":"` + strings.Repeat("x", MaxStringBytes+1) + `"}}`))
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Path != "x/y" {
		t.Errorf("%v, want the path", err)
	}

	boom := errors.New("boom")
	if _, err := gather(io.MultiReader(strings.NewReader(`{"a":1,`), iotest.ErrReader(boom))); !errors.Is(err, boom) || !strings.Contains(err.Error(), "offset 7") {
		t.Error(err)
	}
	if err := ScanLeaves(strings.NewReader(`{"a":1}`), func(Path, *Node) error { return boom }, nil); err != boom {
		t.Error(err)
	}
	if err := ScanLeaves(strings.NewReader(`{"a":1,".priority":2}`), func(Path, *Node) error { return nil }, func(Path, *Node) error { return boom }); err != boom {
		t.Error(err)
	}
}

// Priorities come first where the text allows it, and only where there is something to carry them.
func TestScanLeavesOrder(t *testing.T) {
	var got []string
	err := ScanLeaves(strings.NewReader(`{".priority":1,"e":{".priority":2,"x":null},"a":{".priority":3,"b":{"c":true}},"d":{"f":[7],".priority":4}}`),
		func(p Path, leaf *Node) error {
			got = append(got, string(p)+"="+string(AppendExport(nil, leaf)))
			return nil
		}, func(p Path, prio *Node) error {
			got = append(got, string(p)+"!"+string(AppendExport(nil, prio)))
			return nil
		})
	if want := "!1 a!3 a/b/c=true d/f/0=7 d!4"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// writeLeaves writes n leaf by leaf.
func writeLeaves(w *JSONWriter, p Path, n *Node) error {
	if n.IsLeaf() {
		return w.Leaf(p, n)
	}
	if n.Priority() != nil {
		if err := w.Priority(p, n.Priority()); err != nil {
			return err
		}
	}
	for _, c := range n.Children() {
		if err := writeLeaves(w, p.Child(c.Key), c.Node); err != nil {
			return err
		}
	}
	return nil
}

func TestJSONWriterLikeAppendExport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(4, true).Draw(t, "node")
		var buf bytes.Buffer
		w := NewJSONWriter(&buf)
		err := errors.Join(writeLeaves(w, "", n), w.Close())
		if want := string(AppendExport(nil, n)); err != nil || buf.String() != want {
			t.Fatalf("got %s, %v, want %s", &buf, err, want)
		}
	})
}

func TestJSONWriterRefusesDisorder(t *testing.T) {
	one := NewInt(1)
	for name, f := range map[string]func(w *JSONWriter) error{
		"backwards":             func(w *JSONWriter) error { return errors.Join(w.Leaf("b", one), w.Leaf("a", one)) },
		"twice":                 func(w *JSONWriter) error { return errors.Join(w.Leaf("a", one), w.Leaf("a", one)) },
		"below a leaf":          func(w *JSONWriter) error { return errors.Join(w.Leaf("a", one), w.Leaf("a/b", one)) },
		"below the root leaf":   func(w *JSONWriter) error { return errors.Join(w.Leaf("", one), w.Leaf("a", one)) },
		"priority too late":     func(w *JSONWriter) error { return errors.Join(w.Leaf("a/b", one), w.Priority("a", one)) },
		"as bytes, not as keys": func(w *JSONWriter) error { return errors.Join(w.Leaf("10", one), w.Leaf("9", one)) },
	} {
		w := NewJSONWriter(io.Discard)
		if f(w) == nil || w.Close() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	w := NewJSONWriter(iotest.TruncateWriter(io.Discard, 0))
	if err := errors.Join(w.Leaf("a", one), w.Close()); err != nil {
		t.Error(err)
	}
	boom := errors.New("boom")
	w = NewJSONWriter(writerFunc(func([]byte) (int, error) { return 0, boom }))
	if err := errors.Join(w.Leaf("a", NewString(strings.Repeat("x", 100_000))), w.Close()); !errors.Is(err, boom) {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func FuzzScanLeaves(f *testing.F) {
	for text := range parseTable {
		f.Add([]byte(text), 7)
	}
	f.Fuzz(func(t *testing.T, text []byte, chunk int) {
		want, wantErr := ParseJSON(text)
		seen := map[Path]bool{}
		repeated := false
		note := func(p Path, _ *Node) error {
			for q := range seen {
				repeated = repeated || q.Contains(p) || p.Contains(q)
			}
			seen[p] = true
			return nil
		}
		_ = ScanLeaves(bytes.NewReader(text), note, func(Path, *Node) error { return nil })
		got, err := gather(&chunks{text, max(1, min(chunk, 1<<16))})
		if hasRepeatedKeys(text) {
			return
		}
		if repeated && err == nil {
			t.Fatalf("%q: two leaves in one place", text)
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: got %v, ParseJSON has %v", text, err, wantErr)
		}
		if err == nil && !Equal(got, want) {
			t.Fatalf("%q: got %s, want %s", text, AppendExport(nil, got), AppendExport(nil, want))
		}
	})
}

// hasRepeatedKeys reports whether some object of text names a member twice, in which case the streams may differ.
func hasRepeatedKeys(text []byte) bool {
	s := jsonscan.New(text)
	repeated := false
	var value func() error
	value = func() error {
		switch s.Peek() {
		case '{':
			keys := map[string]bool{}
			return s.Object(func(key string) error {
				repeated = repeated || keys[key]
				keys[key] = true
				return value()
			})
		case '[':
			return s.Array(func(int) error { return value() })
		}
		return s.Skip()
	}
	_ = value()
	return repeated
}
