package jsonscan

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	lows  = 0x0101010101010101
	highs = 0x8080808080808080
)

// span finds the end of the string whose opening quote is at s.pos. It returns the offset of the closing quote, or an
// error, and whether there are escapes. All else that can be wrong with a string, except the escapes, is checked here.
//
// Eight bytes are looked at at once. For a byte b, b-0x20 borrows into the high bit if b is a control character, and
// (b^q)-1 does so if b is the quote or backslash; the borrow can run into higher bytes, so that a hit is certain only for
// the lowest byte, which is all that is needed. Bytes above 0x7F are masked out of the first test and gathered in one word,
// so that UTF-8 is only checked in strings that are not plain ASCII.
func (s *Scanner) span() (end int, escaped bool, err error) {
	data := s.data
	i := s.pos + 1
	var seen uint64
	for {
		for i+8 <= len(data) {
			w := binary.LittleEndian.Uint64(data[i:])
			q := w ^ lows*'"'
			b := w ^ lows*'\\'
			if ((w-lows*0x20)&^w|(q-lows)&^q|(b-lows)&^b)&highs != 0 {
				break
			}
			seen |= w
			i += 8
		}
		// Plain bytes up to the one that stopped the words, or to the end.
		for i < len(data) && data[i] >= 0x20 && data[i] != '"' && data[i] != '\\' {
			seen |= uint64(data[i])
			i++
		}
		if i >= len(data) {
			return 0, false, s.Errorf(len(data), "unexpected end in a string")
		}
		switch data[i] {
		case '"':
			if seen&highs != 0 && !utf8.Valid(data[s.pos+1:i]) {
				return 0, false, s.invalidUTF8(i)
			}
			return i, escaped, nil
		case '\\':
			// What is escaped is looked at by unescape; here it only matters that a quote behind it ends nothing.
			escaped = true
			i += 2
		default:
			return 0, false, s.Errorf(i, "control character 0x%02x in a string must be escaped", data[i])
		}
	}
}

func (s *Scanner) invalidUTF8(end int) error {
	for i := s.pos + 1; i < end; {
		r, n := utf8.DecodeRune(s.data[i:end])
		if r == utf8.RuneError && n <= 1 {
			return s.Errorf(i, "invalid UTF-8 in a string")
		}
		i += n
	}
	return s.Errorf(end, "invalid UTF-8 in a string")
}

// StringBytes reads a string and returns its contents. They alias the data if there was no escape, and otherwise are
// appended to scratch[:0], so that a caller can do without an allocation.
func (s *Scanner) StringBytes(scratch []byte) ([]byte, error) {
	if s.next() != '"' {
		return nil, s.unexpected("a string")
	}
	end, escaped, err := s.span()
	if err != nil {
		return nil, err
	}
	text := s.data[s.pos+1 : end : end]
	if escaped {
		if text, err = s.unescape(scratch[:0], s.pos+1, end); err != nil {
			return nil, err
		}
	}
	s.pos = end + 1
	return text, nil
}

// String reads a string and unescapes it.
func (s *Scanner) String() (string, error) {
	b, err := s.StringBytes(nil)
	return string(b), err
}

func (s *Scanner) skipString() error {
	end, escaped, err := s.span()
	if err != nil {
		return err
	}
	if escaped {
		var scratch [64]byte
		if _, err := s.unescape(scratch[:0], s.pos+1, end); err != nil {
			return err
		}
	}
	s.pos = end + 1
	return nil
}

func (s *Scanner) unescape(dst []byte, from, to int) ([]byte, error) {
	data := s.data
	for i := from; i < to; {
		c := data[i]
		if c != '\\' {
			start := i
			for i < to && data[i] != '\\' {
				i++
			}
			dst = append(dst, data[start:i]...)
			continue
		}
		if i+1 >= to {
			return nil, s.Errorf(i, "invalid escape in a string")
		}
		switch c = data[i+1]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(data[i+2 : to])
			if !ok {
				return nil, s.Errorf(i, `\u must be followed by four hexadecimal digits`)
			}
			i += 6
			if utf16.IsSurrogate(r) {
				low := rune(0)
				if i+6 <= to && data[i] == '\\' && data[i+1] == 'u' {
					low, _ = hex4(data[i+2 : to])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		default:
			return nil, s.Errorf(i, "invalid escape in a string")
		}
		i += 2
	}
	return dst, nil
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
