package ruletest

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rebase/query"
	"rebase/rules"
	"rebase/tree"
)

// A Suite is a list of cases.
type Suite struct {
	// RulesFile is the name of the rules document, "" if it is in the list itself.
	RulesFile string
	// Rules is its text; nil if the list names none.
	Rules []byte
	Cases []Case
}

// A Case is one operation and what should come of it.
type Case struct {
	Line, Column int
	Group        []string // names of the groups that it is in
	Name         string   // "" if it has none
	Op           string   // "read", "write", "update" or "delete"
	Path         tree.Path
	Query        *query.Query
	As           string // whom it is decided for, in a word or two
	Admin        bool
	Auth         *rules.Auth
	Now          int64 // milliseconds since 1970
	Data         *tree.Node
	Changes      []rules.Change // of a write, server values not resolved
	Updates      []tree.Path    // of an update
	Allow        bool           // what is expected
	By           string         // the rule that should decide, as "/rooms/$room/.write"; "" if any
}

// Options are what the list's meaning depends on.
type Options struct {
	// Read reads a file that the list names.
	Read func(name string) ([]byte, error)
	// Time understands a date and returns milliseconds since 1970.
	Time func(text string) (int64, error)
}

// DefaultNow is the time of cases that name none: 2026-01-01T00:00:00Z. It is not
// the present, so that what passes today passes tomorrow.
const DefaultNow = 1767225600000

// who is on whose behalf something is done.
type who struct {
	name  string
	admin bool
	auth  *rules.Auth
}

// settings hold for a case, or for all cases of a group.
type settings struct {
	group []string
	who   who
	now   int64
	data  *tree.Node
}

type loader struct {
	o     Options
	suite Suite
	users map[string]who
}

// Load understands a list of cases. The error is an *[Error].
func Load(v *Value, o Options) (*Suite, error) {
	l := loader{o: o, users: map[string]who{}}
	top, err := fields(v, "rules", "users", "as", "now", "data", "dataFile", "tests")
	if err != nil {
		return nil, err
	}
	if f := top["rules"]; f != nil {
		if err := l.rules(f); err != nil {
			return nil, err
		}
	}
	if f := top["users"]; f != nil {
		if !f.Object {
			return nil, f.errorf("users must be an object of names and what auth is for them, but is %s", f.kind())
		}
		for _, m := range f.Members {
			if m.Key == adminName {
				return nil, &Error{m.Line, m.Column, `"admin" is the administrator and cannot be another user`}
			}
			a, err := authOf(m.Value)
			if err != nil {
				return nil, err
			}
			l.users[m.Key] = who{name: m.Key, auth: a}
		}
	}
	if top["tests"] == nil {
		return nil, v.errorf(`expected "tests", a list of cases`)
	}
	s := settings{who: who{name: "nobody"}, now: DefaultNow}
	if err := l.settings(&s, top); err != nil {
		return nil, err
	}
	if err := l.tests(top["tests"], s); err != nil {
		return nil, err
	}
	return &l.suite, nil
}

// fields returns the members of an object, of which it may have these.
func fields(v *Value, known ...string) (map[string]*Value, error) {
	if !v.Object {
		return nil, v.errorf("expected an object with %s, but here is %s", strings.Join(known, ", "), v.kind())
	}
	found := map[string]*Value{}
	for _, m := range v.Members {
		if !slices.Contains(known, m.Key) {
			return nil, &Error{m.Line, m.Column, fmt.Sprintf("unknown key %q; there are %s", m.Key, strings.Join(known, ", "))}
		}
		found[m.Key] = m.Value
	}
	return found, nil
}

func (l *loader) rules(v *Value) error {
	if v.Object {
		l.suite.Rules = v.Indented()
		return nil
	}
	s, ok := v.String()
	if !ok {
		return v.errorf("rules must be the name of a file or a rules document, but is %s", v.kind())
	}
	if strings.Contains(s, "{") {
		l.suite.Rules = []byte(s)
		return nil
	}
	text, err := l.o.Read(s)
	if err != nil {
		return v.errorf("rules: %v", err)
	}
	l.suite.RulesFile, l.suite.Rules = s, text
	return nil
}

const adminName = "admin"

func authOf(v *Value) (*rules.Auth, error) {
	a, err := rules.ParseAuth(v.Text())
	if err != nil {
		return nil, v.errorf("auth: %v", err)
	}
	if !v.Object && !v.IsNull() {
		return nil, v.errorf("auth must be null or an object such as {uid: alice}, but is %s", v.kind())
	}
	return a, nil
}

func (l *loader) as(v *Value) (who, error) {
	name, ok := v.String()
	if !ok {
		a, err := authOf(v)
		if err != nil || a == nil {
			return who{name: "nobody"}, err
		}
		w := who{name: a.String(), auth: a}
		for _, m := range v.Members {
			if uid, ok := m.Value.String(); ok && m.Key == "uid" {
				w.name = uid
			}
		}
		return w, nil
	}
	if name == adminName {
		return who{name: adminName, admin: true}, nil
	}
	if w, ok := l.users[name]; ok {
		return w, nil
	}
	known := append(slices.Sorted(maps.Keys(l.users)), adminName)
	return who{}, v.errorf("no user %q; there are %s. A user who is not under \"users\" is written {uid: %s}", name, strings.Join(known, ", "), name)
}

// settings reads what a list, a group and a case have in common.
func (l *loader) settings(s *settings, f map[string]*Value) (err error) {
	if v := f["as"]; v != nil {
		if s.who, err = l.as(v); err != nil {
			return err
		}
	}
	if v := f["now"]; v != nil {
		if s.now, err = l.now(v); err != nil {
			return err
		}
	}
	if v := f["data"]; v != nil {
		if f["dataFile"] != nil {
			return v.errorf("only one of data and dataFile may be given")
		}
		if s.data, err = dataOf(v, v.Text()); err != nil {
			return err
		}
	}
	if v := f["dataFile"]; v != nil {
		name, ok := v.String()
		if !ok {
			return v.errorf("dataFile must be the name of a file")
		}
		text, err := l.o.Read(name)
		if err != nil {
			return v.errorf("dataFile: %v", err)
		}
		if s.data, err = dataOf(v, text); err != nil {
			return err
		}
	}
	return nil
}

func dataOf(v *Value, text []byte) (*tree.Node, error) {
	n, err := tree.ParseJSON(bytes.TrimSpace(text))
	if err != nil {
		return nil, v.errorf("%v", err)
	}
	return n, nil
}

func (l *loader) now(v *Value) (int64, error) {
	if s, ok := v.String(); ok {
		ms, err := l.o.Time(s)
		if err != nil {
			return 0, v.errorf("now must be milliseconds since 1970 or a date such as 2026-01-31T12:00:00Z: %v", err)
		}
		return ms, nil
	}
	ms, err := strconv.ParseInt(string(v.JSON), 10, 64)
	if err != nil {
		return 0, v.errorf("now must be milliseconds since 1970 or a date such as 2026-01-31T12:00:00Z, but is %s", v.kind())
	}
	return ms, nil
}

func (l *loader) tests(v *Value, s settings) error {
	if !v.Array {
		return v.errorf("tests must be a list of cases, but is %s", v.kind())
	}
	for _, item := range v.Items {
		if err := l.test(item, s); err != nil {
			return err
		}
	}
	return nil
}

var operations = []string{"read", "write", "update", "delete"}

// test reads a case or a group.
func (l *loader) test(v *Value, s settings) error {
	f, err := fields(v, "name", "as", "now", "data", "dataFile", "read", "write", "update", "delete", "query", "value", "expect", "by", "tests")
	if err != nil {
		return err
	}
	name := ""
	if f["name"] != nil {
		var ok bool
		if name, ok = f["name"].String(); !ok {
			return f["name"].errorf("a name must be a text")
		}
	}
	if err := l.settings(&s, f); err != nil {
		return err
	}
	if f["tests"] != nil {
		for _, m := range v.Members {
			if slices.Contains([]string{"read", "write", "update", "delete", "query", "value", "expect", "by"}, m.Key) {
				return &Error{m.Line, m.Column, fmt.Sprintf("%q belongs to a case, but this is a group: it has tests", m.Key)}
			}
		}
		if name != "" {
			s.group = append(slices.Clip(s.group), name)
		}
		return l.tests(f["tests"], s)
	}
	c := Case{
		Line: v.Line, Column: v.Column, Group: s.group, Name: name,
		As: s.who.name, Admin: s.who.admin, Auth: s.who.auth, Now: s.now, Data: s.data,
	}
	for _, op := range operations {
		if f[op] == nil {
			continue
		}
		if c.Op != "" {
			return f[op].errorf("a case has one operation, but here are %s and %s", c.Op, op)
		}
		c.Op = op
	}
	if c.Op == "" {
		return v.errorf("expected an operation: one of %s, with a path", strings.Join(operations, ", "))
	}
	if err := c.operation(v, f); err != nil {
		return err
	}
	if err := c.expectation(v, f); err != nil {
		return err
	}
	l.suite.Cases = append(l.suite.Cases, c)
	return nil
}

func (c *Case) operation(v *Value, f map[string]*Value) error {
	at := f[c.Op]
	text, ok := at.String()
	if !ok {
		return at.errorf("%s must be a path, such as /rooms/1, but is %s", c.Op, at.kind())
	}
	if c.Op == "read" {
		p, err := tree.ParsePath(text)
		if err != nil {
			return at.errorf("%v", err)
		}
		c.Path = p
		if f["value"] != nil {
			return f["value"].errorf("a read has no value")
		}
		return c.query(f["query"])
	}
	if f["query"] != nil {
		return f["query"].errorf("only a read has a query")
	}
	p, priority, err := tree.ParseWritePath(text)
	if err != nil {
		return at.errorf("%v", err)
	}
	c.Path = p
	value := f["value"]
	switch {
	case c.Op == "delete" && value != nil:
		return value.errorf("a delete has no value")
	case c.Op == "delete":
		c.Changes = []rules.Change{{Path: p, Priority: priority}}
		return nil
	case value == nil:
		return v.errorf("expected a value to %s", c.Op)
	case c.Op == "write":
		n, err := dataOf(value, value.Text())
		c.Changes = []rules.Change{{Path: p, Priority: priority, Value: n}}
		return err
	case !value.Object || priority:
		return value.errorf("the value of an update must be an object, whose keys are paths")
	}
	return c.update(value)
}

func (c *Case) update(value *Value) error {
	c.Updates = []tree.Path{}
	for _, m := range value.Members {
		p, priority, err := tree.ParseWritePath(m.Key)
		if err != nil {
			return &Error{m.Line, m.Column, err.Error()}
		}
		n, err := dataOf(m.Value, m.Value.Text())
		if err != nil {
			return err
		}
		for _, other := range c.Updates {
			if other.Contains(p) || p.Contains(other) {
				return &Error{m.Line, m.Column, fmt.Sprintf("an update cannot write both /%s and /%s: one contains the other", other, p)}
			}
		}
		c.Updates = append(c.Updates, p)
		c.Changes = append(c.Changes, rules.Change{Path: c.Path.Join(p), Priority: priority, Value: n})
	}
	return nil
}

// query reads a query as REST has it, with orderByChild and the like beside orderBy.
func (c *Case) query(v *Value) error {
	if v == nil {
		return nil
	}
	f, err := fields(v, "orderByChild", "orderByKey", "orderByValue", "orderByPriority",
		"startAt", "startAfter", "endAt", "endBefore", "equalTo", "limitToFirst", "limitToLast")
	if err != nil {
		return err
	}
	params := url.Values{"orderBy": {`"$priority"`}} // the SDKs' default
	order := ""
	for name, f := range f {
		if !strings.HasPrefix(name, "orderBy") {
			params.Set(name, string(f.Text()))
			continue
		}
		if order != "" {
			return f.errorf("a query has one order, but here are %s and %s", order, name)
		}
		order = name
		switch {
		case name == "orderByChild":
			params.Set("orderBy", string(f.Text()))
		case string(f.JSON) == "true":
			params.Set("orderBy", `"$`+strings.ToLower(strings.TrimPrefix(name, "orderBy"))+`"`)
		default:
			return f.errorf("%s must be true, but is %s", name, f.kind())
		}
	}
	q, err := query.ParseREST(params)
	if err != nil {
		return v.errorf("%v", err)
	}
	c.Query = &q
	return nil
}

func (c *Case) expectation(v *Value, f map[string]*Value) error {
	if f["expect"] == nil {
		return v.errorf("expected \"expect\": allow or deny")
	}
	word, _ := f["expect"].String()
	switch word {
	case "allow":
		c.Allow = true
	case "deny":
	default:
		return f["expect"].errorf("expect must be allow or deny")
	}
	if by := f["by"]; by != nil {
		var ok bool
		if c.By, ok = by.String(); !ok || !strings.HasPrefix(c.By, "/") || !slices.ContainsFunc([]string{"/.read", "/.write", "/.validate"}, func(s string) bool { return strings.HasSuffix(c.By, s) }) {
			return by.errorf("by must name a rule by its place in the document, such as /rooms/$room/.write")
		}
	}
	return nil
}
