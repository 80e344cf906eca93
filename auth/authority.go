package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"rebase/auth/keys"
	"rebase/auth/projects"
)

// Options are the parts of an Authority.
type Options struct {
	Keys     *keys.Ring
	Projects *projects.Registry
	Users    Users            // may be nil
	HTTP     *http.Client     // for keys of other issuers; nil: one with sensible time limits
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: none
}

// Authority checks credentials: it is what names the callers of a server that is not open to everyone. It is safe for concurrent use.
type Authority struct{ o Options }

var (
	_ Authenticator = (*Authority)(nil)
	_ AppChecker    = (*Authority)(nil)
)

// New returns an Authority.
func New(o Options) (*Authority, error) { return &Authority{o: o}, nil }

// Authenticate implements Authenticator.
func (a *Authority) Authenticate(ctx context.Context, c Credential) (Identity, error) {
	return Identity{}, errors.ErrUnsupported
}

// CheckApp implements AppChecker.
func (a *Authority) CheckApp(ctx context.Context, ns, token string) (expires time.Time, err error) {
	return time.Time{}, errors.ErrUnsupported
}

// AppCheckRequired implements AppChecker.
func (a *Authority) AppCheckRequired(ns string) bool { return false }

// VerifyCustomToken returns whom a service account of the project wants to have signed in, and the claims that the user's ID tokens are to have.
func (a *Authority) VerifyCustomToken(ctx context.Context, project, token string) (uid string, claims map[string]any, err error) {
	return "", nil, errors.ErrUnsupported
}
