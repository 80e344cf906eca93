package rules

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// exprError is an error at an offset of an expression's text.
type exprError struct {
	at  int
	msg string
}

func (e *exprError) Error() string { return e.msg }

func failAt(at int, format string, args ...any) error {
	return &exprError{at, fmt.Sprintf(format, args...)}
}

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokName
	tokNumber
	tokString
	tokSign // an operator or a bracket; text says which
)

type token struct {
	kind     tokenKind
	from, to int
	text     string // a name, a sign, or the value of a string
	num      val
}

// lexer cuts an expression into tokens, one at a time: whether a slash divides
// or begins a regular expression is the parser's knowledge.
type lexer struct {
	src string
	pos int
}

// signs are those of JavaScript, longest first, so that what rules do not have
// can be named in the error.
var signs = []string{
	">>>=", "===", "!==", "**=", "<<=", ">>=", ">>>", "...",
	"=>", "==", "!=", "<=", ">=", "&&", "||", "??", "?.", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<", ">>", "**",
	"{", "}", "(", ")", "[", "]", ".", ";", ",", "<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "!", "~", "?", ":", "=",
}

// space skips white space and comments.
func (l *lexer) space() error {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch r, size := utf8.DecodeRuneInString(rest); {
		case unicode.IsSpace(r) || r == '\uFEFF':
			l.pos += size
		case strings.HasPrefix(rest, "//"):
			if n := strings.IndexAny(rest, "\n\r\u2028\u2029"); n >= 0 {
				l.pos += n
			} else {
				l.pos = len(l.src)
			}
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return failAt(l.pos, "syntax error: the comment is not closed")
			}
			l.pos += n + 4
		default:
			return nil
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return c == '_' || c == '$' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func (l *lexer) next() (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	t := token{from: l.pos, to: l.pos}
	if l.pos == len(l.src) {
		return t, nil
	}
	c := l.src[l.pos]
	switch {
	case '0' <= c && c <= '9' || c == '.' && l.pos+1 < len(l.src) && '0' <= l.src[l.pos+1] && l.src[l.pos+1] <= '9':
		return l.number()
	case c == '"' || c == '\'':
		return l.text(c)
	case isNameByte(c) || c >= utf8.RuneSelf:
		return l.name()
	}
	for _, s := range signs {
		if strings.HasPrefix(l.src[l.pos:], s) {
			l.pos += len(s)
			t.kind, t.text, t.to = tokSign, s, l.pos
			return t, nil
		}
	}
	return t, failAt(l.pos, "syntax error: unexpected character %q", rune(c))
}

func (l *lexer) name() (token, error) {
	t := token{kind: tokName, from: l.pos}
	for l.pos < len(l.src) {
		r, size := utf8.DecodeRuneInString(l.src[l.pos:])
		if r < utf8.RuneSelf && !isNameByte(byte(r)) || r >= utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.Mn, r) {
			break
		}
		l.pos += size
	}
	t.to = l.pos
	if t.text = l.src[t.from:t.to]; t.text == "" {
		r, _ := utf8.DecodeRuneInString(l.src[l.pos:])
		return t, failAt(l.pos, "syntax error: unexpected character %q", r)
	}
	return t, nil
}

func (l *lexer) digits() {
	for l.pos < len(l.src) && '0' <= l.src[l.pos] && l.src[l.pos] <= '9' {
		l.pos++
	}
}

func (l *lexer) number() (token, error) {
	t := token{kind: tokNumber, from: l.pos}
	hex := strings.HasPrefix(l.src[l.pos:], "0x") || strings.HasPrefix(l.src[l.pos:], "0X")
	if hex {
		for l.pos += 2; l.pos < len(l.src) && strings.IndexByte("0123456789abcdefABCDEF", l.src[l.pos]) >= 0; {
			l.pos++
		}
	} else {
		l.digits()
		if l.pos < len(l.src) && l.src[l.pos] == '.' {
			l.pos++
			l.digits()
		}
		if l.pos < len(l.src) && (l.src[l.pos] == 'e' || l.src[l.pos] == 'E') {
			l.pos++
			if l.pos < len(l.src) && (l.src[l.pos] == '+' || l.src[l.pos] == '-') {
				l.pos++
			}
			l.digits()
		}
	}
	t.to = l.pos
	raw := l.src[t.from:t.to]
	if l.pos < len(l.src) && (isNameByte(l.src[l.pos]) || l.src[l.pos] >= utf8.RuneSelf) {
		return t, failAt(t.from, "syntax error: malformed number")
	}
	if !hex && len(raw) > 1 && raw[0] == '0' && '0' <= raw[1] && raw[1] <= '9' {
		return t, failAt(t.from, "syntax error: a number does not begin with 0")
	}
	base := 10
	if hex {
		base = 0
	}
	if i, err := strconv.ParseInt(raw, base, 64); err == nil {
		t.num = intVal(i)
		return t, nil
	}
	f, err := strconv.ParseFloat(raw, 64)
	if hex || err != nil {
		return t, failAt(t.from, "syntax error: malformed number")
	}
	t.num = floatVal(f)
	return t, nil
}

func (l *lexer) text(quote byte) (token, error) {
	t := token{kind: tokString, from: l.pos}
	l.pos++
	var out strings.Builder
	for l.pos < len(l.src) {
		r, size := utf8.DecodeRuneInString(l.src[l.pos:])
		switch {
		case byte(r) == quote && size == 1:
			l.pos++
			t.to, t.text = l.pos, out.String()
			return t, nil
		case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return t, failAt(t.from, "syntax error: the string is not closed on its line")
		case r == '\\':
			r, err := l.escape()
			if err != nil {
				return t, err
			}
			if r >= 0 {
				out.WriteRune(r)
			}
		default:
			l.pos += size
			out.WriteRune(r)
		}
	}
	return t, failAt(t.from, "Unexpected end of expression: the string is not closed")
}

// escape reads an escape sequence of a string; -1 stands for nothing.
func (l *lexer) escape() (rune, error) {
	at := l.pos
	l.pos++
	if l.pos == len(l.src) {
		return 0, failAt(at, "Unexpected end of expression: the string is not closed")
	}
	r, size := utf8.DecodeRuneInString(l.src[l.pos:])
	l.pos += size
	switch r {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'v':
		return '\v', nil
	case '\n':
		return -1, nil // the line goes on
	case 'x', 'u':
		digits := 2
		if r == 'u' {
			digits = 4
		}
		r, ok := l.hex(digits)
		if !ok {
			return 0, failAt(at, "syntax error: \\%s needs %d hexadecimal digits", l.src[at+1:at+2], digits)
		}
		if utf16.IsSurrogate(r) {
			low := l.pos
			if strings.HasPrefix(l.src[l.pos:], `\u`) {
				l.pos += 2
				if second, ok := l.hex(4); ok {
					if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
						return pair, nil
					}
				}
				l.pos = low
			}
			return utf8.RuneError, nil
		}
		return r, nil
	}
	if '0' <= r && r <= '9' {
		if r == '0' && (l.pos == len(l.src) || l.src[l.pos] < '0' || l.src[l.pos] > '9') {
			return 0, nil
		}
		return 0, failAt(at, "syntax error: unknown escape sequence")
	}
	return r, nil
}

func (l *lexer) hex(n int) (rune, bool) {
	if l.pos+n > len(l.src) {
		return 0, false
	}
	v, err := strconv.ParseUint(l.src[l.pos:l.pos+n], 16, 32)
	if err != nil {
		return 0, false
	}
	l.pos += n
	return rune(v), true
}

// regexp reads a regular expression whose slash was just read.
func (l *lexer) regexp(from int) (pattern, flags string, err error) {
	l.pos = from + 1
	inSet := false
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == '\n' || c == '\r':
			return "", "", failAt(from, "syntax error: the regular expression is not closed on its line")
		case c == '\\' && l.pos+1 < len(l.src):
			l.pos++
		case c == '[':
			inSet = true
		case c == ']':
			inSet = false
		case c == '/' && !inSet:
			pattern = l.src[from+1 : l.pos]
			l.pos++
			start := l.pos
			for l.pos < len(l.src) && isNameByte(l.src[l.pos]) {
				l.pos++
			}
			return pattern, l.src[start:l.pos], nil
		}
		l.pos++
	}
	return "", "", failAt(from, "Unexpected end of expression: the regular expression is not closed")
}
