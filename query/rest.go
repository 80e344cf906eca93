package query

import (
	"errors"
	"net/url"
	"strconv"

	"rebase/jsonscan"
	"rebase/tree"
)

// ParseREST reads the query parameters of a REST request: orderBy, startAt,
// startAfter, endAt, endBefore, equalTo, limitToFirst, limitToLast; others are
// not looked at. Of a repeated parameter the first counts.
//
// A bound is a JSON primitive, or two JSON items `value,"key"` as the JS SDK
// sends them. Without orderBy nothing else is allowed, except that a shallow
// read may be paged through by key (limitToFirst, and startAfter with the bare
// key), as the Firebase CLI does.
//
// Every error is an *[Error] whose text is the one the Firebase service gives
// where that is known.
func ParseREST(v url.Values) (Query, error) {
	var q Query
	given := false
	for _, name := range []string{"startAt", "startAfter", "endAt", "endBefore", "equalTo", "limitToFirst", "limitToLast"} {
		given = given || v.Has(name)
	}
	switch {
	case v.Has("orderBy"):
		ix, err := restIndex(v.Get("orderBy"))
		if err != nil {
			return Query{}, err
		}
		q.Index = ix
		if err := q.restBounds(v); err != nil {
			return Query{}, err
		}
	case !given:
		return Query{}, nil
	case v.Get("shallow") == "true" && !v.Has("startAt") && !v.Has("endAt") && !v.Has("endBefore") && !v.Has("equalTo"):
		q.Index = Index{Kind: ByKey}
		if v.Has("startAfter") {
			b := keyBound(v.Get("startAfter"), false)
			q.Start = &b
		}
	default:
		return Query{}, &Error{Msg: "orderBy must be defined when other query parameters are defined"}
	}
	if err := q.restLimit(v); err != nil {
		return Query{}, err
	}
	return q, nil
}

func restIndex(text string) (Index, error) {
	bad := &Error{Msg: "orderBy must be a valid JSON encoded path"}
	s := jsonscan.New([]byte(text))
	if s.Peek() != '"' {
		return Index{}, bad
	}
	name, err := s.String()
	if err != nil || s.End() != nil {
		return Index{}, bad
	}
	switch name {
	case "$key":
		return Index{Kind: ByKey}, nil
	case "$value":
		return Index{Kind: ByValue}, nil
	case "$priority":
		return Index{Kind: ByPriority}, nil
	}
	p, err := tree.ParsePath(name)
	if err != nil || p.IsRoot() {
		return Index{}, bad
	}
	return Index{Kind: ByChild, Path: p}, nil
}

func (q *Query) restBounds(v url.Values) (err error) {
	if v.Has("equalTo") {
		if v.Has("startAt") || v.Has("startAfter") || v.Has("endAt") || v.Has("endBefore") {
			return &Error{Msg: "equalTo cannot be specified in addition to startAfter, startAt, endAt, or endBefore"}
		}
		if q.Start, err = q.restBound(v.Get("equalTo"), true, ""); err != nil {
			return err
		}
		end := *q.Start
		q.End = &end
		return nil
	}
	if v.Has("startAt") && v.Has("startAfter") {
		return &Error{Msg: "Only one of startAt and startAfter may be specified"}
	}
	if v.Has("endAt") && v.Has("endBefore") {
		return &Error{Msg: "Only one of endAt and endBefore may be specified"}
	}
	if v.Has("startAt") {
		q.Start, err = q.restBound(v.Get("startAt"), true, "")
	} else if v.Has("startAfter") {
		q.Start, err = q.restBound(v.Get("startAfter"), false, MaxName)
	}
	if err != nil {
		return err
	}
	if v.Has("endAt") {
		q.End, err = q.restBound(v.Get("endAt"), true, "")
	} else if v.Has("endBefore") {
		q.End, err = q.restBound(v.Get("endBefore"), false, MinName)
	}
	return err
}

// restBound parses `value` or `value,"key"`. Where no key is given, implied
// (if any) is the one an exclusive bound needs to leave out the whole value.
func (q *Query) restBound(text string, inclusive bool, implied string) (*Bound, error) {
	b := &Bound{Key: implied, HasKey: implied != "", Inclusive: inclusive}
	// In brackets it is an array of one or two items; a text that closes the
	// bracket itself leaves something behind it.
	s := jsonscan.New([]byte("[" + text + "]"))
	items := 0
	err := s.Array(func(i int) (err error) {
		items++
		switch i {
		case 0:
			b.Value, err = scanPrimitive(s)
		case 1:
			if s.Peek() != '"' {
				return errConstraintKey
			}
			b.HasKey = true
			b.Key, err = s.String()
			b.Key = canonicalName(b.Key)
			if err == nil && b.Key != MinName && b.Key != MaxName && tree.CheckKey(b.Key) != nil {
				err = errConstraintKey
			}
		default:
			err = errPrimitive
		}
		return err
	})
	if err == nil {
		err = s.End()
	}
	var known *Error
	switch {
	case errors.As(err, &known):
		return nil, known
	case err != nil || items == 0:
		return nil, errPrimitive
	}
	if q.Index.Kind == ByKey {
		if items > 1 || b.Value.Kind() != tree.String {
			return nil, errKeyIndexType
		}
		*b = keyBound(b.Value.Str(), inclusive)
	}
	return b, nil
}

var errConstraintKey = &Error{Msg: "Constraint key field must be a valid key name"}

func (q *Query) restLimit(v url.Values) error {
	if v.Has("limitToFirst") && v.Has("limitToLast") {
		return &Error{Msg: "Only one of limitToFirst and limitToLast may be specified"}
	}
	for _, name := range []string{"limitToFirst", "limitToLast"} {
		if !v.Has(name) {
			continue
		}
		n, err := strconv.ParseInt(v.Get(name), 10, 64)
		if err != nil || int64(int(n)) != n {
			return &Error{Msg: name + " must be an integer"}
		}
		if n <= 0 {
			return &Error{Msg: name + " must be positive"}
		}
		q.Limit, q.Last = int(n), name == "limitToLast"
	}
	return nil
}
