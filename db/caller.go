package db

import (
	"bytes"
	"encoding/json"
	"fmt"

	"rebase/rules"
)

// Caller is in whose name something is done. It travels in the log with what it does, so that every replica
// judges alike. It never changes; a nil *Caller is nobody: not signed in, and not let in where there are no rules.
type Caller struct {
	admin bool
	open  bool
	auth  *rules.Auth
	text  []byte // of auth, as JSON; empty for null
}

// Root is the server itself, whom no rule binds.
var Root = &Caller{admin: true}

var nobody = &Caller{}

// orNobody makes a nil one explicit.
func (c *Caller) orNobody() *Caller {
	if c == nil {
		return nobody
	}
	return c
}

// NewCaller describes a caller. An admin is bound by no rule, and auth then does not matter. auth is the auth variable of
// the rules as JSON; empty or null says that nobody is signed in. open lets the caller do everything in a
// database that has no rules, which is otherwise closed to all but admins.
func NewCaller(admin, open bool, auth json.RawMessage) (*Caller, error) {
	c := &Caller{admin: admin, open: open}
	if text := bytes.TrimSpace(auth); !admin && len(text) > 0 && string(text) != "null" {
		var err error
		if c.auth, err = rules.ParseAuth(text); err != nil {
			return nil, fmt.Errorf("the auth variable: %w", err)
		}
		c.text = bytes.Clone(text)
	}
	return c, nil
}

// Admin tells a caller whom no rule binds.
func (c *Caller) Admin() bool { return c != nil && c.admin }

// The first byte of an encoded caller says what it is. One who is signed in is followed by the auth
// variable, as a string.
const (
	callerAdmin = 1 << iota
	callerOpen
	callerSignedIn
)

func appendCaller(dst []byte, c *Caller) []byte {
	c = c.orNobody()
	var kind byte
	if c.Admin() {
		return append(dst, callerAdmin)
	}
	if c.open {
		kind |= callerOpen
	}
	if c.auth == nil {
		return append(dst, kind)
	}
	return appendString(append(dst, kind|callerSignedIn), string(c.text))
}

func (r *reader) caller() *Caller {
	kind := r.byte()
	var auth json.RawMessage
	if kind&callerSignedIn != 0 {
		auth = json.RawMessage(r.string())
	}
	c, err := NewCaller(kind&callerAdmin != 0, kind&callerOpen != 0, auth)
	if err != nil {
		r.fail(err)
	}
	return c
}
