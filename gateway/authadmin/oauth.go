package authadmin

import (
	"errors"
	"mime"
	"net/http"
	"time"

	"rebase/audit"
	"rebase/auth"
	"rebase/gateway/adminapi"
)

const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// token is the OAuth 2 token endpoint for service accounts (RFC 7523 §2.1). Its errors have the form that OAuth clients read (RFC 6749 §5.2).
func (h *Handler) token(w http.ResponseWriter, r *http.Request) {
	fail := func(code int, kind, text string) {
		adminapi.Answer(w, code, map[string]string{"error": kind, "error_description": text})
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		fail(http.StatusMethodNotAllowed, "invalid_request", "tokens are asked for with POST")
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		fail(http.StatusBadRequest, "invalid_request", "the body must be a form: application/x-www-form-urlencoded")
		return
	}
	if err := r.ParseForm(); err != nil {
		fail(http.StatusBadRequest, "invalid_request", "the body is no form, or too long")
		return
	}
	// From the body alone: what is in an address ends up in logs.
	if g := r.PostForm["grant_type"]; len(g) != 1 || g[0] != grantType {
		fail(http.StatusBadRequest, "unsupported_grant_type", "only "+grantType+" is supported: tokens for service accounts")
		return
	}
	assertion := r.PostForm["assertion"]
	if len(assertion) != 1 || assertion[0] == "" {
		fail(http.StatusBadRequest, "invalid_request", "the assertion is missing")
		return
	}
	at, lifetime, err := h.o.Authority.Exchange(r.Context(), assertion[0])
	var rejected *auth.Error
	switch {
	case errors.As(err, &rejected):
		_ = h.o.Audit.Record(audit.Event{ // what cannot be recorded is logged by the journal
			Act: audit.AdminRefused, Outcome: audit.Refused, From: r.RemoteAddr, Target: auth.TokenPath, Reason: rejected.Reason,
		})
		fail(http.StatusBadRequest, "invalid_grant", rejected.Reason)
		return
	case err != nil:
		h.o.Logger.Error("an access token could not be made", "err", err)
		fail(http.StatusServiceUnavailable, "temporarily_unavailable", "the server's log says why")
		return
	}
	adminapi.Answer(w, http.StatusOK, map[string]any{"access_token": at, "token_type": "Bearer", "expires_in": int(lifetime / time.Second)})
}
