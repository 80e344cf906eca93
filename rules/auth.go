package rules

import (
	"slices"
	"strconv"
	"strings"

	"rebase/jsonscan"
	"rebase/tree"
)

// Auth is what rules see as auth: a JSON value. Unlike the database's values it
// may have empty objects, nulls and any keys at all, such as
// "https://example.org/claim". It never changes; a nil *Auth is null: nobody is
// signed in.
type Auth struct {
	leaf    val // of what is neither an object nor an array
	array   bool
	members []authMember // sorted by key
}

type authMember struct {
	key   string
	value *Auth
}

// ParseAuth reads the JSON text of auth. Of keys that repeat the last counts. An
// error is a *jsonscan.SyntaxError; values nest at most jsonscan.MaxDepth deep.
func ParseAuth(text []byte) (*Auth, error) {
	s := jsonscan.New(text)
	a, err := scanAuth(s)
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

func scanAuth(s *jsonscan.Scanner) (*Auth, error) {
	switch s.Peek() {
	case 'n':
		return nil, s.Null()
	case 't', 'f':
		b, err := s.Bool()
		return &Auth{leaf: boolVal(b)}, err
	case '"':
		text, err := s.String()
		return &Auth{leaf: stringVal(text)}, err
	case '0':
		raw, err := s.Number()
		if err != nil {
			return nil, err
		}
		return &Auth{leaf: numberVal(string(raw))}, nil
	case '[':
		a := &Auth{leaf: val{kind: vAuth}, array: true}
		err := s.Array(func(i int) error {
			v, err := scanAuth(s)
			a.members = append(a.members, authMember{strconv.Itoa(i), v})
			return err
		})
		a.sort()
		return a, err
	}
	a := &Auth{leaf: val{kind: vAuth}}
	err := s.Object(func(key string) error {
		v, err := scanAuth(s)
		a.members = append(a.members, authMember{key, v})
		return err
	})
	a.sort()
	return a, err
}

func numberVal(raw string) val {
	if i, err := strconv.ParseInt(raw, 10, 64); err == nil {
		return intVal(i)
	}
	f, _ := strconv.ParseFloat(raw, 64) // out of range: infinite
	if n := tree.NewFloat(f); n != nil {
		return leafVal(n)
	}
	return floatVal(f)
}

// sort orders the members and keeps the last of equal keys.
func (a *Auth) sort() {
	slices.SortStableFunc(a.members, func(x, y authMember) int { return strings.Compare(x.key, y.key) })
	kept := a.members[:0]
	for i, m := range a.members {
		if i+1 == len(a.members) || a.members[i+1].key != m.key {
			kept = append(kept, m)
		}
	}
	a.members = kept
}

// val is a as a value of a rule.
func (a *Auth) val() val {
	if a == nil {
		return val{}
	}
	if a.leaf.kind == vAuth {
		return val{kind: vAuth, auth: a}
	}
	return a.leaf
}

// get returns the property of an object or array; nil is null.
func (a *Auth) get(key string) *Auth {
	i, ok := slices.BinarySearchFunc(a.members, key, func(m authMember, key string) int { return strings.Compare(m.key, key) })
	if !ok {
		return nil
	}
	return a.members[i].value
}

// String returns a as JSON.
func (a *Auth) String() string { return string(a.appendJSON(nil)) }

func (a *Auth) appendJSON(dst []byte) []byte {
	switch {
	case a == nil:
		return append(dst, "null"...)
	case a.leaf.kind == vString:
		return tree.AppendJSONString(dst, a.leaf.str)
	case a.leaf.kind == vBool:
		return strconv.AppendBool(dst, a.leaf.bool())
	case a.leaf.kind != vAuth:
		dst, _ = a.leaf.appendText(dst)
		return dst
	case a.array:
		dst = append(dst, '[')
		for i := range a.members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = a.get(strconv.Itoa(i)).appendJSON(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, m := range a.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = tree.AppendJSONString(dst, m.key)
		dst = append(dst, ':')
		dst = m.value.appendJSON(dst)
	}
	return append(dst, '}')
}
