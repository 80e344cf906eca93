package history

import (
	"fmt"
	"strconv"
)

// scanner is what the parsers of EDN and JSON share: a position in a window, and the event
// that is being read.
type scanner struct {
	b   *Builder
	buf []byte
	pos int
	ev  event

	hasType  bool
	dubious  string // what is wrong with the value if the entry is a transaction
	emptySeq bool   // the value is a list of nothing
	depth    int
	key      Datum // of an entry that is about one key: field "key"
	hasKey   bool
	val      Datum
}

// maxDepth bounds how deep data nest.
const maxDepth = 100

// space skips white space, commas, and EDN's comments.
func (s *scanner) space() {
	for s.pos < len(s.buf) {
		switch s.buf[s.pos] {
		case ' ', '\n', '\r', '\t', ',':
			s.pos++
		case ';':
			for s.pos < len(s.buf) && s.buf[s.pos] != '\n' {
				s.pos++
			}
		case 0xef: // a byte order mark
			if s.pos+2 >= len(s.buf) || s.buf[s.pos+1] != 0xbb || s.buf[s.pos+2] != 0xbf {
				return
			}
			s.pos += 3
		default:
			return
		}
	}
}

// wrong is a mistake in a field.
func wrong(field, format string, args ...any) error {
	return &Error{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// inField names the field of a mistake that has none yet.
func inField(err error, field string) error {
	if e, ok := err.(*Error); ok && e.Field == "" {
		e.Field = field
	}
	return err
}

// number reads a whole number of at most nine digits that is followed by what ends a
// number. ok is false, and nothing is read, if there is something else.
func (s *scanner) number() (n int, ok bool) {
	buf, i := s.buf, s.pos
	start := i
	for i < len(buf) && buf[i]-'0' < 10 {
		n = n*10 + int(buf[i]-'0')
		i++
	}
	if i == start || i-start > 9 || i == len(buf) {
		return 0, false
	}
	switch buf[i] {
	case ' ', ']', ',', '}', ')', '\n', '\r', '\t':
		s.pos = i
		return n, true
	}
	return 0, false
}

// long reads a whole number of at most 18 digits, as number does.
func (s *scanner) long() (n int64, ok bool) {
	buf, i := s.buf, s.pos
	start := i
	for i < len(buf) && buf[i]-'0' < 10 {
		n = n*10 + int64(buf[i]-'0')
		i++
	}
	if i == start || i-start > 18 || i == len(buf) || !ends[buf[i]] {
		return 0, false
	}
	s.pos = i
	return n, true
}

// typeOf is the type of event that a word means, or evNone.
func typeOf(word []byte) evType {
	switch string(word) {
	case "invoke":
		return evInvoke
	case "ok":
		return evOK
	case "fail":
		return evFail
	case "info":
		return evInfo
	}
	return evNone
}

// check holds the entry as a whole against what an entry must have.
func (s *scanner) check() error {
	ev := &s.ev
	if !s.hasType {
		return wrong("type", "it is missing")
	}
	if s.hasKey && !ev.txn {
		// What is about one key says so in its value, as Jepsen's independent tuples do.
		ev.val = s.b.value(ListDatum(s.key, s.val))
		return nil
	}
	if ev.note == "" && s.isTxn() && !ev.txn {
		switch {
		case s.emptySeq:
			ev.txn = true
		case s.dubious != "":
			return wrong("value", "%s", s.dubious)
		}
	}
	return nil
}

func (s *scanner) isTxn() bool { return s.ev.hasF && s.b.h.fs[s.ev.f] == "txn" }

// field puts a datum into the field that name names. The names of fields are the same in
// all formats.
func (s *scanner) field(name string, d Datum) error {
	ev := &s.ev
	switch name {
	case "type":
		t := evNone
		if d.Sort == Keyword || d.Sort == String || d.Sort == Symbol {
			t = evTypes[d.Text]
		}
		if t == evNone {
			return wrong("type", "%s is none of invoke, ok, fail, info", d)
		}
		ev.typ, s.hasType = t, true
	case "f":
		switch d.Sort {
		case Nil:
		case Keyword, String, Symbol:
			ev.f, ev.hasF = s.b.f(d.Text), true
		default:
			return wrong("f", "%s is no name", d)
		}
	case "process":
		switch d.Sort {
		case Nil:
		case Int:
			ev.process, ev.known = d.Int, true
		case Keyword, String, Symbol:
			if d.Text == "" {
				return wrong("process", "it is empty")
			}
			ev.note = d.Text
		default:
			return wrong("process", "%s is neither a number nor a name", d)
		}
	case "time":
		switch d.Sort {
		case Nil:
		case Int:
			ev.time, ev.hasTime = d.Int, true
		case Float:
			f, err := strconv.ParseFloat(d.Text, 64)
			if err != nil || f < -9e18 || f > 9e18 {
				return wrong("time", "%s is no time in nanoseconds", d)
			}
			ev.time, ev.hasTime = int64(f), true
		default:
			return wrong("time", "%s is no time in nanoseconds", d)
		}
	case "index":
		switch d.Sort {
		case Nil:
		case Int:
			ev.index, ev.hasIndex = d.Int, true
		default:
			return wrong("index", "%s is no whole number", d)
		}
	case "key":
		s.key, s.hasKey = d, true
	case "value":
		s.val = d
		ev.val = s.b.value(d)
		ev.hasVal = true
		s.emptySeq = d.Sort == List && len(d.Items) == 0
		if !s.emptySeq && d.Sort != Nil {
			s.dubious = fmt.Sprintf("%s is no list of micro-operations such as [:r 1 nil] or [:append 1 2]", clip(d.String()))
		}
	}
	return nil
}

// clip shortens what is quoted in a message.
func clip(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}

// begin makes the scanner ready for an entry.
func (s *scanner) begin() {
	s.hasType, s.emptySeq, s.dubious, s.depth = false, false, "", 0
	s.key, s.hasKey, s.val = Datum{}, false, Datum{}
}

// kindOf is the kind of micro-operation that a word means.
func kindOf(word []byte) (Kind, bool) {
	switch string(word) {
	case "append":
		return Append, true
	case "r", "read":
		return Read, true
	case "w", "write":
		return Write, true
	}
	return 0, false
}
