package tree

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAppendValue(t *testing.T) {
	for text, want := range map[string]string{
		`null`: `null`, `5`: `5`, `{".value":5,".priority":1}`: `5`, `{".priority":1,"a":{".value":2,".priority":3}}`: `{"a":2}`,
		`["x","y"]`: `["x","y"]`, `{"0":1}`: `[1]`, `{"1":1}`: `[null,1]`, `{"2":1}`: `{"2":1}`, `{"1":1,"2":2}`: `[null,1,2]`,
		`{"0":1,"3":2}`: `[1,null,null,2]`, `{"0":1,"4":2}`: `{"0":1,"4":2}`, `{"4":1,"5":2,"0":0}`: `[0,null,null,null,1,2]`,
		`{"00":1}`: `{"00":1}`, `{"0":1,"01":2}`: `{"0":1,"01":2}`, `{"-1":1,"0":2}`: `{"-1":1,"0":2}`, `{"-0":1}`: `{"-0":1}`, `{"0":1,"a":2}`: `{"0":1,"a":2}`,
		`{"a":[[1],{"b":[2]}]}`: `{"a":[[1],{"b":[2]}]}`, `{"2147483647":1}`: `{"2147483647":1}`, `{"4294967296":1}`: `{"4294967296":1}`,
	} {
		if got := string(AppendValue(nil, mustParse(t, text))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestValueIsTheSameTreeWithoutPriorities(t *testing.T) {
	var bare func(n *Node) *Node
	bare = func(n *Node) *Node {
		var children []Child
		for _, c := range n.Children() {
			children = append(children, Child{c.Key, bare(c.Node)})
		}
		if n.IsLeaf() {
			return n.WithPriority(nil)
		}
		return NewSortedObject(children)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(3, false).Draw(t, "node")
		text := AppendValue(nil, n)
		back, err := ParseJSON(text)
		if err != nil || !Equal(back, bare(n)) {
			t.Fatalf("%s has the value %s, %v", AppendExport(nil, n), text, err)
		}
	})
}

func TestAppendJSONString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := textGen.Draw(t, "s")
		out := AppendJSONString([]byte("x"), s)
		var back string
		if err := json.Unmarshal(out[1:], &back); err != nil || back != s || out[0] != 'x' {
			t.Fatalf("%q is written as %s: %v", s, out, err)
		}
	})
	for c := range 0x20 {
		out := AppendJSONString(nil, string(rune(c)))
		var back string
		if err := json.Unmarshal(out, &back); err != nil || back != string(rune(c)) {
			t.Errorf("%#x is written as %s", c, out)
		}
	}
}

func TestNumbersAreReadBackByAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := numberGen.Draw(t, "number")
		text := string(AppendLeafJSON(nil, n))
		if n.Kind() == Int {
			if v, err := strconv.ParseInt(text, 10, 64); err != nil || v != n.Int() {
				t.Fatalf("%s for %d", text, n.Int())
			}
			return
		}
		if v, err := strconv.ParseFloat(text, 64); err != nil || v != n.Float() {
			t.Fatalf("%s for %g", text, n.Float())
		}
		// Java takes digits without a point or an exponent for a long.
		if math.Abs(n.Float()) >= 1<<63 && !strings.ContainsAny(text, ".e") {
			t.Fatalf("%s has bare digits", text)
		}
	})
}

func TestExportDoesNotAllocate(t *testing.T) {
	n := mustParse(t, sampleJSON)
	buf := make([]byte, 0, 1<<20)
	for name, f := range map[string]func(){
		"AppendExport": func() { AppendExport(buf, n) },
		"AppendValue":  func() { AppendValue(buf, n) },
		"AppendBinary": func() { AppendBinary(buf, n) },
		"SizeBytes":    func() { n.SizeBytes() },
		"At":           func() { n.At("10/tags/1") },
	} {
		if allocs := testing.AllocsPerRun(20, f); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func TestIndent(t *testing.T) {
	for text, want := range map[string]string{
		`null`: "null", `"a,b:{c}"`: `"a,b:{c}"`, `{}`: `{ }`, `[ ]`: `[ ]`, `"\"\\"`: `"\"\\"`,
		`{"a":1,"b":{"c":[1,2,{"d":null}],"e":[[],{}]}}`: "{\n  \"a\" : 1,\n  \"b\" : {\n    \"c\" : [ 1, 2, {\n      \"d\" : null\n    } ],\n    \"e\" : [ [ ], { } ]\n  }\n}",
	} {
		got := string(Indent(nil, []byte(text)))
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, want)
		}
		if again := string(Indent(nil, []byte(got))); again != got {
			t.Errorf("indented twice:\n%s", again)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := nodeGen(3, true).Draw(t, "node")
		pretty := Indent(nil, AppendExport(nil, n))
		back, err := ParseJSON(pretty)
		if err != nil || !Equal(back, n) {
			t.Fatalf("%s: %v", pretty, err)
		}
	})
}

// What parseNumber does itself must be what strconv does.
func TestNumbersAreReadAsStrconvDoes(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, text string) {
		n, err := ParseJSON([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if v, err := strconv.ParseInt(text, 10, 64); err == nil {
			if n.Kind() != Int || n.Int() != v {
				t.Fatalf("%s is read as %s", text, AppendExport(nil, n))
			}
			return
		}
		v, _ := strconv.ParseFloat(text, 64)
		if !Equal(n, NewFloat(v)) {
			t.Fatalf("%s is read as %s", text, AppendExport(nil, n))
		}
	}
	g := rapid.OneOf(
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,2})?`),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}`),
		rapid.StringMatching(`-?[1-9][0-9]{13,20}`),
	)
	rapid.Check(t, func(t *rapid.T) { check(t, g.Draw(t, "number")) })
	for _, text := range []string{"999999999999999", "9999999999999999", "99999999999999.9", "0.000000000000001", "0.99999999999999", "1.00000000000000", "-0.0", "9.007199254740993"} {
		check(t, text)
	}
}
