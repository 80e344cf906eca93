package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rebase/audit"
)

// request makes a request with a bearer token, "" for none.
func request(t *testing.T, method, url, token, body string) int {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// What administrators do, and who would be one, is in the journal: by whom, from where, and how it came out. No credential is.
func TestAuditJournal(t *testing.T) {
	dir := t.TempDir()
	s, err := Start(t.Context(), Options{Data: dir, Access: AccessClosed, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(filepath.Join(dir, RootSecretFile))
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(secret))
	wrong := root[:len(root)-4] + "AAAA"
	for i, c := range []struct {
		method, path, token, body string
		status                    int
	}{
		{"PUT", "/.settings/rules.json?ns=app", root, `{"rules":{".read":true,".write":"auth != null"}}`, 200},
		{"PUT", "/.settings/rules.json?ns=app&dryRun=true", root, `{"rules":{}}`, 200},
		{"PUT", "/.settings/rules.json?ns=app", root, `{"rules":`, 400},
		{"PUT", "/.settings/rules.json?ns=app", "", `{"rules":{}}`, 401},
		{"PUT", "/.json?ns=app", root, `{"a":1}`, 200},
		{"PUT", "/a.json?ns=app", root, `2`, 200}, // not the whole database
		{"PATCH", "/.json?ns=app", root, `{"b":1,"c":2}`, 200},
		{"PATCH", "/.json?ns=app", root, `{"d":1}`, 200}, // counted
		{"DELETE", "/.json?ns=other", root, ``, 200},
		{"GET", "/a.json?ns=app", wrong, ``, 401},
		{"GET", "/a.json?ns=app", wrong, ``, 401}, // counted
		{"GET", "/a.json?ns=app", "", ``, 200},
	} {
		if got := request(t, c.method, s.URL()+c.path, c.token, c.body); got != c.status {
			t.Errorf("request %d, %s %s: %d, want %d", i, c.method, c.path, got, c.status)
		}
	}
	c := dial(t, s) // to the database "default"
	for _, m := range []struct{ text, status string }{
		{`{"t":"d","d":{"r":1,"a":"gauth","b":{"cred":"` + wrong + `"}}}`, `"s":"invalid_token"`},
		{`{"t":"d","d":{"r":2,"a":"gauth","b":{"cred":"` + root + `"}}}`, `"s":"ok"`},
		{`{"t":"d","d":{"r":3,"a":"p","b":{"p":"/a","d":1}}}`, `"s":"ok"`},
		{`{"t":"d","d":{"r":4,"a":"m","b":{"p":"/","d":{"b":1}}}}`, `"s":"ok"`},
	} {
		send(t, c, m.text)
		expect(t, c, m.status)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for e, err := range audit.Events(nil, filepath.Join(dir, "audit")) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Who != "server" && !strings.HasPrefix(e.From, "127.0.0.1:") {
			t.Errorf("%s came from %q", e.Act, e.From)
		}
		got = append(got, fmt.Sprintf("%s %s by %q on %q %s+%d", e.Act, e.Outcome, e.Who, e.Database, e.Target, e.Repeated))
	}
	for _, want := range []string{
		`server.started done by "server" on "" +0`,
		`rules.replaced done by "root secret" on "app" +0`,
		`admin.refused refused by "" on "app" /.settings/rules.json+0`,
		`database.written done by "root secret" on "app" /+0`,
		`database.written done by "root secret" on "app" /+2`,
		`database.written done by "root secret" on "other" /+0`,
		`admin.refused refused by "" on "app" +2`, // alike the one that tried without a credential
		`admin.refused refused by "" on "default" +0`,
		`database.written done by "root secret" on "default" /+0`,
		`server.stopped done by "server" on "" +0`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the journal lacks %s; it has\n%s", want, strings.Join(got, "\n"))
		}
	}
	n := 0
	for _, g := range got {
		if strings.HasPrefix(g, "rules.replaced") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d replacements of rules are in the journal; one happened", n)
	}
	files, err := filepath.Glob(filepath.Join(dir, "audit", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), root[len(root)/2:]) || strings.Contains(string(text), wrong[len(wrong)/2:]) {
			t.Errorf("%s holds a credential", name)
		}
	}
}
