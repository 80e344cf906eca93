package ruletest

import (
	"bytes"
	"errors"
	"fmt"

	"rebase/jsonscan"
	"rebase/tree"
)

// A Value is JSON with its places in a text.
type Value struct {
	Line, Column int // from 1
	// JSON is the text of a leaf: of null, true, a number or a string.
	JSON []byte
	// Object and Array say what it is if it is no leaf.
	Object, Array bool
	Members       []Member // in the order of the text
	Items         []*Value
}

// A Member is one of an object's.
type Member struct {
	Key          string
	Line, Column int
	Value        *Value
}

// An Error is a list of cases that cannot be understood.
type Error struct {
	Line, Column int
	Msg          string
}

func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg) }

func (v *Value) errorf(format string, args ...any) *Error {
	return &Error{v.Line, v.Column, fmt.Sprintf(format, args...)}
}

// Text returns v as JSON, on one line.
func (v *Value) Text() []byte { return v.append(nil, -1) }

// Indented returns v as JSON, with each member on a line.
func (v *Value) Indented() []byte { return append(v.append(nil, 0), '\n') }

func (v *Value) append(dst []byte, indent int) []byte {
	line := func(n int) {
		if indent >= 0 {
			dst = append(dst, '\n')
			dst = append(dst, bytes.Repeat([]byte("  "), n)...)
		}
	}
	inner := indent
	if indent >= 0 {
		inner++
	}
	switch {
	case v.Object:
		dst = append(dst, '{')
		for i, m := range v.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			line(inner)
			dst = append(tree.AppendJSONString(dst, m.Key), ':')
			if indent >= 0 {
				dst = append(dst, ' ')
			}
			dst = m.Value.append(dst, inner)
		}
		if len(v.Members) > 0 {
			line(indent)
		}
		return append(dst, '}')
	case v.Array:
		dst = append(dst, '[')
		for i, item := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			line(inner)
			dst = item.append(dst, inner)
		}
		if len(v.Items) > 0 {
			line(indent)
		}
		return append(dst, ']')
	}
	return append(dst, v.JSON...)
}

// String returns the string that v is.
func (v *Value) String() (s string, ok bool) {
	if len(v.JSON) == 0 || v.JSON[0] != '"' {
		return "", false
	}
	s, err := jsonscan.New(v.JSON).String()
	return s, err == nil
}

// IsNull reports whether v is null.
func (v *Value) IsNull() bool { return string(v.JSON) == "null" }

// kind says what v is, for messages.
func (v *Value) kind() string {
	switch {
	case v.Object:
		return "an object"
	case v.Array:
		return "a list"
	case v.JSON[0] == '"':
		return "a text"
	case v.JSON[0] == 'n':
		return "null"
	case v.JSON[0] == 't', v.JSON[0] == 'f':
		return "true or false"
	}
	return "a number"
}

// ParseJSON reads JSON. The error is an *[Error].
func ParseJSON(text []byte) (*Value, error) {
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	p := jsonParser{s: jsonscan.New(text), text: text, line: 1, column: 1}
	v, err := p.value()
	if err == nil {
		err = p.s.End()
	}
	var syntax *jsonscan.SyntaxError
	var known *Error
	switch {
	case errors.As(err, &known):
		return nil, known
	case errors.As(err, &syntax):
		return nil, &Error{syntax.Line, syntax.Column, syntax.Msg}
	case err != nil:
		return nil, &Error{1, 1, err.Error()}
	}
	return v, nil
}

type jsonParser struct {
	s            *jsonscan.Scanner
	text         []byte
	at           int // what line and column are of
	line, column int
}

// place counts lines up to where the scanner is.
func (p *jsonParser) place() (line, column int) {
	for ; p.at < p.s.Offset(); p.at++ {
		if p.text[p.at] == '\n' {
			p.line, p.column = p.line+1, 1
		} else if p.text[p.at]&0xC0 != 0x80 {
			p.column++
		}
	}
	return p.line, p.column
}

func (p *jsonParser) value() (*Value, error) {
	kind := p.s.Peek()
	v := &Value{}
	v.Line, v.Column = p.place()
	var err error
	switch kind {
	case '{':
		v.Object = true
		err = p.members(v)
	case '[':
		v.Array = true
		err = p.s.Array(func(int) error {
			item, err := p.value()
			v.Items = append(v.Items, item)
			return err
		})
	default:
		v.JSON, err = p.s.Raw()
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (p *jsonParser) members(v *Value) error {
	if err := p.s.Enter('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for first := true; ; first = false {
		more, err := p.s.More(first, '}')
		if err != nil || !more {
			return err
		}
		var m Member
		p.s.Peek()
		m.Line, m.Column = p.place()
		if m.Key, err = p.s.String(); err != nil {
			return err
		}
		if err := p.s.Colon(); err != nil {
			return err
		}
		if seen[m.Key] {
			return &Error{m.Line, m.Column, fmt.Sprintf("%q is here for the second time", m.Key)}
		}
		seen[m.Key] = true
		if m.Value, err = p.value(); err != nil {
			return err
		}
		v.Members = append(v.Members, m)
	}
}
