package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folder makes files and returns where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRulesCheck(t *testing.T) {
	dir := folder(t, map[string]string{
		"good.json": `{"rules": {"a": {".read": "auth != null"}}}`,
		"warn.json": "{\"rules\": {\n\t\"a\": {\".read\": \"auth != null\", \"b\": {\".read\": false}}}}",
		"bad.json":  "{\"rules\": {\n\t\"a\": {\".read\": \"auth = null\"}}}",
		"deep.json": `{"rules":` + strings.Repeat(`{"a":`, 100000),
	})
	good, warn, bad, deep := filepath.Join(dir, "good.json"), filepath.Join(dir, "warn.json"), filepath.Join(dir, "bad.json"), filepath.Join(dir, "deep.json")
	for _, c := range []struct {
		in   string
		args []string
		code int
		says string
	}{
		{"", []string{good}, exitOK, good + ": 1 rule, ok\n"},
		{"", []string{warn}, exitOK, warn + ":2:48: warning: This .read takes nothing back"},
		{"", []string{warn, "--strict"}, exitFailure, warn + ": 2 rules, 1 warning\n"},
		{"", []string{good, bad}, exitFailure, bad + ":2:23: Rule expressions may not contain = operator: to compare, write ==\n" +
			"  2 |  \"a\": {\".read\": \"auth = null\"}}}\n    |                       ^\n"},
		{"", []string{deep}, exitFailure, deep + ":1:"},
		{`{"rules":{}}`, []string{"-"}, exitOK, "standard input:1:1: warning:"},
		{"", []string{filepath.Join(dir, "none")}, exitUsage, "no such file"},
		{"", nil, exitUsage, "<file>"},
	} {
		code, out, errs := rebase(t, c.in, append([]string{"rules", "check"}, c.args...)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%q: exit code %d, want %d with %q:\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
	_, out, _ := rebase(t, "", "rules", "check", "--json", good, warn, bad)
	var all []checked
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 3 || len(all[1].Warnings) != 1 || len(all[2].Errors) != 1 || all[2].Errors[0].Column != 23 {
		t.Errorf("%v: %s", err, out)
	}
}

const caseRules = `{
  "rules": {
    "rooms": {"$room": {
      ".read": "data.child('members/' + auth.uid).exists()",
      ".write": "data.child('owner').val() == auth.uid",
      "title": {".validate": "newData.isString()"}
    }}
  }
}`

const caseList = `
rules: rules.json
users:
  alice: {uid: alice}
data: {rooms: {lobby: {owner: alice, members: {alice: true}}}}
tests:
  - {read: /rooms/lobby, as: alice, expect: allow}
  - {read: /rooms/lobby, as: {uid: eve}, expect: deny}
  - name: later
    now: 2026-05-01
    tests:
      - {write: /rooms/lobby/title, value: 5, as: alice, expect: deny, by: /rooms/$room/title/.validate}
`

func TestRulesTest(t *testing.T) {
	dir := folder(t, map[string]string{
		"rules.json": caseRules, "good.yaml": caseList,
		"bad.yaml":    caseList + "      - {name: eve writes, write: /rooms/lobby/x, value: 1, as: {uid: eve}, expect: allow}\n",
		"typo.yaml":   "tests:\n  - {reed: /, expect: deny}\n",
		"none.yaml":   "tests: []\n",
		"broken.json": `{"rules": {"rules": {".read": "x"}}, "tests": []}`,
		"cases.json":  `{"rules": "rules.json", "tests": [{"read": "/", "expect": "deny"}]}`,
		"open.json":   `{"rules": {".read": true}}`,
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		stdin string
		args  []string
		code  int
		says  string
	}{
		{"", []string{in("good.yaml")}, exitOK, "3 cases: all passed"},
		{"", []string{in("good.yaml")}, exitOK, "  ok   read /rooms/lobby as alice\n       allowed. The .read at line 4, column 16 is true: data.child('members/' + auth.uid).exists().\n"},
		{"", []string{in("good.yaml")}, exitOK, "\n  later\n  ok   write /rooms/lobby/title as alice\n       denied. The .validate at line 6, column 30 is false: newData.isString().\n"},
		{"", []string{in("bad.yaml")}, exitFailure, "  FAIL eve writes  write /rooms/lobby/x as eve\n       denied, expected allow  " + in("bad.yaml") + ":13\n" +
			"       The .write at line 5, column 17 is false: data.child('owner').val() == auth.uid. Here data.child('owner').val() is \"alice\", auth.uid is \"eve\".\n" +
			"         false /rooms/$room/.write at /rooms/lobby  decided\n" +
			"           line 5: data.child('owner').val() == auth.uid\n" +
			"           data.child('owner').val() = \"alice\"\n" +
			"           auth.uid = \"eve\"\n" +
			"\n  4 cases: 3 passed, 1 failed\n"},
		{"", []string{in("good.yaml"), "--verbose"}, exitOK, "auth.uid = \"eve\""},
		{"", []string{in("cases.json")}, exitOK, "1 case: all passed\n  3 rules of 3 not asked by any case:\n    /rooms/$room/.read  line 4: data.child"},
		{"", []string{in("cases.json"), "--rules", in("open.json")}, exitFailure, "allowed, expected deny"},
		{"rules: '{\"rules\": {}}'\ntests: [{read: /, expect: deny}]", []string{"-"}, exitOK, "No rule has a .read for /"},
		{`{"rules": {"rules": {}}, "tests": [{"read": "/", "expect": "deny"}]}`, []string{"-"}, exitOK, "1 case: all passed"},
		{"", []string{in("typo.yaml")}, exitUsage, in("typo.yaml") + `:2:6: unknown key "reed"`},
		{"", []string{in("none.yaml")}, exitUsage, "it names no rules"},
		{"", []string{in("broken.json")}, exitUsage, "Unknown variable 'x'"},
		{"", []string{in("nofile")}, exitUsage, "no such file"},
	} {
		code, out, errs := rebase(t, c.stdin, append([]string{"rules", "test"}, c.args...)...)
		if code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%q: exit code %d, want %d with\n%s\nit says\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
	code, out, _ := rebase(t, "", "rules", "test", "--json", in("good.yaml"), in("bad.yaml"))
	var all []suiteJSON
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitFailure || len(all) != 2 || all[0].Failed != 0 || all[1].Failed != 1 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	last := all[1].Cases[3]
	if last.Pass || last.Verdict != "deny" || *last.Decided != 0 || last.Steps[0].Rule != "/rooms/$room/.write" || last.Steps[0].Values[1].Value != `"eve"` {
		t.Errorf("%+v", last)
	}
}

// The list that docs/rules.md and --help show can be read.
func TestRulesDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/rules.md shows no list")
	}
	_, help, _ := strings.Cut((*rulesTestCmd)(nil).Help(), "A list of cases:\n")
	help, _, _ = strings.Cut(help, "\nOperations")
	dir := folder(t, map[string]string{"doc.yaml": example, "help.yaml": strings.ReplaceAll(help, "\n  ", "\n"), "database.rules.json": caseRules})
	for _, name := range []string{"doc.yaml", "help.yaml"} {
		if code, out, errs := rebase(t, "", "rules", "test", filepath.Join(dir, name)); code == exitUsage {
			t.Errorf("%s: %s%s", name, out, errs)
		}
	}
}
