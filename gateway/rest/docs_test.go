package rest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocs runs the examples of the reference, in order, against one server, and
// compares what they print. In what is expected "…" stands for anything.
func TestDocs(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is not installed; the examples of the documentation need it")
	}
	text, err := os.ReadFile("../../docs/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	// The examples speak to the default database, whatever the port.
	replace := strings.NewReplacer("http://localhost:9000", f.srv.URL, "/tmp/", filepath.ToSlash(t.TempDir())+"/")
	n := 0
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for _, example := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			command, want, _ := strings.Cut(example, "\n")
			// Exit codes are not looked at: a stream ends by running out of time.
			got, _ := exec.Command("sh", "-c", replace.Replace(command)).Output()
			pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), "…", "(?s:.*)")
			if !regexp.MustCompile("^" + pattern + "$").MatchString(strings.TrimSpace(string(got))) {
				t.Errorf("%s\n got %s\nwant %s", command, got, want)
			}
			n++
		}
	}
	if n < 50 {
		t.Errorf("only %d examples were found", n)
	}
}
