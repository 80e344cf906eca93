package auth

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"rebase/auth/projects"
	"rebase/auth/token"
)

// idToken is an ID token of a user of the project: one that this server has issued, or one that Google has, for the
// Firebase project that the project's document names. The two have issuers of one form; whose key signed it decides.
func (p *presented) idToken(ctx context.Context, issuer string) (Identity, error) {
	name := strings.TrimPrefix(issuer, projects.OwnIssuer)
	own, isOwn := p.a.o.Keys.Key(p.t.KID)
	var k *token.Key
	switch {
	case isOwn && name == p.project:
		k = own
	case !isOwn && p.config.FirebaseProject != "" && name == p.config.FirebaseProject:
		var err error
		if k, err = p.remoteKey(ctx, p.a.google); err != nil {
			return Identity{}, err
		}
	case name != p.project && name != p.config.FirebaseProject:
		return Identity{}, invalid("the token is of project %.80q, and the database of project %q", name, p.project)
	default:
		return Identity{}, invalid("the token is refused: no key of that id is known; it may have ended long ago")
	}
	if err := p.signedBy(k); err != nil {
		return Identity{}, err
	}
	if aud, ok := p.t.Text("aud"); !ok || aud != name {
		return Identity{}, invalid("the token is refused: its \"aud\" is another than its issuer's project")
	}
	if err := p.inForce(); err != nil {
		return Identity{}, err
	}
	uid, err := p.t.Subject()
	if err != nil {
		return Identity{}, invalid("the token is refused: %v", err)
	}
	if isOwn && p.a.o.Users != nil {
		at := p.times.Auth
		if at.IsZero() {
			at = p.times.Issued
		}
		if err := p.a.o.Users.TokenValid(ctx, p.project, uid, at, p.times.Issued); err != nil {
			return Identity{}, err
		}
	}
	var fb struct {
		Provider string `json:"sign_in_provider"`
	}
	if raw, ok := p.t.Claims["firebase"]; ok {
		_ = json.Unmarshal(raw, &fb) // without it there is no provider
	}
	return p.user(uid, fb.Provider)
}

// oidcToken is an ID token of an OpenID Connect provider that the project's document names.
func (p *presented) oidcToken(ctx context.Context, i *projects.Issuer) (Identity, error) {
	k, err := p.remoteKey(ctx, p.a.issuer(i))
	if err != nil {
		return Identity{}, err
	}
	if err := p.signedBy(k); err != nil {
		return Identity{}, err
	}
	if err := p.t.Audience(i.Audiences...); err != nil {
		return Identity{}, invalid("the token is refused: %v", err)
	}
	// With several audiences the one that the token was made for must be ours, too (OpenID Connect Core §3.1.3.7).
	if azp, ok := p.t.Text("azp"); ok {
		if list, _ := p.t.Texts("aud"); len(list) > 1 && !slices.Contains(i.Audiences, azp) {
			return Identity{}, invalid("the token is refused: it was made for another app")
		}
	}
	if err := p.inForce(); err != nil {
		return Identity{}, err
	}
	sub, err := p.t.Subject()
	if err != nil {
		return Identity{}, invalid("the token is refused: %v", err)
	}
	prefix := i.Name + ":"
	if i.UIDPrefix != nil {
		prefix = *i.UIDPrefix
	}
	return p.user(prefix+sub, i.Name)
}

// user is the identity of a user who has been found to be uid.
func (p *presented) user(uid, provider string) (Identity, error) {
	v, err := json.Marshal(struct {
		UID      string                     `json:"uid"`
		Provider string                     `json:"provider,omitempty"`
		Token    map[string]json.RawMessage `json:"token"`
	}{uid, provider, p.t.Claims})
	if err != nil {
		return Identity{}, invalid("the token's claims cannot be represented")
	}
	return Identity{Auth: v, Project: p.project, UID: uid, Issued: p.times.Issued, Expires: p.times.Expires}, nil
}

// legacyLifetime is how long a legacy token without "exp" is good, as Firebase's documentation of them says.
const legacyLifetime = 24 * time.Hour

// maxLegacyUID bounds the user's id in a legacy token, as Firebase's generators of them did.
const maxLegacyUID = 256

// legacyToken is a token that somebody has signed with a secret of the database: claims v, d, iat, and optionally exp, nbf, admin,
// debug, simulate.
func (p *presented) legacyToken() (Identity, error) {
	if err := p.signedBy(p.config.SecretKeys(p.ns)...); err != nil {
		return Identity{}, err
	}
	if string(p.t.Claims["v"]) != "0" {
		return Identity{}, invalid(`the token is refused: its "v" is not 0`)
	}
	var err error
	if p.times, err = p.t.Times(); err != nil {
		return Identity{}, invalid("the token is refused: %v", err)
	}
	if p.times.Issued.IsZero() {
		return Identity{}, invalid(`the token is refused: it has no "iat"`)
	}
	if p.times.Expires.IsZero() {
		p.times.Expires = p.times.Issued.Add(legacyLifetime)
	}
	if err := p.checkTimes(); err != nil {
		return Identity{}, err
	}
	if p.t.Bool("simulate") {
		// Taken for an ordinary one it would write, and whoever made it expects that it does not.
		return Identity{}, invalid(`the token is refused: "simulate" is not supported`)
	}
	id := Identity{Project: p.project, Issued: p.times.Issued, Expires: p.times.Expires}
	if p.t.Bool("admin") {
		id.Admin, id.Name = true, "admin token"
		return id, nil
	}
	d := p.t.Claims["d"]
	var user struct {
		UID json.RawMessage `json:"uid"`
	}
	if len(d) == 0 || d[0] != '{' || json.Unmarshal(d, &user) != nil {
		return Identity{}, invalid(`the token is refused: its "d" is not an object`)
	}
	id.Auth = d
	if json.Unmarshal(user.UID, &id.UID) != nil {
		id.UID = "" // a number, or none: the rules see it, and limits do without
	}
	if len(id.UID) > maxLegacyUID {
		return Identity{}, invalid(`the token is refused: "uid" has more than %d bytes`, maxLegacyUID)
	}
	return id, nil
}
