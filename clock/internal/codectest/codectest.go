// Package codectest holds every stamp to what package clock promises of its two
// forms: a decoder accepts what the encoder writes and nothing else.
package codectest

import (
	"encoding"
	"errors"
	"testing"

	"rebase/clock"
)

// Stamp is any stamp, by its pointer.
type Stamp[T any] interface {
	*T
	encoding.TextMarshaler
	encoding.TextUnmarshaler
	encoding.TextAppender
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
	encoding.BinaryAppender
}

// Fuzz runs the decoders of a type over arbitrary bytes, beginning with those of seeds.
func Fuzz[T any, P Stamp[T]](f *testing.F, seeds ...T) {
	for _, s := range seeds {
		RoundTrip[T, P](f, s)
		text, _ := P(&s).MarshalText()
		data, _ := P(&s).MarshalBinary()
		for _, b := range [][]byte{text, data} {
			f.Add(b)
			f.Add(b[:len(b)-1])
			f.Add(append([]byte{' '}, b...))
			f.Add(append(b, '0'))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) { Decode[T, P](t, in) })
}

// Decode tries in as text and as binary.
func Decode[T any, P Stamp[T]](t testing.TB, in []byte) {
	t.Helper()
	var s T
	switch err := P(&s).UnmarshalText(in); {
	case err == nil:
		if out, _ := P(&s).MarshalText(); string(out) != string(in) {
			t.Errorf("text %q is accepted, and written as %q", in, out)
		}
		RoundTrip[T, P](t, s)
	default:
		format(t, in, err)
	}
	var u T
	switch err := P(&u).UnmarshalBinary(in); {
	case err == nil:
		if out, _ := P(&u).MarshalBinary(); string(out) != string(in) {
			t.Errorf("bytes %x are accepted, and written as %x", in, out)
		}
		RoundTrip[T, P](t, u)
	default:
		format(t, in, err)
	}
}

func format(t testing.TB, in []byte, err error) {
	t.Helper()
	var e *clock.FormatError
	if !errors.As(err, &e) || e.What == "" || e.Msg == "" {
		t.Errorf("%q: error %v is no *clock.FormatError", in, err)
	} else if e.Offset < 0 || e.Offset > len(in) {
		t.Errorf("%q: error %v is outside of the input", in, err)
	}
}

// RoundTrip encodes s, decodes it, and encodes it again, in both forms.
func RoundTrip[T any, P Stamp[T]](t testing.TB, s T) {
	t.Helper()
	text, err := P(&s).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	data, err := P(&s).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var fromText, fromData T
	if err := P(&fromText).UnmarshalText(text); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if err := P(&fromData).UnmarshalBinary(data); err != nil {
		t.Fatalf("%x: %v", data, err)
	}
	// Crosswise, so that nothing is lost in both directions of one form.
	if again, _ := P(&fromText).AppendBinary([]byte("+")); string(again) != "+"+string(data) {
		t.Errorf("%x became %x by way of %q", data, again[1:], text)
	}
	if again, _ := P(&fromData).AppendText([]byte("+")); string(again) != "+"+string(text) {
		t.Errorf("%q became %q by way of %x", text, again[1:], data)
	}
}
