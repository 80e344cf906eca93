package rules

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var updateReference = flag.Bool("update", false, "rewrite the tables of docs/rules.md")

const (
	referenceFile  = "../docs/rules.md"
	referenceBegin = "<!-- tables: begin -->\n"
	referenceEnd   = "<!-- tables: end -->\n"
)

// reference writes the tables of the language reference.
func reference() string {
	var b strings.Builder
	cell := func(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
	example := func(s string) string { return "`" + cell(s) + "`" }
	b.WriteString("### Variables\n\n| name | type | what it is | example |\n|---|---|---|---|\n")
	typeName := func(t typ) string {
		switch t {
		case tAny, tPrimitive:
			return "any"
		case tArray:
			return "array of strings"
		}
		return t.String()
	}
	for _, v := range variables {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.name, typeName(v.typ), v.doc, example(v.example))
	}
	b.WriteString("| `$name` | string | The key that the `$name` in the rule's path stands for. | `$uid == auth.uid` |\n")
	for _, of := range []typ{tSnapshot, tString, tQuery} {
		fmt.Fprintf(&b, "\n### %s\n\n| | result | | example |\n|---|---|---|---|\n", strings.ToUpper(of.String()[:1])+of.String()[1:])
		for _, p := range properties {
			if p.of == of {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.name, typeName(p.typ), p.doc, example(p.example))
			}
		}
		for _, m := range methods {
			if m.of != of {
				continue
			}
			var params []string
			for _, p := range m.params {
				params = append(params, typeName(p))
			}
			fmt.Fprintf(&b, "| `%s(%s)` | %s | %s | %s |\n", m.name, strings.Join(params, ", "), typeName(m.result), m.doc, example(m.example))
		}
	}
	b.WriteString("\n### Operators\n\nFrom the one that binds loosest; `? :` binds looser than all, prefixes tighter.\n\n| | operands | result | example |\n|---|---|---|---|\n")
	for _, table := range [][]operator{operators, prefixes} {
		for _, o := range table {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", cell(o.text), o.operands, o.doc, example(o.example))
		}
	}
	b.WriteString("| `x ? y : z` | a boolean, then two of one type | `y` if `x` is true, else `z`; the other is not looked at. | `data.exists() ? newData.val() == data.val() : newData.isString()` |\n")
	return b.String()
}

// TestReference holds docs/rules.md against the tables by which rules are checked.
func TestReference(t *testing.T) {
	text, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := bytes.Cut(text, []byte(referenceBegin))
	table, after, ok2 := bytes.Cut(rest, []byte(referenceEnd))
	if !ok1 || !ok2 {
		t.Fatal("the marks of the tables are missing")
	}
	want := reference()
	if string(table) == want {
		return
	}
	if !*updateReference {
		t.Fatal("docs/rules.md is not what the tables say: run go test -run TestReference -update ./rules")
	}
	out := string(before) + referenceBegin + want + referenceEnd + string(after)
	if err := os.WriteFile(referenceFile, []byte(out), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every example of the reference is a document that is accepted.
func TestReferenceExamples(t *testing.T) {
	text, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```json\n")
	if len(parts) < 2 {
		t.Fatal("no examples")
	}
	for _, part := range parts[1:] {
		example, _, _ := strings.Cut(part, "```")
		if _, err := Parse([]byte(example)); err != nil {
			t.Errorf("%v in\n%s", err, example)
		}
	}
}

// Every example of the tables is a rule that is accepted, and has what it is an example of.
func TestTableExamples(t *testing.T) {
	try := func(what, example string, write bool) {
		t.Helper()
		if !strings.Contains(example, what) {
			t.Errorf("%s is no example of %s", example, what)
		}
		kind := ".read"
		if write {
			kind = ".write"
		}
		doc := `{"rules":{"$uid":{` + quote(kind) + ":" + quote(example) + "}}}"
		if _, err := Parse([]byte(doc)); err != nil {
			t.Errorf("%s: %v", example, err)
		}
	}
	for _, v := range variables {
		try(v.name, v.example, v.op != opQuery)
	}
	for _, m := range methods {
		try("."+m.name+"(", m.example, true)
	}
	for _, p := range properties {
		try("."+p.name, p.example, p.of != tQuery)
	}
	for _, table := range [][]operator{operators, prefixes} {
		for _, o := range table {
			try(o.text, o.example, true)
		}
	}
	try("?", "data.exists() ? newData.val() == data.val() : newData.isString()", true)
	try("$uid", "$uid == auth.uid", true)
}

// Every method, property, operator and variable of the tables is in some case.
func TestCasesCoverTables(t *testing.T) {
	var all strings.Builder
	for _, c := range readCases(t) {
		doc, _ := c.document()
		all.WriteString(doc + "\n" + c.arg + "\n")
	}
	text := all.String()
	check := func(s string) {
		if !strings.Contains(text, s) {
			t.Errorf("no case has %s", s)
		}
	}
	for _, v := range variables {
		check(v.name)
	}
	for _, m := range methods {
		check("." + m.name + "(")
	}
	for _, p := range properties {
		check("." + p.name)
	}
	for _, o := range operators {
		check(" " + o.text + " ")
	}
	for _, o := range prefixes {
		check(o.text)
	}
}
