package query

import (
	"errors"
	"testing"

	"rebase/jsonscan"
	"rebase/tree"
)

func TestParseWire(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`{}`, `{}`},
		{`{"i":".priority"}`, `{}`},
		{`{"i":".key"}`, `{"i":".key"}`},
		{`{"i":"/a//b/"}`, `{"i":"a/b"}`},
		{`{"x":[1,{"y":2}],"i":".value"}`, `{"i":".value"}`},
		// Java sends no inclusiveness.
		{`{"sp":3,"i":"f"}`, `{"i":"f","sin":true,"sp":3}`},
		{`{"ep":"z","en":"k"}`, `{"ein":true,"en":"k","ep":"z"}`},
		// startAfter(3), endBefore("z") and orderByKey's startAfter("k1") of JavaScript.
		{`{"sp":3,"sn":"[MAX_NAME]","sin":false}`, `{"sin":false,"sn":"[MAX_NAME]","sp":3}`},
		{`{"ep":"z","en":"[MIN_NAME]","ein":false}`, `{"ein":false,"en":"[MIN_NAME]","ep":"z"}`},
		{`{"sp":"k1","sin":false,"i":".key"}`, `{"i":".key","sin":false,"sp":"k1"}`},
		{`{"i":".key","sp":"[MIN_NAME]"}`, `{"i":".key","sin":true,"sp":"[MIN_NAME]"}`},
		// The sentinels of Android.
		{`{"sp":3,"sn":"[MAX_KEY]"}`, `{"sin":true,"sn":"[MAX_NAME]","sp":3}`},
		{`{"ep":3,"en":"[MIN_KEY]"}`, `{"ein":true,"en":"[MIN_NAME]","ep":3}`},
		{`{"sp":null,"ep":null}`, `{"ein":true,"ep":null,"sin":true,"sp":null}`},
		{`{"sin":false,"ein":false}`, `{}`},
		{`{"sp":2.0,"ep":-0.0}`, `{"ein":true,"ep":0,"sin":true,"sp":2}`},
		{`{"l":2,"vf":"l"}`, `{"l":2,"vf":"l"}`},
		{`{"vf":"r","l":2}`, `{"l":2,"vf":"r"}`},
		{`{"l":2}`, `{"l":2,"vf":"r"}`},
		{`{"l":2,"sp":true}`, `{"l":2,"sin":true,"sp":true,"vf":"l"}`},
		{`{"vf":"r"}`, `{}`},
	} {
		s := jsonscan.New([]byte(test.in + ` "behind"`))
		q, err := ParseWire(s)
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if got := string(q.WireJSON()); got != test.want {
			t.Errorf("%s: %s, want %s", test.in, got, test.want)
		}
		if s.Peek() != '"' {
			t.Errorf("%s: scanner left at %d", test.in, s.Offset())
		}
		want := test.want
		if want == "{}" || want == `{"i":".key"}` || want == `{"i":".value"}` || want == `{"i":"a/b"}` {
			want = DefaultID
		}
		if got := q.ID(); got != want {
			t.Errorf("%s: ID %s, want %s", test.in, got, want)
		}
	}
}

func TestParseWireRefuses(t *testing.T) {
	for _, in := range []string{
		``, `[]`, `null`, `{`, `{"i":1}`, `{"i":""}`, `{"i":"/"}`, `{"i":".foo"}`, `{"i":"a/$b"}`,
		`{"sp":{}}`, `{"sp":{".value":1}}`, `{"ep":[1]}`, `{"sn":"k"}`, `{"sp":1,"sn":2}`, `{"sp":1,"sin":1}`,
		`{"i":".key","sp":1}`, `{"i":".key","ep":null}`, `{"sp":true,"i":".key"}`,
		`{"l":0}`, `{"l":-1}`, `{"l":"2"}`, `{"l":1.5}`, `{"l":null}`, `{"l":99999999999999999999}`,
		`{"l":1,"vf":"x"}`, `{"l":1,"vf":1}`,
	} {
		if q, err := ParseWire(jsonscan.New([]byte(in))); err == nil {
			t.Errorf("%s: accepted as %s", in, q.WireJSON())
		}
	}
	var e *Error
	if _, err := ParseWire(jsonscan.New([]byte(`{"i":".key","sp":1}`))); !errors.As(err, &e) ||
		e.Msg != "Provided key index type is invalid, must be string" {
		t.Error(err)
	}
}

func FuzzParseWire(f *testing.F) {
	f.Add([]byte(`{"i":"a/b","sp":3,"sn":"[MAX_NAME]","sin":false,"ep":"é","ein":true,"l":5,"vf":"r"}`))
	f.Add([]byte(`{"i":".key","sp":"k1","ep":"[MAX_KEY]"}`))
	f.Add([]byte(`{"sp":null,"ep":1e400,"x":{"y":[]}}`))
	data, err := tree.ParseJSON([]byte(`{"a":1,"b":{"f":"x"},"1":true,"c":{".value":2.5,".priority":"p"}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		q, err := ParseWire(jsonscan.New(in))
		if err != nil {
			return
		}
		text := q.WireJSON()
		s := jsonscan.New(text)
		again, err := ParseWire(s)
		if err != nil || s.End() != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if string(again.WireJSON()) != string(text) || again.ID() != q.ID() {
			t.Fatalf("%s became %s", text, again.WireJSON())
		}
		if !tree.Equal(q.Filter(data), again.Filter(data)) {
			t.Fatalf("%s selects otherwise when read back", text)
		}
	})
}
