package tree

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rebase/jsonscan"
)

func mustParse(t testing.TB, text string) *Node {
	t.Helper()
	n, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

// Texts and what they are in the export form.
var parseTable = map[string]string{
	`null`: `null`, ` {} `: `null`, `[]`: `null`, `[null,{}]`: `null`, `{"a":{"b":{"c":null}}}`: `null`,
	`true`: `true`, `"x"`: `"x"`, `""`: `""`, `"\ud83d\ude00\u0000"`: `"😀\u0000"`, `"\ud800"`: "\"\ufffd\"",
	`-0`: `0`, `-0.0`: `0`, `1.0`: `1`, `1e2`: `100`, `2147483648.0`: `2147483648`, `0.1`: `0.1`, `1E-7`: `1e-07`, `1e-999`: `0`,
	`9007199254740993`: `9007199254740993`, `9223372036854775807`: `9223372036854775807`, `-9223372036854775808`: `-9223372036854775808`,
	`9223372036854775808`: `9.223372036854776e+18`, `-9223372036854775809`: `-9223372036854775808`, `123456789012345678901234567890`: `1.2345678901234568e+29`,
	`999999999999999999`: `999999999999999999`, `1000000000000000000`: `1000000000000000000`, `000.0e0`: ``,
	`["a",null,"c"]`: `{"0":"a","2":"c"}`, `[[1],[],[[2]]]`: `{"0":{"0":1},"2":{"0":{"0":2}}}`,
	`{"b":1,"a":2,"10":3,"9":4}`: `{"9":4,"10":3,"a":2,"b":1}`,
	`{"a":1,"a":2}`:              `{"a":2}`, `{"a":1,"a":null}`: `null`, `{"a":1,"b":2,"a":null}`: `{"b":2}`, `{"a":null,"a":1}`: `{"a":1}`,
	`{".value":5}`: `5`, `{".value":5,".priority":1}`: `{".value":5,".priority":1}`, `{".priority":"p",".value":false}`: `{".value":false,".priority":"p"}`,
	`{".value":null}`: `null`, `{".value":null,"a":1}`: `{"a":1}`, `{".value":5,".priority":null}`: `5`, `{".value":5,"a":null}`: `5`,
	`{".value":5,".value":null}`: `5`, `{".priority":1}`: `null`, `{".priority":1,"a":{}}`: `null`, `{"c":1,".priority":7}`: `{".priority":7,"c":1}`,
	`{"a":{".priority":1.0,"x":{".value":"v",".priority":-0.5}}}`: `{"a":{".priority":1,"x":{".value":"v",".priority":-0.5}}}`,
	`{".sv":"timestamp"}`: `{".sv":"timestamp"}`, `{".sv":{"increment":1.0}}`: `{".sv":{"increment":1}}`,
	`{".sv":"timestamp",".priority":2}`:                                   `{".value":{".sv":"timestamp"},".priority":2}`,
	`{".value":{".sv":"timestamp"},".priority":{".sv":{"increment":-2}}}`: `{".value":{".sv":"timestamp"},".priority":{".sv":{"increment":-2}}}`,
	`{"\u0061":1}`: `{"a":1}`, "{\"a b\\u00e9\":1}": `{"a bé":1}`, `{"a\"\\b":1}`: `{"a\"\\b":1}`,
}

func TestParseJSON(t *testing.T) {
	for text, want := range parseTable {
		n, err := ParseJSON([]byte(text))
		if want == "" {
			if err == nil {
				t.Errorf("%s is accepted", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := string(AppendExport(nil, n)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func nested(depth int, leaf string) string {
	return strings.Repeat(`{"k":`, depth) + leaf + strings.Repeat(`}`, depth)
}

func TestParseJSONRefuses(t *testing.T) {
	long := strings.Repeat("k", MaxKeyBytes+1)
	for _, c := range []struct{ text, want string }{
		{``, "line 1 column 1"},
		{`{"a":1`, "unexpected end"},
		{`{"a":1}x`, "expected the end"},
		{"{\"a\":\n\"\xff\"}", "line 2 column 2"},
		{`{"":1}`, `invalid key "" at 1:2: it is empty`},
		{"{\"a\":{\n  \"b.c\":1}}", `invalid key "b.c" at 2:3: it contains one of . $ # [ ] /`},
		{`{"a":{"$b":null}}`, `"$b" at 1:7`},
		{`{"a/b":1}`, `invalid key`},
		{`{"a#":1}`, `invalid key`},
		{`{"a[":1}`, `invalid key`},
		{`{"a]":1}`, `invalid key`},
		{`{"a\u001f":1}`, `control character`},
		{`{"a\u007f":1}`, `control character`},
		{`{".foo":1}`, `only .value, .priority and .sv begin with a dot`},
		{`{".":1}`, `begin with a dot`},
		{`{"` + long + `":1}`, "key bytes"},
		{`{"x":{".value":1,"a":2}}`, `invalid value at "/x": .value together with other members`},
		{`{"a":2,".value":1}`, `.value together with other members`},
		{`{".value":{"a":1}}`, `.value must be a leaf`},
		{`{".value":[1]}`, `.value must be a leaf`},
		{`{".value":{".value":1,".priority":2}}`, `.value must be a leaf`},
		{`{".value":1,".sv":"timestamp"}`, `together with other members`},
		{`{"a":1,".sv":"timestamp"}`, `.sv together with other members`},
		{`{"t":{".sv":"now"}}`, `invalid value at "/t": .sv must be`},
		{`{".sv":1}`, `.sv must be`}, {`{".sv":null}`, `.sv must be`}, {`{".sv":{}}`, `.sv must be`}, {`{".sv":[]}`, `.sv must be`},
		{`{".sv":{"increment":"1"}}`, `.sv must be`}, {`{".sv":{"increment":1,"x":2}}`, `.sv must be`}, {`{".sv":{"decrement":1}}`, `.sv must be`},
		{`{".sv":{"increment":1,"increment":2}}`, `.sv must be`}, {`{".sv":{"increment":1e999}}`, `range of doubles`},
		{`{".sv":nope}`, `line 1 column 8`},
		{`{"a":1,".priority":true}`, `a priority must be`}, {`{"a":1,".priority":{"x":1}}`, `a priority must be`},
		{`{"a":1,".priority":[1]}`, `a priority must be`}, {`{"a":1,".priority":{".value":1,".priority":2}}`, `a priority must be`},
		{`{"a":[1,{"b":1e999}]}`, `invalid value at "/a/1/b": the number is beyond`},
		{`-1e999`, `beyond the range`},
		{nested(MaxDepth+1, "1"), "depth at \"/k/k"},
		{nested(MaxDepth, "[1]"), "depth at"},
		{nested(1_000_000, "1"), "depth at"},
		{strings.Repeat("[", 1000), "depth at"},
		{strings.Repeat(`{".value":`, 1000), "nested deeper"},
		{strings.Repeat(`{".priority":`, 1000), "nested deeper"},
		{`{"s":"` + strings.Repeat("x", MaxStringBytes+1) + `"}`, `string bytes at "/s": 10485761 exceeds the maximum of 10485760`},
	} {
		_, err := ParseJSON([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.100s: got %v, want …%s…", c.text, err, c.want)
		}
		var syntax *jsonscan.SyntaxError
		var key *KeyError
		var limit *LimitError
		var value *ValueError
		if !errors.As(err, &syntax) && !errors.As(err, &key) && !errors.As(err, &limit) && !errors.As(err, &value) {
			t.Errorf("%.100s: an error of type %T", c.text, err)
		}
	}
}

func TestParseJSONAtTheLimits(t *testing.T) {
	for _, text := range []string{
		nested(MaxDepth, "1"), nested(MaxDepth, `{".value":1,".priority":2}`), nested(MaxDepth, `{".sv":"timestamp"}`), nested(MaxDepth, "{}"),
		`{"` + strings.Repeat("k", MaxKeyBytes) + `":1}`, `"` + strings.Repeat("x", MaxStringBytes) + `"`,
		`"` + strings.Repeat(`\u0041`, MaxStringBytes) + `"`,
	} {
		mustParse(t, text)
	}
}

func TestScanValueLeavesTheRest(t *testing.T) {
	s := jsonscan.New([]byte(`{"p":{"a":[1]},"q":2}`))
	var got []string
	err := s.Object(func(key string) error {
		n, err := ScanValue(s)
		got = append(got, key+string(AppendExport(nil, n)))
		return err
	})
	if want := `[p{"a":{"0":1}} q2]`; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ScanValue(jsonscan.New(nil)); err == nil {
		t.Error("nothing is a value")
	}
}

func TestParserIsCleanAfterAnError(t *testing.T) {
	for range 100 {
		if _, err := ParseJSON([]byte(`{"a":1,"b":{"c":2,"d":[3,x]}}`)); err == nil {
			t.Fatal("accepted")
		}
		if got := string(AppendExport(nil, mustParse(t, `{"z":{"y":1}}`))); got != `{"z":{"y":1}}` {
			t.Fatal(got)
		}
	}
}

func TestNodesDoNotAliasTheText(t *testing.T) {
	text := []byte(sampleJSON)
	n, err := ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	before := string(AppendExport(nil, n))
	clear(text)
	if _, err := ParseJSON([]byte(telemetryJSON)); err != nil { // nor the parser's buffers
		t.Fatal(err)
	}
	if after := string(AppendExport(nil, n)); after != before {
		t.Error("a node changed with the text it was read from")
	}
}

func TestExportIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(4, true).Draw(t, "node")
		text := AppendExport(nil, n)
		back, err := ParseJSON(text)
		if err != nil || !Equal(back, n) {
			t.Fatalf("%s is read back as %s, %v", text, AppendExport(nil, back), err)
		}
		// The size is exact where nothing is escaped.
		if got := n.SizeBytes(); got > len(text) || !strings.Contains(string(text), `\`) && got != len(text) {
			t.Fatalf("SizeBytes of %s is %d, not %d", text, got, len(text))
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	for text := range parseTable {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := ParseJSON(text)
		if err != nil {
			if err.Error() == "" || n != nil {
				t.Fatal("an error without words, or with a value")
			}
			return
		}
		if n.Depth() > MaxDepth {
			t.Fatalf("depth %d", n.Depth())
		}
		out := AppendExport(nil, n)
		back, err := ParseJSON(out)
		if err != nil || !Equal(back, n) {
			t.Fatalf("%s is written as %s: %v", text, out, err)
		}
		b := AppendBinary(nil, n)
		back, rest, err := DecodeBinary(b)
		if err != nil || len(rest) != 0 || !Equal(back, n) {
			t.Fatalf("%s is encoded as %x: %v", text, b, err)
		}
	})
}
