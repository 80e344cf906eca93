package ruletest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rebase/rules"
)

const doc = `{
  "rules": {
    "rooms": {
      "$room": {
        ".read": "data.child('members/' + auth.uid).exists() && query.limitToFirst <= 10",
        ".write": "auth.token.email_verified == true || data.child('owner').val() == auth.uid",
        "title": {".validate": "newData.isString()"},
        "seen": {".validate": "newData.val() == now"}
      }
    },
    "log": {".write": "!data.exists()"}
  }
}`

func options() Options {
	return Options{
		Read: func(name string) ([]byte, error) {
			switch name {
			case "rules.json":
				return []byte(doc), nil
			case "seed.json":
				return []byte(`{"rooms":{"r":{"owner":"bob","members":{"bob":true}}}}` + "\n"), nil
			}
			return nil, errors.New(name + ": no such file")
		},
		Time: func(s string) (int64, error) {
			if s == "2026-02-01" {
				return 1769904000000, nil
			}
			return 0, errors.New("not a date")
		},
	}
}

func load(t testing.TB, text string) *Suite {
	t.Helper()
	v, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(v, options())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each case says whether it is allowed, by what, and why.
func TestRun(t *testing.T) {
	s := load(t, `{
	  "rules": "rules.json",
	  "users": {"bob": {"uid": "bob"}, "eve": {"uid": "eve", "token": {"email_verified": true}}},
	  "dataFile": "seed.json",
	  "tests": [
	    {"read": "/rooms/r", "as": "bob", "query": {"limitToFirst": 5}, "expect": "allow", "by": "/rooms/$room/.read"},
	    {"read": "/rooms/r", "as": "bob", "query": {"limitToFirst": 50}, "expect": "deny"},
	    {"read": "/rooms/r", "expect": "deny"},
	    {"read": "/rooms/r", "as": {"uid": "bob"}, "expect": "deny"},
	    {"read": "/rooms", "as": "admin", "expect": "allow"},
	    {"name": "as bob", "as": "bob", "tests": [
	      {"name": "title", "write": "/rooms/r/title", "value": "T", "expect": "allow", "by": "/rooms/$room/.write"},
	      {"write": "/rooms/r/title", "value": 5, "expect": "deny", "by": "/rooms/$room/title/.validate"},
	      {"update": "/", "value": {"rooms/r/title": "T", "rooms/r/seen": {".sv": "timestamp"}}, "expect": "allow"},
	      {"now": "2026-02-01", "write": "/rooms/r/seen", "value": 1769904000000, "expect": "allow"},
	      {"write": "/rooms/r/seen", "value": 1767225600000, "expect": "allow"},
	      {"delete": "/rooms/r", "expect": "allow"},
	      {"delete": "/rooms/r", "as": null, "expect": "deny"},
	      {"update": "/rooms/r", "value": {}, "expect": "allow"},
	      {"name": "empty", "data": null, "tests": [{"write": "/log", "value": {"x": 1}, "expect": "allow"}]},
	      {"data": {"log": 1}, "write": "/log", "value": {"x": 1}, "expect": "deny"}
	    ]},
	    {"read": "/rooms/r", "as": "eve", "expect": "allow"},
	    {"write": "/rooms/r/title", "as": "eve", "value": "E", "expect": "allow", "by": "/rooms/.write"}
	  ]
	}`)
	r, err := rules.Parse(s.Rules)
	if err != nil {
		t.Fatal(err)
	}
	report := s.Run(r)
	want := []string{
		"allow /rooms/$room/.read: The .read at line 5, column 18 is true",
		"deny /rooms/$room/.read: The .read at line 5, column 18 is false because of query.limitToFirst <= 10. Here query.limitToFirst is 50.",
		"deny /rooms/$room/.read: The .read at line 5, column 18 could not be evaluated: auth.uid: an operand of +",
		"deny /rooms/$room/.read: The .read at line 5, column 18 could not be evaluated: query.limitToFirst <= 10",
		"allow -: An administrator",
		"allow /rooms/$room/.write: ",
		"deny /rooms/$room/title/.validate: The .validate at line 7, column 32 is false: newData.isString().",
		"allow /rooms/$room/.write: ",
		"allow /rooms/$room/.write: ",
		"allow /rooms/$room/.write: ",
		"allow /rooms/$room/.write: ",
		"deny /rooms/$room/.write: ",
		"allow -: It changes nothing",
		"allow /log/.write: ",
		"deny /log/.write: The .write at line 11, column 23 is false: !data.exists(). Here data.exists() is true.",
		"deny /rooms/$room/.read: ", // wrong
		"allow /rooms/$room/.write: ",
	}
	if len(report.Results) != len(want) {
		t.Fatalf("%d results, want %d", len(report.Results), len(want))
	}
	var wrong []string
	for i, r := range report.Results {
		got := "deny "
		if r.Allowed {
			got = "allow "
		}
		if r.Decided != nil {
			got += ruleName(r.Decided.Place, r.Decided.Kind)
		} else {
			got += "-"
		}
		if got += ": " + r.Why; !strings.HasPrefix(got, want[i]) {
			t.Errorf("%s: %s, want %s", r.Case.Summary(), got, want[i])
		}
		if !r.Pass {
			wrong = append(wrong, r.Wrong)
		}
	}
	if got := fmt.Sprint(wrong); got != "[denied, expected allow decided by /rooms/$room/.write, expected /rooms/.write]" {
		t.Errorf("wrong are %s", got)
	}
	if report.Passed != len(want)-2 || report.Rules != 5 || report.Asked != 5 || len(report.Unasked) != 0 {
		t.Errorf("%d passed, %d of %d rules asked", report.Passed, report.Asked, report.Rules)
	}
	group := report.Results[13].Case
	if fmt.Sprint(group.Group) != "[as bob empty]" || group.Title() != "write /log as bob" || report.Results[5].Case.Title() != "title" {
		t.Errorf("groups %q, titles %q and %q", group.Group, group.Title(), report.Results[5].Case.Title())
	}
}

func TestUnasked(t *testing.T) {
	s := load(t, `{"rules": {"rules": {"a": {".read": true}, "b": {".read": false, ".write": "auth != null"}}}, "tests": [{"read": "/a", "expect": "allow"}]}`)
	r, err := rules.Parse(s.Rules)
	if err != nil {
		t.Fatal(err)
	}
	report := s.Run(r)
	if report.Rules != 3 || report.Asked != 1 || len(report.Unasked) != 2 || report.Unasked[1].Place != "/b" || report.Unasked[1].Text != "auth != null" {
		t.Errorf("%d of %d asked, not %v", report.Asked, report.Rules, report.Unasked)
	}
}

// A list that cannot be understood is refused at the place that is wrong.
func TestMistakes(t *testing.T) {
	test := func(s string) string { return `{"tests":[{` + s + `}]}` }
	for text, want := range map[string]string{
		`[]`:                                "1:1: expected an object with rules",
		`{}`:                                `1:1: expected "tests"`,
		`{"tests":{}}`:                      "1:10: tests must be a list",
		`{"test":[]}`:                       `1:2: unknown key "test"; there are rules`,
		`{"a":1,"a":2}`:                     `1:8: "a" is here for the second time`,
		`{"tests":[],}`:                     "1:13: ",
		"{\n \"rules\": 5, \"tests\": []}":  "2:11: rules must be the name of a file",
		`{"rules":"none.json","tests":[]}`:  "none.json: no such file",
		`{"users":{"admin":{}},"tests":[]}`: `1:11: "admin" is the administrator`,
		`{"users":{"a":"b"},"tests":[]}`:    "1:15: auth must be null or an object",
		`{"users":[],"tests":[]}`:           "1:10: users must be an object",
		`{"data":{"a.b":1},"tests":[]}`:     "1:9: ",
		`{"dataFile":"none","tests":[]}`:    "none: no such file",
		`{"data":1,"dataFile":"seed.json","tests":[]}`: "only one of data and dataFile",
		test(``):                                                            "1:11: expected an operation: one of read, write, update, delete",
		test(`"read":"/a"`):                                                 `1:11: expected "expect"`,
		test(`"read":"/a","write":"/b"`):                                    "a case has one operation",
		test(`"read":5`):                                                    "1:19: read must be a path",
		test(`"read":"/a.b","expect":"deny"`):                               "1:19: ",
		test(`"read":"/a","value":1`):                                       "a read has no value",
		test(`"write":"/a","expect":"deny"`):                                "expected a value to write",
		test(`"delete":"/a","value":1`):                                     "a delete has no value",
		test(`"write":"/a","value":1,"query":{}`):                           "only a read has a query",
		test(`"update":"/a","value":1`):                                     "must be an object",
		test(`"update":"/a","value":{"b":1,"b/c":2}`):                       "1:41: an update cannot write both /b and /b/c",
		test(`"read":"/a","query":{"limit":1}`):                             `unknown key "limit"`,
		test(`"read":"/a","query":{"orderByKey":true,"orderByValue":true}`): "one order",
		test(`"read":"/a","query":{"orderByKey":1}`):                        "orderByKey must be true",
		test(`"read":"/a","query":{"limitToFirst":0}`):                      "limitToFirst must be positive",
		test(`"read":"/a","expect":"yes"`):                                  "expect must be allow or deny",
		test(`"read":"/a","expect":"deny","by":"4:5"`):                      "by must name a rule",
		test(`"read":"/a","as":"bob"`):                                      `no user "bob"; there are admin. A user who is not under "users" is written {uid: bob}`,
		test(`"read":"/a","as":5`):                                          "auth must be null or an object",
		test(`"read":"/a","now":"noon"`):                                    "now must be milliseconds",
		test(`"read":"/a","now":true`):                                      "now must be milliseconds",
		test(`"name":5`):                                                    "a name must be a text",
		test(`"tests":[],"read":"/a"`):                                      `"read" belongs to a case`,
	} {
		v, err := ParseJSON([]byte(text))
		if err == nil {
			_, err = Load(v, options())
		}
		var at *Error
		if !errors.As(err, &at) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestIndented(t *testing.T) {
	text := `{"rules":{"a":{".read":"true"},"b":{},"c":{".indexOn":["x","y"]}}}`
	v, err := ParseJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(v.Text()); got != text {
		t.Errorf("%s, want %s", got, text)
	}
	again, err := ParseJSON(v.Indented())
	if err != nil || string(again.Text()) != text {
		t.Errorf("%v, %s from\n%s", err, again.Text(), v.Indented())
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(`{"rules":{"rules":{".read":"auth.uid == 'a'"}},"tests":[{"read":"/","as":{"uid":"a"},"expect":"allow"}]}`)
	f.Add(`{"rules":{"rules":{".write":true}},"tests":[{"update":"/","value":{"a/b":{".sv":{"increment":1}}},"expect":"allow"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseJSON([]byte(text))
		if err != nil {
			return
		}
		s, err := Load(v, options())
		if err != nil {
			return
		}
		r, err := rules.Parse(s.Rules)
		if err != nil {
			return
		}
		for _, result := range s.Run(r).Results {
			if result.Pass != (result.Wrong == "") || result.Why == "" {
				t.Errorf("%+v of %s", result, text)
			}
		}
	})
}
