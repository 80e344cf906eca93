package counts

import (
	"encoding/binary"
	"strconv"

	"rebase/clock"
)

// The forms of a stamp that is a process and a vector. The tag keeps the kinds of
// stamps apart where types cannot: in files and messages.

// AppendStampText writes tag, process, vector: f2[1:2,2:1].
func AppendStampText(dst []byte, tag string, p clock.Proc, v Vector) []byte {
	dst = append(dst, tag...)
	dst = strconv.AppendUint(dst, uint64(p), 10)
	return v.AppendText(dst)
}

// AppendStampBinary writes tag, process as unsigned varint, vector.
func AppendStampBinary(dst []byte, tag string, p clock.Proc, v Vector) []byte {
	dst = append(dst, tag...)
	dst = binary.AppendUvarint(dst, uint64(p))
	return v.AppendBinary(dst)
}

// ParseStampText reads what AppendStampText writes.
func ParseStampText(what, tag string, text []byte) (clock.Proc, Vector, error) {
	r := Read(what, text)
	r.Expect(tag)
	p := clock.Proc(r.Decimal())
	v := r.Text()
	return r.stamp(p, v)
}

// ParseStampBinary reads what AppendStampBinary writes.
func ParseStampBinary(what, tag string, data []byte) (clock.Proc, Vector, error) {
	r := Read(what, data)
	r.Expect(tag)
	p := clock.Proc(r.Uvarint())
	v := r.Binary()
	return r.stamp(p, v)
}

func (r *Reader) stamp(p clock.Proc, v Vector) (clock.Proc, Vector, error) {
	if err := r.End(); err != nil {
		return 0, nil, err
	}
	if v.Get(p) == 0 { // every event has incremented its own component
		r.Fail("the stamp's own process counts 0")
		return 0, nil, r.err
	}
	return p, v, nil
}
