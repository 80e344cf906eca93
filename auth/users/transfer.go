package users

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"rebase/auth/password"
)

// Upload is an account as an import has it.
type Upload struct {
	User
	// Hash and Salt are of a password that was hashed elsewhere; RawPassword is one in plain, which is hashed here.
	Hash, Salt  []byte
	RawPassword string
}

// UploadError says why one account of an import was not taken.
type UploadError struct {
	Index   int
	Message string
}

// Import takes accounts as they were elsewhere. An account with the id of one that is there replaces it. Those that cannot be taken are told by
// their index; the others are taken all the same. With the algorithm Native the hashes are texts of this program's own, as User.Password has them.
func (s *Store) Import(ctx context.Context, c Caller, params password.Params, list []Upload) ([]UploadError, error) {
	if slices.ContainsFunc(list, func(u Upload) bool { return len(u.Hash) > 0 }) {
		if err := params.Check(); params.Algorithm != Native && err != nil {
			if params.Algorithm == "" {
				return nil, failf(InvalidHash, "accounts with passwords need the name of the algorithm of their hashes")
			}
			return nil, failf(InvalidHash, "%v", err)
		}
	}
	// At once, as one sync of the log then serves many; but what could be in the way of something before it, after that.
	errs := make([]error, len(list))
	var wait sync.WaitGroup
	turn := make(chan struct{}, importing)
	seen := map[string]bool{}
	var later []int
	for i := range list {
		if repeats(seen, &list[i]) {
			later = append(later, i)
			continue
		}
		turn <- struct{}{}
		wait.Go(func() {
			defer func() { <-turn }()
			errs[i] = s.importOne(ctx, c, params, &list[i])
		})
	}
	wait.Wait()
	for _, i := range later {
		errs[i] = s.importOne(ctx, c, params, &list[i])
	}
	var bad []UploadError
	for i, err := range errs {
		var refused *Error
		switch {
		case errors.As(err, &refused):
			bad = append(bad, UploadError{i, refused.Error()})
		case err != nil:
			return bad, err
		}
	}
	return bad, nil
}

// importing is how many accounts of an import are written at a time.
const importing = 32

// repeats tells whether an account has anything that must be unique in common with those seen before, and notes it.
func repeats(seen map[string]bool, u *Upload) bool {
	names := []string{"uid\n" + u.UID}
	if u.Email != "" {
		names = append(names, "email\n"+strings.ToLower(strings.TrimSpace(u.Email)))
	}
	if u.Phone != "" {
		names = append(names, "phone\n"+u.Phone)
	}
	for _, p := range u.Providers {
		names = append(names, p.ID+"\n"+p.RawID)
	}
	again := false
	for _, n := range names {
		again = again || seen[n]
		seen[n] = true
	}
	return again
}

// Native is the name of this program's own hashes, in imports and exports.
const Native = "REBASE"

func (s *Store) importOne(ctx context.Context, c Caller, params password.Params, up *Upload) error {
	u := up.User
	if err := checkUID(u.UID); err != nil {
		return err
	}
	var err error
	if u.Email != "" {
		if u.Email, err = CanonicalEmail(u.Email); err != nil {
			return err
		}
	}
	if u.Phone != "" {
		if err := checkPhone(u.Phone); err != nil {
			return err
		}
	}
	if err := checkProfile(u.DisplayName, u.PhotoURL); err != nil {
		return err
	}
	if _, err := CheckClaims(u.Claims); err != nil {
		return err
	}
	if u.Claims == "{}" {
		u.Claims = ""
	}
	given := u.Providers
	u.Providers = nil
	for _, p := range given {
		switch p.ID {
		case ProviderPassword, ProviderPhone: // they follow from the account itself
		default:
			if err := checkProvider(p); err != nil {
				return err
			}
			u.setProvider(p)
		}
	}
	if len(u.Providers) > maxProviders {
		return failf(InvalidProvider, "an account has at most %d providers", maxProviders)
	}
	now := s.millis()
	switch {
	case len(up.Hash) > 0 && params.Algorithm == Native:
		if u.Password, err = native(string(up.Hash)); err != nil {
			return failf(InvalidHash, "%v", err)
		}
	case len(up.Hash) > 0:
		i := password.Imported{Params: params, Hash: up.Hash, Salt: up.Salt}
		if u.Password, err = i.Encode(); err != nil {
			return failf(InvalidHash, "%v", err)
		}
	case up.RawPassword != "":
		if u.Password, err = s.newHash(ctx, s.settings(c.Project), up.RawPassword); err != nil {
			return err
		}
	default:
		u.Password = ""
	}
	if u.Password != "" && u.PasswordUpdatedAt == 0 {
		u.PasswordUpdatedAt = now
	}
	if u.CreatedAt == 0 {
		u.CreatedAt = now
	}
	u.InitialEmail = u.Email
	u.CustomAuth = u.CustomAuth || u.Email == "" && u.Phone == "" && len(u.Providers) == 0
	return s.again(ctx, func() error {
		old, r, err := s.user(c.Project, u.UID)
		if err != nil {
			return err
		}
		t := newTxn(c.Project)
		t.rests(r)
		n := u
		n.Epoch = 0
		n.ValidSince = max(n.ValidSince, 0)
		if old != nil {
			n.Epoch = old.Epoch
			s.endSessions(t, &n)
		}
		if err := s.put(t, old, &n); err != nil {
			return err
		}
		return s.commit(ctx, t)
	})
}

// native checks a hash of this program's own.
func native(hash string) (string, error) {
	if !strings.HasPrefix(hash, "$argon2id$") && !strings.HasPrefix(hash, "$firebase$") {
		return "", errors.New("not a hash that Rebase has exported")
	}
	if strings.HasPrefix(hash, "$firebase$") {
		i, err := password.Decode(hash)
		if err != nil {
			return "", err
		}
		return i.Encode()
	}
	if err := password.CheckOwn(hash); err != nil {
		return "", err
	}
	return hash, nil
}

// ImportedPassword is the account's hash as it was imported; nil if it was not, or has been replaced since.
func (u *User) ImportedPassword() (*password.Imported, error) {
	if !strings.HasPrefix(u.Password, "$firebase$") {
		return nil, nil
	}
	i, err := password.Decode(u.Password)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	return i, nil
}
