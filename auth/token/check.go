package token

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Skew is by how much the clock of an issuer may be ahead of ours: a token may have been issued this far in the future. Expiry has
// no such allowance: whoever goes by the time in the token must see it end when we do.
const Skew = time.Minute

// MaxSubject bounds the claim "sub", as Firebase bounds a uid.
const MaxSubject = 128

// ErrExpired: the token was good once.
var ErrExpired = errors.New("it has expired")

// Times are the dates of a token. A zero time is one that the token does not have.
type Times struct {
	Issued, NotBefore, Expires, Auth time.Time
}

// Times returns the dates of the token if they make sense.
func (t *Token) Times() (at Times, err error) {
	for _, c := range []struct {
		name string
		dst  *time.Time
	}{{"iat", &at.Issued}, {"nbf", &at.NotBefore}, {"exp", &at.Expires}, {"auth_time", &at.Auth}} {
		var ok bool
		if *c.dst, ok = t.Time(c.name); !ok {
			return at, fmt.Errorf("its %q is not a time in seconds since 1970", c.name)
		}
	}
	return at, nil
}

// Check returns nil if the token is in force at now: issued, begun and not expired.
func (at Times) Check(now time.Time) error {
	latest := now.Add(Skew)
	for _, c := range []struct {
		name string
		at   time.Time
	}{{"iat", at.Issued}, {"nbf", at.NotBefore}, {"auth_time", at.Auth}} {
		if c.at.After(latest) {
			return fmt.Errorf("its %q is in the future", c.name)
		}
	}
	if !at.Expires.IsZero() && !now.Before(at.Expires) {
		return ErrExpired
	}
	return nil
}

// Subject returns the claim "sub", if it can name a user.
func (t *Token) Subject() (string, error) {
	sub, ok := t.Text("sub")
	if !ok || sub == "" || len(sub) > MaxSubject {
		return "", fmt.Errorf(`its "sub" is not a string of 1 to %d bytes`, MaxSubject)
	}
	return sub, nil
}

// Audience returns nil if the token is for one of the given audiences.
func (t *Token) Audience(accepted ...string) error {
	list, ok := t.Texts("aud")
	if !ok {
		return errors.New(`it has no "aud"`)
	}
	for _, a := range list {
		if a != "" && slices.Contains(accepted, a) {
			return nil
		}
	}
	return errors.New(`its "aud" is another`)
}
