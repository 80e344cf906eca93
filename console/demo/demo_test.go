package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

func TestFiles(t *testing.T) {
	for _, c := range []struct {
		target string
		status int
		kind   string
	}{
		{Prefix, 200, "text/html; charset=utf-8"},
		{Prefix + "index.html", 200, "text/html; charset=utf-8"},
		{Prefix + "app.js", 200, "text/javascript; charset=utf-8"},
		{Prefix + "style.css", 200, "text/css; charset=utf-8"},
		{Prefix + "icon.svg", 200, "image/svg+xml"},
		{Prefix + "vendor/firebase-app.js", 200, "text/javascript; charset=utf-8"},
		{Prefix + "vendor/LICENSE.firebase.txt", 200, "text/plain; charset=utf-8"},
		{Prefix + "vendor/", 404, ""},
		{Prefix + "../doc.go", 404, ""},
		{Prefix + "nothing.js", 404, ""},
		{"/elsewhere", 404, ""},
	} {
		w := get(t, c.target)
		if w.Code != c.status {
			t.Errorf("%s: status %d, want %d", c.target, w.Code, c.status)
		}
		if c.kind != "" && w.Header().Get("Content-Type") != c.kind {
			t.Errorf("%s: content type %q, want %q", c.target, w.Header().Get("Content-Type"), c.kind)
		}
		if c.status == 200 && w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: no content security policy", c.target)
		}
	}
}

func TestRedirectsToTheSlash(t *testing.T) {
	w := get(t, strings.TrimSuffix(Prefix, "/")+"?transport=lp")
	if got, want := w.Header().Get("Location"), Prefix+"?transport=lp"; w.Code != 301 || got != want {
		t.Errorf("%d to %q, want 301 to %q", w.Code, got, want)
	}
}

func TestRefusesOtherMethods(t *testing.T) {
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, Prefix, nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	tag := get(t, Prefix+"app.js").Header().Get("Etag")
	if w := get(t, Prefix+"app.js", "If-None-Match", tag); w.Code != http.StatusNotModified {
		t.Errorf("status %d with the current ETag %s, want 304", w.Code, tag)
	}
}

// The SDK's modules ask for one another by their CDN address. Each such address
// must be in the import map, or the page would need the internet.
func TestEveryImportIsAnsweredHere(t *testing.T) {
	page := get(t, Prefix).Body.String()
	imports := regexp.MustCompile(`from\s*"(https?://[^"]+|\./[^"]+)"`)
	for _, name := range []string{"app.js", "vendor/firebase-app.js", "vendor/firebase-database.js"} {
		for _, m := range imports.FindAllStringSubmatch(get(t, Prefix+name).Body.String(), -1) {
			if target, local := strings.CutPrefix(m[1], "./"); local {
				if get(t, Prefix+target).Code != 200 {
					t.Errorf("%s imports %s, which is not served", name, m[1])
				}
			} else if !strings.Contains(page, `"`+m[1]+`":"./vendor/`) {
				t.Errorf("%s imports %s, which the import map does not point here", name, m[1])
			}
		}
	}
	if m := regexp.MustCompile(`(?:src|href)="(?:https?:)?//[^"]*"`).FindString(page); m != "" {
		t.Errorf("the page refers to another place: %s", m)
	}
}

// A browser refuses the import map, and with it the page, unless the policy
// names its hash.
func TestPolicyNamesTheImportMap(t *testing.T) {
	w := get(t, Prefix)
	m := regexp.MustCompile(`(?s)<script type="importmap">(.*?)</script>`).FindStringSubmatch(w.Body.String())
	if m == nil {
		t.Fatal("no import map")
	}
	sum := sha256.Sum256([]byte(m[1]))
	want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, want) {
		t.Errorf("policy %q does not contain %s", policy, want)
	}
}

// The SDK's files are what Google published: the hashes in vendor/README.md
// hold, and no other script is in that folder.
func TestVendoredFilesAreUnmodified(t *testing.T) {
	readme, err := static.ReadFile("static/vendor/README.md")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := fs.Glob(static, "static/vendor/*.js")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no vendored scripts", err)
	}
	for _, name := range scripts {
		body, err := static.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		line := hex.EncodeToString(sum[:]) + "  " + strings.TrimPrefix(name, "static/vendor/")
		if !strings.Contains(string(readme), line) {
			t.Errorf("vendor/README.md does not have the line %q", line)
		}
	}
}

// User text reaches the page as text: nothing in the script makes markup of a string.
func TestScriptNeverParsesMarkup(t *testing.T) {
	body := get(t, Prefix+"app.js").Body.String()
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"} {
		if strings.Contains(body, word) {
			t.Errorf("app.js uses %s", word)
		}
	}
}
