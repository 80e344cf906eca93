// Package adminapi is what the administration APIs of the server have in common: who is let in, JSON both ways, and errors that say what to do.
//
// Administration is for the holder of the root secret alone, sent as a bearer token; in open mode for whoever says "owner". Every attempt without the right
// goes to the audit journal. There are no CORS headers, so that no web page can use a browser that knows the secret.
//
// The package knows none of the things that are administered.
package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"rebase/audit"
)

// MaxBody is the most that a request's body may have. The caller puts http.MaxBytesReader before it.
const MaxBody = 1 << 20

// Refusal is an answer that is no success.
type Refusal struct {
	Code  int
	Text  string // what is wrong, and what to do
	Allow string // the methods, where that is what is wrong
}

func (e *Refusal) Error() string { return e.Text }

// Refusef words a Refusal.
func Refusef(code int, format string, args ...any) error {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Refuse answers with a Refusal.
func Refuse(w http.ResponseWriter, e *Refusal) {
	if e.Allow != "" {
		w.Header().Set("Allow", e.Allow)
	}
	if e.Code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="rebase"`)
	}
	Answer(w, e.Code, map[string]string{"error": e.Text})
}

// Answer answers with JSON.
func Answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the client is gone: nobody left to tell
}

// TooLong tells the Refusal of a body beyond MaxBody from other errors; nil if err is not about that.
func TooLong(err error) *Refusal {
	var tooLong *http.MaxBytesError
	if !errors.As(err, &tooLong) {
		return nil
	}
	return &Refusal{Code: http.StatusRequestEntityTooLarge, Text: fmt.Sprintf("the body has more than %d bytes", MaxBody)}
}

// Guard knows the administrator.
type Guard struct {
	IsRoot func(token string) bool
	Owner  string     // a token that is let in as well, in open mode; "": none
	Audit  *audit.Log // may be nil
}

// Authorize lets an administrator of the whole server through.
func (g Guard) Authorize(r *http.Request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	switch {
	case token == "" || !strings.EqualFold(scheme, "Bearer"):
		return Refusef(http.StatusUnauthorized, "this is for administrators: send the root secret in the header \"Authorization: Bearer …\"; it is in the file root-secret of the data folder")
	case g.IsRoot(token), g.Owner != "" && token == g.Owner:
		return nil
	}
	_ = g.Audit.Record(audit.Event{ // what cannot be recorded is logged by the journal
		Act: audit.AdminRefused, Outcome: audit.Refused, From: r.RemoteAddr, Target: r.Method + " " + r.URL.Path, Reason: "not the root secret",
	})
	return Refusef(http.StatusForbidden, "that is not the root secret; other credentials do not administer this server")
}

// Body reads the request's JSON into v. Fields that v does not have are an error: a misspelt one would do nothing, silently.
func Body(r *http.Request, v any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return Refusef(http.StatusUnsupportedMediaType, "the body must be JSON, with the header \"Content-Type: application/json\"")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if TooLong(err) != nil {
			return err
		}
		return Refusef(http.StatusBadRequest, "the body is not the JSON that is expected: %v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Refusef(http.StatusBadRequest, "something follows the JSON of the body")
	}
	return nil
}

// Methods calls what the request's method stands for.
func Methods(r *http.Request, by map[string]func() (any, error)) (any, error) {
	if f := by[r.Method]; f != nil {
		return f()
	}
	var allow []string
	for _, m := range []string{"GET", "POST", "PATCH", "DELETE"} {
		if by[m] != nil {
			allow = append(allow, m)
		}
	}
	return nil, &Refusal{Code: http.StatusMethodNotAllowed, Text: r.Method + " is not for this path", Allow: strings.Join(allow, ", ")}
}
