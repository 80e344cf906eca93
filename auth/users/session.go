package users

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"rebase/auth/token"
	"rebase/tree"
)

// TokenLifetime is how long an ID token lives.
const TokenLifetime = time.Hour

// maxSessions is how many sessions an account can have. The oldest ends when one more begins.
const maxSessions = 200

// Tokens are what signing in gives.
type Tokens struct {
	ID, Refresh string
	ExpiresIn   time.Duration
}

// session is what a refresh token stands for.
type session struct {
	// AuthTime is when the user signed in, in seconds, as its tokens say.
	AuthTime int64 `json:"authTime"`
	// Began is the same in milliseconds, to know the oldest by.
	Began    int64          `json:"began"`
	Epoch    int64          `json:"epoch,omitempty"`
	Provider string         `json:"provider"`
	Claims   map[string]any `json:"claims,omitempty"` // of a custom token
	// Attributes are those of the provider's token that tokens repeat ("sign_in_attributes").
	Attributes map[string]any `json:"attributes,omitempty"`
}

// begin adds a session to a change, and returns its tokens, which are good once the change is made. The account must be as it will be then. A
// session that goes on from another has that one's AuthTime: it is no new proof of who the user is. A new one
// begins no earlier than ValidSince, which may be up to a second ahead.
func (s *Store) begin(t *txn, u *User, x session) (*Tokens, error) {
	x.Began = s.millis()
	if x.AuthTime == 0 || x.AuthTime < u.ValidSince {
		x.AuthTime = max(x.Began/1000, u.ValidSince)
		u.LastLoginAt = x.Began
	}
	x.Epoch = u.Epoch
	u.LastRefreshAt = x.Began
	secret := make([]byte, 32)
	rand.Read(secret)
	text := base64.RawURLEncoding.EncodeToString(secret)
	body, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	if err := s.makeRoom(t, u); err != nil {
		return nil, err
	}
	t.set(at(t.project).session(u.UID, hashText(text)), string(body))
	id, err := s.idToken(t.project, u, &x)
	if err != nil {
		return nil, err
	}
	return &Tokens{ID: id, Refresh: refreshToken(t.project, u.UID, text), ExpiresIn: TokenLifetime}, nil
}

// makeRoom removes sessions that are over, and the oldest if there are too many.
func (s *Store) makeRoom(t *txn, u *User) error {
	type old struct {
		path  tree.Path
		began int64
	}
	var alive []old
	root := at(t.project).sessions(u.UID)
	err := s.db.Store().Children(Namespace, root, "", func(key string, _ bool, leaf *tree.Node) bool {
		var x session
		if json.Unmarshal([]byte(leaf.Str()), &x) != nil || x.Epoch != u.Epoch {
			t.remove(root.Child(key))
		} else {
			alive = append(alive, old{root.Child(key), x.Began})
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	slices.SortFunc(alive, func(a, b old) int { return int(a.began - b.began) })
	for _, o := range alive[:max(0, len(alive)-maxSessions+1)] {
		t.remove(o.path)
	}
	return nil
}

// A refresh token is opaque to clients. It names its place, so that all sessions of an account are in one place, and ends in what is secret.
func refreshToken(project, uid, secret string) string {
	e := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{"rbr1", e([]byte(project)), e([]byte(uid)), secret}, ".")
}

func parseRefresh(text string) (project, uid, secret string, ok bool) {
	parts := strings.Split(text, ".")
	if len(text) > 2048 || len(parts) != 4 || parts[0] != "rbr1" || len(parts[3]) != 43 {
		return "", "", "", false
	}
	p, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", "", "", false
	}
	u, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(u) == 0 {
		return "", "", "", false
	}
	return string(p), string(u), parts[3], true
}

// Refresh returns a new ID token for a refresh token, which stays the same, and whose it is. c.Project may be empty: the token names it.
func (s *Store) Refresh(ctx context.Context, c Caller, text string) (*User, *Tokens, string, error) {
	if text == "" {
		return nil, nil, "", fail(MissingRefreshToken)
	}
	project, uid, secret, ok := parseRefresh(text)
	if !ok || c.Project != "" && c.Project != project {
		return nil, nil, "", fail(InvalidRefreshToken)
	}
	u, _, err := s.user(project, uid)
	if err != nil {
		return nil, nil, "", err
	}
	r, err := s.record(at(project).session(uid, hashText(secret)))
	if err != nil {
		return nil, nil, "", err
	}
	var x session
	switch {
	case r.text == "" && u == nil:
		return nil, nil, "", fail(UserNotFound)
	case r.text == "", json.Unmarshal([]byte(r.text), &x) != nil:
		// A session that was ended has been removed, or soon will be: SDKs sign the user out on either error.
		return nil, nil, "", fail(TokenExpired)
	case u == nil:
		return nil, nil, "", fail(UserNotFound)
	case u.Disabled:
		return nil, nil, "", fail(UserDisabled)
	case x.Epoch != u.Epoch || x.AuthTime < u.ValidSince:
		return nil, nil, "", fail(TokenExpired)
	}
	id, err := s.idToken(project, u, &x)
	if err != nil {
		return nil, nil, "", err
	}
	s.refreshed(ctx, project, u)
	return u, &Tokens{ID: id, Refresh: text, ExpiresIn: TokenLifetime}, project, nil
}

// refreshed notes when the account was last used, not more often than every minute.
func (s *Store) refreshed(ctx context.Context, project string, u *User) {
	now := s.millis()
	if now-u.LastRefreshAt < 60_000 {
		return
	}
	if _, err := s.update(ctx, project, u.UID, func(_ *txn, u *User) error { u.LastRefreshAt = now; return nil }); err != nil {
		s.log.Warn("the time of a refresh was not noted", "project", project, "err", err)
	}
}

// Issuer is the claim "iss" of a project's ID tokens.
func Issuer(project string) string { return "https://securetoken.google.com/" + project }

// idToken makes an ID token as Firebase's are.
func (s *Store) idToken(project string, u *User, x *session) (string, error) {
	now := s.o.Now()
	claims := map[string]any{}
	custom, err := CheckClaims(u.Claims)
	if err != nil {
		s.log.Warn("the custom claims of a user are left out: they are damaged", "project", project, "uid", u.UID, "err", err)
	}
	for _, m := range []map[string]any{custom, x.Claims} {
		for k, v := range m {
			claims[k] = v
		}
	}
	put := func(name, v string) {
		if v != "" {
			claims[name] = v
		}
	}
	put("name", u.DisplayName)
	put("picture", u.PhotoURL)
	put("phone_number", u.Phone)
	identities := map[string]any{}
	if u.Email != "" {
		claims["email"], claims["email_verified"] = u.Email, u.EmailVerified
		identities["email"] = []string{u.Email}
	}
	if u.Phone != "" {
		identities["phone"] = []string{u.Phone}
	}
	for _, p := range u.Providers {
		identities[p.ID] = []string{p.RawID}
	}
	if x.Provider == ProviderAnon {
		claims["provider_id"] = ProviderAnon
	}
	fb := map[string]any{"identities": identities, "sign_in_provider": x.Provider}
	if len(x.Attributes) > 0 {
		fb["sign_in_attributes"] = x.Attributes
	}
	claims["firebase"] = fb
	claims["iss"], claims["aud"] = Issuer(project), project
	claims["sub"], claims["user_id"] = u.UID, u.UID
	// Some SDKs compare "iat", not "auth_time", with the time since when tokens are valid.
	claims["auth_time"], claims["iat"], claims["exp"] = x.AuthTime, max(now.Unix(), x.AuthTime), now.Add(TokenLifetime).Unix()
	if s.o.Open {
		return unsigned(claims)
	}
	id, err := s.o.Keys.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("users: signing an ID token: %w", err)
	}
	return id, nil
}

// unsigned makes a token as the emulator's are: an Admin SDK that believes to speak to one takes no other.
func unsigned(claims map[string]any) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("users: %w", err)
	}
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + e(body) + ".", nil
}

// claimed is what an ID token of ours says of its session.
type claimed struct {
	uid      string
	authTime time.Time
	session  session
}

// checkIDToken returns the account that an ID token is of, if the token is still good.
func (s *Store) checkIDToken(project, text string) (*User, *claimed, error) {
	if text == "" {
		return nil, nil, fail(MissingIDToken)
	}
	t, err := token.Parse(text)
	if err != nil {
		return nil, nil, failf(InvalidIDToken, "%v", err)
	}
	if !s.o.Open {
		key, ok := s.o.Keys.Key(t.KID)
		if !ok {
			return nil, nil, failf(InvalidIDToken, "it was not signed here, or too long ago")
		}
		if err := t.Verify(key); err != nil {
			return nil, nil, failf(InvalidIDToken, "%v", err)
		}
	}
	times, err := t.Times()
	if err != nil {
		return nil, nil, failf(InvalidIDToken, "%v", err)
	}
	iss, _ := t.Text("iss")
	uid, err := t.Subject()
	if err != nil || iss != Issuer(project) || t.Audience(project) != nil || times.Expires.IsZero() || t.Typ != "" && t.Typ != "JWT" {
		return nil, nil, failf(InvalidIDToken, "it is not of a user of this project")
	}
	if times.Check(s.o.Now()) != nil {
		return nil, nil, fail(TokenExpired)
	}
	u, err := s.Get(project, uid)
	switch {
	case err != nil:
		return nil, nil, err
	case u == nil:
		return nil, nil, fail(UserNotFound)
	case u.Disabled:
		return nil, nil, fail(UserDisabled)
	case times.Auth.Unix() < u.ValidSince:
		return nil, nil, fail(TokenExpired)
	}
	return u, &claimed{uid: uid, authTime: times.Auth, session: sessionOf(t)}, nil
}

// sessionOf returns what a token repeats of its session.
func sessionOf(t *token.Token) (x session) {
	var fb struct {
		Provider   string         `json:"sign_in_provider"`
		Attributes map[string]any `json:"sign_in_attributes"`
	}
	if json.Unmarshal(t.Claims["firebase"], &fb) == nil {
		x.Provider, x.Attributes = fb.Provider, fb.Attributes
	}
	if at, ok := t.Time("auth_time"); ok {
		x.AuthTime = at.Unix()
	}
	return x
}

// recentLogin refuses what needs a recent sign-in.
func (s *Store) recentLogin(c *claimed) error {
	if s.o.Now().Sub(c.authTime) > s.o.RecentLogin {
		return fail(CredentialTooOld)
	}
	return nil
}
