package counts

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"rebase/clock"
)

// AppendText writes [1:4,3:1]: process, count.
func (v Vector) AppendText(dst []byte) []byte {
	dst = append(dst, '[')
	for i, e := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(e.Proc), 10)
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, e.Count, 10)
	}
	return append(dst, ']')
}

// AppendBinary writes the number of entries, then for each the distance of its
// process from the one before (the first: from 0; the others: less 1, since equal
// ones cannot be) and its count, all as unsigned varints.
func (v Vector) AppendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	next := uint64(0)
	for _, e := range v {
		dst = binary.AppendUvarint(dst, uint64(e.Proc)-next)
		dst = binary.AppendUvarint(dst, e.Count)
		next = uint64(e.Proc) + 1
	}
	return dst
}

// Reader takes an encoded stamp apart. The first error stays, and what is read
// after it is zero.
type Reader struct {
	what string
	in   []byte
	off  int
	err  error
}

// Read begins to read in, which should be a what.
func Read[B ~string | ~[]byte](what string, in B) *Reader {
	return &Reader{what: what, in: []byte(in)}
}

// Fail notes an error at the present place, if there was none.
func (r *Reader) Fail(msg string) {
	if r.err == nil {
		r.err = &clock.FormatError{What: r.what, Offset: r.off, Msg: msg}
	}
}

// End is the first error. That something is left is one.
func (r *Reader) End() error {
	if r.err == nil && r.off < len(r.in) {
		r.Fail("more bytes than the stamp has")
	}
	return r.err
}

// Failed tells whether there was an error.
func (r *Reader) Failed() bool { return r.err != nil }

// Left is the number of bytes not read yet.
func (r *Reader) Left() int { return len(r.in) - r.off }

// Peek is the next byte, or 0 at the end and after an error.
func (r *Reader) Peek() byte {
	if r.err != nil || r.off == len(r.in) {
		return 0
	}
	return r.in[r.off]
}

// Expect reads exactly s.
func (r *Reader) Expect(s string) {
	if r.err == nil && (len(r.in)-r.off < len(s) || string(r.in[r.off:r.off+len(s)]) != s) {
		r.Fail("expected " + strconv.Quote(s))
	}
	if r.err == nil {
		r.off += len(s)
	}
}

// Bytes reads n bytes. They alias the input.
func (r *Reader) Bytes(n uint64) []byte {
	if r.err == nil && n > uint64(r.Left()) {
		r.Fail("ends too early")
	}
	if r.err != nil {
		return nil
	}
	b := r.in[r.off : r.off+int(n)]
	r.off += int(n)
	return b
}

// Decimal reads a decimal number without leading zeros.
func (r *Reader) Decimal() uint64 {
	start, n := r.off, uint64(0)
	for r.Peek() >= '0' && r.Peek() <= '9' {
		hi, lo := bits.Mul64(n, 10)
		sum, carry := bits.Add64(lo, uint64(r.Peek()-'0'), 0)
		if hi != 0 || carry != 0 {
			r.Fail("number too large")
			return 0
		}
		n = sum
		r.off++
	}
	if r.off == start {
		r.Fail("expected a number")
	} else if r.in[start] == '0' && r.off > start+1 {
		r.Fail("number with leading zero")
	}
	return n
}

// Uvarint reads an unsigned varint in its shortest form.
func (r *Reader) Uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	n, size := binary.Uvarint(r.in[r.off:])
	switch {
	case size == 0:
		r.Fail("ends too early")
		return 0
	case size < 0:
		r.Fail("number too large")
		return 0
	case size > 1 && r.in[r.off+size-1] == 0:
		r.Fail("number not in its shortest form")
		return 0
	}
	r.off += size
	return n
}

// Limited refuses a count above clock.Limit.
func (r *Reader) Limited(n uint64) uint64 {
	if n > clock.Limit {
		r.Fail("count above the limit")
	}
	return n
}

// Text reads what AppendText writes.
func (r *Reader) Text() Vector {
	var v Vector
	r.Expect("[")
	for r.err == nil && r.Peek() != ']' {
		if len(v) > 0 {
			r.Expect(",")
		}
		p := r.Decimal()
		r.Expect(":")
		v = r.add(v, clock.Proc(p), r.Decimal())
	}
	r.Expect("]")
	return v
}

// Binary reads what AppendBinary writes.
func (r *Reader) Binary() Vector {
	n := r.Uvarint()
	if n > uint64(r.Left())/2 { // an entry has two bytes at least: believe no number that cannot be
		r.Fail("more entries than bytes")
	}
	if r.err != nil || n == 0 {
		return nil
	}
	v := make(Vector, 0, n)
	next := uint64(0)
	for i := uint64(0); i < n && r.err == nil; i++ {
		gap := r.Uvarint()
		p, carry := bits.Add64(next, gap, 0)
		if carry != 0 || i > 0 && next == 0 {
			r.Fail("process number too large")
			break
		}
		v = r.add(v, clock.Proc(p), r.Uvarint())
		next = p + 1
	}
	return v
}

func (r *Reader) add(v Vector, p clock.Proc, n uint64) Vector {
	switch {
	case len(v) > 0 && v[len(v)-1].Proc >= p:
		r.Fail("processes out of order")
	case n == 0:
		r.Fail("a count of 0 is not written")
	}
	return append(v, Entry{p, r.Limited(n)})
}
