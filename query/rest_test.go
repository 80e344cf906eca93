package query

import (
	"errors"
	"net/url"
	"testing"

	"rebase/jsonscan"
)

func TestParseREST(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{``, `{}`},
		{`auth=x&print=pretty&shallow=true`, `{}`},
		{`orderBy="$priority"`, `{}`},
		{`orderBy="$key"`, `{"i":".key"}`},
		{`orderBy="$value"`, `{"i":".value"}`},
		{`orderBy="height"`, `{"i":"height"}`},
		{`orderBy="dimensions/height"&startAt=3`, `{"i":"dimensions/height","sin":true,"sp":3}`},
		{`orderBy="$key"&startAt="a"&endAt="m"`, `{"ein":true,"ep":"m","i":".key","sin":true,"sp":"a"}`},
		{`orderBy="$key"&startAfter="a"&endBefore="m"`, `{"ein":false,"ep":"m","i":".key","sin":false,"sp":"a"}`},
		{`orderBy="h"&startAfter=3`, `{"i":"h","sin":false,"sn":"[MAX_NAME]","sp":3}`},
		{`orderBy="h"&endBefore="x"`, `{"ein":false,"en":"[MIN_NAME]","ep":"x","i":"h"}`},
		{`orderBy="h"&startAfter=3,"k"`, `{"i":"h","sin":false,"sn":"k","sp":3}`},
		{`orderBy="h"&startAfter=2,"[MAX_NAME]"`, `{"i":"h","sin":false,"sn":"[MAX_NAME]","sp":2}`},
		{`orderBy="h"&startAt=null&endAt= true , "k" `, `{"ein":true,"en":"k","ep":true,"i":"h","sin":true,"sp":null}`},
		{`orderBy="h"&equalTo="a,b"`, `{"ein":true,"ep":"a,b","i":"h","sin":true,"sp":"a,b"}`},
		{`orderBy="h"&equalTo=1,"k"`, `{"ein":true,"en":"k","ep":1,"i":"h","sin":true,"sn":"k","sp":1}`},
		{`orderBy="$key"&equalTo="k"`, `{"ein":true,"ep":"k","i":".key","sin":true,"sp":"k"}`},
		{`orderBy="$key"&limitToFirst=2`, `{"i":".key","l":2,"vf":"l"}`},
		{`orderBy="$priority"&limitToLast=2`, `{"l":2,"vf":"r"}`},
		// The Firebase CLI pages through keys, unquoted.
		{`shallow=true&limitToFirst=2`, `{"i":".key","l":2,"vf":"l"}`},
		{`shallow=true&limitToFirst=2&startAfter=-Nabc&timeout=60000ms`, `{"i":".key","l":2,"sin":false,"sp":"-Nabc","vf":"l"}`},
	} {
		v, err := url.ParseQuery(test.in)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseREST(v)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if got := string(q.WireJSON()); got != test.want {
			t.Errorf("%s: %s, want %s", test.in, got, test.want)
		}
	}
}

func TestParseRESTErrors(t *testing.T) {
	const (
		noOrder   = "orderBy must be defined when other query parameters are defined"
		badOrder  = "orderBy must be a valid JSON encoded path"
		primitive = "Constraint index field must be a JSON primitive"
		keyType   = "Provided key index type is invalid, must be string"
		keyName   = "Constraint key field must be a valid key name"
		equal     = "equalTo cannot be specified in addition to startAfter, startAt, endAt, or endBefore"
	)
	for _, test := range []struct{ in, want string }{
		{`startAt=1`, noOrder},
		{`limitToFirst=1`, noOrder},
		{`equalTo=1`, noOrder},
		{`shallow=true&limitToFirst=1&endAt=1`, noOrder},
		{`orderBy=`, badOrder},
		{`orderBy=height`, badOrder},
		{`orderBy=1`, badOrder},
		{`orderBy=""`, badOrder},
		{`orderBy="/"`, badOrder},
		{`orderBy="a" "b"`, badOrder},
		{`orderBy="$foo"`, badOrder},
		{`orderBy=".key"`, badOrder},
		{`orderBy="a.b"`, badOrder},
		{`orderBy="h"&startAt=`, primitive},
		{`orderBy="h"&startAt=abc`, primitive},
		{`orderBy="h"&startAt={}`, primitive},
		{`orderBy="h"&endAt=[1]`, primitive},
		{`orderBy="h"&endAt=1],[2`, primitive},
		{`orderBy="h"&endAt=1]`, primitive},
		{`orderBy="h"&endAt=1,`, keyName},
		{`orderBy="h"&endAt=1,"k",2`, primitive},
		{`orderBy="h"&endAt=1,2`, keyName},
		{`orderBy="h"&endAt=1,"a.b"`, keyName},
		{`orderBy="h"&endAt=1,""`, keyName},
		{`orderBy="$key"&startAt=1`, keyType},
		{`orderBy="$key"&equalTo=null`, keyType},
		{`orderBy="$key"&startAt="a","b"`, keyType},
		{`orderBy="h"&equalTo=1&startAt=1`, equal},
		{`orderBy="h"&equalTo=1&startAfter=1`, equal},
		{`orderBy="h"&equalTo=1&endAt=1`, equal},
		{`orderBy="h"&equalTo=1&endBefore=1`, equal},
		{`orderBy="h"&startAt=1&startAfter=1`, "Only one of startAt and startAfter may be specified"},
		{`orderBy="h"&endAt=1&endBefore=1`, "Only one of endAt and endBefore may be specified"},
		{`orderBy="h"&limitToFirst=1&limitToLast=1`, "Only one of limitToFirst and limitToLast may be specified"},
		{`orderBy="h"&limitToFirst=x`, "limitToFirst must be an integer"},
		{`orderBy="h"&limitToLast="1"`, "limitToLast must be an integer"},
		{`orderBy="h"&limitToFirst=99999999999999999999`, "limitToFirst must be an integer"},
		{`orderBy="h"&limitToFirst=0`, "limitToFirst must be positive"},
		{`orderBy="h"&limitToLast=-3`, "limitToLast must be positive"},
		{`shallow=true&limitToFirst=0`, "limitToFirst must be positive"},
	} {
		v, err := url.ParseQuery(test.in)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseREST(v)
		var e *Error
		if !errors.As(err, &e) || e.Msg != test.want {
			t.Errorf("%s: %s, %v; want %q", test.in, q.WireJSON(), err, test.want)
		}
	}
}

func FuzzParseREST(f *testing.F) {
	f.Add(`"h"`, "3", `"x","k"`, "", "5", uint8(0b10110))
	f.Add(`"$key"`, `"a"`, `"b"`, `"c"`, "1", uint8(0b1))
	f.Add(`"$value"`, "]", "null,", "[", "-", uint8(0b1011))
	f.Fuzz(func(t *testing.T, orderBy, start, end, equal, limit string, which uint8) {
		v := url.Values{}
		pick := func(bit int, name, other, value string) {
			if value == "" {
				return
			}
			if which&(1<<bit) != 0 {
				name = other
			}
			v.Set(name, value)
		}
		pick(0, "orderBy", "shallow", orderBy)
		pick(1, "startAt", "startAfter", start)
		pick(2, "endAt", "endBefore", end)
		pick(3, "equalTo", "unknown", equal)
		pick(4, "limitToFirst", "limitToLast", limit)
		q, err := ParseREST(v)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Msg == "" {
				t.Fatalf("%v: %T %v", v, err, err)
			}
			return
		}
		// Whatever REST may ask can be asked on the wire, and is the same query.
		again, err := ParseWire(jsonscan.New(q.WireJSON()))
		if err != nil || again.ID() != q.ID() {
			t.Fatalf("%v: %s read back as %s, %v", v, q.WireJSON(), again.WireJSON(), err)
		}
	})
}
