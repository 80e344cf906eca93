package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"rebase/auth/jwks"
	"rebase/auth/keys"
	"rebase/auth/projects"
	"rebase/auth/token"
)

// Where the keys are that Google signs with.
const (
	GoogleIDTokenKeys = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"
	AppCheckKeys      = "https://firebaseappcheck.googleapis.com/v1/jwks"
)

// Options are the parts of an Authority.
type Options struct {
	Keys     *keys.Ring
	Projects *projects.Registry
	Users    Users // may be nil: then a user's token is good until it expires

	// PublicURL is the address under which services reach this server, "https://db.example.com". What they sign for a server must
	// then be for this one. "": for whichever server has such paths.
	PublicURL string
	// IDTokenKeys and AppCheckKeys are the addresses of Google's key sets; "": GoogleIDTokenKeys and AppCheckKeys.
	IDTokenKeys, AppCheckKeys string

	HTTP   *http.Client     // for keys of other issuers; nil: one with sensible time limits
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: none
}

// Authority checks credentials: it is what names the callers of a server that is not open to everyone. It is safe for concurrent use.
//
// A database belongs to a project, and only those are believed whom the project's document names; the root secret is
// believed everywhere. Which kind of credential one is, is read from the credential itself, and nothing else is: with the kind its keys and
// their algorithm are given, so that whoever lies about the kind has signed with the wrong key.
type Authority struct {
	o        Options
	google   *jwks.Remote
	appCheck *jwks.Remote
	verified verified

	mu      sync.Mutex
	issuers map[issuerKeys]*jwks.Remote
}

type issuerKeys struct{ issuer, jwks string }

var (
	_ Authenticator = (*Authority)(nil)
	_ AppChecker    = (*Authority)(nil)
)

// New returns an Authority.
func New(o Options) (*Authority, error) {
	if o.Keys == nil || o.Projects == nil {
		return nil, errors.New("auth: keys and projects are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.IDTokenKeys == "" {
		o.IDTokenKeys = GoogleIDTokenKeys
	}
	if o.AppCheckKeys == "" {
		o.AppCheckKeys = AppCheckKeys
	}
	for _, address := range []string{o.IDTokenKeys, o.AppCheckKeys} {
		if err := jwks.CheckURL(address); err != nil {
			return nil, fmt.Errorf("auth: %w", err)
		}
	}
	if u, err := url.Parse(o.PublicURL); err != nil || o.PublicURL != "" && u.Host == "" {
		return nil, errors.New("auth: the public URL is no URL")
	}
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	a := &Authority{o: o, issuers: map[issuerKeys]*jwks.Remote{}}
	a.google = a.remote(o.IDTokenKeys, "")
	a.appCheck = a.remote(o.AppCheckKeys, "")
	return a, nil
}

func (a *Authority) remote(url, issuer string) *jwks.Remote {
	return jwks.NewRemote(jwks.Options{URL: url, Issuer: issuer, HTTP: a.o.HTTP, Now: a.o.Now, Logger: a.o.Logger})
}

// issuer returns the keys of an OpenID Connect provider. The map is as large as there are providers in projects.
func (a *Authority) issuer(i *projects.Issuer) *jwks.Remote {
	at := issuerKeys{i.Issuer, i.JWKS}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.issuers[at]
	if r == nil {
		r = a.remote(i.JWKS, i.Issuer)
		a.issuers[at] = r
	}
	return r
}

// Authenticate implements Authenticator.
func (a *Authority) Authenticate(ctx context.Context, c Credential) (Identity, error) {
	id, err := a.identify(ctx, c)
	if err != nil {
		return Identity{}, err
	}
	if c.Override == nil && !c.Unauthenticated {
		return id, nil
	}
	if !id.Admin {
		return Identity{}, invalid("only an administrator may act as somebody else")
	}
	id.Admin = false
	if c.Unauthenticated {
		return id, nil
	}
	id.Auth, err = override(c.Override)
	return id, err
}

// override checks an auth variable that an administrator wants.
func override(text json.RawMessage) (json.RawMessage, error) {
	v := bytes.TrimSpace(text)
	if bytes.Equal(v, []byte("null")) {
		return nil, nil
	}
	if len(v) > token.MaxBytes {
		return nil, invalid("the auth variable override has more than %d bytes", token.MaxBytes)
	}
	if len(v) == 0 || v[0] != '{' || !json.Valid(v) {
		return nil, invalid("the auth variable override is not a JSON object")
	}
	return bytes.Clone(v), nil
}

// identify finds out who presents a credential, overrides aside.
func (a *Authority) identify(ctx context.Context, c Credential) (Identity, error) {
	switch {
	case c.Token == "":
		return Identity{}, invalid("the credential is empty")
	case len(c.Token) > token.MaxBytes:
		return Identity{}, invalid("the credential has more than %d bytes", token.MaxBytes)
	case strings.HasPrefix(c.Token, keys.RootPrefix):
		if a.o.Keys.IsRoot(c.Token) {
			return Identity{Admin: true, Name: "root secret"}, nil
		}
		return Identity{}, invalid("that is not the root secret")
	}
	project := a.o.Projects.Of(c.NS)
	config, ok := a.o.Projects.Config(project)
	if !ok {
		return Identity{}, invalid("the database %q belongs to no project, so nobody but the root secret's holder is known there", c.NS)
	}
	p := presented{a: a, ns: c.NS, project: project, config: config, now: a.o.Now()}
	if at, ok := strings.CutPrefix(c.Token, accessPrefix); ok {
		return p.accessToken(at)
	}
	if !strings.Contains(c.Token, ".") {
		if config.IsSecret(c.NS, c.Token) {
			return Identity{Admin: true, Project: project, Name: "database secret"}, nil
		}
		return Identity{}, invalid("the credential is neither a token nor a secret of this database")
	}
	t, err := token.Parse(c.Token)
	if err != nil {
		return Identity{}, invalid("the token cannot be read: %v", err)
	}
	p.t = t
	return p.token(ctx)
}

// presented is a credential on its way through the checks.
type presented struct {
	a       *Authority
	ns      string
	project string
	config  *projects.Config
	now     time.Time
	t       *token.Token
	times   token.Times
}

// token decides which kind of token it is.
func (p *presented) token(ctx context.Context) (Identity, error) {
	if strings.EqualFold(p.t.Alg, "none") {
		return Identity{}, invalid("the token is not signed; unsigned tokens are for servers in open mode")
	}
	if p.t.Alg == token.HS256 {
		// The only kind that is signed with a shared secret, and the only one for which such secrets are looked at.
		return p.legacyToken()
	}
	issuer, ok := p.t.Text("iss")
	if !ok || issuer == "" {
		return Identity{}, invalid(`the token has no issuer ("iss")`)
	}
	if _, ok := strings.CutPrefix(issuer, projects.OwnIssuer); ok {
		return p.idToken(ctx, issuer)
	}
	if p.config.HasServiceAccount(issuer) {
		return p.selfSigned(issuer)
	}
	for i := range p.config.Issuers {
		if s := &p.config.Issuers[i]; s.Issuer == issuer {
			return p.oidcToken(ctx, s)
		}
	}
	return Identity{}, invalid("the token's issuer %.200q is not known to project %s", issuer, p.project)
}

// signedBy returns nil if one of the keys has signed the token.
func (p *presented) signedBy(list ...*token.Key) error {
	_, err := p.signer(list)
	return err
}

// signer returns the key that has signed the token.
func (p *presented) signer(list []*token.Key) (*token.Key, error) {
	err := token.ErrForged
	for _, k := range list {
		if err = p.a.verified.check(p.t, k, p.now); err == nil {
			return k, nil
		}
	}
	return nil, invalid("the token is refused: %v", err)
}

// remoteKey returns the key of an issuer elsewhere that the token names.
func (p *presented) remoteKey(ctx context.Context, set *jwks.Remote) (*token.Key, error) {
	if p.t.KID == "" {
		return nil, invalid(`the token does not say which key has signed it ("kid")`)
	}
	k, err := set.Key(ctx, p.t.KID, p.t.Alg)
	if errors.Is(err, jwks.ErrNoKey) {
		return nil, invalid("the token is refused: %v", err)
	}
	return k, err
}

// inForce checks the dates. Issue and expiry must be there.
func (p *presented) inForce() error {
	var err error
	if p.times, err = p.t.Times(); err != nil {
		return invalid("the token is refused: %v", err)
	}
	if p.times.Issued.IsZero() || p.times.Expires.IsZero() {
		return invalid(`the token is refused: it has no "iat" or no "exp"`)
	}
	return p.checkTimes()
}

func (p *presented) checkTimes() error {
	switch err := p.times.Check(p.now); {
	case errors.Is(err, token.ErrExpired):
		return expired("the token has expired")
	case err != nil:
		return invalid("the token is refused: %v", err)
	}
	return nil
}
