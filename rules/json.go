package rules

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"

	"rebase/tree"
)

// An Error is a document that cannot be accepted.
type Error struct {
	Line, Column int // from 1; columns count characters
	Msg          string
}

func (e *Error) Error() string { return fmt.Sprintf("Line %d: %s", e.Line, e.Msg) }

// value is a parsed JSON value with its place in the text.
type value struct {
	offset  int
	kind    byte // '{' '[' '"' 't' 'f' 'n' '0', as its first character
	text    string
	members []member // of an object
	items   []value  // of an array
}

type member struct {
	offset int // of the key
	key    string
	value  value
}

const (
	// MaxDocumentBytes bounds the text of a document.
	MaxDocumentBytes = 1 << 20

	// maxNesting bounds the recursion. Data is at most tree.MaxDepth deep, so
	// deeper rules could never apply to anything.
	maxNesting = 128
)

// parser reads JSON as rules documents have it: with // and /* */ comments
// wherever white space may stand, with a comma after the last of a list, and
// with line breaks inside strings, where long expressions are wrapped.
type parser struct {
	data []byte
	pos  int
	nest int
	last place
}

// place is an offset of the text as people count: line and column from 1.
type place struct{ offset, line, column int }

// placeOf goes on from the place that was asked for before: a compiler asks in the
// order of the text, and all its questions together read it once.
func (p *parser) placeOf(offset int) place {
	offset = min(offset, len(p.data))
	at := p.last
	if at.line == 0 || offset < at.offset {
		at = place{0, 1, 1}
	}
	between := p.data[at.offset:offset]
	if n := bytes.LastIndexByte(between, '\n'); n >= 0 {
		at.line += bytes.Count(between, []byte{'\n'})
		at.column = 1
		between = between[n+1:]
	}
	at.column += utf8.RuneCount(between)
	at.offset = offset
	p.last = at
	return at
}

func (p *parser) errorAt(offset int, format string, args ...any) *Error {
	at := p.placeOf(offset)
	return &Error{Line: at.line, Column: at.column, Msg: fmt.Sprintf(format, args...)}
}

// syntax is a text that is not JSON. The tools of Firebase look for the words
// "Parse error".
func (p *parser) syntax(format string, args ...any) *Error {
	return p.errorAt(p.pos, "Parse error: "+format, args...)
}

func (p *parser) expected(what string) *Error {
	if p.pos >= len(p.data) {
		return p.syntax("expected %s, but the document ends", what)
	}
	r, _ := utf8.DecodeRune(p.data[p.pos:])
	return p.syntax("expected %s, found %q", what, r)
}

// space skips white space and comments.
func (p *parser) space() error {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
			continue
		case '/':
			rest := p.data[p.pos:]
			switch {
			case bytes.HasPrefix(rest, []byte("//")):
				if n := bytes.IndexByte(rest, '\n'); n >= 0 {
					p.pos += n
				} else {
					p.pos = len(p.data)
				}
				continue
			case bytes.HasPrefix(rest, []byte("/*")):
				n := bytes.Index(rest[2:], []byte("*/"))
				if n < 0 {
					return p.syntax("comment is not closed")
				}
				p.pos += 2 + n + 2
				continue
			}
		}
		break
	}
	return nil
}

// peek skips space and returns the next byte, 0 at the end.
func (p *parser) peek() (byte, error) {
	if err := p.space(); err != nil {
		return 0, err
	}
	if p.pos >= len(p.data) {
		return 0, nil
	}
	return p.data[p.pos], nil
}

func (p *parser) document() (value, error) {
	if len(p.data) > MaxDocumentBytes {
		return value{}, p.errorAt(0, "The document is larger than %d bytes", MaxDocumentBytes)
	}
	if !utf8.Valid(p.data) {
		p.pos = firstInvalid(p.data)
		return value{}, p.syntax("the document is not UTF-8")
	}
	p.data = bytes.TrimPrefix(p.data, []byte("\uFEFF"))
	v, err := p.value()
	if err != nil {
		return value{}, err
	}
	if _, err := p.peek(); err != nil {
		return value{}, err
	}
	if p.pos < len(p.data) {
		return value{}, p.expected("the end of the document")
	}
	return v, nil
}

func firstInvalid(b []byte) int {
	i := 0
	for i < len(b) {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		i += n
	}
	return i
}

func (p *parser) value() (value, error) {
	c, err := p.peek()
	if err != nil {
		return value{}, err
	}
	v := value{offset: p.pos, kind: c}
	switch {
	case c == '{' || c == '[':
		if p.nest++; p.nest > maxNesting {
			return value{}, p.syntax("nested too deeply")
		}
		if c == '{' {
			v.members, err = p.object()
		} else {
			v.items, err = p.array()
		}
		p.nest--
	case c == '"':
		v.text, err = p.string()
	case c == 't':
		v.text, err = p.word("true")
	case c == 'f':
		v.text, err = p.word("false")
	case c == 'n':
		v.text, err = p.word("null")
	case c == '-' || '0' <= c && c <= '9':
		v.kind = '0'
		v.text = p.number()
	default:
		err = p.expected("a value")
	}
	return v, err
}

func (p *parser) word(w string) (string, error) {
	if !bytes.HasPrefix(p.data[p.pos:], []byte(w)) {
		return "", p.expected("a value")
	}
	p.pos += len(w)
	return w, nil
}

// number skips what looks like one. No rule has a number as its value, so what
// follows is a better message than one about its digits.
func (p *parser) number() string {
	start := p.pos
	for p.pos < len(p.data) && bytes.IndexByte([]byte("+-.eE0123456789"), p.data[p.pos]) >= 0 {
		p.pos++
	}
	return string(p.data[start:p.pos])
}

func (p *parser) object() ([]member, error) {
	p.pos++ // {
	var members []member
	seen := make(map[string]bool)
	for {
		c, err := p.peek()
		switch {
		case err != nil:
			return nil, err
		case c == '}': // of {}, or behind a comma
			p.pos++
			return members, nil
		case c != '"':
			return nil, p.expected("a key in double quotes")
		}
		m := member{offset: p.pos}
		if m.key, err = p.string(); err != nil {
			return nil, err
		}
		if seen[m.key] {
			return nil, p.errorAt(m.offset, "Duplicate key %s", quote(m.key))
		}
		seen[m.key] = true
		if c, err = p.peek(); err != nil {
			return nil, err
		}
		if c != ':' {
			return nil, p.expected("':'")
		}
		p.pos++
		if m.value, err = p.value(); err != nil {
			return nil, err
		}
		members = append(members, m)
		if done, err := p.next('}', "',' or '}'"); done || err != nil {
			return members, err
		}
	}
}

func (p *parser) array() ([]value, error) {
	p.pos++ // [
	var items []value
	for {
		if c, err := p.peek(); err != nil {
			return nil, err
		} else if c == ']' { // of [], or behind a comma
			p.pos++
			return items, nil
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		items = append(items, v)
		if done, err := p.next(']', "',' or ']'"); done || err != nil {
			return items, err
		}
	}
}

// next steps over the comma before another element, or over the end.
func (p *parser) next(end byte, want string) (done bool, err error) {
	c, err := p.peek()
	if err != nil {
		return false, err
	}
	if c != ',' && c != end {
		return false, p.expected(want)
	}
	p.pos++
	return c == end, nil
}

func (p *parser) string() (string, error) {
	start := p.pos
	p.pos++
	var out []byte
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		switch {
		case c == '"':
			p.pos++
			return string(out), nil
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		case c < 0x20 && c != '\n' && c != '\r' && c != '\t':
			return "", p.syntax("control character %q in a string", rune(c))
		default:
			out = append(out, c)
			p.pos++
		}
	}
	return "", p.errorAt(start, "Parse error: the string is not closed")
}

// inString returns the offset in the document of the i-th byte of the string
// that begins at start.
func (p *parser) inString(start, i int) int {
	p.pos = start + 1
	for done := 0; done < i && p.pos < len(p.data) && p.data[p.pos] != '"'; {
		if p.data[p.pos] != '\\' {
			p.pos++
			done++
			continue
		}
		r, err := p.escape()
		if err != nil {
			break
		}
		done += utf8.RuneLen(r)
	}
	return p.pos
}

// escape reads one escape sequence, or two that make a surrogate pair. A
// surrogate without its other half becomes U+FFFD.
func (p *parser) escape() (rune, error) {
	if p.pos+1 >= len(p.data) {
		return 0, p.syntax("the string is not closed")
	}
	c := p.data[p.pos+1]
	if c == 'u' {
		r, ok := p.hex4(p.pos + 2)
		if !ok {
			return 0, p.syntax("\\u needs four hexadecimal digits")
		}
		p.pos += 6
		if utf16.IsSurrogate(r) {
			if bytes.HasPrefix(p.data[p.pos:], []byte(`\u`)) {
				if low, ok := p.hex4(p.pos + 2); ok {
					if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
						p.pos += 6
						return pair, nil
					}
				}
			}
			return utf8.RuneError, nil
		}
		return r, nil
	}
	if i := bytes.IndexByte([]byte(`"\/bfnrt`), c); i >= 0 {
		p.pos += 2
		return rune("\"\\/\b\f\n\r\t"[i]), nil
	}
	return 0, p.syntax("unknown escape sequence")
}

func (p *parser) hex4(at int) (r rune, ok bool) {
	if at+4 > len(p.data) {
		return 0, false
	}
	for _, c := range p.data[at : at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func quote(s string) string { return string(tree.AppendJSONString(nil, s)) }

// appendStrict appends v as JSON proper, indented by two spaces a level, with
// members in their order.
func appendStrict(dst []byte, v *value, indent int) []byte {
	newline := func(n int) {
		dst = append(dst, '\n')
		for range n {
			dst = append(dst, "  "...)
		}
	}
	switch v.kind {
	case '{':
		dst = append(dst, '{')
		for i := range v.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			newline(indent + 1)
			dst = tree.AppendJSONString(dst, v.members[i].key)
			dst = append(dst, ": "...)
			dst = appendStrict(dst, &v.members[i].value, indent+1)
		}
		if len(v.members) > 0 {
			newline(indent)
		}
		return append(dst, '}')
	case '[':
		dst = append(dst, '[')
		for i := range v.items {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendStrict(dst, &v.items[i], indent)
		}
		return append(dst, ']')
	case '"':
		return tree.AppendJSONString(dst, v.text)
	}
	return append(dst, v.text...)
}
