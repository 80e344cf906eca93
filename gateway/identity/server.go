package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"rebase/audit"
	"rebase/auth"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/auth/users"
)

// Options are the parts of a Server.
type Options struct {
	Users    *users.Store
	Auth     auth.Authenticator
	Projects *projects.Registry
	Keys     *keys.Ring
	// Open is the open mode: any API key will do, and there are the emulator's paths.
	Open bool
	// DefaultProject is, in open mode, that of API keys that no project has; "" is "demo-project".
	DefaultProject string
	// PublicURL is where users reach the server, for links in mails. "": the request's host if it is this machine, else URL.
	PublicURL string
	// URL returns the server's own address.
	URL func() string
	// Audit is told of administrative acts; nil: nobody.
	Audit  func(audit.Event)
	Logger *slog.Logger // nil: none
}

// Server serves the API. It is safe for concurrent use.
type Server struct {
	o   Options
	log *slog.Logger

	certificates certificates
}

var _ http.Handler = (*Server)(nil)

// New returns a Server.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.DefaultProject == "" {
		o.DefaultProject = "demo-project"
	}
	if o.Audit == nil {
		o.Audit = func(audit.Event) {}
	}
	return &Server{o: o, log: o.Logger}
}

// Hosts of the APIs.
const (
	toolkitHost = "identitytoolkit.googleapis.com"
	tokenHost   = "securetoken.googleapis.com"
)

// Handles tells whether a request is for this package.
func Handles(r *http.Request) bool {
	p := r.URL.Path
	return strings.HasPrefix(p, "/"+toolkitHost+"/") || strings.HasPrefix(p, "/"+tokenHost+"/") || strings.HasPrefix(p, "/emulator/") ||
		p == users.ActionPath || p == CertsPath || r.Host == toolkitHost || r.Host == tokenHost ||
		r.Host == certsHost && p == certsPath
}

// Bounds of bodies. A thousand accounts, as many as one import has, are about one megabyte.
const (
	maxBody      = 256 << 10
	maxAdminBody = 16 << 20
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if r.Host == toolkitHost || r.Host == tokenHost {
		path = r.Host + "/" + strings.TrimPrefix(path, r.Host+"/")
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.URL.Path {
	case users.ActionPath:
		s.action(w, r)
		return
	case handlerPath:
		s.handler(w, r)
		return
	case framePath:
		s.frame(w, r)
		return
	case CertsPath, certsPath:
		s.certs(w, r)
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Vary", "Origin, Access-Control-Request-Headers")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE, OPTIONS")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		h.Set("Access-Control-Max-Age", "3600")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	host, rest, _ := strings.Cut(path, "/")
	q := &request{s: s, w: w, r: r, project: ""}
	var out any
	var err error
	switch host {
	case toolkitHost:
		out, err = q.toolkit(rest)
	case tokenHost:
		out, err = q.token(rest)
	case "emulator":
		out, err = q.emulator(rest)
	default:
		err = errNoSuchPath
	}
	if q.answered {
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// request is one that is being answered.
type request struct {
	s        *Server
	w        http.ResponseWriter
	r        *http.Request
	project  string
	admin    bool
	who      string // the administrator, for the audit
	answered bool
}

func (q *request) ctx() context.Context { return q.r.Context() }

// caller is on whose behalf users are worked on.
func (q *request) caller() users.Caller {
	return users.Caller{
		Project: q.project, Admin: q.admin, Address: remote(q.r), Language: language(q.r), Base: q.s.base(q.r), APIKey: apiKey(q.r),
	}
}

// remote is the address of whoever asks. A proxy on this machine says it, in the last entry of the header: those before it are what the
// client has sent. Nobody else is believed.
func remote(r *http.Request) string {
	peer := r.RemoteAddr
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = host
	}
	if ip, err := netip.ParseAddr(peer); err != nil || !ip.Unmap().IsLoopback() {
		return peer
	}
	if list := r.Header.Values("X-Forwarded-For"); len(list) > 0 {
		last := list[len(list)-1]
		last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
		if ip, err := netip.ParseAddr(last); err == nil {
			return ip.String()
		}
	}
	return peer
}

// language is what the SDK's languageCode says.
func language(r *http.Request) string {
	l := r.Header.Get("X-Firebase-Locale")
	if len(l) > 35 || strings.ContainsFunc(l, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) {
		return ""
	}
	return l
}

// base is the server's address in links of mails. The Host of a request is whatever a stranger has written, and a link with
// a code must not lead to the stranger: it counts only where it is this machine.
func (s *Server) base(r *http.Request) string {
	if s.o.PublicURL != "" {
		return s.o.PublicURL
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host == "localhost" || ip != nil && ip.IsLoopback() {
		if r.TLS != nil {
			return "https://" + r.Host
		}
		return "http://" + r.Host
	}
	if s.o.URL != nil {
		return s.o.URL()
	}
	return "http://localhost"
}

func apiKey(r *http.Request) string {
	if r.URL.Path == handlerPath || r.URL.Path == framePath {
		return r.URL.Query().Get("apiKey")
	}
	if k := r.URL.Query().Get("key"); k != "" {
		return k
	}
	return r.Header.Get("X-Goog-Api-Key")
}

// byKey finds the project of a request that an app makes.
func (q *request) byKey() error {
	key := apiKey(q.r)
	if project, ok := q.s.o.Projects.ByAPIKey(key); ok && key != "" {
		q.project = project
		return nil
	}
	if q.s.o.Open {
		q.project = q.s.o.DefaultProject
		return nil
	}
	if key == "" {
		return &apiError{http.StatusForbidden, "The request is missing a valid API key.", "PERMISSION_DENIED"}
	}
	return &apiError{http.StatusBadRequest, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"}
}

// asAdmin makes sure that the caller is an administrator of the project.
func (q *request) asAdmin(project string) error {
	if err := projects.CheckName(project); err != nil {
		return &apiError{http.StatusBadRequest, "INVALID_PROJECT_ID : " + err.Error(), "INVALID_ARGUMENT"}
	}
	scheme, token, _ := strings.Cut(q.r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return q.refused(project, http.StatusUnauthorized, "no credential")
	}
	id, err := q.s.o.Auth.Authenticate(q.ctx(), auth.Credential{NS: project, Scheme: auth.Service, Token: token})
	var rejected *auth.Error
	switch {
	case errors.As(err, &rejected):
		return q.refused(project, http.StatusUnauthorized, rejected.Reason)
	case err != nil:
		return err
	case !id.Admin || id.Project != "" && id.Project != project:
		return q.refused(project, http.StatusForbidden, "not an administrator of the project")
	case id.Project != "" && !strings.HasPrefix(id.Name, "service-account:"):
		// As at Firebase: a secret is good for a database, and says nothing of the project's users.
		return q.refused(project, http.StatusForbidden, "a database secret is for databases alone: users are administered by service accounts")
	}
	if _, ok := q.s.o.Projects.Config(project); !ok && !q.s.o.Open {
		return &apiError{http.StatusNotFound, "PROJECT_NOT_FOUND : there is no such project; make it with \"rebase auth project create\"", "NOT_FOUND"}
	}
	q.project, q.admin, q.who = project, true, cmp.Or(id.Name, "admin")
	return nil
}

func (q *request) refused(project string, status int, reason string) error {
	q.s.o.Audit(audit.Event{Act: audit.AdminRefused, Outcome: audit.Refused, From: q.r.RemoteAddr, Project: project, Target: q.r.URL.Path, Reason: reason})
	if status == http.StatusForbidden {
		return &apiError{status, "INSUFFICIENT_PERMISSION : " + reason, "PERMISSION_DENIED"}
	}
	return &apiError{status, "Request had invalid authentication credentials: " + reason, "UNAUTHENTICATED"}
}

// audit records what an administrator did.
func (q *request) audit(act audit.Act, target string, err error, details map[string]string) {
	e := audit.Event{Act: act, Who: q.who, From: q.r.RemoteAddr, Project: q.project, Target: target, Details: details}
	if err != nil {
		e.Outcome, e.Reason = audit.Failed, err.Error()
	}
	q.s.o.Audit(e)
}

// body decodes the request's JSON. None at all is an empty object.
func (q *request) body(into any) error {
	limit := int64(maxBody)
	if q.admin {
		limit = maxAdminBody
	}
	raw, err := q.raw(limit)
	if err != nil {
		return err
	}
	return decode(raw, into)
}

func (q *request) raw(limit int64) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(q.w, q.r.Body, limit))
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return nil, &apiError{http.StatusRequestEntityTooLarge, "Request payload size exceeds the limit", "INVALID_ARGUMENT"}
	}
	return raw, err
}

func decode(raw []byte, into any) error {
	if len(strings.TrimSpace(string(raw))) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return &apiError{http.StatusBadRequest, "Invalid JSON payload received. " + err.Error(), "INVALID_ARGUMENT"}
	}
	return nil
}

// form decodes a body that is a form or JSON, as the Secure Token API takes both.
func (q *request) form() (url.Values, error) {
	raw, err := q.raw(maxBody)
	if err != nil {
		return nil, err
	}
	if kind, _, _ := mime.ParseMediaType(q.r.Header.Get("Content-Type")); kind == "application/json" {
		var m map[string]string
		if err := decode(raw, &m); err != nil {
			return nil, err
		}
		v := url.Values{}
		for k, text := range m {
			v.Set(k, text)
		}
		return v, nil
	}
	v, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, &apiError{http.StatusBadRequest, "the body is not a form", "INVALID_ARGUMENT"}
	}
	return v, nil
}
