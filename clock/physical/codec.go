package physical

import (
	"encoding"
	"encoding/binary"
	"strconv"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

const what = "physical stamp"

var (
	_ encoding.TextAppender      = Stamp{}
	_ encoding.TextUnmarshaler   = (*Stamp)(nil)
	_ encoding.BinaryAppender    = Stamp{}
	_ encoding.BinaryUnmarshaler = (*Stamp)(nil)
)

// String is the text form: time in nanoseconds, "ns@", process, as in 1500ns@2 or -3ns@2.
func (s Stamp) String() string { return string(s.appendText(nil)) }

func (s Stamp) appendText(dst []byte) []byte {
	dst = strconv.AppendInt(dst, s.Time, 10)
	dst = append(dst, "ns@"...)
	return strconv.AppendUint(dst, uint64(s.Proc), 10)
}

// AppendText implements encoding.TextAppender. There is no error.
func (s Stamp) AppendText(dst []byte) ([]byte, error) { return s.appendText(dst), nil }

// MarshalText implements encoding.TextMarshaler. There is no error.
func (s Stamp) MarshalText() ([]byte, error) { return s.appendText(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalText(text []byte) error {
	r := counts.Read(what, text)
	negative := r.Peek() == '-'
	if negative {
		r.Expect("-")
	}
	n := r.Decimal()
	t := int64(n)
	if negative {
		t = -t
	}
	// -2^63 is its own negative, hence in range with a sign and not without.
	if (t < 0) != negative || n > 1<<63 {
		r.Fail("a time out of range, or a negative zero")
	}
	r.Expect("ns@")
	p := r.Decimal()
	if err := r.End(); err != nil {
		return err
	}
	*s = Stamp{t, clock.Proc(p)}
	return nil
}

// AppendBinary implements encoding.BinaryAppender: "P", then time as a signed varint and
// process as an unsigned one, both as in encoding/binary. There is no error.
func (s Stamp) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, 'P')
	dst = binary.AppendVarint(dst, s.Time)
	return binary.AppendUvarint(dst, uint64(s.Proc)), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (s Stamp) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalBinary(data []byte) error {
	r := counts.Read(what, data)
	r.Expect("P")
	zigzag := r.Uvarint()
	p := r.Uvarint()
	if err := r.End(); err != nil {
		return err
	}
	*s = Stamp{int64(zigzag>>1) ^ -int64(zigzag&1), clock.Proc(p)}
	return nil
}
