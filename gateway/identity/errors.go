package identity

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"rebase/auth/users"
)

// apiError is an error that is not of a user's making.
type apiError struct {
	status  int
	message string
	reason  string // "status" of the body
}

func (e *apiError) Error() string { return e.message }

var (
	errNoSuchPath = &apiError{http.StatusNotFound, "the API has no such path here", "NOT_FOUND"}
	errMethod     = &apiError{http.StatusMethodNotAllowed, "the method is not allowed here", "METHOD_NOT_ALLOWED"}
)

// errorBody is an error as SDKs parse it: "CODE" or "CODE : text for people".
type errorBody struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    int          `json:"code"`
	Message string       `json:"message"`
	Errors  []errorEntry `json:"errors"`
	Status  string       `json:"status,omitempty"`
}

type errorEntry struct {
	Message string `json:"message"`
	Domain  string `json:"domain"`
	Reason  string `json:"reason"`
}

// fail answers with an error. One that is the server's own is logged, and not told.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var mine *apiError
	var user *users.Error
	d := errorDetail{}
	reason := "invalid"
	switch {
	case errors.As(err, &user):
		d.Code, d.Message, d.Status = http.StatusBadRequest, user.Error(), "INVALID_ARGUMENT"
		switch user.Code {
		case users.TooManyAttempts:
			// The API has 400 here, too: it is the code that SDKs look at.
			reason = "rateLimitExceeded"
		case users.ConfigNotFound:
			d.Code, d.Status, reason = http.StatusNotFound, "NOT_FOUND", "notFound"
		}
	case errors.As(err, &mine):
		d.Code, d.Message, d.Status = mine.status, mine.message, mine.reason
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		d.Code, d.Message, d.Status, reason = http.StatusServiceUnavailable, "UNAVAILABLE", "UNAVAILABLE", "backendError"
	default:
		s.log.Error("an identity request failed", "path", r.URL.Path, "err", err)
		d.Code, d.Message, d.Status, reason = http.StatusInternalServerError, "INTERNAL_ERROR", "INTERNAL", "backendError"
	}
	d.Errors = []errorEntry{{d.Message, "global", reason}}
	writeJSON(w, d.Code, errorBody{d})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":500,"message":"INTERNAL_ERROR"}}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // a client that is gone does not hear it
}
