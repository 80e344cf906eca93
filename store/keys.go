package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"

	"rebase/tree"
)

// The first byte of a key says what it is of.
const (
	spaceApplied = 'a' // the position of the last batch
	spaceData    = 'd' // leaves, and the priorities of objects
	spaceIndex   = 'i' // index entries
	spaceMeta    = 'm' // records of the layer above
	spaceDefs    = 'x' // index definitions, one record per namespace
)

// The first byte of an encoded component. Zero never opens one: it is what an
// object's own priority is kept at, so that it sorts before the children.
const (
	compPriority byte = 0x00
	compInteger  byte = 0x01
	compString   byte = 0x02
	compEnd      byte = 0x03 // above every child: the end of a subtree's range
)

// In UTF-16 order, which the child order is, the characters beyond the basic
// plane (surrogates 0xD800-0xDFFF) sort before U+E000-U+FFFF; in UTF-8 they
// sort after. Moving the two lead bytes that open U+E000-U+FFFF (0xEE, and
// 0xEF) above 0xF4 repairs it. No other byte of UTF-8 has these values.
const (
	leadEE, leadEF         = 0xEE, 0xEF
	movedLeadEE, movedLead = 0xF5, 0xF6
)

var errCorruptKey = errors.New("store: malformed key")

// integerKey reports whether a key counts as an integer in the child order
// (the JS SDK's INTEGER_REGEXP, "-?(0*)\d{1,10}", and 32 bits), and its value.
func integerKey(key string) (int32, bool) {
	digits := key
	neg := false
	if len(digits) > 0 && digits[0] == '-' {
		neg, digits = true, digits[1:]
	}
	if len(digits) == 0 || digits[0] < '0' || digits[0] > '9' {
		return 0, false
	}
	v, significant := int64(0), 0
	for i := 0; i < len(digits); i++ {
		d := digits[i]
		if d < '0' || d > '9' {
			return 0, false
		}
		if significant > 0 || d != '0' {
			if significant++; significant > 10 {
				return 0, false
			}
		}
		v = v*10 + int64(d-'0')
	}
	if neg {
		v = -v
	}
	if v < -1<<31 || v > 1<<31-1 {
		return 0, false
	}
	return int32(v), true
}

func canonicalInteger(key string) bool {
	if key[0] == '-' {
		return key[1] != '0'
	}
	return key[0] != '0' || len(key) == 1
}

// appendComponent appends one key of a path. Encodings sort as
// tree.CompareKeys does, and none is a prefix of another.
func appendComponent(dst []byte, key string) []byte {
	v, ok := integerKey(key)
	if !ok {
		dst = append(dst, compString)
		dst = appendMoved(dst, key)
		return append(dst, 0)
	}
	dst = append(dst, compInteger)
	dst = binary.BigEndian.AppendUint32(dst, uint32(v)^1<<31)
	if canonicalInteger(key) {
		return append(dst, 0)
	}
	// "00" and "-0" are zero too: shorter first, then '-' before '0'.
	dst = append(dst, 1)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(key)))
	if key[0] == '-' {
		return append(dst, 0)
	}
	return append(dst, 1)
}

func appendMoved(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= leadEE && c <= leadEF {
			c += movedLeadEE - leadEE
		}
		dst = append(dst, c)
	}
	return dst
}

func unmoved(b []byte) string {
	moved := false
	for _, c := range b {
		if c >= movedLeadEE {
			moved = true
			break
		}
	}
	if !moved {
		return string(b)
	}
	out := make([]byte, len(b))
	for i, c := range b {
		if c == movedLeadEE || c == movedLead {
			c -= movedLeadEE - leadEE
		}
		out[i] = c
	}
	return string(out)
}

// componentLen returns the length of the component that b begins with, or 0 if
// b does not begin with a whole one.
func componentLen(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case compInteger:
		n := 6
		if len(b) >= n && b[5] != 0 {
			n = 9
		}
		if len(b) < n {
			return 0
		}
		return n
	case compString:
		return bytes.IndexByte(b, 0) + 1
	}
	return 0
}

// decodeComponent decodes the component that b begins with. It accepts only
// what appendComponent writes.
func decodeComponent(b []byte) (key string, rest []byte, err error) {
	n := componentLen(b)
	if n == 0 {
		return "", nil, errCorruptKey
	}
	rest = b[n:]
	if b[0] == compString {
		key = unmoved(b[1 : n-1])
		if _, isInt := integerKey(key); isInt {
			return "", nil, errCorruptKey
		}
		for _, c := range b[1 : n-1] {
			if c == leadEE || c == leadEF || c > movedLead {
				return "", nil, errCorruptKey
			}
		}
		return key, rest, nil
	}
	v := int64(int32(binary.BigEndian.Uint32(b[1:5]) ^ 1<<31))
	if n == 6 {
		return strconv.FormatInt(v, 10), rest, nil
	}
	if b[5] != 1 || b[8] > 1 {
		return "", nil, errCorruptKey
	}
	size := int(binary.BigEndian.Uint16(b[6:8]))
	neg := b[8] == 0
	abs := v
	if abs < 0 {
		abs = -abs
	}
	digits := strconv.FormatInt(abs, 10)
	width := size
	if neg {
		width--
	}
	// A longer spelling than the canonical one, and of the value's own sign.
	if v != 0 && neg != (v < 0) || width < len(digits) ||
		width == len(digits) && !(v == 0 && neg) {
		return "", nil, errCorruptKey
	}
	text := make([]byte, 0, size)
	if neg {
		text = append(text, '-')
	}
	for i := len(digits); i < width; i++ {
		text = append(text, '0')
	}
	return string(append(text, digits...)), rest, nil
}

// appendRoot appends the key of a namespace's root in a space.
func appendRoot(dst []byte, space byte, ns string) []byte {
	dst = append(dst, space)
	dst = append(dst, ns...)
	return append(dst, 0)
}

func appendPath(dst []byte, p tree.Path) []byte {
	for !p.IsRoot() {
		var first string
		first, p = p.Front()
		dst = appendComponent(dst, first)
	}
	return dst
}

func dataKey(dst []byte, ns string, p tree.Path) []byte {
	return appendPath(appendRoot(dst, spaceData, ns), p)
}

// keyRange returns the bounds of the subtree at key: the leaf there, or the
// priority and all leaves below.
func keyRange(key []byte) (lower, upper []byte) {
	both := make([]byte, 0, 2*len(key)+1)
	both = append(both, key...)
	both = append(both, key...)
	both = append(both, compEnd)
	return both[:len(key):len(key)], both[len(key):]
}

// checkNamespace rejects names that would break the key layout. Which names
// are allowed beyond that is the caller's business.
func checkNamespace(ns string) error {
	for i := 0; i < len(ns); i++ {
		if ns[i] < 0x20 {
			return errors.New("store: namespace contains a control character")
		}
	}
	if ns == "" || len(ns) > 255 {
		return errors.New("store: namespace must have 1 to 255 bytes")
	}
	return nil
}
