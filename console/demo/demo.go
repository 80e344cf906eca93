package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// Prefix is where the page expects to be mounted. The page's own links are
// relative, so only the server's wiring and the printed address depend on it.
const Prefix = "/_rebase/demo/"

//go:embed static
var static embed.FS

// file is one embedded file, ready to be answered with.
type file struct {
	body, contentType, etag string
}

// Handler serves the page and its files under [Prefix]. Everything is read from
// the binary once, here; the handler is safe for concurrent use and does no I/O.
func Handler() http.Handler {
	files := make(map[string]file)
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		files[strings.TrimPrefix(name, "static/")] = file{
			body:        string(body),
			contentType: contentType(name),
			etag:        `"` + hex.EncodeToString(sum[:12]) + `"`,
		}
		return nil
	})
	if err != nil {
		panic("demo: the embedded files cannot be read: " + err.Error()) // cannot happen in a binary that was built
	}
	policy := contentSecurityPolicy([]byte(files["index.html"].body))

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name, ok := strings.CutPrefix(r.URL.Path, Prefix)
		if !ok {
			if r.URL.Path+"/" == Prefix { // without the slash the page's relative links would miss
				target := Prefix
				if r.URL.RawQuery != "" {
					target += "?" + r.URL.RawQuery
				}
				http.Redirect(w, r, target, http.StatusMovedPermanently)
				return
			}
			http.NotFound(w, r)
			return
		}
		if name == "" {
			name = "index.html"
		}
		f, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", f.contentType)
		h.Set("Etag", f.etag)
		h.Set("Cache-Control", "no-cache") // ask again each time; the ETag makes that cheap
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", policy)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(f.body))
	})
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".md", ".txt":
		return "text/plain; charset=utf-8"
	case ".js":
		// Not left to the host's MIME table: browsers refuse modules of any other type.
		return "text/javascript; charset=utf-8"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// contentSecurityPolicy allows what the page needs and no more: files and
// connections of this server, frames of it (the SDK's long polling runs in
// one), and the one inline import map, named by its hash.
func contentSecurityPolicy(page []byte) string {
	const open, end = `<script type="importmap">`, `</script>`
	_, rest, found := bytes.Cut(page, []byte(open))
	importMap, _, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		panic("demo: index.html has no import map")
	}
	sum := sha256.Sum256(importMap)
	return fmt.Sprintf("default-src 'none'; script-src 'self' 'sha256-%s'; style-src 'self'; img-src 'self'; "+
		"connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
		base64.StdEncoding.EncodeToString(sum[:]))
}
