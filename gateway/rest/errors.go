package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"rebase/db"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
	"rebase/vlog"
)

// Texts of the real service, as its clients know them.
const (
	msgNoData        = "Error: No data supplied."
	msgBadJSON       = "Invalid data; couldn't parse JSON object, array, or value."
	msgBadObject     = "Invalid data; couldn't parse JSON object. Are you sending a JSON object with valid key names?"
	msgBadPath       = "Invalid path: Invalid token in path"
	msgWriteTooBig   = "Data to write exceeds the maximum size that can be modified with a single request."
	msgReadTooBig    = "Payload is too large: data requested exceeds the maximum size that can be accessed with a single request."
	msgDenied        = "Permission denied"
	msgBadToken      = "Could not parse auth token."
	msgNotJSON       = "append .json to your request URI to use the REST API."
	msgShallowMixed  = "Mixing 'shallow' and querying parameters is not supported"
	msgTimedOut      = "The request did not complete within its timeout."
	msgBusy          = "The server is busy with other large writes. Try again."
	msgBusyReading   = "The server is busy with other large reads. Try again."
	msgNoLog         = "The database does not answer: too few of its nodes may be running. A write may still take effect. Try again."
	msgUnavailable   = "The server is not available."
	msgInternal      = "Internal server error."
	msgNoPriority    = "Invalid data; a node that does not exist cannot have a priority."
	msgQueryOnWrite  = "Query parameters are only supported when reading."
	msgIfMatchMethod = "if-match is not supported on this method; use it with PUT or DELETE."
	msgETagMethod    = "X-Firebase-ETag is not supported on PATCH."
	msgETagQuery     = "ETags are not supported with query parameters, shallow or .priority."
)

// statusClientGone is what a request counts as whose client did not wait for the answer; the
// number is the one that nginx has made common.
const statusClientGone = 499

// apiError is an answer other than success.
type apiError struct {
	status int
	msg    string
	body   []byte      // instead of {"error":msg}, if not nil
	header http.Header // further headers
}

func (e *apiError) Error() string { return e.msg }

func badRequest(msg string) *apiError { return &apiError{status: http.StatusBadRequest, msg: msg} }

func errorBody(msg string) []byte {
	b := append([]byte(nil), `{"error":`...)
	b = tree.AppendJSONString(b, strings.ToValidUTF8(msg, "\uFFFD"))
	return append(b, '}', '\n')
}

// classify finds the answer for an error from the packages below.
func (q *request) classify(err error) *apiError {
	var (
		invalid *db.InvalidError
		bad     *query.Error
		limit   *tree.LimitError
		key     *tree.KeyError
		value   *tree.ValueError
	)
	switch {
	case errors.Is(err, db.ErrDenied):
		return &apiError{status: http.StatusUnauthorized, msg: msgDenied}
	case errors.As(err, &bad):
		return badRequest(bad.Msg)
	case errors.Is(err, vlog.ErrTooLarge):
		return badRequest(msgWriteTooBig)
	case errors.Is(err, store.ErrTooBig):
		return badRequest(msgReadTooBig)
	case errors.Is(err, db.ErrNoNode):
		return badRequest(msgNoPriority)
	case errors.As(err, &invalid):
		return badRequest("Invalid data; " + invalid.Reason)
	case errors.As(err, &limit):
		return badRequest("Invalid data; " + limit.Error())
	case errors.As(err, &key):
		return badRequest("Invalid data; " + key.Error())
	case errors.As(err, &value):
		return badRequest("Invalid data; " + value.Error())
	case errors.Is(err, errTimedOut):
		return badRequest(msgTimedOut)
	case errors.Is(err, errNoLog):
		return &apiError{status: http.StatusServiceUnavailable, msg: msgNoLog, header: http.Header{"Retry-After": {"5"}}}
	case errors.Is(err, db.ErrClosed), errors.Is(err, vlog.ErrClosed):
		return &apiError{status: http.StatusServiceUnavailable, msg: msgUnavailable}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		if q.r.Context().Err() != nil {
			// The client has gone: nobody reads this, but metrics must not count it as ours.
			return &apiError{status: statusClientGone, msg: msgUnavailable}
		}
		return &apiError{status: http.StatusServiceUnavailable, msg: msgUnavailable}
	}
	return &apiError{status: http.StatusInternalServerError, msg: msgInternal}
}
