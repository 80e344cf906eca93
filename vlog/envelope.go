package vlog

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// Header is the envelope that stands before the body of every entry written by a database: who wrote it, the writer's
// number for it, and whatever later layers need to add. Session and Seq let the one that applies the log recognise an
// entry it has already applied and notice one that is missing; they are in the format from the first day because the log
// alone cannot exclude duplicates.
type Header struct {
	Session [16]byte
	Seq     uint64
	// Extra holds further headers by number. It is a map and not a stack because layers come and go
	// (Log-structured Protocols in Delos, SOSP 2021, found a positional stack brittle). A reader ignores numbers it does
	// not know.
	Extra map[uint64][]byte
}

const envelopeVersion = 1

// maxExtra bounds the further headers of one entry, so that a damaged count cannot make the decoder allocate.
const maxExtra = 1 << 10

// ErrBadEnvelope is returned for bytes that are no envelope of a version known here.
var ErrBadEnvelope = errors.New("vlog: not an envelope")

// AppendHeader appends the envelope of h to dst. The body follows directly behind it, so a caller can encode the body
// into the same buffer. Equal headers have equal bytes.
func AppendHeader(dst []byte, h *Header) []byte {
	dst = append(dst, envelopeVersion)
	dst = append(dst, h.Session[:]...)
	dst = binary.AppendUvarint(dst, h.Seq)
	dst = binary.AppendUvarint(dst, uint64(len(h.Extra)))
	if len(h.Extra) == 0 {
		return dst
	}
	for _, k := range slices.Sorted(maps.Keys(h.Extra)) {
		dst = binary.AppendUvarint(dst, k)
		dst = binary.AppendUvarint(dst, uint64(len(h.Extra[k])))
		dst = append(dst, h.Extra[k]...)
	}
	return dst
}

// AppendEnvelope appends the envelope of h and the body to dst.
func AppendEnvelope(dst []byte, h *Header, body []byte) []byte {
	return append(AppendHeader(dst, h), body...)
}

// DecodeEnvelope splits an entry into header and body. Body and the values of Extra alias p. It allocates only if there
// are further headers. It accepts exactly what AppendEnvelope writes: every other form of the same content is an error.
func DecodeEnvelope(p []byte) (h Header, body []byte, err error) {
	if len(p) < 1+16 || p[0] != envelopeVersion {
		return Header{}, nil, ErrBadEnvelope
	}
	copy(h.Session[:], p[1:17])
	p = p[17:]
	var ok bool
	if h.Seq, p, ok = takeUvarint(p); !ok {
		return Header{}, nil, ErrBadEnvelope
	}
	n, p, ok := takeUvarint(p)
	if !ok || n > maxExtra {
		return Header{}, nil, ErrBadEnvelope
	}
	if n == 0 {
		return h, p, nil
	}
	h.Extra = make(map[uint64][]byte, n)
	var last uint64
	for i := range n {
		var k, size uint64
		if k, p, ok = takeUvarint(p); !ok || (i > 0 && k <= last) {
			return Header{}, nil, ErrBadEnvelope
		}
		if size, p, ok = takeUvarint(p); !ok || size > uint64(len(p)) {
			return Header{}, nil, ErrBadEnvelope
		}
		h.Extra[k], p = p[:size:size], p[size:]
		last = k
	}
	return h, p, nil
}

// takeUvarint reads one number in its shortest form.
func takeUvarint(p []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(p)
	if n <= 0 || (n > 1 && p[n-1] == 0) {
		return 0, nil, false
	}
	return v, p[n:], true
}
