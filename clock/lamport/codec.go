package lamport

import (
	"encoding"
	"encoding/binary"
	"strconv"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

const what = "lamport stamp"

var (
	_ encoding.TextAppender      = Stamp{}
	_ encoding.TextUnmarshaler   = (*Stamp)(nil)
	_ encoding.BinaryAppender    = Stamp{}
	_ encoding.BinaryUnmarshaler = (*Stamp)(nil)
)

// String is the text form: time, "@", process, as in 17@2.
func (s Stamp) String() string { return string(s.appendText(nil)) }

func (s Stamp) appendText(dst []byte) []byte {
	dst = strconv.AppendUint(dst, s.Time, 10)
	dst = append(dst, '@')
	return strconv.AppendUint(dst, uint64(s.Proc), 10)
}

// AppendText implements encoding.TextAppender. There is no error.
func (s Stamp) AppendText(dst []byte) ([]byte, error) { return s.appendText(dst), nil }

// MarshalText implements encoding.TextMarshaler. There is no error.
func (s Stamp) MarshalText() ([]byte, error) { return s.appendText(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalText(text []byte) error {
	r := counts.Read(what, text)
	t := r.Limited(r.Decimal())
	r.Expect("@")
	p := r.Decimal()
	if err := r.End(); err != nil {
		return err
	}
	*s = Stamp{t, clock.Proc(p)}
	return nil
}

// AppendBinary implements encoding.BinaryAppender: "L", then time and process as
// unsigned varints. There is no error.
func (s Stamp) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, 'L')
	dst = binary.AppendUvarint(dst, s.Time)
	return binary.AppendUvarint(dst, uint64(s.Proc)), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (s Stamp) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalBinary(data []byte) error {
	r := counts.Read(what, data)
	r.Expect("L")
	t := r.Limited(r.Uvarint())
	p := r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	*s = Stamp{t, clock.Proc(p)}
	return nil
}
