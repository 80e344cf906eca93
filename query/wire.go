package query

import (
	"fmt"
	"strconv"

	"rebase/jsonscan"
	"rebase/tree"
)

// ParseWire reads the query object of a listen, unlisten or get request
// (Firebase protocol v5): i, sp, sn, sin, ep, en, ein, l, vf. Other members
// are skipped. Absent "sin" and "ein" mean inclusive, as the Java clients never
// send them. The scanner is left behind the object.
//
// The error is an *[Error], or one of jsonscan's or tree's.
func ParseWire(s *jsonscan.Scanner) (Query, error) {
	var (
		q          = Query{}
		start, end wireBound
		view       string
		hasLimit   bool
	)
	err := s.Object(func(key string) (err error) {
		switch key {
		case "i":
			var name string
			if name, err = s.String(); err != nil {
				return err
			}
			q.Index, err = ParseIndex(name)
		case "sp":
			err = start.value(s)
		case "sn":
			err = start.key(s)
		case "sin":
			err = start.inclusive(s)
		case "ep":
			err = end.value(s)
		case "en":
			err = end.key(s)
		case "ein":
			err = end.inclusive(s)
		case "l":
			q.Limit, err = wireLimit(s)
			hasLimit = true
		case "vf":
			if view, err = s.String(); err == nil && view != "l" && view != "r" {
				err = &Error{Msg: fmt.Sprintf("query: vf must be \"l\" or \"r\", not %q", view)}
			}
		default:
			err = s.Skip()
		}
		return err
	})
	if err != nil {
		return Query{}, err
	}
	if q.Start, err = start.bound(q.Index.Kind); err != nil {
		return Query{}, err
	}
	if q.End, err = end.bound(q.Index.Kind); err != nil {
		return Query{}, err
	}
	if hasLimit {
		// The deprecated limit() named no side: it is anchored at the start if
		// there is one, else at the end.
		q.Last = view == "r" || view == "" && q.Start == nil
	}
	return q, nil
}

func wireLimit(s *jsonscan.Scanner) (int, error) {
	if s.Peek() != '0' {
		return 0, &Error{Msg: "query: the limit must be a positive integer"}
	}
	n, err := s.Int()
	if err != nil {
		return 0, err
	}
	if n <= 0 || int64(int(n)) != n {
		return 0, &Error{Msg: "query: the limit must be a positive integer"}
	}
	return int(n), nil
}

// wireBound collects the three members of one end in whatever order they come.
type wireBound struct {
	Bound
	hasValue, exclusive bool
}

func (b *wireBound) value(s *jsonscan.Scanner) (err error) {
	b.hasValue = true
	b.Value, err = scanPrimitive(s)
	return err
}

func (b *wireBound) key(s *jsonscan.Scanner) (err error) {
	b.HasKey = true
	b.Key, err = s.String()
	b.Key = canonicalName(b.Key)
	return err
}

func (b *wireBound) inclusive(s *jsonscan.Scanner) error {
	in, err := s.Bool()
	b.exclusive = !in
	return err
}

func (b *wireBound) bound(kind IndexKind) (*Bound, error) {
	if !b.hasValue {
		if b.HasKey {
			return nil, &Error{Msg: "query: a bound's key without its value"}
		}
		return nil, nil
	}
	out := b.Bound
	out.Inclusive = !b.exclusive
	if kind == ByKey {
		if out.Value.Kind() != tree.String {
			return nil, errKeyIndexType
		}
		out = keyBound(out.Value.Str(), out.Inclusive)
	}
	return &out, nil
}

var errKeyIndexType = &Error{Msg: "Provided key index type is invalid, must be string"}

func keyBound(key string, inclusive bool) Bound {
	return Bound{Key: canonicalName(key), HasKey: true, Inclusive: inclusive}
}

// canonicalName maps the sentinels of the Java-family clients to ours. They
// are no valid keys, so nothing else can be meant.
func canonicalName(key string) string {
	switch key {
	case "[MIN_KEY]":
		return MinName
	case "[MAX_KEY]":
		return MaxName
	}
	return key
}

// scanPrimitive reads a string, number, boolean or null (a nil node).
func scanPrimitive(s *jsonscan.Scanner) (*tree.Node, error) {
	switch s.Peek() {
	case 'n':
		return nil, s.Null()
	case '"', '0', 't', 'f':
		return tree.ScanValue(s)
	}
	return nil, errPrimitive
}

var errPrimitive = &Error{Msg: "Constraint index field must be a JSON primitive"}

// DefaultID is the identity of every query that selects everything.
const DefaultID = "default"

// ID is the query's identity among those of one location: equal for equal
// queries, [DefaultID] for those that select everything.
func (q *Query) ID() string {
	if q.IsDefault() {
		return DefaultID
	}
	return string(q.WireJSON())
}

// WireJSON returns the query object that stands for q on the wire, as JSON
// with its members sorted: the text from which the JS SDK makes its query
// identifier, so that a push that must name the query is matched by it.
func (q *Query) WireJSON() []byte {
	dst := []byte{'{'}
	name := func(s string) {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = append(dst, s...)
		dst = append(dst, '"', ':')
	}
	if b := q.End; b != nil {
		name("ein")
		dst = strconv.AppendBool(dst, b.Inclusive)
		if b.HasKey && q.Index.Kind != ByKey {
			name("en")
			dst = tree.AppendJSONString(dst, b.Key)
		}
		name("ep")
		dst = q.appendBoundValue(dst, b)
	}
	if q.Index.Kind != ByPriority {
		name("i")
		dst = tree.AppendJSONString(dst, q.Index.String())
	}
	if q.Limit > 0 {
		name("l")
		dst = strconv.AppendInt(dst, int64(q.Limit), 10)
	}
	if b := q.Start; b != nil {
		name("sin")
		dst = strconv.AppendBool(dst, b.Inclusive)
		if b.HasKey && q.Index.Kind != ByKey {
			name("sn")
			dst = tree.AppendJSONString(dst, b.Key)
		}
		name("sp")
		dst = q.appendBoundValue(dst, b)
	}
	if q.Limit > 0 {
		name("vf")
		if q.Last {
			dst = append(dst, `"r"`...)
		} else {
			dst = append(dst, `"l"`...)
		}
	}
	return append(dst, '}')
}

func (q *Query) appendBoundValue(dst []byte, b *Bound) []byte {
	switch {
	case q.Index.Kind == ByKey:
		return tree.AppendJSONString(dst, b.Key)
	case b.Value.IsNull():
		return append(dst, "null"...)
	}
	return tree.AppendLeafJSON(dst, b.Value)
}
