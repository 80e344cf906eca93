package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"rebase/auth/keys"
	"rebase/auth/token"
)

const (
	// accessPrefix begins access tokens, and a JWT follows. So they have four parts: the SDKs take what is a JWT with an "iat" for a user's token, and this for
	// the opaque thing that an access token is to them. The JavaScript SDK decodes the first part, and complains of one that is not base64.
	accessPrefix = "rbat."
	accessTyp    = "at+jwt"
	accessIssuer = "rebase"
	accessAud    = "rebase/admin"

	// TokenPath is where access tokens are handed out: the token_uri of key files.
	TokenPath = "/_rebase/oauth2/token"

	// AccessLifetime is how long an access token is good.
	AccessLifetime = keys.MaxLifetime
	// assertionLifetime is the longest that a service account may say that what it signs is good.
	assertionLifetime = time.Hour
)

// The audiences that the SDKs put in what service accounts sign, whatever the server.
const (
	googleTokenURI      = "https://oauth2.googleapis.com/token"
	oldGoogleTokenURI   = "https://accounts.google.com/o/oauth2/token"
	databaseAudience    = "https://firebasedatabase.googleapis.com/"
	customTokenAudience = "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"
)

// Scopes that let a service account act on databases.
var databaseScopes = []string{"https://www.googleapis.com/auth/firebase.database", "https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/firebase"}

// Exchange answers a service account's signed assertion (RFC 7523) with an access token. The error is an *Error if the assertion is
// rejected.
func (a *Authority) Exchange(_ context.Context, assertion string) (accessToken string, lifetime time.Duration, err error) {
	t, err := token.Parse(assertion)
	if err != nil {
		return "", 0, invalid("the assertion cannot be read: %v", err)
	}
	email, _ := t.Text("iss")
	project, ok := a.o.Projects.ByServiceAccount(email)
	if !ok {
		return "", 0, invalid("the service account %.200q is not known here; it may have been deleted", email)
	}
	config, ok := a.o.Projects.Config(project)
	if !ok {
		return "", 0, invalid("the service account's project is gone")
	}
	p := presented{a: a, project: project, config: config, now: a.o.Now(), t: t}
	k, err := p.byAccount(email)
	if err != nil {
		return "", 0, err
	}
	if aud, ok := t.Text("aud"); !ok || !a.isTokenAudience(aud) {
		return "", 0, invalid("the assertion is for another server: its \"aud\" must be the token_uri of the key file")
	}
	now := p.now.Unix()
	signed, err := a.o.Keys.SignAs(accessTyp, map[string]any{
		"iss": accessIssuer, "aud": accessAud, "sub": email, "project": project, "key": fingerprint(k), "iat": now, "exp": now + int64(AccessLifetime/time.Second),
	})
	if err != nil {
		return "", 0, err
	}
	return accessPrefix + signed, AccessLifetime, nil
}

// isTokenAudience tells whether an assertion's audience is this server's token endpoint. Some SDKs name Google's, whatever the key file says.
func (a *Authority) isTokenAudience(aud string) bool {
	if aud == googleTokenURI || aud == oldGoogleTokenURI {
		return true
	}
	server, ok := strings.CutSuffix(aud, TokenPath)
	if !ok || a.o.PublicURL == "" {
		return ok
	}
	return server == a.o.PublicURL
}

// fingerprint names a key in access tokens.
func fingerprint(k *token.Key) string {
	p := k.Print()
	return base64.RawURLEncoding.EncodeToString(p[:12])
}

// byAccount checks that a service account of the project has signed the token for itself, for at most an hour that includes now. It
// returns the key.
func (p *presented) byAccount(email string) (*token.Key, error) {
	list := p.config.ServiceAccountKeys(email, p.t.KID)
	if len(list) == 0 {
		return nil, invalid("the service account %.200q has no key of that id; it may have been deleted", email)
	}
	k, err := p.signer(list)
	if err != nil {
		return nil, err
	}
	if sub, ok := p.t.Text("sub"); p.t.Has("sub") && (!ok || sub != email) {
		return nil, invalid("a service account can sign only for itself: \"sub\" is another than \"iss\"")
	}
	if err := p.inForce(); err != nil {
		return nil, err
	}
	if p.times.Expires.Sub(p.times.Issued) > assertionLifetime+token.Skew {
		return nil, invalid("what a service account signs is good for at most %s", assertionLifetime)
	}
	return k, nil
}

// accessToken is what Exchange has given out. The service account must still be there, and the key by which the token was got.
func (p *presented) accessToken(text string) (Identity, error) {
	var err error
	if p.t, err = token.Parse(text); err != nil {
		return Identity{}, invalid("the access token cannot be read: %v", err)
	}
	k, ok := p.a.o.Keys.Key(p.t.KID)
	if !ok || p.t.Typ != accessTyp {
		return Identity{}, invalid("the access token is not one of this server")
	}
	if err := p.signedBy(k); err != nil {
		return Identity{}, err
	}
	issuer, _ := p.t.Text("iss")
	aud, _ := p.t.Text("aud")
	project, _ := p.t.Text("project")
	email, _ := p.t.Text("sub")
	key, _ := p.t.Text("key")
	switch {
	case issuer != accessIssuer || aud != accessAud:
		return Identity{}, invalid("the access token is not one of this server")
	case project != p.project:
		return Identity{}, invalid("the access token is of project %.80q, and the database of project %q", project, p.project)
	case !slices.ContainsFunc(p.config.ServiceAccountKeys(email, ""), func(k *token.Key) bool { return fingerprint(k) == key }):
		return Identity{}, invalid("the service account, or its key, has been deleted")
	}
	if err := p.inForce(); err != nil {
		return Identity{}, err
	}
	return Identity{Admin: true, Project: p.project, Name: "service-account:" + email, Issued: p.times.Issued, Expires: p.times.Expires}, nil
}

// selfSigned is what some clients send in place of an access token: a token that the service account has signed itself. It names a scope
// or this server as its audience; what was signed for another purpose, an assertion or a custom token, has an audience, too, and is refused.
func (p *presented) selfSigned(email string) (Identity, error) {
	if _, err := p.byAccount(email); err != nil {
		return Identity{}, err
	}
	if !p.t.Has("sub") {
		return Identity{}, invalid(`the token is refused: it has no "sub"`)
	}
	if p.t.Has("aud") {
		aud, ok := p.t.Text("aud")
		ours := p.a.o.PublicURL != "" && strings.TrimSuffix(aud, "/") == p.a.o.PublicURL
		if !ok || !ours && aud != databaseAudience {
			return Identity{}, invalid("the token is refused: what the service account has signed is for another purpose (\"aud\")")
		}
	} else {
		scopes, _ := p.t.Text("scope")
		if !slices.ContainsFunc(strings.Fields(scopes), func(s string) bool { return slices.Contains(databaseScopes, s) }) {
			return Identity{}, invalid("the token is refused: it has neither \"aud\" nor a scope for databases")
		}
	}
	return Identity{Admin: true, Project: p.project, Name: "service-account:" + email, Issued: p.times.Issued, Expires: p.times.Expires}, nil
}

// MaxCustomClaims bounds the claims of a custom token, in bytes of JSON, as Firebase does.
const MaxCustomClaims = 1000

// reserved are the claims that a custom token must not set: they have a meaning in ID tokens.
var reserved = []string{
	"acr", "amr", "at_hash", "aud", "auth_time", "azp", "c_hash", "cnf", "exp", "firebase", "iat", "iss", "jti", "nbf", "nonce", "sub", "user_id",
}

// VerifyCustomToken returns whom a service account of the project wants to have signed in, and the claims that the user's ID tokens are to have.
func (a *Authority) VerifyCustomToken(_ context.Context, project, text string) (uid string, claims map[string]any, err error) {
	config, ok := a.o.Projects.Config(project)
	if !ok {
		return "", nil, invalid("there is no project %.80q", project)
	}
	t, err := token.Parse(text)
	if err != nil {
		return "", nil, invalid("the custom token cannot be read: %v", err)
	}
	p := presented{a: a, project: project, config: config, now: a.o.Now(), t: t}
	email, _ := t.Text("iss")
	if !config.HasServiceAccount(email) {
		return "", nil, invalid("the custom token is signed by %.200q, which is no service account of project %s", email, project)
	}
	if _, err := p.byAccount(email); err != nil {
		return "", nil, err
	}
	if !t.Has("sub") {
		return "", nil, invalid(`the custom token is refused: it has no "sub"`)
	}
	if aud, ok := t.Text("aud"); !ok || aud != customTokenAudience {
		return "", nil, invalid("the token is no custom token: its \"aud\" is another")
	}
	return CustomTokenUser(t)
}

// CustomTokenUser reads the user and the claims of a custom token, without asking who has signed it.
func CustomTokenUser(t *token.Token) (uid string, claims map[string]any, err error) {
	uid, ok := t.Text("uid")
	if !ok || uid == "" || len(uid) > token.MaxSubject {
		return "", nil, invalid("the custom token is refused: its \"uid\" is not a string of 1 to %d bytes", token.MaxSubject)
	}
	raw, ok := t.Claims["claims"]
	if !ok || string(raw) == "null" {
		return uid, nil, nil
	}
	if len(raw) > MaxCustomClaims {
		return "", nil, invalid("the custom token is refused: its claims have more than %d bytes", MaxCustomClaims)
	}
	if claims, err = customClaims(raw); err != nil {
		return "", nil, invalid("the custom token is refused: %v", err)
	}
	return uid, claims, nil
}

func customClaims(raw json.RawMessage) (map[string]any, error) {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return nil, errors.New("its claims are not an object")
	}
	claims := make(map[string]any, len(m))
	for name, v := range m {
		if slices.Contains(reserved, name) {
			return nil, errors.New("its claims set " + name + ", which is reserved")
		}
		claims[name] = v // as it is: numbers keep their digits
	}
	return claims, nil
}
