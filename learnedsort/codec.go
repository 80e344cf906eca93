package learnedsort

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The binary form of a CDF, all fixed numbers little-endian:
//
//	version      1 byte: 1
//	kind         1 byte: 0 unsigned, 1 signed, 2 float64
//	feature      1 byte: 0 affine, 1 value, 2 magnitude
//	n            uvarint: keys trained for
//	lo, hi       8 bytes each: smallest and largest key seen, by Order
//	knots        2048 uvarints: each knot less the one before, from a first one of 0;
//	             the last knot is 2^32-1
//
// of an Index: that, and
//
//	n            uvarint: length of the run
//	deviations   2048 pairs of varints: least, and most less least
//
// Uvarints and varints are those of encoding/binary, in their shortest form. There is one form for each
// value: what decodes is what encoding gives.

// ErrFormat is what decoding anything else than an encoded CDF or Index fails with.
var ErrFormat = errors.New("learnedsort: not an encoded model")

const version = 1

// AppendBinary appends the binary form of c to b. There is no error.
func (c *CDF[K]) AppendBinary(b []byte) ([]byte, error) {
	m := &c.model
	b = append(b, version, byte(m.kind), byte(m.feature))
	b = binary.AppendUvarint(b, uint64(c.n))
	b = binary.LittleEndian.AppendUint64(b, m.lo)
	b = binary.LittleEndian.AppendUint64(b, m.hi)
	for i := range cells {
		b = binary.AppendUvarint(b, uint64(m.knots[i+1]-m.knots[i]))
	}
	return b, nil
}

// MarshalBinary returns the binary form of c. There is no error.
func (c *CDF[K]) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// UnmarshalBinary sets c to what MarshalBinary has encoded. The error is or wraps [ErrFormat]; then c is as it was.
// It is for a new CDF that nobody else knows of yet.
func (c *CDF[K]) UnmarshalBinary(data []byte) error {
	r := reader{data: data}
	d := new(CDF[K])
	d.read(&r)
	if err := r.end(); err != nil {
		return err
	}
	*c = *d
	return nil
}

func (c *CDF[K]) read(r *reader) {
	m := &c.model
	if v := r.byte(); v != version {
		r.fail("version %d", v)
	}
	m.kind, m.feature = kind(r.byte()), feature(r.byte())
	if m.kind != kindOf[K]() {
		r.fail("keys of another type")
	}
	c.n = r.length()
	m.lo, m.hi = r.uint64(), r.uint64()
	sum := uint64(0)
	for i := range cells {
		m.knots[i] = uint32(sum)
		if sum += r.uvarint(); sum > 1<<32-1 {
			r.fail("shares of more than the whole")
			return
		}
	}
	m.knots[cells] = uint32(sum)
	if sum != 1<<32-1 {
		r.fail("shares of less than the whole")
	}
	if r.err != nil {
		return
	}
	if m.lo == m.hi {
		point := new(spline)
		point.point(m.kind, m.lo)
		if *point != *m {
			r.fail("no key but a distribution")
		}
		return
	}
	lo, hi := m.lo, m.hi
	if m.feature >= features || !m.frame(m.kind, m.feature, lo, hi) || m.lo != lo || m.hi != hi {
		r.fail("a feature that does not suit the keys")
	}
}

// AppendBinary appends the binary form of x to b. There is no error.
func (x *Index[K]) AppendBinary(b []byte) ([]byte, error) {
	b, _ = x.cdf.AppendBinary(b)
	b = binary.AppendUvarint(b, uint64(x.n))
	for _, e := range x.errs {
		b = binary.AppendVarint(b, int64(e.least))
		b = binary.AppendUvarint(b, uint64(e.most-e.least))
	}
	return b, nil
}

// MarshalBinary returns the binary form of x. There is no error.
func (x *Index[K]) MarshalBinary() ([]byte, error) { return x.AppendBinary(nil) }

// UnmarshalBinary sets x to what MarshalBinary has encoded. The error is or wraps [ErrFormat]; then x is as it was.
// It is for a new Index that nobody else knows of yet. An Index of a run that it was not made for gives wrong
// answers: keep the two together, under one checksum.
func (x *Index[K]) UnmarshalBinary(data []byte) error {
	r := reader{data: data}
	d := &Index[K]{cdf: new(CDF[K])}
	d.cdf.read(&r)
	d.n = r.length()
	for i := range d.errs {
		least, spread := r.varint(), r.length()
		if least < -int64(d.n) || least > int64(d.n) || spread > 2*d.n {
			r.fail("a deviation longer than the run")
			break
		}
		d.errs[i] = deviation{int(least), int(least) + spread}
	}
	if err := r.end(); err != nil {
		return err
	}
	*x = *d
	return nil
}

// reader takes data apart. After a failure it returns zeroes.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
	r.data = nil
}

func (r *reader) end() error {
	if len(r.data) > 0 {
		r.fail("%d bytes follow", len(r.data))
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.fail("it is cut off")
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) uint64() uint64 {
	if len(r.data) < 8 {
		r.fail("it is cut off")
		return 0
	}
	v := binary.LittleEndian.Uint64(r.data)
	r.data = r.data[8:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 || n > 1 && r.data[n-1] == 0 {
		r.fail("a number is cut off, too large or longer than it need be")
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// length returns a number of keys: one that leaves room for sums of a few.
func (r *reader) length() int {
	v := r.uvarint()
	if v > math.MaxInt>>3 {
		r.fail("a length of %d", v)
		return 0
	}
	return int(v)
}
