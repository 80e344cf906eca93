package jsonscan

import (
	"bytes"
	"fmt"
)

// MaxDepth is how deep objects and arrays may nest.
const MaxDepth = 256

// SyntaxError is the only error of this package.
type SyntaxError struct {
	Line   int // from 1
	Column int // from 1, in bytes
	Offset int // from 0, in bytes
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at line %d column %d (offset %d): %s", e.Line, e.Column, e.Offset, e.Msg)
}

// A Scanner reads one JSON text from front to back. The zero value is a scanner over nothing.
//
// After an error the position is where the error was found, and the scanner must not be used further except by Reset.
type Scanner struct {
	data  []byte
	pos   int
	depth int
}

// New returns a scanner at the start of data.
func New(data []byte) *Scanner { return &Scanner{data: data} }

// Reset makes s scan data from its start.
func (s *Scanner) Reset(data []byte) { *s = Scanner{data: data} }

// Offset returns how many bytes have been consumed. After Peek that is the offset of the next value or punctuation.
func (s *Scanner) Offset() int { return s.pos }

// Position returns the line and column, both from 1, of a byte offset. It reads the text from its start: it is for errors.
func (s *Scanner) Position(offset int) (line, column int) {
	offset = min(offset, len(s.data))
	before := s.data[:offset]
	return 1 + bytes.Count(before, []byte{'\n'}), offset - bytes.LastIndexByte(before, '\n')
}

// Errorf returns a *SyntaxError at a byte offset, for callers that find fault with a value.
func (s *Scanner) Errorf(offset int, format string, args ...any) *SyntaxError {
	line, column := s.Position(offset)
	return &SyntaxError{Line: line, Column: column, Offset: offset, Msg: fmt.Sprintf(format, args...)}
}

func (s *Scanner) skipSpace() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// next skips white space and returns the byte there without consuming it, 0 at the end.
func (s *Scanner) next() byte {
	if s.pos < len(s.data) {
		if c := s.data[s.pos]; c > ' ' {
			return c
		}
	}
	s.skipSpace()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// Peek skips white space and says what follows: '{' '[' '"' 't' 'f' 'n', '0' for anything that starts a number, 0 at the
// end of the text, and otherwise the byte that is there, which starts no value.
func (s *Scanner) Peek() byte {
	c := s.next()
	if c == '-' || c >= '0' && c <= '9' {
		return '0'
	}
	return c
}

func (s *Scanner) unexpected(want string) error {
	if s.pos >= len(s.data) {
		return s.Errorf(len(s.data), "unexpected end, expected %s", want)
	}
	return s.Errorf(s.pos, "unexpected %s, expected %s", describe(s.data[s.pos]), want)
}

func describe(c byte) string {
	if c < 0x20 || c >= 0x7F {
		return fmt.Sprintf("byte 0x%02x", c)
	}
	return fmt.Sprintf("%q", rune(c))
}

// Enter consumes the opening bracket open ('{' or '['), for a caller that iterates with More instead of Object or Array.
func (s *Scanner) Enter(open byte) error {
	if s.next() != open {
		if open == '{' {
			return s.unexpected("an object")
		}
		return s.unexpected("an array")
	}
	if s.depth >= MaxDepth {
		return s.Errorf(s.pos, "nested deeper than %d", MaxDepth)
	}
	s.depth++
	s.pos++
	return nil
}

// More reports whether the container that was entered has a further member. first must be true on the first call and false
// afterwards; close is the closing bracket ('}' or ']'), which is consumed when More returns false.
func (s *Scanner) More(first bool, close byte) (bool, error) {
	c := s.next()
	if c == close && s.pos < len(s.data) {
		s.pos++
		s.depth--
		return false, nil
	}
	if first {
		return true, nil
	}
	if c != ',' {
		if close == '}' {
			return false, s.unexpected("',' or '}'")
		}
		return false, s.unexpected("',' or ']'")
	}
	s.pos++
	return true, nil
}

// Colon consumes the colon behind a member's key.
func (s *Scanner) Colon() error {
	if s.next() != ':' {
		return s.unexpected("':'")
	}
	s.pos++
	return nil
}

// Object reads an object, calling f for each member in the order of the text. f must consume exactly the member's value;
// its error ends the scan and is returned as it is.
func (s *Scanner) Object(f func(key string) error) error {
	if err := s.Enter('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := s.More(first, '}')
		if err != nil || !more {
			return err
		}
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
	}
}

func (s *Scanner) key() (string, error) {
	if s.next() != '"' {
		return "", s.unexpected("a member's key in quotes")
	}
	key, err := s.String()
	if err != nil {
		return "", err
	}
	return key, s.Colon()
}

// Array reads an array, calling f with 0, 1, … for its elements. f must consume exactly the element; its error ends the
// scan and is returned as it is.
func (s *Scanner) Array(f func(i int) error) error {
	if err := s.Enter('['); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := s.More(i == 0, ']')
		if err != nil || !more {
			return err
		}
		if err := f(i); err != nil {
			return err
		}
	}
}

func (s *Scanner) literal(text string) bool {
	if len(s.data)-s.pos >= len(text) && string(s.data[s.pos:s.pos+len(text)]) == text {
		s.pos += len(text)
		return true
	}
	return false
}

// Bool reads true or false.
func (s *Scanner) Bool() (bool, error) {
	switch s.next() {
	case 't':
		if s.literal("true") {
			return true, nil
		}
	case 'f':
		if s.literal("false") {
			return false, nil
		}
	}
	return false, s.unexpected("true or false")
}

// Null reads null.
func (s *Scanner) Null() error {
	if s.next() == 'n' && s.literal("null") {
		return nil
	}
	return s.unexpected("null")
}

// Skip reads a value of any kind, checking it as thoroughly as the other methods do.
func (s *Scanner) Skip() error {
	switch s.Peek() {
	case '{':
		if err := s.Enter('{'); err != nil {
			return err
		}
		for first := true; ; first = false {
			more, err := s.More(first, '}')
			if err != nil || !more {
				return err
			}
			if s.next() != '"' {
				return s.unexpected("a member's key in quotes")
			}
			if err := s.skipString(); err != nil {
				return err
			}
			if err := s.Colon(); err != nil {
				return err
			}
			if err := s.Skip(); err != nil {
				return err
			}
		}
	case '[':
		return s.Array(func(int) error { return s.Skip() })
	case '"':
		return s.skipString()
	case '0':
		_, err := s.Number()
		return err
	case 't', 'f':
		_, err := s.Bool()
		return err
	case 'n':
		return s.Null()
	}
	return s.unexpected("a value")
}

// Raw reads a value of any kind and returns its text, which aliases the data.
func (s *Scanner) Raw() ([]byte, error) {
	s.next()
	start := s.pos
	if err := s.Skip(); err != nil {
		return nil, err
	}
	return s.data[start:s.pos:s.pos], nil
}

// End reports an error unless only white space is left.
func (s *Scanner) End() error {
	s.skipSpace()
	if s.pos < len(s.data) {
		return s.unexpected("the end")
	}
	return nil
}
