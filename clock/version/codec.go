package version

import (
	"encoding"
	"encoding/binary"
	"strconv"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

// Tags tell the kinds apart where types cannot.
const (
	vectorTag, vectorWhat = "vv", "version vector"
	dottedTag, dottedWhat = "dvv", "dotted version vector"
)

var (
	_ encoding.TextAppender      = Vector{}
	_ encoding.TextUnmarshaler   = (*Vector)(nil)
	_ encoding.BinaryAppender    = Vector{}
	_ encoding.BinaryUnmarshaler = (*Vector)(nil)
	_ encoding.TextAppender      = Dotted{}
	_ encoding.TextUnmarshaler   = (*Dotted)(nil)
	_ encoding.BinaryAppender    = Dotted{}
	_ encoding.BinaryUnmarshaler = (*Dotted)(nil)
)

// String is the text form: every count that is not 0, as in vv[1:2,2:1].
func (v Vector) String() string { return string(v.appendText(nil)) }

func (v Vector) appendText(dst []byte) []byte { return v.v.AppendText(append(dst, vectorTag...)) }

// AppendText implements encoding.TextAppender. There is no error.
func (v Vector) AppendText(dst []byte) ([]byte, error) { return v.appendText(dst), nil }

// MarshalText implements encoding.TextMarshaler. There is no error.
func (v Vector) MarshalText() ([]byte, error) { return v.appendText(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (v *Vector) UnmarshalText(text []byte) error {
	r := counts.Read(vectorWhat, text)
	r.Expect(vectorTag)
	return v.set(r, r.Text())
}

// AppendBinary implements encoding.BinaryAppender: "V", the number of counts that are
// not 0, and those, as unsigned varints; of each its replica, as the distance from
// the one before, and the count. There is no error.
func (v Vector) AppendBinary(dst []byte) ([]byte, error) {
	return v.v.AppendBinary(append(dst, 'V')), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (v Vector) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (v *Vector) UnmarshalBinary(data []byte) error {
	r := counts.Read(vectorWhat, data)
	r.Expect("V")
	return v.set(r, r.Binary())
}

func (v *Vector) set(r *counts.Reader, w counts.Vector) error {
	if err := r.End(); err != nil {
		return err
	}
	v.v = w
	return nil
}

// String is the text form: "dvv", the dot, the context, as in dvv2:5[1:2,2:3].
func (a Dotted) String() string { return string(a.appendText(nil)) }

func (a Dotted) appendText(dst []byte) []byte {
	dst = append(dst, dottedTag...)
	dst = strconv.AppendUint(dst, uint64(a.dot.Replica), 10)
	dst = append(dst, ':')
	dst = strconv.AppendUint(dst, a.dot.N, 10)
	return a.context.v.AppendText(dst)
}

// AppendText implements encoding.TextAppender. There is no error.
func (a Dotted) AppendText(dst []byte) ([]byte, error) { return a.appendText(dst), nil }

// MarshalText implements encoding.TextMarshaler. There is no error.
func (a Dotted) MarshalText() ([]byte, error) { return a.appendText(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors are *clock.FormatError.
func (a *Dotted) UnmarshalText(text []byte) error {
	r := counts.Read(dottedWhat, text)
	r.Expect(dottedTag)
	p := r.Decimal()
	r.Expect(":")
	d := Dot{clock.Proc(p), r.Limited(r.Decimal())}
	return a.set(r, d, r.Text())
}

// AppendBinary implements encoding.BinaryAppender: "D", the dot's replica and number
// as unsigned varints, and the context as a Vector has it, without its "V".
// There is no error.
func (a Dotted) AppendBinary(dst []byte) ([]byte, error) {
	dst = append(dst, 'D')
	dst = binary.AppendUvarint(dst, uint64(a.dot.Replica))
	dst = binary.AppendUvarint(dst, a.dot.N)
	return a.context.v.AppendBinary(dst), nil
}

// MarshalBinary implements encoding.BinaryMarshaler. There is no error.
func (a Dotted) MarshalBinary() ([]byte, error) { return a.AppendBinary(nil) }

// UnmarshalBinary implements encoding.BinaryUnmarshaler. Errors are *clock.FormatError.
func (a *Dotted) UnmarshalBinary(data []byte) error {
	r := counts.Read(dottedWhat, data)
	r.Expect("D")
	p := r.Uvarint()
	d := Dot{clock.Proc(p), r.Limited(r.Uvarint())}
	return a.set(r, d, r.Binary())
}

func (a *Dotted) set(r *counts.Reader, d Dot, v counts.Vector) error {
	if err := r.End(); err != nil {
		return err
	}
	context := Vector{v}
	if d.N == 0 || context.Covers(d) {
		r.Fail("a write that is no write, or replaces itself")
		return r.End()
	}
	*a = Dotted{d, context}
	return nil
}
