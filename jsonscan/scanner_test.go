package jsonscan

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// read builds what encoding/json would, numbers as json.Number, to compare with it.
func read(s *Scanner) (any, error) {
	switch s.Peek() {
	case '{':
		m := map[string]any{}
		err := s.Object(func(key string) (err error) {
			m[key], err = read(s)
			return err
		})
		return m, err
	case '[':
		list := []any{}
		err := s.Array(func(i int) error {
			if i != len(list) {
				return fmt.Errorf("element %d is given the index %d", len(list), i)
			}
			v, err := read(s)
			list = append(list, v)
			return err
		})
		return list, err
	case '"':
		return s.String()
	case '0':
		n, err := s.Number()
		return json.Number(n), err
	case 't', 'f':
		return s.Bool()
	}
	return nil, s.Null()
}

func readAll(text string) (any, error) {
	s := New([]byte(text))
	v, err := read(s)
	if err == nil {
		err = s.End()
	}
	return v, err
}

func standard(text string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more")
	}
	if !json.Valid([]byte(text)) {
		return nil, errors.New("invalid")
	}
	return v, nil
}

var texts = []string{
	``, ` `, `null`, ` true `, "\t\r\nfalse", `nul`, `truE`, `nullx`, `nil`,
	`0`, `-0`, `-`, `01`, `-01`, `1.`, `.5`, `1.5e`, `1.5e+`, `1.5e+10`, `1E-2`, `12345678901234567890`, `+1`, `0x10`, `1_0`, `--1`, `1e5.5`, `1 2`,
	`""`, `"a`, `"a\`, `"a\"`, `"\u00e9\n\/\b\f\r\t\\\""`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\uD83D\uDE00"`, `"\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\ude00\ud83d"`,
	"\"\x01\"", "\"\n\"", "\"\x7f\"", "\"é😀\uffff\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "\"12345678\xff\"", "\"1234567\x1f9\"", `"1234567"`, `"12345678"`, `"123456789"`,
	`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"a":{"b":[{}]}}`, `{"\u0061":1}`, `{"a":1]`, `{1:2}`, `{"":0}`,
	`[]`, `[ ]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[[[]]]`, `[}`, `[1`, `[null,true,"x"]`, `]`, `}`, `,`, `:`, "\x00", `[1]x`, `/**/1`,
}

// agree compares the scanner with encoding/json, which differs in that it mends invalid UTF-8.
func agree(t *testing.T, text string) {
	t.Helper()
	got, err := readAll(text)
	want, wantErr := standard(text)
	if !utf8.ValidString(text) {
		if err == nil {
			t.Errorf("%q: invalid UTF-8 is accepted", text)
		}
		return
	}
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%q: got error %v, encoding/json has %v", text, err, wantErr)
	} else if err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%q: got %#v, want %#v", text, got, want)
	}
	if err != nil {
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Fatalf("%q: error %v of type %T", text, err, err)
		}
		if syntax.Offset < 0 || syntax.Offset > len(text) || syntax.Line < 1 || syntax.Column < 1 {
			t.Errorf("%q: error at an impossible place: %v", text, err)
		}
	}

	// Skip and Raw must accept the same.
	s := New([]byte(text))
	raw, err := s.Raw()
	if err == nil {
		err = s.End()
	}
	if (err == nil) != (wantErr == nil) {
		t.Errorf("Raw(%q): got error %v, encoding/json has %v", text, err, wantErr)
	} else if err == nil && string(raw) != strings.Trim(text, " \t\r\n") {
		t.Errorf("Raw(%q): got %q", text, raw)
	}
}

func TestAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range texts {
		agree(t, text)
	}
}

func TestRandomValuesAgreeWithEncodingJSON(t *testing.T) {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaves := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Float64Range(-1e30, 1e30).AsAny(), rapid.Int64().AsAny(), rapid.String().AsAny(),
		}
		if depth > 0 {
			leaves = append(leaves,
				rapid.SliceOfN(value(depth-1), 0, 5).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 5).AsAny())
		}
		return rapid.OneOf(leaves...)
	}
	g := value(4)
	rapid.Check(t, func(rt *rapid.T) {
		v := g.Draw(rt, "value")
		text, err := json.Marshal(v)
		if err != nil {
			rt.Fatal(err)
		}
		agree(t, string(text))
		// A byte that is lost or changed makes most texts invalid.
		if i := rapid.IntRange(0, len(text)-1).Draw(rt, "at"); rapid.Bool().Draw(rt, "cut") {
			agree(t, string(text[:i]))
		} else {
			text[i] = rapid.Byte().Draw(rt, "byte")
			agree(t, string(text))
		}
	})
}

func TestErrorsSayWhere(t *testing.T) {
	for _, c := range []struct {
		text               string
		line, column, offs int
		msg                string
	}{
		{"", 1, 1, 0, "unexpected end"},
		{"{\n \"a\": nope}", 2, 7, 8, "expected null"},
		{"[1,\n2\n,\n  x]", 4, 3, 10, "'x'"},
		{"{\"a\" 1}", 1, 6, 5, "expected ':'"},
		{"{\"a\":\"\x01\"}", 1, 7, 6, "control character 0x01"},
		{"\"ab\xff\"", 1, 4, 3, "UTF-8"},
		{`"abc\q"`, 1, 5, 4, "escape"},
		{"1 \n 2", 2, 2, 4, "expected the end"},
		{"012", 1, 2, 1, "zero"},
	} {
		_, err := readAll(c.text)
		var e *SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if e.Line != c.line || e.Column != c.column || e.Offset != c.offs || !strings.Contains(e.Msg, c.msg) {
			t.Errorf("%q: got %+v", c.text, *e)
		}
		if text := e.Error(); !strings.Contains(text, strconv.Itoa(c.line)) || !strings.Contains(text, e.Msg) {
			t.Errorf("%q: incomplete message %q", c.text, text)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	for _, open := range []string{"[", `{"a":`} {
		closing := map[byte]string{'[': "]", '{': "}"}[open[0]]
		nested := func(n int) string { return strings.Repeat(open, n) + "1" + strings.Repeat(closing, n) }
		if _, err := readAll(nested(MaxDepth)); err != nil {
			t.Error(err)
		}
		for _, n := range []int{MaxDepth + 1, 1_000_000} {
			if _, err := readAll(nested(n)); err == nil || !strings.Contains(err.Error(), "nested deeper") {
				t.Errorf("%d times %s: %v", n, open, err)
			}
			if err := New([]byte(nested(n))).Skip(); err == nil {
				t.Errorf("Skip takes %d times %s", n, open)
			}
		}
	}
	// What is closed does not count.
	if _, err := readAll("[" + strings.Repeat("[],", 2*MaxDepth) + "{}]"); err != nil {
		t.Error(err)
	}
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, " -12 ": -12, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63} {
		if got, err := New([]byte(text)).Int(); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1.0", "1e3", "9223372036854775808", `"1"`, "null"} {
		if got, err := New([]byte(text)).Int(); err == nil {
			t.Errorf("%s: got %d", text, got)
		}
	}
}

func TestCallbackErrorsComeBack(t *testing.T) {
	boom := errors.New("boom")
	if err := New([]byte(`{"a":1}`)).Object(func(string) error { return boom }); err != boom {
		t.Error(err)
	}
	if err := New([]byte(`[1]`)).Array(func(int) error { return boom }); err != boom {
		t.Error(err)
	}
}

func TestStringBytesDoesNotAllocate(t *testing.T) {
	data := []byte(`"a string without escapes" "and \u0061 string with"`)
	scratch := make([]byte, 0, 64)
	var s Scanner
	allocs := testing.AllocsPerRun(100, func() {
		s.Reset(data)
		for range 2 {
			if _, err := s.StringBytes(scratch); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestResultsDoNotOverwriteTheData(t *testing.T) {
	data := []byte(`[12,"ab"]`)
	s := New(data)
	err := s.Array(func(i int) error {
		if i == 0 {
			n, err := s.Number()
			_ = append(n, '!')
			return err
		}
		b, err := s.StringBytes(nil)
		_ = append(b, '!')
		return err
	})
	if err != nil || string(data) != `[12,"ab"]` {
		t.Errorf("%s, %v", data, err)
	}
}

func FuzzScanner(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strings.Count(string(text), "[")+strings.Count(string(text), "{") > MaxDepth {
			return // encoding/json allows more
		}
		agree(t, string(text))
	})
}

func BenchmarkSkip(b *testing.B) {
	var buf strings.Builder
	buf.WriteString("[")
	for i := range 1000 {
		if i > 0 {
			buf.WriteByte(',')
		}
		fmt.Fprintf(&buf, `{"id":%d,"name":"user number %d","mail":"user%d@example.org","active":true,"score":%f}`, i, i, i, float64(i)/7)
	}
	buf.WriteString("]")
	data := []byte(buf.String())
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	var s Scanner
	for b.Loop() {
		s.Reset(data)
		if err := s.Skip(); err != nil {
			b.Fatal(err)
		}
	}
}
