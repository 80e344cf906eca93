package caseyaml

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: [x, 'y', \"z\"]":                       `{"a":1,"b":["x","y","z"]}`,
		"{\"a\":{\"b\":null,\"c\":true}}":                `{"a":{"b":null,"c":true}}`,
		"$room: {.value: yes}\n1: on\ntrue: ~":           `{"$room":{".value":"yes"},"1":"on","true":null}`,
		"a: 0x1F\nb: 1e3\nc: -0.5\nd: 1_000\ne: 0o17":    `{"a":31,"b":1000,"c":-0.5,"d":1000,"e":15}`,
		"a: 9223372036854775807\nb: 9223372036854775808": `{"a":9223372036854775807,"b":9.223372036854776e+18}`,
		"now: 2026-01-31T12:00:00Z\nday: 2026-01-31":     `{"now":"2026-01-31T12:00:00Z","day":"2026-01-31"}`,
		"a: |\n  line\n  \"two\"\n":                      `{"a":"line\n\"two\"\n"}`,
		"x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x":   `{"x":{"a":1,"b":2},"y":{"b":3,"a":1},"z":{"a":1,"b":2}}`,
		"é: \"\\u00e9\"":                                 `{"é":"é"}`,
	} {
		v, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := string(v.Text()); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	v, err := Parse([]byte("# comment\ntests:\n  - read: /a\n    as: null\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := v.Members[0].Value.Items[0]
	if c.Line != 3 || c.Column != 5 || c.Members[1].Line != 4 || c.Members[1].Value.Column != 9 {
		t.Errorf("the case is at %d:%d, its as at line %d, the value at column %d", c.Line, c.Column, c.Members[1].Line, c.Members[1].Value.Column)
	}
}

func TestMistakes(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		d := string(rune('0' + i))
		e := string(rune('1' + i))
		bomb += "a" + e + ": &a" + e + " [" + strings.TrimSuffix(strings.Repeat("*a"+d+",", 10), ",") + "]\n"
	}
	for text, want := range map[string]string{
		"":                         "1:1: there is nothing",
		"# only a comment\n":       "1:1: there is nothing",
		"a: 1\na: 2\n":             "2:1: \"a\" is here for the second time",
		"a: [1\nb: 2\n":            ": did not find expected",
		"a: .inf":                  "1:4: .inf is not a number",
		"a: !!binary aGk=":         "1:4: there is no !!binary",
		"[1]: 2":                   "1:1: a key must be a text",
		"a: 1\n---\nb: 2":          ": expected one document",
		"a: &a [*a]":               "nested more than",
		bomb:                       "more than 1000000 values",
		strings.Repeat("[", 20000): "1:1: ",
		"a: *b":                    "1:1: unknown anchor",
		"a: {<<: 1}":               "1:9: only objects",
	} {
		v, err := Parse([]byte(text))
		if err == nil {
			t.Errorf("%.60q is read as %.60s", text, v.Text())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a: &x [1, {b: 2}]\nc: *x"))
	f.Add([]byte("tests:\n- read: /a\n  expect: allow\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if v, err := Parse(text); err == nil {
			v.Text()
		}
	})
}
