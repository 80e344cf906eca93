package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"rebase/auth"
)

// authenticate finds out who is calling from, in this order, the Authorization
// header, access_token= and auth=. A request without any of them is anonymous.
func (q *request) authenticate() (auth.Identity, error) {
	c := auth.Credential{NS: q.ns, Scheme: auth.Service}
	v := q.params.values
	switch {
	case bearer(q.r) != "":
		c.Token = bearer(q.r)
	case v.Get("access_token") != "":
		c.Token = v.Get("access_token")
	case v.Get("auth") != "":
		c.Token = v.Get("auth")
		// What has no dots cannot be a JWT: it is a database secret, which is
		// the credential of a service.
		if strings.Contains(c.Token, ".") {
			c.Scheme = auth.User
		}
	default:
		return auth.Identity{}, nil
	}
	if c.Scheme == auth.Service && v.Has("auth_variable_override") {
		c.Override = json.RawMessage(v.Get("auth_variable_override"))
		var object map[string]json.RawMessage // null leaves it nil, and is allowed
		if err := json.Unmarshal(c.Override, &object); err != nil {
			return auth.Identity{}, badRequest("auth_variable_override must be a JSON object or null")
		}
	}
	id, err := q.o.Auth.Authenticate(q.r.Context(), c)
	if !q.open {
		q.refusedCredential(c, err)
	}
	var rejected *auth.Error
	switch {
	case err == nil:
		return id, nil
	case !errors.As(err, &rejected):
		q.log.Error("credential could not be checked", "ns", q.ns, "err", err)
		return auth.Identity{}, &apiError{status: http.StatusServiceUnavailable, msg: msgUnavailable}
	case q.open && c.Scheme == auth.Service:
		// Tools come with secrets and access tokens that were made for another server. They
		// are nobody here, which is enough where there are no rules.
		return auth.Identity{}, nil
	case rejected.Status == auth.StatusExpiredToken:
		return auth.Identity{}, &apiError{status: http.StatusUnauthorized, msg: "Auth token is expired."}
	}
	return auth.Identity{}, &apiError{status: http.StatusUnauthorized, msg: msgBadToken}
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// checkApp refuses callers that do not show that they are one of the project's apps, where that is required. Admins need not.
func (q *request) checkApp() error {
	checker := q.o.AppChecker
	if checker == nil || q.identity.Admin || !checker.AppCheckRequired(q.ns) {
		return nil
	}
	_, err := checker.CheckApp(q.r.Context(), q.ns, q.r.Header.Get("X-Firebase-AppCheck"))
	var rejected *auth.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &rejected):
		q.log.Error("App Check token could not be checked", "ns", q.ns, "err", err)
		return &apiError{status: http.StatusServiceUnavailable, msg: msgUnavailable}
	}
	return &apiError{status: http.StatusUnauthorized, msg: "Missing or invalid App Check token."}
}

// requireAdmin refuses callers who may not change settings.
func (q *request) requireAdmin() error {
	if q.identity.Admin || q.open {
		return nil
	}
	q.refused(q.r.URL.Path, "not an administrator")
	return &apiError{status: http.StatusUnauthorized, msg: "Unauthorized request."}
}
