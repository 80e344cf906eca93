package authadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/keys"
	"rebase/auth/projects"
)

// The paths that are served here.
const (
	Prefix     = "/_rebase/auth/"
	JWKSPath   = Prefix + "jwks"
	CertsPath  = "/_rebase/oauth2/certs" // as key files name it
	oauthPaths = "/_rebase/oauth2/"
)

// Serves tells whether a path is one of a Handler's.
func Serves(path string) bool {
	return strings.HasPrefix(path, Prefix) || strings.HasPrefix(path, oauthPaths)
}

const (
	maxBody    = 1 << 20
	maxTimeout = 30 * time.Second // of one request: a key may have to be made, and the log written
)

// Options are the parts of a Handler.
type Options struct {
	Authority *auth.Authority
	Keys      *keys.Ring
	Projects  *projects.Registry
	// Open lets in whoever presents auth.Owner, too.
	Open bool
	// PublicURL is the address that key files lead to; "": the one that the request for the file came to.
	PublicURL string
	// NewRoot replaces the root secret, wherever the server keeps it; nil: it cannot be replaced from here.
	NewRoot func(context.Context) (secret string, err error)
	Audit   *audit.Log       // may be nil
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none
}

// Handler serves it all. It is safe for concurrent use.
type Handler struct{ o Options }

var _ http.Handler = (*Handler)(nil)

// New returns a Handler.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	return &Handler{o}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), maxTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	switch r.URL.Path {
	case auth.TokenPath:
		h.token(w, r)
		return
	case JWKSPath, CertsPath:
		h.jwks(w, r)
		return
	}
	c := &call{h: h, r: r}
	v, err := c.serve()
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	if c.code == 0 {
		c.code = http.StatusOK
	}
	answer(w, c.code, v)
}

// jwks tells the public keys. Anybody may know them.
func (h *Handler) jwks(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.refuse(w, r, &refusal{code: http.StatusMethodNotAllowed, text: "only GET is for this path", allow: "GET, HEAD"})
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=300") // a new key signs at once, and readers know to ask again for an unknown one
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(h.o.Keys.JWKS()) // the client is gone: nobody left to tell
}

// call is one request of an administrator.
type call struct {
	h    *Handler
	r    *http.Request
	code int // of a success; 0: 200
}

// refusal is an answer that is no success.
type refusal struct {
	code  int
	text  string
	allow string
}

func (e *refusal) Error() string { return e.text }

func refusef(code int, format string, args ...any) error {
	return &refusal{code: code, text: fmt.Sprintf(format, args...)}
}

var errNotFound = &refusal{code: http.StatusNotFound, text: "there is nothing at this path; docs/auth.md has the list"}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var e *refusal
	var config *projects.ConfigError
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &config):
		e = &refusal{code: http.StatusBadRequest, text: config.Error()}
	case errors.As(err, &tooLong):
		e = &refusal{code: http.StatusRequestEntityTooLarge, text: fmt.Sprintf("the body has more than %d bytes", maxBody)}
	case errors.Is(err, projects.ErrNoProject):
		e = &refusal{code: http.StatusNotFound, text: err.Error()}
	case errors.Is(err, projects.ErrChanged):
		e = &refusal{code: http.StatusConflict, text: err.Error() + "; read it again, and repeat the change"}
	default:
		h.o.Logger.Error("administration of authentication failed", "method", r.Method, "path", r.URL.Path, "err", err)
		e = &refusal{code: http.StatusServiceUnavailable, text: "it could not be done; the server's log says why"}
	}
	if e.allow != "" {
		w.Header().Set("Allow", e.allow)
	}
	if e.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="rebase"`)
	}
	answer(w, e.code, map[string]string{"error": e.text})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client is gone: nobody left to tell
}

// authorize lets an administrator of the whole server through.
func (c *call) authorize() error {
	scheme, token, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	switch {
	case token == "" || !strings.EqualFold(scheme, "Bearer"):
		return refusef(http.StatusUnauthorized, "this is for administrators: send the root secret in the header \"Authorization: Bearer …\"; it is in the file root-secret of the data folder")
	case c.h.o.Keys.IsRoot(token), c.h.o.Open && token == auth.Owner:
		return nil
	}
	_ = c.h.o.Audit.Record(audit.Event{ // what cannot be recorded is logged by the journal
		Act: audit.AdminRefused, Outcome: audit.Refused, From: c.r.RemoteAddr, Target: c.r.Method + " " + c.r.URL.Path, Reason: "not the root secret",
	})
	return refusef(http.StatusForbidden, "that is not the root secret; other credentials do not administer authentication")
}

// record writes an act to the journal.
func (c *call) record(act audit.Act, project, target string, err error, details map[string]string) {
	e := audit.Event{Act: act, Who: "operator", From: c.r.RemoteAddr, Project: project, Target: target, Details: details}
	if err != nil {
		e.Outcome, e.Reason = audit.Failed, err.Error()
	}
	_ = c.h.o.Audit.Record(e) // what cannot be recorded is logged by the journal
}

// body reads the request's JSON into v. Fields that v does not have are an error: a misspelt one would do nothing, silently.
func (c *call) body(v any) error {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return refusef(http.StatusUnsupportedMediaType, "the body must be JSON, with the header \"Content-Type: application/json\"")
	}
	d := json.NewDecoder(c.r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			return err
		}
		return refusef(http.StatusBadRequest, "the body is not the JSON that is expected: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return refusef(http.StatusBadRequest, "something follows the JSON of the body")
	}
	return nil
}

// serve finds what is asked for, and does it.
func (c *call) serve() (any, error) {
	if err := c.authorize(); err != nil {
		return nil, err
	}
	var at []string
	for s := range strings.SplitSeq(strings.TrimPrefix(c.r.URL.EscapedPath(), Prefix), "/") {
		s, err := url.PathUnescape(s)
		if err != nil {
			return nil, errNotFound
		}
		at = append(at, s)
	}
	switch at[0] {
	case "keys":
		return c.keys(at[1:])
	case "root":
		return c.root(at[1:])
	case "inspect":
		return c.inspect(at[1:])
	case "projects":
		return c.projects(at[1:])
	}
	return nil, errNotFound
}

// methods calls what the request's method stands for.
func (c *call) methods(by map[string]func() (any, error)) (any, error) {
	if f := by[c.r.Method]; f != nil {
		return f()
	}
	var allow []string
	for _, m := range []string{"GET", "POST", "PATCH", "DELETE"} {
		if by[m] != nil {
			allow = append(allow, m)
		}
	}
	return nil, &refusal{code: http.StatusMethodNotAllowed, text: c.r.Method + " is not for this path", allow: strings.Join(allow, ", ")}
}

// server is the address that a key file leads to.
func (c *call) server() string {
	if c.h.o.PublicURL != "" {
		return c.h.o.PublicURL
	}
	scheme := "http"
	if c.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}
