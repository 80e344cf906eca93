package rules

import (
	"regexp"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// regex is a regular expression of a rule. It is made by translating Firebase's
// subset of JavaScript's syntax, piece by piece, to that of package regexp,
// which matches in time linear in the text. What the subset lacks (look-around,
// back-references, anchors in the middle) is refused, and so is all that the two
// syntaxes read differently.
type regex struct {
	re   *regexp.Regexp
	size int // about how many instructions a character may cost
}

const (
	maxRepeat    = 10_000 // of one {n}
	maxRegexSize = 20_000 // after its repetitions are written out
	maxRegexNest = 32
)

type regexParser struct {
	src  string
	pos  int
	base int // offset of src in the rule
	fold bool
	nest int
}

func (p *regexParser) fail(at int, format string, args ...any) error {
	return failAt(p.base+at, "Invalid regular expression: "+format, args...)
}

// compileRegex translates the pattern of /pattern/flags, which stands at from.
func compileRegex(pattern, flags string, from int) (*regex, error) {
	p := &regexParser{src: pattern, base: from + 1}
	if flags != "" && flags != "i" {
		return nil, p.fail(len(pattern)+1, "i is the only flag, but here is %q", flags)
	}
	p.fold = flags == "i"
	out := ""
	if p.peek() == '^' {
		p.pos++
		out = `\A`
	}
	body, size, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	switch {
	case p.peek() == ')':
		return nil, p.fail(p.pos, "this ) closes nothing")
	case p.peek() == '$': // alternatives stops at no other
		body += `\z`
	}
	re, err := regexp.Compile(out + body)
	if err != nil { // not reached, as far as is known
		return nil, p.fail(0, "%v", err)
	}
	return &regex{re, size}, nil
}

// peek returns the next byte, 0 at the end; no pattern has a NUL that matters.
func (p *regexParser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

func (p *regexParser) atEnd() bool {
	return p.pos >= len(p.src) || p.src[p.pos] == ')' || p.src[p.pos] == '$' && p.pos == len(p.src)-1 && p.nest == 0
}

func (p *regexParser) alternatives() (string, int, error) {
	var out []byte
	size := 0
	for {
		start := p.pos
		for !p.atEnd() && p.peek() != '|' {
			piece, n, err := p.piece()
			if err != nil {
				return "", 0, err
			}
			out = append(out, piece...)
			if size += n; size > maxRegexSize || len(out) > 64*maxRegexSize {
				return "", 0, p.fail(start, "it is too large when its repetitions are written out")
			}
		}
		if p.pos == start {
			return "", 0, p.fail(start, "here is an alternative without characters")
		}
		if p.peek() != '|' {
			return string(out), size + 1, nil
		}
		p.pos++
		out = append(out, '|')
	}
}

// piece reads an atom and what says how often it occurs.
func (p *regexParser) piece() (string, int, error) {
	at := p.pos
	out, size, err := p.atom()
	if err != nil {
		return "", 0, err
	}
	least, most := 1, 1 // most -1: any number
	switch p.peek() {
	case '*':
		least, most = 0, -1
		p.pos++
	case '+':
		least, most = 1, -1
		p.pos++
	case '?':
		least, most = 0, 1
		p.pos++
	case '{':
		if least, most, err = p.counts(); err != nil {
			return "", 0, err
		}
	default:
		return out, size, nil
	}
	if p.pos < len(p.src) && p.src[p.pos] == '?' {
		p.pos++ // reluctant: whether it matches is the same
	}
	switch p.peek() {
	case '*', '+', '?', '{':
		return "", 0, p.fail(p.pos, "a repetition cannot be repeated without brackets")
	}
	copies := max(least, most, 1)
	if most < 0 && least > 0 {
		copies++
	}
	if size*copies > maxRegexSize {
		return "", 0, p.fail(at, "it is too large when its repetitions are written out")
	}
	return repeat(out, least, most), size*copies + 1, nil
}

// repeat writes repetitions out: package regexp bounds how they nest.
func repeat(atom string, least, most int) string {
	one := "(?:" + atom + ")"
	switch {
	case least == 0 && most < 0:
		return one + "*"
	case least == 1 && most < 0:
		return one + "+"
	case least == 0 && most == 1:
		return one + "?"
	}
	var out []byte
	for range least {
		out = append(out, one...)
	}
	if most < 0 {
		return string(append(append(out, one...), '*'))
	}
	for range most - least {
		out = append(append(out, one...), '?')
	}
	if len(out) == 0 {
		return "(?:)"
	}
	return string(out)
}

func (p *regexParser) counts() (least, most int, err error) {
	at := p.pos
	p.pos++
	number := func() (int, bool) {
		n, start := 0, p.pos
		for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
			n = min(n*10+int(c-'0'), maxRepeat+1)
			p.pos++
		}
		return n, p.pos > start
	}
	least, ok := number()
	if !ok {
		return 0, 0, p.fail(at, "{ begins a repetition such as {2}, {2,} or {2,5}: for the character write \\{")
	}
	most = least
	if p.peek() == ',' {
		p.pos++
		if most, ok = number(); !ok {
			most = -1
		}
	}
	if p.peek() != '}' {
		return 0, 0, p.fail(at, "{ begins a repetition such as {2}, {2,} or {2,5}: for the character write \\{")
	}
	p.pos++
	switch {
	case least > maxRepeat || most > maxRepeat:
		return 0, 0, p.fail(at, "no more than %d repetitions can be counted", maxRepeat)
	case most >= 0 && most < least:
		return 0, 0, p.fail(at, "the counts are in the wrong order")
	}
	return least, most, nil
}

func (p *regexParser) atom() (string, int, error) {
	at := p.pos
	switch c := p.src[p.pos]; c {
	case '(':
		return p.group()
	case '[':
		return p.set()
	case '*', '+', '?':
		return "", 0, p.fail(at, "there is nothing before this %c that it could repeat: for the character write \\%c", c, c)
	case '{':
		return "", 0, p.fail(at, "there is nothing before this repetition: for the character write \\{")
	case '^':
		return "", 0, p.fail(at, "^ may only begin the pattern: for the character write \\^")
	case '$':
		return "", 0, p.fail(at, "$ may only end the pattern: for the character write \\$")
	case '.':
		p.pos++
		return `[^\n\r\x{2028}\x{2029}]`, 1, nil
	case '\\':
		r, class, err := p.escape()
		if err != nil {
			return "", 0, err
		}
		if class == nil {
			class = runeSet{{r, r}}
		}
		return p.write(class, false)
	}
	r, size := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += size
	return p.write(runeSet{{r, r}}, false)
}

func (p *regexParser) group() (string, int, error) {
	at := p.pos
	p.pos++
	if p.nest++; p.nest > maxRegexNest {
		return "", 0, p.fail(at, "brackets nest more than %d deep", maxRegexNest)
	}
	if p.peek() == '?' {
		return "", 0, p.fail(at, "there are only plain groups, nothing that begins with (?")
	}
	out, size, err := p.alternatives()
	if err != nil {
		return "", 0, err
	}
	if p.peek() != ')' {
		return "", 0, p.fail(at, "this ( is not closed")
	}
	p.pos++
	p.nest--
	return "(?:" + out + ")", size, nil
}

// runeSet is a set of characters as ranges.
type runeSet [][2]rune

var (
	digits = runeSet{{'0', '9'}}
	words  = runeSet{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	blanks = runeSet{{'\t', '\r'}, {' ', ' '}, {0xA0, 0xA0}, {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}}
)

func (s runeSet) negate() runeSet {
	s = slices.Clone(s)
	slices.SortFunc(s, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	var out runeSet
	next := rune(0)
	for _, r := range s {
		if r[0] > next {
			out = append(out, [2]rune{next, r[0] - 1})
		}
		next = max(next, r[1]+1)
	}
	if next <= unicode.MaxRune {
		out = append(out, [2]rune{next, unicode.MaxRune})
	}
	return out
}

// escape reads what follows a backslash: a character or a class of them.
func (p *regexParser) escape() (rune, runeSet, error) {
	at := p.pos
	p.pos++
	if p.pos >= len(p.src) {
		return 0, nil, p.fail(at, "nothing follows the backslash")
	}
	r, size := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += size
	switch r {
	case 'd':
		return 0, digits, nil
	case 'D':
		return 0, digits.negate(), nil
	case 'w':
		return 0, words, nil
	case 'W':
		return 0, words.negate(), nil
	case 's':
		return 0, blanks, nil
	case 'S':
		return 0, blanks.negate(), nil
	}
	return r, nil, nil // whatever it is, letters and digits too: so Firebase has it
}

func (p *regexParser) set() (string, int, error) {
	at := p.pos
	p.pos++
	negated := p.peek() == '^'
	if negated {
		p.pos++
	}
	var all runeSet
	// item reads a character, or a class.
	item := func() (rune, runeSet, error) {
		if p.peek() == '\\' {
			return p.escape()
		}
		r, size := utf8.DecodeRuneInString(p.src[p.pos:])
		p.pos += size
		return r, nil, nil
	}
	for p.pos < len(p.src) && p.src[p.pos] != ']' {
		start := p.pos
		low, class, err := item()
		if err != nil {
			return "", 0, err
		}
		if class != nil {
			all = append(all, class...)
			continue
		}
		high := low
		if p.peek() == '-' && p.pos+1 < len(p.src) && p.src[p.pos+1] != ']' {
			mark := p.pos
			p.pos++
			high, class, err = item()
			if err != nil {
				return "", 0, err
			}
			if class != nil { // [a-\d]: the hyphen is a character
				high, p.pos = low, mark
			}
			if high < low {
				return "", 0, p.fail(start, "the range is in the wrong order")
			}
		}
		all = append(all, [2]rune{low, high})
	}
	if p.pos >= len(p.src) {
		return "", 0, p.fail(at, "this [ is not closed")
	}
	p.pos++
	if len(all) == 0 {
		return "", 0, p.fail(at, "the set is empty")
	}
	return p.write(all, negated)
}

// write writes a set in the syntax of package regexp. Ignoring case, letters of
// ASCII only equal letters of ASCII, as in JavaScript.
func (p *regexParser) write(s runeSet, negated bool) (string, int, error) {
	if p.fold {
		s = addFolds(s)
	}
	s = s.negate() // which also sorts and joins the ranges
	if !negated {
		s = s.negate()
	}
	if len(s) == 0 {
		return `[^\x00-\x{10FFFF}]`, 1, nil
	}
	out := []byte{'['}
	for _, r := range s {
		out = appendRune(out, r[0])
		if r[1] > r[0] {
			out = appendRune(append(out, '-'), r[1])
		}
	}
	return string(append(out, ']')), 1 + len(s)/8, nil
}

func appendRune(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return append(dst, byte(r))
	}
	const hex = "0123456789ABCDEF"
	dst = append(dst, `\x{`...)
	for shift := 20; shift >= 0; shift -= 4 {
		dst = append(dst, hex[r>>shift&15])
	}
	return append(dst, '}')
}

// folded lists the characters that have others which differ only by case.
var folded = sync.OnceValue(func() (list []rune) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if unicode.SimpleFold(r) != r {
			list = append(list, r)
		}
	}
	return list
})

func addFolds(s runeSet) runeSet {
	out := slices.Clone(s)
	list := folded()
	for _, r := range s {
		i, _ := slices.BinarySearch(list, r[0])
		for ; i < len(list) && list[i] <= r[1]; i++ {
			for o := unicode.SimpleFold(list[i]); o != list[i]; o = unicode.SimpleFold(o) {
				if (o < utf8.RuneSelf) == (list[i] < utf8.RuneSelf) {
					out = append(out, [2]rune{o, o})
				}
			}
		}
	}
	return out
}
