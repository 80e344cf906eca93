package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Scheme says how a credential reached the server.
type Scheme uint8

const (
	// User is a JWT of an end user: action "auth" of the wire protocol, parameter auth= of REST.
	User Scheme = iota
	// Service is the opaque credential of a trusted server: action "gauth", header "Authorization: Bearer" of REST.
	// Clients also choose it for JWTs that carry no "iat" claim.
	Service
)

// Statuses of a failed authentication, as the wire protocol spells them.
const (
	StatusInvalidToken = "invalid_token"
	StatusExpiredToken = "expired_token"
)

// Credential is what a client presents.
type Credential struct {
	// NS is the database that the client is connected to.
	NS     string
	Scheme Scheme
	// Token is the credential itself, not yet checked in any way.
	Token string
	// Override is the auth variable that a service wants its operations to be judged by ("authvar"), as JSON; nil if none.
	// With an override the rules are enforced, even for an administrator.
	Override json.RawMessage
	// Unauthenticated asks for the rules to be enforced with no auth variable at all ("noauth").
	Unauthenticated bool
}

// Identity is who a caller has been found to be. The zero value is the anonymous caller.
type Identity struct {
	// Admin is set for a caller whom no rule binds.
	Admin bool
	// Auth is the auth variable of the rules language as a JSON object; nil stands for null.
	Auth json.RawMessage
	// Project is the project that vouches for the caller, "" if none does: the root secret, an open server.
	Project string
	// UID is the user, for limits and revocation; "" for a caller who is none, as a service or an administrator. It says nothing
	// of what the caller may do: that is Auth's.
	UID string
	// Name says who an administrator is, for the journal of administrative acts: "service-account:ADDRESS", "root secret". It is no
	// credential, and decides nothing.
	Name string
	// Issued is when the credential was issued; zero if it does not say.
	Issued time.Time
	// Expires is when the caller ceases to be this one; zero for never. A connection that lives longer has to be told.
	Expires time.Time
}

// User names the user among those of all projects; "" if it is none.
func (id *Identity) User() string {
	if id.UID == "" {
		return ""
	}
	return id.Project + "/" + id.UID
}

// Authenticator finds out who presents a credential.
type Authenticator interface {
	// Authenticate returns an *Error for a credential that it rejects; any other error means that it could not find out.
	Authenticate(ctx context.Context, c Credential) (Identity, error)
}

// AppChecker finds out whether a client is the app that it says it is (App Check).
type AppChecker interface {
	// CheckApp returns until when a token of a client of the database ns is good, zero for ever; an *Error for one that it rejects, and any other
	// error if it could not find out. Where nothing is known of App Check every token is good, as every client without one is.
	CheckApp(ctx context.Context, ns, token string) (expires time.Time, err error)
	// AppCheckRequired tells whether clients of the database ns must have such a token.
	AppCheckRequired(ns string) bool
}

// Users knows of users what their tokens cannot: what happened after these were signed.
type Users interface {
	// TokenValid returns an *Error if the user is gone, disabled, or has had its tokens revoked since it last gave its
	// password (authTime) or since the token was issued.
	TokenValid(ctx context.Context, project, uid string, authTime, issued time.Time) error
}

// Error is the rejection of a credential.
type Error struct {
	Status string // one of the Status constants
	Reason string // for the client and the log; it never repeats the credential
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Status, e.Reason) }

func expired(format string, args ...any) *Error {
	return &Error{Status: StatusExpiredToken, Reason: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Error {
	return &Error{Status: StatusInvalidToken, Reason: fmt.Sprintf(format, args...)}
}
