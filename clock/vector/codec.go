package vector

import (
	"encoding"

	"rebase/clock/internal/counts"
)

// The tag tells stamps of this package from others.
const tag, what = "v", "vector stamp"

var (
	_ encoding.TextAppender      = Stamp{}
	_ encoding.TextUnmarshaler   = (*Stamp)(nil)
	_ encoding.BinaryAppender    = Stamp{}
	_ encoding.BinaryUnmarshaler = (*Stamp)(nil)
	_ encoding.TextAppender      = Vector{}
	_ encoding.TextUnmarshaler   = (*Vector)(nil)
	_ encoding.BinaryAppender    = Vector{}
	_ encoding.BinaryUnmarshaler = (*Vector)(nil)
)

// String is the text form: "v", the process, and every component that is not 0
// as process:count, as in v2[1:2,2:1].
func (s Stamp) String() string { return string(counts.AppendStampText(nil, tag, s.proc, s.v)) }

// AppendText implements encoding.TextAppender. There is no error.
func (s Stamp) AppendText(dst []byte) ([]byte, error) {
	return counts.AppendStampText(dst, tag, s.proc, s.v), nil
}

// MarshalText implements encoding.TextMarshaler. There is no error.
func (s Stamp) MarshalText() ([]byte, error) { return s.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalText(text []byte) error {
	p, v, err := counts.ParseStampText(what, tag, text)
	if err == nil {
		*s = Stamp{p, v}
	}
	return err
}

// AppendBinary implements encoding.BinaryAppender: "v", the process, the number of
// components that are not 0, and those, as unsigned varints; of each its process, as the
// distance from the one before, and its count. There is no error.
func (s Stamp) AppendBinary(dst []byte) ([]byte, error) {
	return counts.AppendStampBinary(dst, tag, s.proc, s.v), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (s Stamp) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (s *Stamp) UnmarshalBinary(data []byte) error {
	p, v, err := counts.ParseStampBinary(what, tag, data)
	if err == nil {
		*s = Stamp{p, v}
	}
	return err
}

// String is the text form: every component that is not 0, as in cut[1:2,2:1].
func (v Vector) String() string { return string(v.v.AppendText([]byte(cutTag))) }

const cutTag, cutWhat = "cut", "vector"

// AppendText implements encoding.TextAppender. There is no error.
func (v Vector) AppendText(dst []byte) ([]byte, error) {
	return v.v.AppendText(append(dst, cutTag...)), nil
}

// MarshalText implements encoding.TextMarshaler. There is no error.
func (v Vector) MarshalText() ([]byte, error) { return v.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (v *Vector) UnmarshalText(text []byte) error {
	r := counts.Read(cutWhat, text)
	r.Expect(cutTag)
	w := r.Text()
	if err := r.End(); err != nil {
		return err
	}
	v.v = w
	return nil
}

// AppendBinary implements encoding.BinaryAppender: "c", then the components as a
// stamp has them. There is no error.
func (v Vector) AppendBinary(dst []byte) ([]byte, error) {
	return v.v.AppendBinary(append(dst, 'c')), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (v Vector) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (v *Vector) UnmarshalBinary(data []byte) error {
	r := counts.Read(cutWhat, data)
	r.Expect("c")
	w := r.Binary()
	if err := r.End(); err != nil {
		return err
	}
	v.v = w
	return nil
}
