package hlc

import (
	"cmp"
	"encoding"
	"encoding/binary"
	"strconv"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

const (
	counterBits = 16
	// MaxMillis is the last millisecond that fits: in the year 10889.
	MaxMillis = 1<<(64-counterBits) - 1
)

// Time is a stamp: 48 bits of milliseconds since 1970 in UTC, 16 bits of a counter
// for events within one. It compares by <. When the counter is full, the next event
// is in the next millisecond.
type Time uint64

// At is the time of the given millisecond and counter. It panics if millis is
// negative or above MaxMillis.
func At(millis int64, counter uint16) Time {
	if millis < 0 || millis > MaxMillis {
		panic("hlc: milliseconds out of range")
	}
	return Time(millis)<<counterBits | Time(counter)
}

// Millis is the time of day: milliseconds since 1970 in UTC.
func (t Time) Millis() int64 { return int64(t >> counterBits) }

// Counter tells events of one millisecond apart.
func (t Time) Counter() uint16 { return uint16(t) }

// Stamp is a time and the node where it was given. No two events of a system have
// the same. Stamps are immutable, and == tells whether two events are one.
type Stamp struct {
	Time Time
	Node clock.Proc
}

// Compare is the total order: by time, and by node where times are equal.
// It returns -1, 0 or 1.
func (s Stamp) Compare(o Stamp) int {
	if c := cmp.Compare(s.Time, o.Time); c != 0 {
		return c
	}
	return cmp.Compare(s.Node, o.Node)
}

// Less tells whether s comes before o in the total order.
func (s Stamp) Less(o Stamp) bool { return s.Compare(o) < 0 }

const timeWhat, stampWhat = "hybrid time", "hybrid stamp"

var (
	_ encoding.TextAppender      = Time(0)
	_ encoding.TextUnmarshaler   = (*Time)(nil)
	_ encoding.BinaryAppender    = Time(0)
	_ encoding.BinaryUnmarshaler = (*Time)(nil)
	_ encoding.TextAppender      = Stamp{}
	_ encoding.TextUnmarshaler   = (*Stamp)(nil)
	_ encoding.BinaryAppender    = Stamp{}
	_ encoding.BinaryUnmarshaler = (*Stamp)(nil)
)

// String is the text form: milliseconds and counter in hexadecimal, as in
// 0193a1b2c3d4.0005. Texts sort as times do.
func (t Time) String() string { return string(t.appendText(nil)) }

const hex = "0123456789abcdef"

func (t Time) appendText(dst []byte) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hex[t>>shift&15])
		if shift == counterBits {
			dst = append(dst, '.')
		}
	}
	return dst
}

func readTime(r *counts.Reader) Time {
	var t Time
	for shift := 60; shift >= 0; shift -= 4 {
		switch c := r.Peek(); {
		case c >= '0' && c <= '9':
			t = t<<4 | Time(c-'0')
		case c >= 'a' && c <= 'f':
			t = t<<4 | Time(c-'a'+10)
		default:
			r.Fail("expected a hexadecimal digit")
		}
		r.Bytes(1)
		if shift == counterBits {
			r.Expect(".")
		}
	}
	return t
}

// AppendText implements encoding.TextAppender. There is no error.
func (t Time) AppendText(dst []byte) ([]byte, error) { return t.appendText(dst), nil }

// MarshalText implements encoding.TextMarshaler. There is no error.
func (t Time) MarshalText() ([]byte, error) { return t.appendText(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (t *Time) UnmarshalText(text []byte) error {
	r := counts.Read(timeWhat, text)
	u := readTime(r)
	if err := r.End(); err != nil {
		return err
	}
	*t = u
	return nil
}

// AppendBinary implements encoding.BinaryAppender: 8 bytes, the highest first, so
// that bytes sort as times do. There is no error.
func (t Time) AppendBinary(dst []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(t)), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (t Time) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (t *Time) UnmarshalBinary(data []byte) error {
	if len(data) != 8 {
		return &clock.FormatError{What: timeWhat, Offset: min(len(data), 8), Msg: "must be 8 bytes"}
	}
	*t = Time(binary.BigEndian.Uint64(data))
	return nil
}

// String is the text form: the time, "@", the node, as in 0193a1b2c3d4.0005@7.
func (s Stamp) String() string { return string(s.appendText(nil)) }

func (s Stamp) appendText(dst []byte) []byte {
	dst = append(s.Time.appendText(dst), '@')
	return strconv.AppendUint(dst, uint64(s.Node), 10)
}

// AppendText implements encoding.TextAppender. There is no error.
func (s Stamp) AppendText(dst []byte) ([]byte, error) { return s.appendText(dst), nil }

// MarshalText implements encoding.TextMarshaler. There is no error.
func (s Stamp) MarshalText() ([]byte, error) { return s.appendText(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalText(text []byte) error {
	r := counts.Read(stampWhat, text)
	t := readTime(r)
	r.Expect("@")
	n := r.Decimal()
	if err := r.End(); err != nil {
		return err
	}
	*s = Stamp{t, clock.Proc(n)}
	return nil
}

// AppendBinary implements encoding.BinaryAppender: time and node, 8 bytes each, the
// highest first, so that bytes sort as stamps do. There is no error.
func (s Stamp) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Time))
	return binary.BigEndian.AppendUint64(dst, uint64(s.Node)), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (s Stamp) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalBinary(data []byte) error {
	if len(data) != 16 {
		return &clock.FormatError{What: stampWhat, Offset: min(len(data), 16), Msg: "must be 16 bytes"}
	}
	*s = Stamp{Time(binary.BigEndian.Uint64(data)), clock.Proc(binary.BigEndian.Uint64(data[8:]))}
	return nil
}
