package history

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Sort is the kind of a Datum.
type Sort uint8

// The sorts of data that a history can hold. A keyword is EDN's (:name); JSON's strings
// are String.
const (
	Nil Sort = iota
	Bool
	Int
	Float
	String
	Keyword
	Symbol
	List
	Set
	Map
)

// Datum is a key or a value as the history's file has it.
type Datum struct {
	Sort  Sort
	Int   int64   // of Int; of Bool, 1 is true
	Text  string  // of Float (its digits), String, Keyword (without the colon), Symbol
	Items []Datum // of List, Set, Map (key, value, key, value …)
}

// IntDatum is a whole number.
func IntDatum(n int64) Datum { return Datum{Sort: Int, Int: n} }

// StringDatum is a string.
func StringDatum(s string) Datum { return Datum{Sort: String, Text: s} }

// KeywordDatum is EDN's :s.
func KeywordDatum(s string) Datum { return Datum{Sort: Keyword, Text: s} }

// ListDatum is a list (EDN's vectors and lists are one).
func ListDatum(items ...Datum) Datum { return Datum{Sort: List, Items: items} }

// IsNil tells whether d is nil, null, or the zero Datum.
func (d Datum) IsNil() bool { return d.Sort == Nil }

// String is d in EDN. Equal data have equal strings, and only they.
func (d Datum) String() string {
	var b strings.Builder
	d.edn(&b)
	return b.String()
}

func (d Datum) edn(b *strings.Builder) {
	switch d.Sort {
	case Nil:
		b.WriteString("nil")
	case Bool:
		b.WriteString(strconv.FormatBool(d.Int != 0))
	case Int:
		b.WriteString(strconv.FormatInt(d.Int, 10))
	case Float, Symbol:
		b.WriteString(d.Text)
	case String:
		quote(b, d.Text)
	case Keyword:
		b.WriteByte(':')
		b.WriteString(d.Text)
	case List:
		d.seq(b, "[", "]")
	case Set:
		d.seq(b, "#{", "}")
	case Map:
		d.seq(b, "{", "}")
	}
}

// quote writes a string as EDN has it.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < 0x20:
			fmt.Fprintf(b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

func (d Datum) seq(b *strings.Builder, open, end string) {
	b.WriteString(open)
	for i, item := range d.Items {
		if i > 0 {
			b.WriteByte(' ')
		}
		item.edn(b)
	}
	b.WriteString(end)
}

// MarshalJSON writes d as JSON: keywords and symbols become strings, sets become arrays,
// and keys that are not strings become what they look like in EDN.
func (d Datum) MarshalJSON() ([]byte, error) { return json.Marshal(d.plain()) }

func (d Datum) plain() any {
	switch d.Sort {
	case Bool:
		return d.Int != 0
	case Int:
		return d.Int
	case Float:
		if f, err := strconv.ParseFloat(d.Text, 64); err == nil && f-f == 0 {
			return f
		}
		return d.Text
	case String, Keyword, Symbol:
		return d.Text
	case List, Set:
		items := make([]any, len(d.Items))
		for i, item := range d.Items {
			items[i] = item.plain()
		}
		return items
	case Map:
		m := make(map[string]any, len(d.Items)/2)
		for i := 0; i+1 < len(d.Items); i += 2 {
			m[d.Items[i].name()] = d.Items[i+1].plain()
		}
		return m
	}
	return nil
}

// name is d as the key of a JSON object.
func (d Datum) name() string {
	switch d.Sort {
	case String, Keyword, Symbol:
		return d.Text
	}
	return d.String()
}
