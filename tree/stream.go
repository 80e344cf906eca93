package tree

import (
	"bytes"
	"fmt"
	"io"

	"rebase/jsonscan"
)

// maxToken is the size of the text of the largest string there may be: each of its bytes can be written as \u00xx.
const maxToken = 6*MaxStringBytes + 2

// A stream is a window of a long text: buf[pos:] is what is read from r and not consumed yet.
type stream struct {
	r     io.Reader
	buf   []byte
	pos   int
	start int // where the token that is being read starts; what is before may be dropped
	hold  bool
	err   error // of r, io.EOF included
	// Of what was dropped: bytes, and the line and column (from 0) at which buf starts.
	base, line, column int
}

// fill reads more. It drops what is consumed, so that offsets into buf from before are void except pos and start. False means
// that there is no more.
func (s *stream) fill() bool {
	if s.err != nil {
		return false
	}
	keep := s.pos
	if s.hold {
		keep = s.start
	}
	if len(s.buf) == cap(s.buf) {
		if keep > 0 {
			s.drop(keep)
		} else {
			grown := make([]byte, len(s.buf), 2*cap(s.buf))
			copy(grown, s.buf)
			s.buf = grown
		}
	}
	for range 100 {
		n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if err != nil {
			s.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	s.err = io.ErrNoProgress
	return false
}

func (s *stream) drop(n int) {
	gone := s.buf[:n]
	if lines := bytes.Count(gone, []byte{'\n'}); lines > 0 {
		s.line += lines
		s.column = n - 1 - bytes.LastIndexByte(gone, '\n')
	} else {
		s.column += n
	}
	s.base += n
	s.buf = s.buf[:copy(s.buf, s.buf[n:])]
	s.pos -= n
	s.start -= n
}

// position returns the line and column, from 1, of an offset in buf.
func (s *stream) position(at int) (line, column int) {
	before := s.buf[:min(at, len(s.buf))]
	if lines := bytes.Count(before, []byte{'\n'}); lines > 0 {
		return s.line + lines, len(before) - bytes.LastIndexByte(before, '\n')
	}
	return s.line, s.column + len(before) + 1
}

func (s *stream) errorf(at int, msg string) error {
	line, column := s.position(at)
	return &jsonscan.SyntaxError{Line: line, Column: column, Offset: s.base + at, Msg: msg}
}

func (s *stream) unexpected(want string) error {
	return s.errorf(s.pos, fmt.Sprintf("unexpected %q, expected %s", s.buf[s.pos], want))
}

// ended is the error for a text that ends too early, or whose reader failed.
func (s *stream) ended() error {
	if s.err != nil && s.err != io.EOF {
		return fmt.Errorf("reading JSON at offset %d: %w", s.base+len(s.buf), s.err)
	}
	return s.errorf(len(s.buf), "unexpected end")
}

// next skips white space and returns the byte there, without consuming it.
func (s *stream) next() (byte, error) {
	for {
		for s.pos < len(s.buf) {
			switch c := s.buf[s.pos]; c {
			case ' ', '\t', '\n', '\r':
				s.pos++
			default:
				return c, nil
			}
		}
		if !s.fill() {
			return 0, s.ended()
		}
	}
}

// more is as in jsonscan: whether the open container has a further member.
func (s *stream) more(first bool, close byte) (bool, error) {
	c, err := s.next()
	switch {
	case err != nil:
		return false, err
	case c == close:
		s.pos++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		s.pos++
		return true, nil
	case close == '}':
		return false, s.unexpected("',' or '}'")
	}
	return false, s.unexpected("',' or ']'")
}

// token consumes the value or key at pos, which is not at white space, and returns where in buf it starts; it ends at pos.
// Only its extent is found here; the scanner that reads it then checks it.
func (s *stream) token() (from int, err error) {
	s.start, s.hold = s.pos, true
	defer func() { s.hold = false }()
	switch s.buf[s.pos] {
	case '"':
		err = s.skipString()
	case '{', '[':
		depth := 0
		for {
			if s.pos >= len(s.buf) && !s.fill() {
				return 0, s.ended()
			}
			switch s.buf[s.pos] {
			case '"':
				if err := s.skipString(); err != nil {
					return 0, err
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			s.pos++
			if depth == 0 {
				return s.start, s.checkToken()
			}
			if err := s.checkToken(); err != nil {
				return 0, err
			}
		}
	default:
		for {
			if s.pos >= len(s.buf) && !s.fill() {
				if s.err == io.EOF && s.pos > s.start {
					return s.start, nil // a number or literal may end the text
				}
				return 0, s.ended()
			}
			switch s.buf[s.pos] {
			case ' ', '\t', '\n', '\r', ',', ':', ']', '}', '"', '{', '[':
				if s.pos == s.start {
					return 0, s.unexpected("a value")
				}
				return s.start, nil
			}
			s.pos++
			if s.pos-s.start > maxToken {
				return 0, s.errorf(s.start, "a value without end")
			}
		}
	}
	return s.start, err
}

func (s *stream) checkToken() error {
	if s.pos-s.start > maxToken {
		return &LimitError{Limit: "string bytes", Got: s.pos - s.start, Max: MaxStringBytes}
	}
	return nil
}

// skipString moves pos behind the string that starts there.
func (s *stream) skipString() error {
	s.pos++
	for {
		i := bytes.IndexAny(s.buf[s.pos:], `"\`)
		if i >= 0 && s.buf[s.pos+i] == '"' {
			s.pos += i + 1
			return s.checkToken()
		}
		if i >= 0 && s.pos+i+1 < len(s.buf) {
			s.pos += i + 2
			continue
		}
		if i >= 0 {
			s.pos += i // the escape is cut: look again when there is more
		} else {
			s.pos = len(s.buf)
		}
		if err := s.checkToken(); err != nil {
			return err
		}
		if !s.fill() {
			return s.ended()
		}
	}
}

// finish checks that only white space is left.
func (s *stream) finish() error {
	for {
		for ; s.pos < len(s.buf); s.pos++ {
			switch s.buf[s.pos] {
			case ' ', '\t', '\n', '\r':
			default:
				return s.unexpected("the end")
			}
		}
		if !s.fill() {
			if s.err != io.EOF {
				return s.ended()
			}
			return nil
		}
	}
}
