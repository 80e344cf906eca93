package users

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"rebase/auth/password"
	"rebase/auth/projects"
	"rebase/auth/token"
)

// SignedIn is the outcome of a sign-in.
type SignedIn struct {
	User   *User
	Tokens *Tokens
	New    bool // the account was made by it
	// IDP is what the provider said; nil if there was none.
	IDP *IDPInfo
}

// busy words an error of the hasher for clients.
func busy(err error) error {
	if errors.Is(err, password.ErrBusy) {
		return failf(TooManyAttempts, "the server is busy with sign-ins; try again")
	}
	return err
}

func (s *Store) newHash(ctx context.Context, settings *projects.SignIn, pw string) (string, error) {
	switch {
	case pw == "":
		return "", fail(MissingPassword)
	case len(pw) < settings.MinPassword():
		return "", failf(WeakPassword, "Password should be at least %d characters", settings.MinPassword())
	case len(pw) > password.MaxBytes:
		return "", failf("PASSWORD_DOES_NOT_MEET_REQUIREMENTS", "Password should be at most %d bytes", password.MaxBytes)
	}
	hash, err := s.hash.Hash(ctx, pw)
	return hash, busy(err)
}

// create makes an account with the given id and signs it in if a session is given.
func (s *Store) create(ctx context.Context, project string, u *User, x *session, more func(*txn)) (*Tokens, error) {
	var tokens *Tokens
	err := s.again(ctx, func() error {
		n := *u
		n.CreatedAt = s.millis()
		n.ValidSince = max(n.ValidSince, n.CreatedAt/1000)
		n.InitialEmail = n.Email
		t := newTxn(project)
		r, err := s.record(at(project).user(u.UID))
		if err != nil {
			return err
		}
		if r.text != "" {
			return fail(DuplicateLocalID)
		}
		t.rests(r)
		if x != nil {
			if tokens, err = s.begin(t, &n, *x); err != nil {
				return err
			}
		}
		if more != nil {
			more(t)
		}
		if err := s.put(t, nil, &n); err != nil {
			return err
		}
		if err := s.commit(ctx, t); err != nil {
			return err
		}
		*u = n
		return nil
	})
	return tokens, err
}

// SignUp is a request for a new account, or, with an ID token, to give a password to the account that it is of.
type SignUp struct {
	Email, Password       string
	DisplayName, PhotoURL string
	IDToken               string
}

// SignUp makes an account and signs it in: with an address and a password, or, with neither, an anonymous one.
func (s *Store) SignUp(ctx context.Context, c Caller, r SignUp) (*SignedIn, error) {
	settings := s.settings(c.Project)
	if err := checkProfile(r.DisplayName, r.PhotoURL); err != nil {
		return nil, err
	}
	if r.IDToken != "" {
		return s.linkPassword(ctx, c, settings, r)
	}
	if !projects.On(settings.SignUp) {
		return nil, fail(AdminOnly)
	}
	u := &User{UID: newUID(), DisplayName: r.DisplayName, PhotoURL: r.PhotoURL}
	x := session{Provider: ProviderAnon}
	if r.Email == "" && r.Password == "" {
		if !projects.On(settings.Anonymous) {
			return nil, fail(AdminOnly)
		}
		if err := s.mayMake(c); err != nil {
			return nil, err
		}
	} else {
		if !projects.On(settings.Email) {
			return nil, fail(NotAllowed)
		}
		var err error
		if u.Email, err = CanonicalEmail(r.Email); err != nil {
			return nil, err
		}
		if err := s.mayMake(c); err != nil {
			return nil, err
		}
		if u.Password, err = s.newHash(ctx, settings, r.Password); err != nil {
			return nil, err
		}
		u.PasswordUpdatedAt = s.millis()
		x.Provider = ProviderPassword
	}
	tokens, err := s.create(ctx, c.Project, u, &x, nil)
	if err != nil {
		return nil, err
	}
	return &SignedIn{User: u, Tokens: tokens, New: true}, nil
}

// linkPassword gives an address and a password to an account, which may have been anonymous.
func (s *Store) linkPassword(ctx context.Context, c Caller, settings *projects.SignIn, r SignUp) (*SignedIn, error) {
	if !projects.On(settings.Email) {
		return nil, fail(NotAllowed)
	}
	email, err := CanonicalEmail(r.Email)
	if err != nil {
		return nil, err
	}
	u, cl, err := s.checkIDToken(c.Project, r.IDToken)
	if err != nil {
		return nil, err
	}
	if u.Email != "" && u.Email != email && projects.On(settings.HideEmails) {
		return nil, emailNeedsVerification()
	}
	if !u.Anonymous() {
		if err := s.recentLogin(cl); err != nil {
			return nil, err
		}
	}
	if err := s.mayMake(c); err != nil { // it tells whether an address is taken, as making an account does
		return nil, err
	}
	hash, err := s.newHash(ctx, settings, r.Password)
	if err != nil {
		return nil, err
	}
	var tokens *Tokens
	u, err = s.update(ctx, c.Project, u.UID, func(t *txn, u *User) error {
		if u.Disabled {
			return fail(UserDisabled)
		}
		if u.Email != email {
			u.EmailVerified = false
		}
		u.Email, u.Password, u.PasswordUpdatedAt = email, hash, s.millis()
		if r.DisplayName != "" {
			u.DisplayName = r.DisplayName
		}
		if r.PhotoURL != "" {
			u.PhotoURL = r.PhotoURL
		}
		s.endSessions(t, u)
		tokens, err = s.begin(t, u, session{Provider: ProviderPassword})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &SignedIn{User: u, Tokens: tokens}, nil
}

// SignInWithPassword signs in by address and password. Whether the address has an account, and whether that has a password, makes no difference to the
// time that it takes, nor, unless the project wants it so, to the error.
func (s *Store) SignInWithPassword(ctx context.Context, c Caller, email, pw string) (*SignedIn, error) {
	settings := s.settings(c.Project)
	if !projects.On(settings.Email) {
		return nil, fail(PasswordLoginDisabled)
	}
	email, err := CanonicalEmail(email)
	if err != nil {
		return nil, err
	}
	if pw == "" {
		return nil, fail(MissingPassword)
	}
	right, err := s.guess(c, email)
	if err != nil {
		return nil, err
	}
	u, err := s.ByEmail(c.Project, email)
	if err != nil {
		return nil, err
	}
	stored := ""
	if u != nil {
		stored = u.Password
	}
	ok, rehash, err := s.hash.Verify(ctx, stored, pw)
	if err != nil {
		return nil, busy(err)
	}
	if !ok {
		switch {
		case projects.On(settings.HideEmails):
			return nil, fail(InvalidLogin)
		case u == nil:
			return nil, fail(EmailNotFound)
		}
		return nil, fail(InvalidPassword)
	}
	right()
	if u.Disabled {
		return nil, fail(UserDisabled)
	}
	fresh := ""
	if rehash {
		// Not newHash: the password was good enough where it comes from.
		if fresh, err = s.hash.Hash(ctx, pw); err != nil {
			return nil, busy(err)
		}
	}
	var tokens *Tokens
	u, err = s.update(ctx, c.Project, u.UID, func(t *txn, u *User) error {
		switch {
		case u.Disabled:
			return fail(UserDisabled)
		case u.Password != stored || u.Email != email: // changed while it was checked
			return fail(InvalidLogin)
		case fresh != "":
			u.Password = fresh
		}
		tokens, err = s.begin(t, u, session{Provider: ProviderPassword})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &SignedIn{User: u, Tokens: tokens}, nil
}

// SignInWithCustomToken signs in whom a service account of the project vouches for, and makes the account if there is none.
func (s *Store) SignInWithCustomToken(ctx context.Context, c Caller, text string) (*SignedIn, error) {
	if text == "" {
		return nil, fail(MissingCustomToken)
	}
	if !projects.On(s.settings(c.Project).Custom) {
		return nil, fail(NotAllowed)
	}
	uid, claims, err := s.customToken(ctx, c.Project, text)
	if err != nil {
		return nil, err
	}
	if err := checkUID(uid); err != nil {
		return nil, failf(InvalidCustomToken, "%v", err)
	}
	for _, name := range reservedClaims {
		if _, bad := claims[name]; bad {
			return nil, failf(InvalidCustomToken, "the claim %q is reserved", name)
		}
	}
	return s.signInAs(ctx, c.Project, uid, session{Provider: ProviderCustom, Claims: claims}, func(*txn, *User) error { return nil },
		&User{UID: uid, CustomAuth: true})
}

// signInAs begins a session of an account that f may change first; if there is none it is made, as fresh.
func (s *Store) signInAs(ctx context.Context, project, uid string, x session, f func(t *txn, u *User) error, fresh *User) (*SignedIn, error) {
	for range attempts {
		var tokens *Tokens
		u, err := s.update(ctx, project, uid, func(t *txn, u *User) error {
			if u.Disabled {
				return fail(UserDisabled)
			}
			if err := f(t, u); err != nil {
				return err
			}
			var err error
			tokens, err = s.begin(t, u, x)
			return err
		})
		if !errors.Is(err, fail(UserNotFound)) || fresh == nil {
			if err != nil {
				return nil, err
			}
			return &SignedIn{User: u, Tokens: tokens}, nil
		}
		n := *fresh
		if tokens, err = s.create(ctx, project, &n, &x, nil); err == nil {
			return &SignedIn{User: &n, Tokens: tokens, New: true}, nil
		} else if !errors.Is(err, fail(DuplicateLocalID)) {
			return nil, err
		}
	}
	return nil, errors.New("users: the account is made and deleted all the time")
}

// customToken reads a custom token: one that a service account has signed, or in open mode any, and also the plain JSON that the emulator takes.
func (s *Store) customToken(ctx context.Context, project, text string) (uid string, claims map[string]any, err error) {
	if s.o.Custom != nil {
		if uid, claims, err = s.o.Custom.VerifyCustomToken(ctx, project, text); err == nil || !s.o.Open {
			if err != nil {
				return "", nil, failf(InvalidCustomToken, "%v", err)
			}
			return uid, claims, nil
		}
	}
	if !s.o.Open {
		return "", nil, failf(InvalidCustomToken, "custom tokens are not accepted here")
	}
	var body struct {
		UID    string         `json:"uid"`
		Claims map[string]any `json:"claims"`
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if json.Unmarshal([]byte(text), &body) != nil || body.UID == "" {
			return "", nil, failf(InvalidCustomToken, `in JSON it needs a "uid"`)
		}
		return body.UID, body.Claims, nil
	}
	t, err := token.Parse(text)
	if err != nil {
		return "", nil, failf(InvalidCustomToken, "%v", err)
	}
	body.UID, _ = t.Text("uid")
	if raw, ok := t.Claims["claims"]; ok && json.Unmarshal(raw, &body.Claims) != nil {
		return "", nil, failf(InvalidCustomToken, `its "claims" are not an object`)
	}
	return body.UID, body.Claims, nil
}
