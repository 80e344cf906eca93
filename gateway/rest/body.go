package rest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"rebase/db"
	"rebase/jsonscan"
	"rebase/tree"
)

// readBody reads the request's body, which must be there and at most limit bytes. Its memory counts
// until the request has been answered.
func (q *request) readBody(limit int64) ([]byte, error) {
	if q.r.ContentLength > limit {
		return nil, badRequest(msgWriteTooBig)
	}
	var buf bytes.Buffer
	// The length that the client announces is believed only so far.
	buf.Grow(int(min(max(q.r.ContentLength, 0), bodyStep)) + bytes.MinRead)
	body := http.MaxBytesReader(q.out.w, q.r.Body, limit)
	for {
		n, err := io.CopyN(&buf, body, bodyStep)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, readBodyError(err)
		}
		if !q.bodies.Take(n) {
			return nil, &apiError{status: http.StatusServiceUnavailable, msg: msgBusy, header: http.Header{"Retry-After": {"1"}}}
		}
		q.held += n
		q.limits.Debit(int(n))
	}
	if len(bytes.TrimSpace(buf.Bytes())) == 0 {
		return nil, badRequest(msgNoData)
	}
	return buf.Bytes(), nil
}

func readBodyError(err error) error {
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return badRequest(msgWriteTooBig)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badRequest(msgBadJSON)
	}
	// Bad chunking, a reset connection, a read timeout: the client's side.
	return badRequest("The request's body could not be read.")
}

// parseValue reads the body of a PUT or POST.
func parseValue(body []byte) (*tree.Node, error) {
	n, err := tree.ParseJSON(body)
	if err != nil {
		return nil, bodyError(err)
	}
	return n, nil
}

// bodyError gives an error of parsing the text that clients know.
func bodyError(err error) error {
	var (
		syntax *jsonscan.SyntaxError
		key    *tree.KeyError
		limit  *tree.LimitError
		value  *tree.ValueError
	)
	switch {
	case errors.As(err, &key):
		return badRequest(fmt.Sprintf("Invalid data; couldn't parse key beginning at %d:%d."+
			" Key value can't be empty or contain $ # [ ] / or .", key.Line, key.Column))
	case errors.As(err, &syntax):
		return badRequest(msgBadJSON)
	case errors.As(err, &limit):
		return badRequest("Invalid data; " + limit.Error())
	case errors.As(err, &value):
		return badRequest("Invalid data; " + value.Error())
	}
	return err
}

// parseUpdates reads the body of a PATCH: an object whose keys are paths, which may
// be deep and may end in ".priority".
func parseUpdates(body []byte) ([]db.Update, error) {
	s := jsonscan.New(body)
	if s.Peek() != '{' {
		return nil, badRequest(msgBadObject)
	}
	var updates []db.Update
	err := s.Object(func(key string) error {
		p, priority, err := tree.ParseWritePath(key)
		if err != nil || p.IsRoot() && !priority {
			return badRequest(msgBadObject)
		}
		v, err := tree.ScanValue(s)
		if err != nil {
			return bodyError(err)
		}
		updates = append(updates, db.Update{Path: p, Priority: priority, Value: v})
		return nil
	})
	if err == nil {
		err = s.End()
	}
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) {
		return nil, badRequest(msgBadObject)
	}
	return updates, err
}

// appendUpdates renders what a PATCH stored, under the paths it was sent with.
func appendUpdates(dst []byte, updates []db.Update, appendNode func([]byte, *tree.Node) []byte) []byte {
	dst = append(dst, '{')
	for i, u := range updates {
		if i > 0 {
			dst = append(dst, ',')
		}
		name := u.Path
		if u.Priority {
			name = name.Child(tree.PriorityKey)
		}
		dst = append(tree.AppendJSONString(dst, string(name)), ':')
		dst = appendNode(dst, u.Value)
	}
	return append(dst, '}')
}
