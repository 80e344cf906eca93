package authadmin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/gateway/adminapi"
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

// maxTimeout is that of one request: a key may have to be made, and the log written.
const maxTimeout = 30 * time.Second

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
type Handler struct {
	o     Options
	guard adminapi.Guard
}

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
	h := &Handler{o: o, guard: adminapi.Guard{IsRoot: o.Keys.IsRoot, Audit: o.Audit}}
	if o.Open {
		h.guard.Owner = auth.Owner
	}
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), maxTimeout)
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, adminapi.MaxBody)
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
	adminapi.Answer(w, c.code, v)
}

// jwks tells the public keys. Anybody may know them.
func (h *Handler) jwks(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.refuse(w, r, &adminapi.Refusal{Code: http.StatusMethodNotAllowed, Text: "only GET is for this path", Allow: "GET, HEAD"})
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

var errNotFound = &adminapi.Refusal{Code: http.StatusNotFound, Text: "there is nothing at this path; docs/auth.md has the list"}

func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var e *adminapi.Refusal
	var config *projects.ConfigError
	switch {
	case errors.As(err, &e):
	case adminapi.TooLong(err) != nil:
		e = adminapi.TooLong(err)
	case errors.As(err, &config):
		e = &adminapi.Refusal{Code: http.StatusBadRequest, Text: config.Error()}
	case errors.Is(err, projects.ErrNoProject):
		e = &adminapi.Refusal{Code: http.StatusNotFound, Text: err.Error()}
	case errors.Is(err, projects.ErrChanged):
		e = &adminapi.Refusal{Code: http.StatusConflict, Text: err.Error() + "; read it again, and repeat the change"}
	default:
		h.o.Logger.Error("administration of authentication failed", "method", r.Method, "path", r.URL.Path, "err", err)
		e = &adminapi.Refusal{Code: http.StatusServiceUnavailable, Text: "it could not be done; the server's log says why"}
	}
	adminapi.Refuse(w, e)
}

// record writes an act to the journal.
func (c *call) record(act audit.Act, project, target string, err error, details map[string]string) {
	e := audit.Event{Act: act, Who: "operator", From: c.r.RemoteAddr, Project: project, Target: target, Details: details}
	if err != nil {
		e.Outcome, e.Reason = audit.Failed, err.Error()
	}
	_ = c.h.o.Audit.Record(e) // what cannot be recorded is logged by the journal
}

// serve finds what is asked for, and does it.
func (c *call) serve() (any, error) {
	if err := c.h.guard.Authorize(c.r); err != nil {
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
