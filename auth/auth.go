package auth

import (
	"context"
	"encoding/json"
	"fmt"
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
}

// Authenticator finds out who presents a credential.
type Authenticator interface {
	// Authenticate returns an *Error for a credential that it rejects; any other error means that it could not find out.
	Authenticate(ctx context.Context, c Credential) (Identity, error)
}

// Error is the rejection of a credential.
type Error struct {
	Status string // one of the Status constants
	Reason string // for the client and the log; it never repeats the credential
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Status, e.Reason) }

func invalid(format string, args ...any) *Error {
	return &Error{Status: StatusInvalidToken, Reason: fmt.Sprintf(format, args...)}
}
