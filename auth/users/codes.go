package users

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"rebase/auth/projects"
)

// Kinds of codes, as the API names them.
const (
	PasswordReset        = "PASSWORD_RESET"
	VerifyEmail          = "VERIFY_EMAIL"
	EmailSignIn          = "EMAIL_SIGNIN"
	VerifyAndChangeEmail = "VERIFY_AND_CHANGE_EMAIL"
	RecoverEmail         = "RECOVER_EMAIL"
	idpSession           = "IDP_SESSION" // what createAuthUri keeps until the provider sends the user back
)

// kinds are how long codes live, and what links and templates call them.
var kinds = map[string]struct {
	life           time.Duration
	mode, template string
}{
	PasswordReset:        {time.Hour, "resetPassword", "resetPassword"},
	VerifyEmail:          {3 * 24 * time.Hour, "verifyEmail", "verifyEmail"},
	EmailSignIn:          {6 * time.Hour, "signIn", "signIn"},
	VerifyAndChangeEmail: {3 * 24 * time.Hour, "verifyAndChangeEmail", "changeEmail"},
	RecoverEmail:         {30 * 24 * time.Hour, "recoverEmail", "recoverEmail"},
	idpSession:           {15 * time.Minute, "", ""},
}

// code is what a code is good for.
type code struct {
	Kind     string `json:"kind"`
	UID      string `json:"uid,omitempty"` // "" for one that is good for nothing, or for a sign-in by whoever has the address
	Email    string `json:"email,omitempty"`
	NewEmail string `json:"newEmail,omitempty"`
	Created  int64  `json:"created"`
	Expires  int64  `json:"expires"`
	// Void is set in place of a code where there is no account.
	Void bool      `json:"void,omitempty"`
	IDP  *idpState `json:"idp,omitempty"`
}

// CodeRequest asks for a code.
type CodeRequest struct {
	Kind     string
	Email    string
	NewEmail string // VerifyAndChangeEmail
	IDToken  string // VerifyEmail and VerifyAndChangeEmail: whose address it is
	// ContinueURL is where the user goes on afterwards.
	ContinueURL string
	// Extra are further parameters of the link.
	Extra map[string]string
	// Return gives the code to the caller, an administrator, instead of sending it.
	Return bool
}

// Sent is a code that was made.
type Sent struct {
	Email    string
	NewEmail string
	// Code and Link are empty unless they were asked for.
	Code, Link string
}

// errNoMail is told to everyone alike, whatever the address.
var errNoMail = failf(NotAllowed, "this server sends no mail: it has no mail server (see --smtp)")

// SendCode makes a code and sends it by mail, or returns it to an administrator. For an address that has no account it does the same as for one
// that has, but that no mail leaves.
func (s *Store) SendCode(ctx context.Context, c Caller, r CodeRequest) (*Sent, error) {
	settings := s.settings(c.Project)
	kind, ok := kinds[r.Kind]
	switch {
	case r.Kind == "":
		return nil, fail(MissingRequestType)
	case !ok || r.Kind == idpSession || r.Kind == RecoverEmail && !c.Admin:
		return nil, fail(InvalidRequestType)
	case r.Return && !c.Admin:
		return nil, failf("INSUFFICIENT_PERMISSION", "only an administrator gets the code itself")
	case r.Kind == EmailSignIn && !projects.On(settings.EmailLink):
		return nil, fail(NotAllowed)
	case !r.Return && s.o.Mailer == nil && !s.o.Open:
		return nil, errNoMail
	}
	if err := s.checkContinue(c, settings, r.ContinueURL); err != nil {
		return nil, err
	}
	k, u, err := s.codeFor(c, settings, r)
	if err != nil {
		return nil, err
	}
	to := k.Email
	if k.NewEmail != "" {
		to = k.NewEmail
	}
	if !r.Return {
		if err := s.mayMail(c, to); err != nil {
			return nil, err
		}
	}
	text := newCode()
	now := s.millis()
	k.Created, k.Expires = now, now+kind.life.Milliseconds()
	body, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	t := newTxn(c.Project)
	t.set(at(c.Project).code(hashText(text)), string(body))
	if err := s.commit(ctx, t); err != nil {
		return nil, err
	}
	sent := &Sent{Email: k.Email, NewEmail: k.NewEmail}
	if k.Void {
		return sent, nil
	}
	link := s.link(c, settings, kind.mode, text, r.ContinueURL, r.Extra)
	if s.o.Open {
		s.recent.add(RecentCode{Project: c.Project, Email: to, Kind: r.Kind, Code: text, Link: link})
	}
	if r.Return {
		sent.Code, sent.Link = text, link
		return sent, nil
	}
	s.post(c, settings, kind.template, to, k, u, link)
	return sent, nil
}

// codeFor finds whom a code is for. An address without an account gives a code that is void.
func (s *Store) codeFor(c Caller, settings *projects.SignIn, r CodeRequest) (k code, u *User, err error) {
	k.Kind = r.Kind
	byToken := r.IDToken != "" && (r.Kind == VerifyEmail || r.Kind == VerifyAndChangeEmail)
	switch {
	case byToken:
		var cl *claimed
		if u, cl, err = s.checkIDToken(c.Project, r.IDToken); err != nil {
			return k, nil, err
		}
		if r.Kind == VerifyAndChangeEmail {
			if err := s.recentLogin(cl); err != nil {
				return k, nil, err
			}
		}
		if u.Email == "" && r.Kind == VerifyEmail {
			return k, nil, fail(MissingEmail)
		}
		k.Email = u.Email
	case !c.Admin && (r.Kind == VerifyEmail || r.Kind == VerifyAndChangeEmail):
		return k, nil, fail(MissingIDToken)
	default:
		if k.Email, err = CanonicalEmail(r.Email); err != nil {
			return k, nil, err
		}
		if u, err = s.ByEmail(c.Project, k.Email); err != nil {
			return k, nil, err
		}
	}
	if r.Kind == VerifyAndChangeEmail {
		if r.NewEmail == "" {
			return k, nil, fail(MissingNewEmail)
		}
		if k.NewEmail, err = CanonicalEmail(r.NewEmail); err != nil {
			return k, nil, fail("INVALID_NEW_EMAIL")
		}
		other, err := s.ByEmail(c.Project, k.NewEmail)
		if err != nil {
			return k, nil, err
		}
		if other != nil && (u == nil || other.UID != u.UID) {
			if c.Admin || !projects.On(settings.HideEmails) {
				return k, nil, fail(EmailExists)
			}
			k.Void = true
		}
	}
	if u != nil {
		k.UID = u.UID
		k.Void = k.Void || u.Disabled && !c.Admin
		return k, u, nil
	}
	switch {
	case r.Kind == EmailSignIn && (c.Admin || projects.On(settings.SignUp)):
	case c.Admin, !projects.On(settings.HideEmails):
		return k, nil, fail(EmailNotFound)
	default:
		k.Void = true
	}
	return k, nil, nil
}

func newCode() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// ActionPath is where the server's own page for links in mails is.
const ActionPath = "/_rebase/auth/action"

// link is what is in the mail: the app's page or the server's, with the parameters that SDKs look for.
func (s *Store) link(c Caller, settings *projects.SignIn, mode, text, continueURL string, extra map[string]string) string {
	q := url.Values{"mode": {mode}, "oobCode": {text}, "apiKey": {c.APIKey}, "lang": {"en"}}
	if c.APIKey == "" {
		q.Set("apiKey", "none") // the SDKs do not take a link without one
	}
	if c.Language != "" {
		q.Set("lang", c.Language)
	}
	if continueURL != "" {
		q.Set("continueUrl", continueURL)
	}
	for k, v := range extra {
		q.Set(k, v)
	}
	base := settings.ActionURL
	if base == "" {
		base = strings.TrimSuffix(c.Base, "/") + ActionPath
		q.Set("project", c.Project)
	}
	sep := "?"
	if strings.Contains(base, "?") {
		sep = "&"
	}
	return base + sep + q.Encode()
}

// checkContinue refuses links that lead elsewhere than to the app: mails of ours must not advertise for strangers.
func (s *Store) checkContinue(c Caller, settings *projects.SignIn, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fail(InvalidContinueURI)
	}
	if s.o.Open || c.Admin || s.Authorized(c, u.Hostname()) {
		return nil
	}
	return failf(UnauthorizedDomain, "Domain not allowlisted by project")
}

// Authorized tells whether a host is the app's: one that the project names, the server's own, or localhost.
func (s *Store) Authorized(c Caller, host string) bool {
	own, _ := url.Parse(c.Base)
	switch host = strings.ToLower(host); {
	case host == "localhost", host == "127.0.0.1", own != nil && own.Hostname() == host:
		return true
	}
	for _, d := range s.settings(c.Project).Domains {
		if strings.EqualFold(d, host) {
			return true
		}
	}
	return false
}

// code reads what a code is good for.
func (s *Store) code(project, text string) (k code, r record, err error) {
	if text == "" {
		return k, r, fail(MissingCode)
	}
	if len(text) > 256 {
		return k, r, fail(InvalidCode)
	}
	if r, err = s.record(at(project).code(hashText(text))); err != nil {
		return k, r, err
	}
	if r.text == "" || json.Unmarshal([]byte(r.text), &k) != nil || k.Void {
		return k, r, fail(InvalidCode)
	}
	if s.millis() >= k.Expires {
		return k, r, fail(ExpiredCode)
	}
	return k, r, nil
}

// redeem changes the account that a code is for, and uses the code up. The code must be of one of the given kinds.
func (s *Store) redeem(ctx context.Context, project string, k code, r record, f func(t *txn, u *User) error) (*User, error) {
	u, err := s.update(ctx, project, k.UID, func(t *txn, u *User) error {
		now, err := s.record(r.path)
		if err != nil {
			return err
		}
		if now.hash != r.hash {
			return fail(InvalidCode) // somebody was quicker
		}
		t.rests(now)
		t.remove(r.path)
		// RecoverEmail's is the address before; else the code is for an address that the account must still have.
		if u.Email != k.Email && k.Kind != RecoverEmail {
			return fail(InvalidCode)
		}
		if u.Disabled {
			return fail(UserDisabled)
		}
		return f(t, u)
	})
	if errors.Is(err, fail(UserNotFound)) {
		return nil, fail(InvalidCode)
	}
	return u, err
}

// CodeInfo is what a code is good for.
type CodeInfo struct {
	Kind, Email, NewEmail string
}

// CheckCode tells what a code is good for, without using it.
func (s *Store) CheckCode(c Caller, text string) (*CodeInfo, error) {
	k, _, err := s.code(c.Project, text)
	if err != nil {
		return nil, err
	}
	if k.Kind == idpSession {
		return nil, fail(InvalidCode)
	}
	return &CodeInfo{Kind: k.Kind, Email: k.Email, NewEmail: k.NewEmail}, nil
}

// ResetPassword gives the account that a code is for a new password. It ends all sessions, and the address is verified by it.
func (s *Store) ResetPassword(ctx context.Context, c Caller, text, pw string) (*CodeInfo, error) {
	settings := s.settings(c.Project)
	if !projects.On(settings.Email) {
		return nil, fail(NotAllowed)
	}
	k, r, err := s.code(c.Project, text)
	if err != nil {
		return nil, err
	}
	if k.Kind != PasswordReset {
		return nil, fail(InvalidCode)
	}
	hash, err := s.newHash(ctx, settings, pw)
	if err != nil {
		return nil, err
	}
	_, err = s.redeem(ctx, c.Project, k, r, func(t *txn, u *User) error {
		if u.PasswordUpdatedAt > k.Created {
			return fail(InvalidCode)
		}
		s.proved(t, u)
		u.Password, u.PasswordUpdatedAt = hash, s.millis()
		s.endSessions(t, u)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.guard.reset(bucketKey{&s.guard.limits.Account, c.Project + "\n" + k.Email})
	s.guard.reset(bucketKey{&s.guard.limits.Guesses, c.Project + "\n" + k.Email + "\n" + network(c.Address)})
	return &CodeInfo{Kind: k.Kind, Email: k.Email}, nil
}

// proved notes that the caller has the address. Whoever made the account without having it loses what they could get in by.
func (s *Store) proved(t *txn, u *User) {
	if !u.EmailVerified {
		u.Password, u.Providers = "", nil
		s.endSessions(t, u)
	}
	u.EmailVerified = true
}

// ApplyCode verifies an address, changes it, or takes such a change back.
func (s *Store) ApplyCode(ctx context.Context, c Caller, text string) (*User, error) {
	k, r, err := s.code(c.Project, text)
	if err != nil {
		return nil, err
	}
	before := ""
	var apply func(t *txn, u *User) error
	switch k.Kind {
	case VerifyEmail:
		apply = func(_ *txn, u *User) error { u.EmailVerified = true; return nil }
	case VerifyAndChangeEmail:
		apply = func(t *txn, u *User) error {
			if before = ""; u.EmailVerified {
				before = u.Email
			}
			u.Email, u.EmailVerified = k.NewEmail, true
			s.endSessions(t, u)
			return nil
		}
	case RecoverEmail:
		// Whoever made the change may know the password, or have made it.
		apply = func(t *txn, u *User) error {
			u.Email, u.EmailVerified = k.Email, true
			u.Password, u.Providers = "", nil
			s.endSessions(t, u)
			return nil
		}
	default:
		return nil, fail(InvalidCode)
	}
	u, err := s.redeem(ctx, c.Project, k, r, apply)
	if err == nil && k.Kind == VerifyAndChangeEmail && before != "" {
		s.tellOfNewEmail(ctx, c, u, before)
	}
	return u, err
}

// SignInWithEmailLink signs in by a code that was sent to the address; with an ID token it is linked to that account.
func (s *Store) SignInWithEmailLink(ctx context.Context, c Caller, email, text, idToken string) (*SignedIn, error) {
	settings := s.settings(c.Project)
	if !projects.On(settings.EmailLink) {
		return nil, fail(NotAllowed)
	}
	email, err := CanonicalEmail(email)
	if err != nil {
		return nil, err
	}
	k, r, err := s.code(c.Project, text)
	if err != nil {
		return nil, err
	}
	if k.Kind != EmailSignIn || k.Email != email {
		return nil, fail(InvalidCode)
	}
	x := session{Provider: ProviderPassword}
	use := func(t *txn, u *User) error {
		now, err := s.record(r.path)
		if err != nil {
			return err
		}
		if now.hash != r.hash {
			return fail(InvalidCode)
		}
		t.rests(now)
		t.remove(r.path)
		if u.Email != email {
			u.Email, u.EmailVerified = email, true
		}
		if idToken == "" {
			s.proved(t, u)
		}
		u.EmailVerified, u.EmailLink = true, true
		return nil
	}
	if idToken != "" {
		u, _, err := s.checkIDToken(c.Project, idToken)
		if err != nil {
			return nil, err
		}
		if u.Email != "" && u.Email != email {
			return nil, emailNeedsVerification()
		}
		return s.signInAs(ctx, c.Project, u.UID, x, use, nil)
	}
	u, err := s.ByEmail(c.Project, email)
	if err != nil {
		return nil, err
	}
	if u != nil {
		return s.signInAs(ctx, c.Project, u.UID, x, use, nil)
	}
	if !projects.On(settings.SignUp) {
		return nil, fail(AdminOnly)
	}
	n := &User{UID: newUID(), Email: email, EmailVerified: true, EmailLink: true}
	tokens, err := s.create(ctx, c.Project, n, &x, func(t *txn) { t.rests(r); t.remove(r.path) })
	if err != nil {
		return nil, err
	}
	return &SignedIn{User: n, Tokens: tokens, New: true}, nil
}

// tellOfNewEmail sends a link to the address that an account had before, by which the change can be taken back. before must have
// been verified: the owner of an address with which a stranger has made an account must not be led to vouch for it.
func (s *Store) tellOfNewEmail(ctx context.Context, c Caller, u *User, before string) {
	if before == "" || s.o.Mailer == nil && !s.o.Open {
		return
	}
	kind, text, now := kinds[RecoverEmail], newCode(), s.millis()
	k := code{Kind: RecoverEmail, UID: u.UID, Email: before, NewEmail: u.Email, Created: now, Expires: now + kind.life.Milliseconds()}
	body, err := json.Marshal(k)
	if err == nil {
		t := newTxn(c.Project)
		t.set(at(c.Project).code(hashText(text)), string(body))
		err = s.commit(ctx, t)
	}
	if err != nil {
		s.log.Error("the owner of an address was not told that it was changed", "project", c.Project, "uid", u.UID, "err", err)
		return
	}
	settings := s.settings(c.Project)
	link := s.link(c, settings, kind.mode, text, "", nil)
	if s.o.Open {
		s.recent.add(RecentCode{Project: c.Project, Email: before, Kind: RecoverEmail, Code: text, Link: link})
	}
	s.post(c, settings, kind.template, before, k, u, link)
}

// RecentCode is a code in plain.
type RecentCode struct {
	Project string `json:"-"`
	Email   string `json:"email"`
	Kind    string `json:"requestType"`
	Code    string `json:"oobCode"`
	Link    string `json:"oobLink"`
}

// recentCodes keeps the latest codes for tests, in open mode.
type recentCodes struct {
	mu   sync.Mutex
	list []RecentCode
}

const maxRecent = 1000

func (r *recentCodes) add(c RecentCode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list = append(r.list, c); len(r.list) > maxRecent {
		r.list = append([]RecentCode(nil), r.list[len(r.list)-maxRecent/2:]...)
	}
}

// Codes returns the codes made lately, the oldest first; there are none but in open mode.
func (s *Store) Codes(project string) []RecentCode {
	s.recent.mu.Lock()
	defer s.recent.mu.Unlock()
	list := []RecentCode{}
	for _, c := range s.recent.list {
		if c.Project == project {
			list = append(list, c)
		}
	}
	return list
}

// expired removes the codes that are over.
func (s *Store) expired(t *txn, where place) error {
	now := s.millis()
	err := s.db.Store().Children(Namespace, where.codes(), "", func(key string, _ bool, leaf leafNode) bool {
		var k code
		if json.Unmarshal([]byte(leaf.Str()), &k) != nil || now >= k.Expires {
			t.remove(where.codes().Child(key))
		}
		return len(t.updates) < maxSwept
	})
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	return nil
}
