package users

import (
	"context"
	"slices"
	"strings"

	"rebase/auth/projects"
)

// Changes are what is to become of an account. A nil field leaves things as they are; a pointer to "" removes what it points at.
type Changes struct {
	Email, DisplayName, PhotoURL, Phone *string
	Password                            *string
	EmailVerified, Disabled             *bool
	Claims                              *string // JSON
	ValidSince                          *int64  // seconds
	CreatedAt, LastLoginAt              *int64  // milliseconds
	Link                                []Provider
	// Unlink names providers, of which "password" and "phone" are two.
	Unlink []string
}

func emailNeedsVerification() error {
	return failf(NotAllowed, "Please verify the new email before changing email.")
}

// check reads what can be checked without the account, and makes the hash of a new password.
func (s *Store) check(ctx context.Context, settings *projects.SignIn, ch *Changes) (hash string, err error) {
	if ch.Email != nil && *ch.Email != "" {
		e, err := CanonicalEmail(*ch.Email)
		if err != nil {
			return "", err
		}
		ch.Email = &e
	}
	if ch.Phone != nil && *ch.Phone != "" {
		if err := checkPhone(*ch.Phone); err != nil {
			return "", err
		}
	}
	if err := checkProfile(deref(ch.DisplayName), deref(ch.PhotoURL)); err != nil {
		return "", err
	}
	if ch.Claims != nil {
		m, err := CheckClaims(*ch.Claims)
		if err != nil {
			return "", err
		}
		if len(m) == 0 {
			ch.Claims = new(string)
		}
	}
	for _, p := range ch.Link {
		if err := checkProvider(p); err != nil {
			return "", err
		}
	}
	if ch.Password != nil {
		return s.newHash(ctx, settings, *ch.Password)
	}
	return "", nil
}

func checkProvider(p Provider) error {
	switch {
	case p.ID == "" || p.RawID == "" || len(p.ID) > 128 || len(p.RawID) > 1024 || p.ID == ProviderPassword || p.ID == ProviderPhone || p.ID == ProviderAnon:
		return fail(InvalidProvider)
	}
	return checkProfile(p.DisplayName, p.PhotoURL)
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// apply makes the changes to the account.
func (s *Store) apply(t *txn, u *User, ch *Changes, hash string) error {
	ends := false
	if ch.Email != nil && *ch.Email != u.Email {
		ends = u.Email != "" // the first address takes nothing from anybody
		u.Email, u.EmailVerified, u.EmailLink = *ch.Email, false, u.EmailLink && *ch.Email != ""
	}
	if ch.EmailVerified != nil {
		u.EmailVerified = *ch.EmailVerified && u.Email != ""
	}
	if hash != "" {
		ends = true
		u.Password, u.PasswordUpdatedAt = hash, s.millis()
	}
	for _, f := range []struct {
		dst *string
		src *string
	}{{&u.DisplayName, ch.DisplayName}, {&u.PhotoURL, ch.PhotoURL}, {&u.Phone, ch.Phone}, {&u.Claims, ch.Claims}} {
		if f.src != nil {
			*f.dst = *f.src
		}
	}
	for _, id := range ch.Unlink {
		switch id {
		case ProviderPassword:
			u.Password, u.EmailLink = "", false
			if len(u.Providers) == 0 {
				u.Email, u.EmailVerified = "", false
			}
		case ProviderPhone:
			u.Phone = ""
		default:
			u.Providers = slices.DeleteFunc(u.Providers, func(p Provider) bool { return p.ID == id })
		}
	}
	for _, p := range ch.Link {
		if u.setProvider(p); len(u.Providers) > maxProviders {
			return failf(InvalidProvider, "an account has at most %d providers", maxProviders)
		}
	}
	if ch.CreatedAt != nil {
		u.CreatedAt = *ch.CreatedAt
	}
	if ch.LastLoginAt != nil {
		u.LastLoginAt = *ch.LastLoginAt
	}
	if ch.Disabled != nil && *ch.Disabled != u.Disabled {
		u.Disabled = *ch.Disabled
		ends = ends || u.Disabled
	}
	if ch.ValidSince != nil {
		if *ch.ValidSince < s.millis()/1000 {
			u.ValidSince = max(u.ValidSince, *ch.ValidSince)
			s.tellEnd(t, u)
		} else { // "now", as the SDKs say it
			ends = true
		}
	}
	if ends {
		s.endSessions(t, u)
	}
	return nil
}

// Create makes an account on behalf of an administrator; uid "" is a new one.
func (s *Store) Create(ctx context.Context, c Caller, uid string, ch Changes) (*User, error) {
	if uid == "" {
		uid = newUID()
	}
	if err := checkUID(uid); err != nil {
		return nil, err
	}
	hash, err := s.check(ctx, s.settings(c.Project), &ch)
	if err != nil {
		return nil, err
	}
	u := &User{UID: uid}
	if err := s.apply(newTxn(c.Project), u, &ch, hash); err != nil {
		return nil, err
	}
	u.Epoch, u.ValidSince = 0, 0
	_, err = s.create(ctx, c.Project, u, nil, nil)
	return u, err
}

// Update changes an account on behalf of an administrator.
func (s *Store) Update(ctx context.Context, c Caller, uid string, ch Changes) (*User, error) {
	if err := checkUID(uid); err != nil {
		return nil, err
	}
	hash, err := s.check(ctx, s.settings(c.Project), &ch)
	if err != nil {
		return nil, err
	}
	return s.update(ctx, c.Project, uid, func(t *txn, u *User) error { return s.apply(t, u, &ch, hash) })
}

// UpdateSelf changes the account that an ID token is of. The tokens are of a new session, if wanted or if the change has ended all others; else nil.
func (s *Store) UpdateSelf(ctx context.Context, c Caller, idToken string, ch Changes, wantTokens bool) (*User, *Tokens, error) {
	settings := s.settings(c.Project)
	u, cl, err := s.checkIDToken(c.Project, idToken)
	if err != nil {
		return nil, nil, err
	}
	// What is an administrator's to change, whatever the client asks.
	ch = Changes{Email: ch.Email, Password: ch.Password, DisplayName: ch.DisplayName, PhotoURL: ch.PhotoURL, Unlink: ch.Unlink}
	if ch.Email != nil && strings.EqualFold(*ch.Email, u.Email) {
		ch.Email = nil
	}
	if ch.Email != nil {
		if projects.On(settings.HideEmails) {
			return nil, nil, emailNeedsVerification()
		}
		if err := s.mayMake(c); err != nil {
			return nil, nil, err
		}
	}
	if ch.Email != nil || ch.Password != nil {
		if !projects.On(settings.Email) {
			return nil, nil, fail(NotAllowed)
		}
		if err := s.recentLogin(cl); err != nil {
			return nil, nil, err
		}
		if ch.Password != nil && u.Email == "" && ch.Email == nil {
			return nil, nil, fail(MissingEmail)
		}
	}
	hash, err := s.check(ctx, settings, &ch)
	if err != nil {
		return nil, nil, err
	}
	var tokens *Tokens
	var before *User
	u, err = s.update(ctx, c.Project, u.UID, func(t *txn, u *User) error {
		copied := *u
		before, tokens = &copied, nil
		if u.Disabled {
			return fail(UserDisabled)
		}
		if cl.authTime.Unix() < u.ValidSince {
			return fail(TokenExpired)
		}
		if err := s.apply(t, u, &ch, hash); err != nil {
			return err
		}
		// The claims of a custom token are in the refresh token's session alone: that one goes on.
		if u.Epoch != before.Epoch || wantTokens && cl.session.Provider != ProviderCustom {
			x := cl.session
			if hash != "" {
				x = session{Provider: ProviderPassword}
			}
			tokens, err = s.begin(t, u, x)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if before.Email != u.Email && before.EmailVerified {
		s.tellOfNewEmail(ctx, c, u, before.Email)
	}
	return u, tokens, nil
}

// Lookup returns the account that an ID token is of.
func (s *Store) Lookup(project, idToken string) (*User, error) {
	u, _, err := s.checkIDToken(project, idToken)
	return u, err
}

// DeleteSelf deletes the account that an ID token is of.
func (s *Store) DeleteSelf(ctx context.Context, c Caller, idToken string) error {
	if !projects.On(s.settings(c.Project).Delete) {
		return fail(AdminOnly)
	}
	u, cl, err := s.checkIDToken(c.Project, idToken)
	if err != nil {
		return err
	}
	if err := s.recentLogin(cl); err != nil {
		return err
	}
	return s.Delete(ctx, c, u.UID)
}

// Delete deletes an account, with its sessions.
func (s *Store) Delete(ctx context.Context, c Caller, uid string) error {
	if err := checkUID(uid); err != nil {
		return err
	}
	return s.again(ctx, func() error {
		u, r, err := s.user(c.Project, uid)
		if err != nil {
			return err
		}
		if u == nil {
			return fail(UserNotFound)
		}
		where := at(c.Project)
		t := newTxn(c.Project)
		t.rests(r)
		if u.Email != "" {
			t.remove(where.email(u.Email))
		}
		if u.Phone != "" {
			t.remove(where.phone(u.Phone))
		}
		for _, p := range u.Providers {
			t.remove(where.provider(p.ID, p.RawID))
		}
		s.endSessions(t, u)
		t.remove(where.sessions(uid))
		t.remove(where.user(uid))
		return s.commit(ctx, t)
	})
}
