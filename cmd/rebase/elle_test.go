package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// skew is a history with write skew: serializability rules it out, snapshot isolation does
// not.
const skew = `{:type :invoke :process 0 :f :txn :value [[:r :x nil] [:append :y 1]] :index 0}
{:type :invoke :process 1 :f :txn :value [[:r :y nil] [:append :x 1]] :index 1}
{:type :ok :process 0 :f :txn :value [[:r :x []] [:append :y 1]] :index 2}
{:type :ok :process 1 :f :txn :value [[:r :y []] [:append :x 1]] :index 3}
`

func file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestElleCheckExitCodes(t *testing.T) {
	bad := file(t, "skew.edn", skew)
	for _, c := range []struct {
		name string
		args []string
		in   string
		code int
		out  string
		err  string
	}{
		{"consistent", []string{"--models", "snapshot-isolation", bad}, "", 0, "\ttrue\t", ""},
		{"anomalies", []string{"--models", "serializable", bad}, "", 1, "\tfalse\tG2-item\n", ""},
		{"strict by default", []string{bad}, "", 1, "G2-item", ""},
		{"standard input", []string{"-"}, skew, 1, "-\tfalse\tG2-item\n", ""},
		{"nothing committed", []string{"-"}, "{:type :fail :f :txn :value [[:r 1 nil]]}", 3, "\tunknown\tempty-transaction-graph", ""},
		{"the worst counts", []string{"-c", "serializable", bad, "/none", bad}, "", 2, "G2-item", "there is no file /none"},
		{"no history", []string{"-"}, "", 2, "", "it has no operations"},
		{"mistake", []string{"-"}, "{:type :ok}\n{:type :oops}", 2, "", "-:2: field type: :oops is none of"},
		{"model", []string{"-c", "best", bad}, "", 2, "", `no consistency model is called "best"`},
		{"anomaly", []string{"-a", "G9", bad}, "", 2, "", `no anomaly is called "G9"`},
		{"workload", []string{"-w", "lists", bad}, "", 2, "", `no workload is called "lists"`},
		{"format", []string{"-f", "xml", bad}, "", 2, "", `no format of histories is called "xml"`},
		{"options of registers", []string{"--wfr-keys", bad}, "", 2, "", "--workload rw-register"},
		{"no file", nil, "", 2, "", "expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := runWith(t, c.in, append([]string{"elle", "check"}, c.args...)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.err) {
				t.Errorf("code %d, want %d\n%s\n%s", code, c.code, out, errs)
			}
		})
	}
}

func runWith(t *testing.T, in string, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), args, streams{strings.NewReader(in), &o, &e})
	return o.String(), e.String(), code
}

// Machines read one object a line and file.
func TestElleCheckJSON(t *testing.T) {
	a, b := file(t, "a.edn", skew), file(t, "b.edn", "{:type :ok :f :txn :value [[:r 1 []]]}")
	out, errs, code := runWith(t, "", "elle", "check", "--json", "--models", "snapshot-isolation,serializable", "--workload", "list-append", a, b)
	if code != 1 || errs != "" {
		t.Errorf("code %d, %s", code, errs)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), out)
	}
	type result struct {
		File      string   `json:"file"`
		Valid     any      `json:"valid"`
		Types     []string `json:"anomaly-types"`
		Anomalies map[string][]struct {
			Cycle []struct {
				Index   int    `json:"index"`
				Type    string `json:"type"`
				Process int    `json:"process"`
				Value   []any  `json:"value"`
			} `json:"cycle"`
			Steps []map[string]any `json:"steps"`
			Type  string           `json:"type"`
		} `json:"anomalies"`
		Not     []string `json:"not"`
		AlsoNot []string `json:"also-not"`
	}
	var first, second result
	for line, r := range map[string]*result{lines[0]: &first, lines[1]: &second} {
		if err := json.Unmarshal([]byte(line), r); err != nil {
			t.Fatal(err)
		}
	}
	if first.File != a || first.Valid != false || strings.Join(first.Types, " ") != "G2-item" ||
		strings.Join(first.Not, " ") != "repeatable-read" || strings.Join(first.AlsoNot, " ") != "serializable strong-serializable strong-session-serializable" {
		t.Errorf("%+v", first)
	}
	found := first.Anomalies["G2-item"]
	if len(found) != 1 || len(found[0].Cycle) != 2 || found[0].Cycle[0].Type != "ok" || len(found[0].Steps) != 2 {
		t.Fatalf("%+v", found)
	}
	if s := found[0].Steps[0]; s["type"] != "rw" || s["value'"] != 1.0 || s["a-mop-index"] != 0.0 || s["b-mop-index"] != 1.0 {
		t.Errorf("%+v", s)
	}
	if second.File != b || second.Valid != true || second.Types == nil || second.Not == nil || second.AlsoNot == nil || second.Anomalies == nil {
		t.Errorf("%+v", second)
	}
}

func TestElleCheckPictures(t *testing.T) {
	dir := t.TempDir()
	_, errs, code := runWith(t, "", "elle", "check", file(t, "skew.edn.gz.edn", skew),
		"--svg", filepath.Join(dir, "svg"), "--dot", filepath.Join(dir, "dot"), "--report", filepath.Join(dir, "page.html"))
	if code != 1 || errs != "" {
		t.Fatalf("code %d, %s", code, errs)
	}
	for name, want := range map[string]string{
		"svg/skew.edn.gz-G2-item-1.svg": "<svg ", "dot/skew.edn.gz-G2-item-1.dot": "digraph", "page.html": "<!doctype html>",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The guide shows what the program prints.
func TestElleGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/elle.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	out, _, code := runWith(t, "", "elle", "check", "--models", "serializable", "docs/elle/skew.edn")
	if code != 1 || !strings.Contains(string(guide), "\n"+strings.TrimSpace(out)+"\n") {
		t.Errorf("code %d; the guide does not show\n%s", code, out)
	}
	dir := t.TempDir()
	runWith(t, "", "elle", "check", "--models", "serializable", "docs/elle/skew.edn", "--svg", dir)
	want, err := os.ReadFile(filepath.Join(dir, "skew-G2-item-1.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("docs/images/elle-skew.svg"); err != nil || string(got) != string(want) {
		t.Errorf("docs/images/elle-skew.svg is not the picture: %v", err)
	}
}
