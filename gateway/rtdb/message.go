package rtdb

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"rebase/jsonscan"
)

// message is a client's message, decoded but for its values, which stay text until the action says what they are. It aliases
// the text it was decoded from.
type message struct {
	typ string // "c" or "d"

	// Control messages.
	control string

	// Requests.
	hasID  bool
	id     int64 // r
	action string
	body   body
}

// body has the members that the bodies of all actions are made of; each action looks at its own. Which member is there
// does not depend on the action, so one pass over the text suffices, in whatever order a client writes the members.
type body struct {
	path     string // p
	hasPath  bool
	data     []byte // d, as text
	hash     string // h
	hasHash  bool
	query    []byte // q, as text
	tag      int64  // t
	hasTag   bool
	compound []byte // ch, as text
	cred     string
	authvar  []byte // as text
	noauth   bool
	token    string

	// bad names the first member of a wrong type. The request can still be answered, with an error.
	bad string
}

// errEnvelope is returned for JSON that is not a message of the protocol.
var errEnvelope = errors.New("not an envelope of the protocol")

// parseMessage decodes one message. The error is a *jsonscan.SyntaxError, or errEnvelope wrapped.
//
// Members that are unknown or, in the envelope of an unknown type, of another shape are skipped: a later client may send them.
func parseMessage(text []byte) (message, error) {
	var m message
	s := jsonscan.New(text)
	if s.Peek() != '{' {
		if err := s.Skip(); err != nil {
			return m, err
		}
		return m, fmt.Errorf("%w: it is no object", errEnvelope)
	}
	err := s.Object(func(key string) (err error) {
		switch {
		case key == "t" && s.Peek() == '"':
			m.typ, err = s.String()
			return err
		case key == "d" && s.Peek() == '{':
			return s.Object(func(key string) error { return m.member(s, key) })
		}
		return s.Skip()
	})
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return m, err
	}
	switch {
	case m.typ == "":
		return m, fmt.Errorf("%w: it has no type", errEnvelope)
	case m.typ == "d" && !m.hasID:
		return m, fmt.Errorf("%w: a request has no number", errEnvelope)
	}
	return m, nil
}

// member decodes a member of the envelope's payload, of either type.
func (m *message) member(s *jsonscan.Scanner, key string) (err error) {
	switch {
	case key == "t" && s.Peek() == '"':
		m.control, err = s.String()
	case key == "r" && s.Peek() == '0':
		m.hasID = true
		m.id, err = s.Int()
	case key == "a" && s.Peek() == '"':
		m.action, err = s.String()
	case key == "b" && s.Peek() == '{':
		err = s.Object(func(key string) error { return m.body.member(s, key) })
	default:
		err = s.Skip()
	}
	return err
}

func (b *body) member(s *jsonscan.Scanner, key string) (err error) {
	next := s.Peek()
	switch key {
	case "d":
		b.data, err = s.Raw()
		return err
	case "p":
		if next == '"' {
			b.hasPath = true
			b.path, err = s.String()
			return err
		}
	case "h":
		if next == '"' {
			b.hasHash = true
			b.hash, err = s.String()
			return err
		}
	case "t":
		if next == '0' {
			text, err := s.Number()
			if err != nil {
				return err
			}
			if b.tag, err = strconv.ParseInt(string(text), 10, 64); err == nil {
				b.hasTag = true
			} else if b.bad == "" {
				b.bad = key
			}
			return nil
		}
	case "q":
		if next == '{' {
			b.query, err = s.Raw()
			return err
		}
	case "ch":
		if next == '{' {
			b.compound, err = s.Raw()
			return err
		}
	case "cred":
		if next == '"' {
			b.cred, err = s.String()
			return err
		}
	case "token":
		if next == '"' {
			b.token, err = s.String()
			return err
		}
	case "authvar":
		if next == '{' || next == 'n' {
			b.authvar, err = s.Raw()
			return err
		}
	case "noauth":
		if next == 't' || next == 'f' {
			b.noauth, err = s.Bool()
			return err
		}
	default:
		return s.Skip()
	}
	// A null is as good as an absent member: some clients write those.
	if next != 'n' && b.bad == "" {
		b.bad = key
	}
	return s.Skip()
}

// The number of a request stands before the body or behind it, as far as clients are known.
var (
	idBefore = regexp.MustCompile(`^\{"t":"d","d":\{(?:"a":"\w+",)?"r":(\d{1,18}),`)
	idBehind = regexp.MustCompile(`,"r":(\d{1,18})(?:,"a":"\w+")?\}(?:,"t":"d")?\}$`)
)

// edgesID finds the number of a request of which only the two ends are known.
func edgesID(head, tail []byte) (id int64, ok bool) {
	m := idBefore.FindSubmatch(head)
	if m == nil {
		// Values end in more brackets than this, so it is the envelope's member.
		m = idBehind.FindSubmatch(tail)
	}
	if m == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(string(m[1]), 10, 64)
	return id, err == nil
}
