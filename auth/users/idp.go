package users

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"rebase/auth/jwks"
	"rebase/auth/projects"
	"rebase/auth/token"
)

// IDPInfo is what a provider said of who signed in.
type IDPInfo struct {
	ProviderID, RawID               string
	Email                           string
	EmailVerified                   bool
	Name, FirstName, LastName, User string
	Photo                           string
	Raw                             string // the claims, as JSON
	IDToken, AccessToken            string
	// Taken is set, and nobody is signed in, if the address belongs to another account; Methods are that account's.
	Taken   bool
	Methods []string
}

// idpState is what createAuthUri keeps until the provider sends the user back.
type idpState struct {
	Provider string `json:"provider"`
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	Redirect string `json:"redirect"`
}

// remotes are the key sets of providers, by issuer.
type remotes struct {
	mu   sync.Mutex
	sets map[string]*jwks.Remote
}

func (s *Store) keysOf(issuer string) *jwks.Remote {
	s.remotes.mu.Lock()
	defer s.remotes.mu.Unlock()
	r := s.remotes.sets[issuer]
	if r == nil {
		if s.remotes.sets == nil {
			s.remotes.sets = map[string]*jwks.Remote{}
		}
		r = jwks.NewRemote(jwks.Options{Issuer: issuer, HTTP: s.o.HTTP, Now: s.o.Now, Logger: s.log})
		s.remotes.sets[issuer] = r
	}
	return r
}

// discovery is the part of a provider's metadata that the code flow needs. (OpenID Connect Discovery 1.0, §3)
type discovery struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
}

const maxProviderAnswer = 1 << 20

func (s *Store) discover(ctx context.Context, issuer string) (*discovery, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, err
	}
	var d discovery
	if err := s.fetch(req, &d); err != nil {
		return nil, err
	}
	if d.Issuer != issuer || d.Authorization == "" || d.Token == "" {
		return nil, errors.New("the provider's metadata is not its own, or not complete")
	}
	return &d, nil
}

func (s *Store) fetch(req *http.Request, into any) error {
	res, err := s.o.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProviderAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the provider answered %s", res.Status)
	}
	return json.Unmarshal(body, into)
}

// AuthURI begins a sign-in at a provider: it returns where to send the user, and a session id to be given to SignInWithIDP when
// the provider has sent the user back to redirect.
func (s *Store) AuthURI(ctx context.Context, c Caller, providerID, redirect, hint string, scopes []string) (uri, sessionID string, err error) {
	settings := s.settings(c.Project)
	p, ok := settings.Provider(providerID)
	if !ok {
		return "", "", failf(NotAllowed, "The identity provider configuration is not found.")
	}
	if redirect == "" {
		return "", "", fail(MissingContinueURI)
	}
	if err := s.checkContinue(c, settings, redirect); err != nil {
		return "", "", err
	}
	// It writes a record and asks another server, for anybody.
	if _, ok := s.guard.take(s.guard.from(&s.guard.limits.Flows, c)); !ok {
		return "", "", fail(TooManyAttempts)
	}
	d, err := s.discover(ctx, p.Issuer)
	if err != nil {
		return "", "", failf(InvalidIDPResponse, "%s: %v", providerID, err)
	}
	st := idpState{Provider: p.ID, State: newCode(), Nonce: newCode(), Verifier: newCode(), Redirect: redirect}
	sessionID = newCode()
	now := s.millis()
	body, err := json.Marshal(code{Kind: idpSession, Created: now, Expires: now + kinds[idpSession].life.Milliseconds(), IDP: &st})
	if err != nil {
		return "", "", err
	}
	t := newTxn(c.Project)
	t.set(at(c.Project).code(hashText(sessionID)), string(body))
	if err := s.commit(ctx, t); err != nil {
		return "", "", err
	}
	list := []string{"openid", "email", "profile"}
	for _, sc := range scopes {
		if sc != "" && !slices.Contains(list, sc) {
			list = append(list, sc)
		}
	}
	challenge := sha256.Sum256([]byte(st.Verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {p.ClientID}, "redirect_uri": {redirect}, "scope": {strings.Join(list, " ")},
		"state": {st.State}, "nonce": {st.Nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	if hint != "" {
		q.Set("login_hint", hint)
	}
	sep := "?"
	if strings.Contains(d.Authorization, "?") {
		sep = "&"
	}
	return d.Authorization + sep + q.Encode(), sessionID, nil
}

// IDPRequest is a sign-in with what a provider has said.
type IDPRequest struct {
	// PostBody is the credential as the SDKs send it: id_token, access_token, providerId and nonce as a form.
	PostBody string
	// RequestURI is where the provider has sent the user back to, with its answer; SessionID is from AuthURI.
	RequestURI, SessionID string
	// IDToken is of the account that the identity is to be linked to; "" to sign in.
	IDToken string
	// NoCreate does not make an account if there is none.
	NoCreate bool
}

// SignInWithIDP signs in whom a provider vouches for, makes the account if there is none, or links the identity to an account.
func (s *Store) SignInWithIDP(ctx context.Context, c Caller, r IDPRequest) (*SignedIn, error) {
	settings := s.settings(c.Project)
	form, err := url.ParseQuery(r.PostBody)
	if err != nil {
		return nil, failf(InvalidIDPResponse, "postBody is not a form")
	}
	info, err := s.assertion(ctx, c, settings, r, form)
	if err != nil {
		return nil, err
	}
	id := Provider{ID: info.ProviderID, RawID: info.RawID, Email: info.Email, DisplayName: info.Name, PhotoURL: info.Photo, ScreenName: info.User}
	if err := checkProvider(id); err != nil {
		return nil, failf(InvalidIDPResponse, "%v", err)
	}
	x := session{Provider: id.ID}
	owner, err := s.ByProvider(c.Project, id.ID, id.RawID)
	if err != nil {
		return nil, err
	}
	if r.IDToken != "" {
		return s.linkIDP(ctx, c, r.IDToken, owner, id, info, x)
	}
	profile := func(u *User) {
		u.DisplayName, u.PhotoURL = cmp.Or(u.DisplayName, id.DisplayName), cmp.Or(u.PhotoURL, id.PhotoURL)
	}
	if owner != nil {
		out, err := s.signInAs(ctx, c.Project, owner.UID, x, func(_ *txn, u *User) error {
			if p := u.provider(id.ID); p == nil || p.RawID != id.RawID {
				return failf(InvalidIDPResponse, "the identity was unlinked at this moment; try again")
			}
			u.setProvider(id)
			profile(u)
			if u.Email == id.Email && info.EmailVerified {
				u.EmailVerified = u.Email != ""
			}
			return nil
		}, nil)
		return withIDP(out, info, err)
	}
	if info.Email != "" {
		other, err := s.ByEmail(c.Project, info.Email)
		if err != nil {
			return nil, err
		}
		if other != nil {
			// One account per address. Whoever has both signs in to the account first, and links.
			info.Taken = true
			for _, p := range other.AllProviders() {
				info.Methods = append(info.Methods, p.ID)
			}
			return &SignedIn{User: other, IDP: info}, nil
		}
	}
	if !projects.On(settings.SignUp) {
		return nil, fail(AdminOnly)
	}
	if r.NoCreate {
		return nil, fail(UserNotFound)
	}
	n := &User{UID: newUID(), Email: info.Email, EmailVerified: info.EmailVerified && info.Email != "", Providers: []Provider{id}}
	profile(n)
	tokens, err := s.create(ctx, c.Project, n, &x, nil)
	if err != nil {
		return nil, err
	}
	return &SignedIn{User: n, Tokens: tokens, New: true, IDP: info}, nil
}

func withIDP(out *SignedIn, info *IDPInfo, err error) (*SignedIn, error) {
	if err != nil {
		return nil, err
	}
	out.IDP = info
	return out, nil
}

func (s *Store) linkIDP(ctx context.Context, c Caller, idToken string, owner *User, id Provider, info *IDPInfo, x session) (*SignedIn, error) {
	u, _, err := s.checkIDToken(c.Project, idToken)
	if err != nil {
		return nil, err
	}
	if owner != nil && owner.UID != u.UID {
		return nil, fail(FederatedLinked)
	}
	if id.Email != "" && u.Email == "" {
		other, err := s.ByEmail(c.Project, id.Email)
		if err != nil {
			return nil, err
		}
		if other != nil {
			return nil, fail(EmailExists)
		}
	}
	out, err := s.signInAs(ctx, c.Project, u.UID, x, func(_ *txn, u *User) error {
		if old := u.provider(id.ID); old != nil && old.RawID != id.RawID {
			return fail(ProviderAlreadyLinked)
		}
		if u.setProvider(id); len(u.Providers) > maxProviders {
			return failf(InvalidProvider, "an account has at most %d providers", maxProviders)
		}
		u.DisplayName, u.PhotoURL = cmp.Or(u.DisplayName, id.DisplayName), cmp.Or(u.PhotoURL, id.PhotoURL)
		switch u.Email {
		case "":
			u.Email, u.EmailVerified = info.Email, info.EmailVerified && info.Email != ""
		case info.Email:
			u.EmailVerified = u.EmailVerified || info.EmailVerified
		}
		return nil
	}, nil)
	return withIDP(out, info, err)
}

// assertion returns what the provider says, once it is sure that the provider says it to this app.
func (s *Store) assertion(ctx context.Context, c Caller, settings *projects.SignIn, r IDPRequest, form url.Values) (*IDPInfo, error) {
	back, err := url.Parse(r.RequestURI)
	if err != nil {
		return nil, failf(InvalidIDPResponse, "requestUri is no URL")
	}
	if answer := back.Query(); r.SessionID != "" && (answer.Has("code") || answer.Has("error")) {
		return s.exchange(ctx, c, settings, r.SessionID, answer)
	}
	providerID, text := form.Get("providerId"), form.Get("id_token")
	if providerID == "" {
		return nil, failf(InvalidIDPResponse, "there is no providerId")
	}
	p, known := settings.Provider(providerID)
	if !known {
		if s.o.Open && text != "" {
			return believed(providerID, text)
		}
		return nil, failf(NotAllowed, "The identity provider configuration is not found.")
	}
	if text == "" {
		return nil, failf(InvalidIDPResponse, "%s: an ID token is needed", providerID)
	}
	info, err := s.checkAssertion(ctx, p, text, form.Get("nonce"), false)
	if err != nil {
		return nil, err
	}
	info.AccessToken = form.Get("access_token")
	return info, nil
}

// exchange finishes the code flow: it redeems the provider's code for an ID token.
func (s *Store) exchange(ctx context.Context, c Caller, settings *projects.SignIn, sessionID string, answer url.Values) (*IDPInfo, error) {
	k, r, err := s.code(c.Project, sessionID)
	if err != nil || k.Kind != idpSession || k.IDP == nil {
		return nil, failf(InvalidIDPResponse, "the sign-in was not begun here, or too long ago")
	}
	t := newTxn(c.Project)
	t.rests(r)
	t.remove(r.path)
	if err := s.commit(ctx, t); err != nil {
		return nil, failf(InvalidIDPResponse, "the sign-in is over already")
	}
	st := k.IDP
	if subtle.ConstantTimeCompare([]byte(st.State), []byte(answer.Get("state"))) != 1 {
		return nil, failf(InvalidIDPResponse, "the answer belongs to another sign-in")
	}
	if e := answer.Get("error"); e != "" {
		return nil, failf(InvalidIDPResponse, "the provider says %.100s: %.200s", e, answer.Get("error_description"))
	}
	p, ok := settings.Provider(st.Provider)
	if !ok {
		return nil, failf(NotAllowed, "The identity provider configuration is not found.")
	}
	d, err := s.discover(ctx, p.Issuer)
	if err != nil {
		return nil, failf(InvalidIDPResponse, "%s: %v", p.ID, err)
	}
	q := url.Values{"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {st.Redirect}, "code_verifier": {st.Verifier}}
	if p.ClientSecret == "" {
		q.Set("client_id", p.ClientID)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.Token, strings.NewReader(q.Encode()))
	if err != nil {
		return nil, failf(InvalidIDPResponse, "%s: %v", p.ID, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.ClientSecret != "" {
		req.SetBasicAuth(url.QueryEscape(p.ClientID), url.QueryEscape(p.ClientSecret)) // RFC 6749 §2.3.1
	}
	var got struct {
		IDToken     string `json:"id_token"`
		AccessToken string `json:"access_token"`
	}
	if err := s.fetch(req, &got); err != nil {
		return nil, failf(InvalidIDPResponse, "%s: %v", p.ID, err)
	}
	info, err := s.checkAssertion(ctx, p, got.IDToken, st.Nonce, true)
	if err != nil {
		return nil, err
	}
	info.AccessToken = got.AccessToken
	return info, nil
}

// checkAssertion checks an ID token of a provider. (OpenID Connect Core 1.0, §3.1.3.7)
func (s *Store) checkAssertion(ctx context.Context, p *projects.Provider, text, nonce string, needNonce bool) (*IDPInfo, error) {
	bad := func(format string, args ...any) error {
		return failf(InvalidIDPResponse, "The supplied auth credential is invalid: %s: %s", p.ID, fmt.Sprintf(format, args...))
	}
	t, err := token.Parse(text)
	if err != nil {
		return nil, bad("%v", err)
	}
	key, err := s.keysOf(p.Issuer).Key(ctx, t.KID, t.Alg)
	if err != nil {
		return nil, bad("%v", err)
	}
	if err := t.Verify(key); err != nil {
		return nil, bad("%v", err)
	}
	if iss, _ := t.Text("iss"); iss != p.Issuer {
		return nil, bad("it is of another issuer")
	}
	if err := t.Audience(append([]string{p.ClientID}, p.Audiences...)...); err != nil {
		return nil, bad("%v", err)
	}
	times, err := t.Times()
	if err != nil {
		return nil, bad("%v", err)
	}
	if times.Expires.IsZero() {
		return nil, bad("it never expires")
	}
	if err := times.Check(s.o.Now()); err != nil {
		return nil, bad("%v", err)
	}
	if err := checkNonce(t, nonce, needNonce); err != nil {
		return nil, bad("%v", err)
	}
	info, err := describe(p.ID, t.Claims)
	if err != nil {
		return nil, bad("%v", err)
	}
	info.IDToken = text
	return info, nil
}

// checkNonce compares the nonce with the token's, which is the same or, where an app has got the token itself, its SHA-256 in hex.
func checkNonce(t *token.Token, nonce string, need bool) error {
	has, _ := t.Text("nonce")
	if !need && !t.Has("nonce") && nonce == "" {
		return nil
	}
	if !need && nonce == "" {
		// As at Firebase: an app that asked for a nonce shows it.
		return errors.New("it has a nonce, which must be shown")
	}
	sum := sha256.Sum256([]byte(nonce))
	if subtle.ConstantTimeCompare([]byte(has), []byte(nonce)) == 1 || subtle.ConstantTimeCompare([]byte(has), fmt.Appendf(nil, "%x", sum)) == 1 {
		return nil
	}
	return errors.New("its nonce is another")
}

// describe reads the standard claims. (OpenID Connect Core 1.0, §5.1)
func describe(providerID string, claims map[string]json.RawMessage) (*IDPInfo, error) {
	raw, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	text := func(name string) string {
		var s string
		_ = json.Unmarshal(claims[name], &s) // not a string: as if it were not there
		return s
	}
	info := &IDPInfo{
		ProviderID: providerID, RawID: text("sub"), Name: text("name"), FirstName: text("given_name"), LastName: text("family_name"),
		User: text("preferred_username"), Photo: text("picture"), Raw: string(raw),
	}
	if info.RawID == "" {
		return nil, errors.New(`it has no "sub"`)
	}
	if e, err := CanonicalEmail(text("email")); err == nil {
		info.Email = e
		v := string(claims["email_verified"])
		info.EmailVerified = v == "true" || v == `"true"`
	}
	if len(info.Photo) > maxPhotoURL {
		info.Photo = ""
	}
	return info, nil
}

// believed reads an ID token without checking it, or the plain JSON that the emulator takes.
func believed(providerID, text string) (*IDPInfo, error) {
	claims := map[string]json.RawMessage{}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if err := json.Unmarshal([]byte(text), &claims); err != nil {
			return nil, failf(InvalidIDPResponse, "id_token: %v", err)
		}
	} else {
		t, err := token.Parse(text)
		if err != nil {
			return nil, failf(InvalidIDPResponse, "id_token: %v", err)
		}
		claims = t.Claims
	}
	info, err := describe(providerID, claims)
	if err != nil {
		return nil, failf(InvalidIDPResponse, "id_token: %v", err)
	}
	info.IDToken = text
	return info, nil
}
