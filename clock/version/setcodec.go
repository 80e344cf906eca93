package version

import (
	"encoding/binary"
	"slices"
	"strconv"

	"rebase/clock"
	"rebase/clock/internal/counts"
)

const setWhat = "dotted version vector set"

// AppendSet writes the binary form of a set of texts: "S"; the number of reconciled
// values, and each; the number of runs; and of each run its replica, as the
// distance from the one before, the writes seen, the number of values, and each.
// Numbers are unsigned varints. A value is its length and its bytes.
func AppendSet[T ~string](dst []byte, s Set[T]) []byte {
	value := func(v T) {
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = append(dst, v...)
	}
	dst = append(dst, 'S')
	dst = binary.AppendUvarint(dst, uint64(len(s.reconciled)))
	for _, v := range s.reconciled {
		value(v)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.runs)))
	next := uint64(0)
	for _, r := range s.runs {
		dst = binary.AppendUvarint(dst, uint64(r.replica)-next)
		dst = binary.AppendUvarint(dst, r.n)
		dst = binary.AppendUvarint(dst, uint64(len(r.values)))
		for _, v := range r.values {
			value(v)
		}
		next = uint64(r.replica) + 1
	}
	return dst
}

// DecodeSet reads what AppendSet writes. The set does not alias data. Errors are
// *clock.FormatError.
func DecodeSet[T ~string](data []byte) (Set[T], error) {
	r := counts.Read(setWhat, data)
	count := func() int { // of things of one byte or more: believe no number that cannot be
		n := r.Uvarint()
		if n > uint64(r.Left()) {
			r.Fail("more of them than bytes")
			return 0
		}
		return int(n)
	}
	values := func() []T {
		var list []T
		for range count() {
			if r.Failed() {
				break
			}
			list = append(list, T(r.Bytes(r.Uvarint())))
		}
		return list
	}
	r.Expect("S")
	s := Set[T]{reconciled: values()}
	next := uint64(0)
	for i := range count() {
		gap := r.Uvarint()
		p := next + gap
		if p < next || i > 0 && next == 0 {
			r.Fail("replica number too large")
		}
		n := r.Limited(r.Uvarint())
		s.runs = append(s.runs, run[T]{clock.Proc(p), n, values()})
		if r.Failed() {
			break
		}
		next = p + 1
	}
	s.check(r)
	if err := r.End(); err != nil {
		return Set[T]{}, err
	}
	return s, nil
}

// check refuses what no set is.
func (s Set[T]) check(r *counts.Reader) {
	for i, v := range s.reconciled {
		if i > 0 && s.reconciled[i-1] >= v {
			r.Fail("reconciled values out of order")
		}
	}
	for i, x := range s.runs {
		switch {
		case i > 0 && s.runs[i-1].replica >= x.replica:
			r.Fail("replicas out of order")
		case x.n == 0:
			r.Fail("a count of 0 is not written")
		case uint64(len(x.values)) > x.n:
			r.Fail("more values than writes")
		}
	}
}

// SetText is the text form of a set of texts: reconciled values, then for each
// replica the writes seen and the values, newest first, as in
// set("r")[1:3("new" "old"),2:1()]. Values are quoted as in Go.
func SetText[T ~string](s Set[T]) string {
	values := func(dst []byte, list []T) []byte {
		dst = append(dst, '(')
		for i, v := range list {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = strconv.AppendQuote(dst, string(v))
		}
		return append(dst, ')')
	}
	dst := append(values([]byte("set"), s.reconciled), '[')
	for i, r := range s.runs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(r.replica), 10)
		dst = append(dst, ':')
		dst = strconv.AppendUint(dst, r.n, 10)
		dst = values(dst, r.values)
	}
	return string(append(dst, ']'))
}

// ParseSet reads what SetText writes. Errors are *clock.FormatError.
func ParseSet[T ~string](text string) (Set[T], error) {
	r := counts.Read(setWhat, text)
	values := func() []T {
		var list []T
		r.Expect("(")
		for !r.Failed() && r.Peek() != ')' {
			if len(list) > 0 {
				r.Expect(" ")
			}
			rest := text[len(text)-r.Left():]
			quoted, err := strconv.QuotedPrefix(rest)
			v, err2 := strconv.Unquote(quoted)
			if err != nil || err2 != nil || strconv.Quote(v) != quoted {
				r.Fail("expected a quoted text")
				break
			}
			r.Expect(quoted)
			list = append(list, T(v))
		}
		r.Expect(")")
		return list
	}
	r.Expect("set")
	s := Set[T]{reconciled: values()}
	r.Expect("[")
	for !r.Failed() && r.Peek() != ']' {
		if len(s.runs) > 0 {
			r.Expect(",")
		}
		p := clock.Proc(r.Decimal())
		r.Expect(":")
		n := r.Limited(r.Decimal())
		s.runs = append(s.runs, run[T]{p, n, values()})
	}
	r.Expect("]")
	s.check(r)
	if err := r.End(); err != nil {
		return Set[T]{}, err
	}
	return s, nil
}

// EqualSets tells whether two sets are the same in all: values and what was seen.
func EqualSets[T ~string](a, b Set[T]) bool {
	return slices.Equal(a.reconciled, b.reconciled) && slices.EqualFunc(a.runs, b.runs, func(x, y run[T]) bool {
		return x.replica == y.replica && x.n == y.n && slices.Equal(x.values, y.values)
	})
}
