package history

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ednParser reads entries in EDN (github.com/edn-format/edn). What the values of
// transactions are made of, it reads without making data of them; everything else it
// reads as a Datum.
type ednParser struct{ scanner }

// entry reads a map into the event.
func (p *ednParser) entry() error {
	p.begin()
	if p.buf[p.pos] == '#' { // a record, such as #jepsen.history.Op{…}
		for p.pos < len(p.buf) && p.buf[p.pos] != '{' && !isSpace(p.buf[p.pos]) {
			p.pos++
		}
		p.space()
		if p.pos == len(p.buf) {
			return errShort
		}
	}
	if p.buf[p.pos] != '{' {
		return wrong("", "an entry is a map, not what begins with %q", p.buf[p.pos])
	}
	p.pos++
	for {
		p.space()
		if p.pos == len(p.buf) {
			return errShort
		}
		if p.buf[p.pos] == '}' {
			p.pos++
			return nil
		}
		if p.buf[p.pos] != ':' {
			key, err := p.datum()
			if err != nil {
				return err
			}
			if err := p.named(key.Text, key.Sort == String); err != nil {
				return err
			}
			continue
		}
		p.pos++
		start := p.pos
		p.word()
		name := p.buf[start:p.pos]
		p.space()
		if p.pos == len(p.buf) {
			return errShort
		}
		switch string(name) { // the fields in which speed matters
		case "index":
			if n, ok := p.number(); ok {
				p.ev.index, p.ev.hasIndex = int64(n), true
				continue
			}
		case "process":
			if n, ok := p.number(); ok {
				p.ev.process, p.ev.known = int64(n), true
				continue
			}
		case "time":
			if n, ok := p.long(); ok {
				p.ev.time, p.ev.hasTime = n, true
				continue
			}
		case "type":
			if t := typeOf(p.keyword()); t != evNone {
				p.ev.typ, p.hasType = t, true
				continue
			}
			p.pos = start + len(name)
		case "f":
			if word := p.keyword(); len(word) > 0 {
				p.ev.f, p.ev.hasF = p.b.fBytes(word), true
				continue
			}
			p.pos = start + len(name)
		}
		if err := p.named(string(name), true); err != nil {
			return err
		}
	}
}

// keyword reads a keyword that ends within the window; of anything else, nothing.
func (p *ednParser) keyword() []byte {
	if p.buf[p.pos] != ':' {
		return nil
	}
	start := p.pos + 1
	p.pos++
	p.word()
	if p.pos == len(p.buf) {
		return nil
	}
	return p.buf[start:p.pos]
}

// named reads the value of a field.
func (p *ednParser) named(name string, known bool) error {
	p.space()
	if name == "value" && known {
		done, err := p.txn()
		if done || err != nil {
			return inField(err, "value")
		}
	}
	d, err := p.datum()
	if err != nil {
		return inField(err, name)
	}
	if !known {
		return nil
	}
	return p.field(name, d)
}

// txn reads a list of micro-operations. done is false, and nothing is read, if something
// else is there.
func (p *ednParser) txn() (done bool, err error) {
	start := p.pos
	if !p.open() {
		return false, p.short()
	}
	for first := true; ; first = false {
		p.space()
		if p.pos == len(p.buf) {
			return false, errShort
		}
		if c := p.buf[p.pos]; c == ']' || c == ')' {
			if first {
				p.pos = start
				return false, nil
			}
			p.pos++
			p.ev.txn, p.ev.hasVal = true, true
			return true, nil
		}
		begin := p.pos
		if !p.open() {
			if first {
				p.pos = start
				return false, p.short()
			}
			return false, p.notMicro(begin)
		}
		p.space()
		if p.pos == len(p.buf) {
			return false, errShort
		}
		quote := p.buf[p.pos] == '"'
		if quote || p.buf[p.pos] == ':' {
			p.pos++
		}
		at := p.pos
		p.word()
		kind, ok := kindOf(p.buf[at:p.pos])
		if quote && p.pos < len(p.buf) && p.buf[p.pos] == '"' {
			p.pos++
		}
		if p.pos == len(p.buf) {
			return false, errShort
		}
		if !ok {
			if first {
				p.pos = start
				return false, nil
			}
			return false, p.notMicro(begin)
		}
		if err := p.micro(kind); err != nil {
			return false, err
		}
	}
}

func (p *ednParser) short() error {
	if p.pos == len(p.buf) {
		return errShort
	}
	return nil
}

// open reads the beginning of a vector or list.
func (p *ednParser) open() bool {
	if p.pos < len(p.buf) && (p.buf[p.pos] == '[' || p.buf[p.pos] == '(') {
		p.pos++
		return true
	}
	return false
}

func (p *ednParser) notMicro(at int) error {
	p.pos = at
	d, err := p.datum()
	if err != nil {
		return err
	}
	return wrong("value", "micro-operation %d, %s, begins with none of :r, :w, :append", len(p.ev.mops)+1, clip(d.String()))
}

// micro reads a micro-operation behind its name.
func (p *ednParser) micro(kind Kind) error {
	key, err := p.value()
	if err != nil {
		return err
	}
	mop := Mop{Kind: kind, Key: p.b.key(key)}
	p.space()
	if p.pos == len(p.buf) {
		return errShort
	}
	switch c := p.buf[p.pos]; {
	case c == ']' || c == ')': // [:r x] reads something unknown
		if kind != Read {
			return wrong("value", "micro-operation %d has no value", len(p.ev.mops)+1)
		}
	case kind == Read && (c == '[' || c == '('):
		mop.Kind = ReadList
		if err := p.list(&mop); err != nil {
			return err
		}
	default:
		if mop.Val, err = p.value(); err != nil {
			return err
		}
		if kind != Read && mop.Val == None {
			return wrong("value", "micro-operation %d writes nil", len(p.ev.mops)+1)
		}
	}
	p.space()
	if p.pos == len(p.buf) {
		return errShort
	}
	if c := p.buf[p.pos]; c != ']' && c != ')' {
		return wrong("value", "micro-operation %d has more than a name, a key and a value", len(p.ev.mops)+1)
	}
	p.pos++
	p.ev.mops = append(p.ev.mops, mop)
	return nil
}

// list reads the elements of a list.
func (p *ednParser) list(m *Mop) error {
	p.pos++
	list := p.ev.list
	start := len(list)
	m.Val = Value(start + 1)
	for {
		// What follows is most of most histories, so it is spelled out.
		buf := p.buf
		for p.pos < len(buf) && (buf[p.pos] == ' ' || buf[p.pos] == ',') {
			p.pos++
		}
		n, i := 0, p.pos
		for i < len(buf) && buf[i]-'0' < 10 {
			n = n*10 + int(buf[i]-'0')
			i++
		}
		if i > p.pos && i-p.pos <= 9 && i < len(buf) && (buf[i] == ' ' || buf[i] == ']' || buf[i] == ',') {
			p.pos = i
			list = append(list, Value(n+1))
			continue
		}
		p.space()
		if p.pos == len(buf) {
			return errShort
		}
		if c := buf[p.pos]; c == ']' || c == ')' {
			p.pos++
			break
		}
		p.ev.list = list
		v, err := p.value()
		if err != nil {
			return err
		}
		list = append(list, v)
	}
	p.ev.list = list
	m.Len = uint32(len(list) - start)
	return nil
}

// value reads a datum and interns it. Small numbers and words that are known already need
// no memory.
func (p *ednParser) value() (Value, error) {
	p.space()
	if n, ok := p.number(); ok {
		return Value(n + 1), nil
	}
	if p.pos < len(p.buf) && p.buf[p.pos] == ':' {
		start := p.pos
		p.pos++
		p.word()
		if p.pos == len(p.buf) {
			return None, errShort
		}
		if v, ok := p.b.h.values.byID[string(p.buf[start:p.pos])]; ok {
			return v, nil
		}
		p.pos = start
	}
	d, err := p.datum()
	if err != nil {
		return None, err
	}
	return p.b.value(d), nil
}

// word skips what a keyword or symbol may consist of.
func (p *ednParser) word() {
	for p.pos < len(p.buf) && !isEnd(p.buf[p.pos]) {
		p.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',' }

// ends are the bytes that end a word.
var ends = func() (set [256]bool) {
	for _, c := range []byte(" \n\r\t,()[]{}\";") {
		set[c] = true
	}
	return set
}()

func isEnd(c byte) bool { return ends[c] }

// datum reads anything.
func (p *ednParser) datum() (Datum, error) {
	p.space()
	if p.pos == len(p.buf) {
		return Datum{}, errShort
	}
	switch c := p.buf[p.pos]; c {
	case '[', '(':
		return p.seq(List, 1)
	case '{':
		return p.seq(Map, 1)
	case '"':
		return p.text()
	case '#':
		return p.dispatch()
	case '^': // metadata: of no interest
		p.pos++
		if _, err := p.nested(); err != nil {
			return Datum{}, err
		}
		return p.nested()
	case '\\':
		p.pos++
		start := p.pos
		if p.pos < len(p.buf) {
			_, n := utf8.DecodeRune(p.buf[p.pos:])
			p.pos += n
		}
		p.word()
		if p.pos == len(p.buf) {
			return Datum{}, errShort
		}
		return StringDatum(string(p.buf[start:p.pos])), nil
	case ']', ')', '}':
		return Datum{}, wrong("", "unexpected %q", c)
	}
	start := p.pos
	p.word()
	if p.pos == len(p.buf) {
		return Datum{}, errShort
	}
	return atom(string(p.buf[start:p.pos])), nil
}

func (p *ednParser) nested() (Datum, error) {
	if p.depth++; p.depth > maxDepth {
		return Datum{}, wrong("", "data nest deeper than %d", maxDepth)
	}
	d, err := p.datum()
	p.depth--
	return d, err
}

// seq reads the items of a list, set or map, whose beginning has n bytes.
func (p *ednParser) seq(sort Sort, n int) (Datum, error) {
	end := byte('}')
	switch p.buf[p.pos] {
	case '[':
		end = ']'
	case '(':
		end = ')'
	}
	p.pos += n
	d := Datum{Sort: sort}
	for {
		p.space()
		if p.pos == len(p.buf) {
			return d, errShort
		}
		if p.buf[p.pos] == end {
			p.pos++
			break
		}
		if p.buf[p.pos] == '#' && p.pos+1 < len(p.buf) && p.buf[p.pos+1] == '_' {
			p.pos += 2
			if _, err := p.nested(); err != nil {
				return d, err
			}
			continue
		}
		item, err := p.nested()
		if err != nil {
			return d, err
		}
		d.Items = append(d.Items, item)
	}
	if sort == Map && len(d.Items)%2 == 1 {
		return d, wrong("", "a map has a key without a value")
	}
	return d, nil
}

// dispatch reads what begins with #.
func (p *ednParser) dispatch() (Datum, error) {
	if p.pos+1 == len(p.buf) {
		return Datum{}, errShort
	}
	switch p.buf[p.pos+1] {
	case '{':
		return p.seq(Set, 2)
	case '_':
		p.pos += 2
		if _, err := p.nested(); err != nil {
			return Datum{}, err
		}
		return p.nested()
	case '#': // ##NaN, ##Inf
		p.pos += 2
		start := p.pos
		p.word()
		if p.pos == len(p.buf) {
			return Datum{}, errShort
		}
		return Datum{Sort: Symbol, Text: "##" + string(p.buf[start:p.pos])}, nil
	}
	p.pos++
	p.word() // a tag says what the datum behind it means to others
	if p.pos == len(p.buf) {
		return Datum{}, errShort
	}
	return p.nested()
}

// text reads a string.
func (p *ednParser) text() (Datum, error) {
	p.pos++
	var b strings.Builder
	for p.pos < len(p.buf) {
		switch c := p.buf[p.pos]; c {
		case '"':
			p.pos++
			return StringDatum(b.String()), nil
		case '\\':
			p.pos++
			if p.pos == len(p.buf) {
				return Datum{}, errShort
			}
			switch c := p.buf[p.pos]; c {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case 'b':
				b.WriteByte('\b')
			case 'f':
				b.WriteByte('\f')
			case '"', '\\', '/':
				b.WriteByte(c)
			case 'u':
				if p.pos+4 >= len(p.buf) {
					return Datum{}, errShort
				}
				n, err := strconv.ParseUint(string(p.buf[p.pos+1:p.pos+5]), 16, 16)
				if err != nil {
					return Datum{}, wrong("", "\\u is followed by no four hexadecimal digits")
				}
				b.WriteRune(rune(n))
				p.pos += 4
			default:
				return Datum{}, wrong("", "a string has the unknown escape \\%c", c)
			}
			p.pos++
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
	return Datum{}, errShort
}

// atom is what a word means.
func atom(word string) Datum {
	switch word {
	case "nil":
		return Datum{}
	case "true":
		return Datum{Sort: Bool, Int: 1}
	case "false":
		return Datum{Sort: Bool}
	}
	if word[0] == ':' {
		return KeywordDatum(word[1:])
	}
	digits := word
	if digits[0] == '+' || digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 0 && digits[0]-'0' < 10 {
		if n, err := strconv.ParseInt(strings.TrimSuffix(word, "N"), 10, 64); err == nil {
			return IntDatum(n)
		}
		return Datum{Sort: Float, Text: word}
	}
	return Datum{Sort: Symbol, Text: word}
}
