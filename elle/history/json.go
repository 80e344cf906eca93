package history

import (
	"encoding/json"
	"strconv"
)

// jsonParser reads entries in JSON. It does for JSON what ednParser does for EDN.
type jsonParser struct{ scanner }

// space skips white space.
func (p *jsonParser) space() {
	for p.pos < len(p.buf) {
		switch p.buf[p.pos] {
		case ' ', '\n', '\r', '\t':
			p.pos++
		default:
			return
		}
	}
}

// next skips white space and gives the byte behind it.
func (p *jsonParser) next() (byte, error) {
	p.space()
	if p.pos == len(p.buf) {
		return 0, errShort
	}
	return p.buf[p.pos], nil
}

// take reads one byte that must be there.
func (p *jsonParser) take(want byte) error {
	c, err := p.next()
	if err == nil && c != want {
		err = wrong("", "%q where %q should be", c, want)
	}
	if err == nil {
		p.pos++
	}
	return err
}

// more reads what follows an item of an object or array that ends with end.
func (p *jsonParser) more(end byte) (bool, error) {
	c, err := p.next()
	if err != nil {
		return false, err
	}
	switch c {
	case end:
		p.pos++
		return false, nil
	case ',':
		p.pos++
		return true, nil
	}
	return false, wrong("", "%q where %q or a comma should be", c, end)
}

// empty reads the end of an object or array if nothing is in it.
func (p *jsonParser) empty(end byte) (bool, error) {
	c, err := p.next()
	if err != nil || c != end {
		return false, err
	}
	p.pos++
	return true, nil
}

// entry reads an object into the event.
func (p *jsonParser) entry() error {
	p.begin()
	if p.buf[p.pos] != '{' {
		return wrong("", "an entry is an object, not what begins with %q", p.buf[p.pos])
	}
	p.pos++
	if done, err := p.empty('}'); done || err != nil {
		return err
	}
	for {
		if c, err := p.next(); err != nil {
			return err
		} else if c != '"' {
			return wrong("", "%q where the name of a field should be", c)
		}
		raw, name, err := p.word()
		if err != nil {
			return err
		}
		if raw != nil {
			name = string(raw)
		}
		if err := p.take(':'); err != nil {
			return inField(err, name)
		}
		p.space()
		if err := p.member(name); err != nil {
			return inField(err, name)
		}
		if more, err := p.more('}'); !more || err != nil {
			return inField(err, name)
		}
	}
}

// member reads the value of a field.
func (p *jsonParser) member(name string) error {
	switch name {
	case "index":
		if n, ok := p.number(); ok {
			p.ev.index, p.ev.hasIndex = int64(n), true
			return nil
		}
	case "process":
		if n, ok := p.number(); ok {
			p.ev.process, p.ev.known = int64(n), true
			return nil
		}
	case "time":
		if n, ok := p.long(); ok {
			p.ev.time, p.ev.hasTime = n, true
			return nil
		}
	case "type", "f":
		if p.pos < len(p.buf) && p.buf[p.pos] == '"' {
			raw, text, err := p.word()
			if err != nil {
				return err
			}
			if raw == nil {
				raw = []byte(text)
			}
			if name == "f" {
				p.ev.f, p.ev.hasF = p.b.fBytes(raw), true
				return nil
			}
			if p.ev.typ = typeOf(raw); p.ev.typ == evNone {
				return wrong("type", "%q is none of invoke, ok, fail, info", raw)
			}
			p.hasType = true
			return nil
		}
	case "value":
		if done, err := p.txn(); done || err != nil {
			return err
		}
	}
	d, err := p.datum()
	if err != nil {
		return err
	}
	return p.field(name, d)
}

// txn reads an array of micro-operations. done is false, and nothing is read, if something
// else is there.
func (p *jsonParser) txn() (done bool, err error) {
	start := p.pos
	if p.pos == len(p.buf) {
		return false, errShort
	}
	if p.buf[p.pos] != '[' {
		return false, nil
	}
	p.pos++
	for first := true; ; first = false {
		begin := p.pos
		kind, ok, err := p.kind()
		if err != nil {
			return false, err
		}
		if !ok && first {
			p.pos = start
			return false, nil
		}
		if !ok {
			p.pos = begin
			d, err := p.datum()
			if err != nil {
				return false, err
			}
			return false, wrong("value", "micro-operation %d, %s, begins with none of \"r\", \"w\", \"append\"", len(p.ev.mops)+1, clip(d.String()))
		}
		if err := p.micro(kind); err != nil {
			return false, err
		}
		if more, err := p.more(']'); err != nil {
			return false, err
		} else if !more {
			p.ev.txn, p.ev.hasVal = true, true
			return true, nil
		}
	}
}

// kind reads the beginning of a micro-operation, to the comma behind its name.
func (p *jsonParser) kind() (kind Kind, ok bool, err error) {
	c, err := p.next()
	if err != nil || c != '[' {
		return 0, false, err
	}
	p.pos++
	c, err = p.next()
	if err != nil || c != '"' {
		return 0, false, err
	}
	raw, _, err := p.word()
	if err != nil {
		return 0, false, err
	}
	if kind, ok = kindOf(raw); !ok {
		return 0, false, nil
	}
	return kind, true, p.take(',')
}

// micro reads a micro-operation behind the comma behind its name.
func (p *jsonParser) micro(kind Kind) error {
	key, err := p.value()
	if err != nil {
		return err
	}
	mop := Mop{Kind: kind, Key: p.b.key(key)}
	more, err := p.more(']')
	if err != nil {
		return err
	}
	if !more {
		if kind != Read {
			return wrong("value", "micro-operation %d has no value", len(p.ev.mops)+1)
		}
		p.ev.mops = append(p.ev.mops, mop)
		return nil
	}
	c, err := p.next()
	if err != nil {
		return err
	}
	if kind == Read && c == '[' {
		mop.Kind = ReadList
		err = p.list(&mop)
	} else {
		mop.Val, err = p.value()
		if err == nil && kind != Read && mop.Val == None {
			err = wrong("value", "micro-operation %d writes null", len(p.ev.mops)+1)
		}
	}
	if err != nil {
		return err
	}
	p.ev.mops = append(p.ev.mops, mop)
	if more, err = p.more(']'); more {
		return wrong("value", "micro-operation %d has more than a name, a key and a value", len(p.ev.mops))
	}
	return err
}

// list reads the elements of a list.
func (p *jsonParser) list(m *Mop) error {
	p.pos++
	start := len(p.ev.list)
	m.Val = Value(start + 1)
	if done, err := p.empty(']'); done || err != nil {
		return err
	}
	for {
		if n, ok := p.number(); ok && p.buf[p.pos] == ',' {
			p.ev.list = append(p.ev.list, Value(n+1))
			p.pos++
			continue
		} else if ok {
			p.ev.list = append(p.ev.list, Value(n+1))
		} else {
			v, err := p.value()
			if err != nil {
				return err
			}
			p.ev.list = append(p.ev.list, v)
		}
		if more, err := p.more(']'); err != nil {
			return err
		} else if !more {
			break
		}
	}
	m.Len = uint32(len(p.ev.list) - start)
	return nil
}

// value reads a datum and interns it.
func (p *jsonParser) value() (Value, error) {
	p.space()
	if n, ok := p.number(); ok {
		return Value(n + 1), nil
	}
	if p.pos < len(p.buf) && p.buf[p.pos] == '"' {
		start := p.pos
		raw, text, err := p.word()
		if err != nil {
			return None, err
		}
		if raw == nil {
			return p.b.value(StringDatum(text)), nil
		}
		// Plain characters in quotes are what Datum.String makes of them.
		if v, ok := p.b.h.values.byID[string(p.buf[start:p.pos])]; ok {
			return v, nil
		}
		return p.b.value(StringDatum(string(raw))), nil
	}
	d, err := p.datum()
	if err != nil {
		return None, err
	}
	return p.b.value(d), nil
}

// word reads a string. raw is what is between the quotes if that is plain ASCII, else text
// is what the string means.
func (p *jsonParser) word() (raw []byte, text string, err error) {
	start := p.pos
	plain := true
	for i := start + 1; i < len(p.buf); i++ {
		switch c := p.buf[i]; {
		case c == '"':
			p.pos = i + 1
			if plain {
				return p.buf[start+1 : i], "", nil
			}
			if err := json.Unmarshal(p.buf[start:p.pos], &text); err != nil {
				return nil, "", wrong("", "the string %s is not well formed", clip(string(p.buf[start:p.pos])))
			}
			return nil, text, nil
		case c == '\\':
			plain = false
			i++
		case c < 0x20:
			p.pos = i
			return nil, "", wrong("", "a string holds a control character")
		case c >= 0x7f:
			plain = false
		}
	}
	return nil, "", errShort
}

// datum reads anything.
func (p *jsonParser) datum() (Datum, error) {
	c, err := p.next()
	if err != nil {
		return Datum{}, err
	}
	switch {
	case c == '"':
		raw, text, err := p.word()
		if raw != nil {
			text = string(raw)
		}
		return StringDatum(text), err
	case c == '[':
		return p.seq(List, ']')
	case c == '{':
		return p.seq(Map, '}')
	}
	start := p.pos
	for p.pos < len(p.buf) && !isEnd(p.buf[p.pos]) && p.buf[p.pos] != ':' {
		p.pos++
	}
	if p.pos == len(p.buf) {
		return Datum{}, errShort
	}
	word := string(p.buf[start:p.pos])
	switch word {
	case "null":
		return Datum{}, nil
	case "true":
		return Datum{Sort: Bool, Int: 1}, nil
	case "false":
		return Datum{Sort: Bool}, nil
	}
	if !json.Valid([]byte(word)) || word[0] != '-' && word[0]-'0' >= 10 {
		p.pos = start
		return Datum{}, wrong("", "%q is no value of JSON", clip(word))
	}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return IntDatum(n), nil
	}
	return Datum{Sort: Float, Text: word}, nil
}

// seq reads an array or object.
func (p *jsonParser) seq(sort Sort, end byte) (Datum, error) {
	d := Datum{Sort: sort}
	if p.depth++; p.depth > maxDepth {
		return d, wrong("", "data nest deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	p.pos++
	if done, err := p.empty(end); done || err != nil {
		return d, err
	}
	for {
		if sort == Map {
			c, err := p.next()
			if err != nil {
				return d, err
			}
			if c != '"' {
				return d, wrong("", "%q where a name should be", c)
			}
			key, err := p.datum()
			if err != nil {
				return d, err
			}
			if err := p.take(':'); err != nil {
				return d, err
			}
			d.Items = append(d.Items, jsonKey(key))
		}
		item, err := p.datum()
		if err != nil {
			return d, err
		}
		d.Items = append(d.Items, item)
		if more, err := p.more(end); !more || err != nil {
			return d, err
		}
	}
}

// jsonKey is a key of an object: those that are whole numbers (JSON can only say them as
// strings) are meant as such.
func jsonKey(d Datum) Datum {
	if n, err := strconv.ParseInt(d.Text, 10, 64); err == nil && strconv.FormatInt(n, 10) == d.Text {
		return IntDatum(n)
	}
	return d
}
