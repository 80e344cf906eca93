package etcd

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"rebase/vlog"
)

// A batch is what one transaction appends: a value under the key of its first position. The value is a frame: CRC-32C of the
// rest, little endian, then a body. A body is a byte that says what it is, the number of payloads, and
//
//	inline:     the length of each payload, the payloads
//	reference:  bytes of the length table, bytes of table and payloads together, bytes of a piece, id
//
// with numbers as uvarints. What a reference refers to, cut into pieces of which each is a frame, is the table of lengths and
// the payloads.

const (
	inline    = 0
	reference = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFrame = errors.New("its checksum or its form is wrong")

// seal writes the checksum into a frame whose first four bytes were left for it.
func sealFrame(frame []byte) {
	binary.LittleEndian.PutUint32(frame, crc32.Checksum(frame[4:], castagnoli))
}

func openFrame(frame []byte) (body []byte, err error) {
	if len(frame) < 4 || crc32.Checksum(frame[4:], castagnoli) != binary.LittleEndian.Uint32(frame) {
		return nil, errFrame
	}
	return frame[4:], nil
}

// encodeInline makes the value of a batch of the payloads of several Appends.
func encodeInline(appends []*request, count, size int) []byte {
	b := make([]byte, 4, 4+1+binary.MaxVarintLen32*(count+1)+size)
	b = append(b, inline)
	b = binary.AppendUvarint(b, uint64(count))
	for _, r := range appends {
		for _, p := range r.payloads {
			b = binary.AppendUvarint(b, uint64(len(p)))
		}
	}
	for _, r := range appends {
		for _, p := range r.payloads {
			b = append(b, p...)
		}
	}
	sealFrame(b)
	return b
}

// ref is where the payloads of a large Append are.
type ref struct {
	id    string
	count int
	table int // bytes of the length table
	total int // bytes of table and payloads
	piece int // bytes of a piece
}

func (r ref) encode() []byte {
	b := append(make([]byte, 4), reference)
	for _, n := range []int{r.count, r.table, r.total, r.piece} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = append(b, r.id...)
	sealFrame(b)
	return b
}

// batch is one that was read back.
type batch struct {
	first    vlog.Position
	count    int
	payloads [][]byte // inline
	ref      *ref     // otherwise
	ends     []int    // of a reference whose table has been read: where each payload ends, counted from the first
	bytes    int      // that it holds in memory
	used     uint64   // when it was last used; of the cache
}

func (b *batch) end() vlog.Position { return b.first + vlog.Position(b.count) }

// uvarint cuts a number off the front. It is never larger than limit.
func uvarint(b []byte, limit int) (n int, rest []byte, err error) {
	v, w := binary.Uvarint(b)
	if w <= 0 || v > uint64(limit) {
		return 0, nil, errFrame
	}
	return int(v), b[w:], nil
}

// decodeBatch reads a batch's value. Its payloads share the value's memory.
func decodeBatch(first vlog.Position, value []byte) (*batch, error) {
	body, err := openFrame(value)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, errFrame
	}
	kind, rest := body[0], body[1:]
	b := &batch{first: first, bytes: len(value) + 100}
	// A payload takes at least one byte of the table, wherever that is.
	if b.count, rest, err = uvarint(rest, vlog.MaxEntryBytes*2); err != nil || b.count == 0 {
		return nil, errFrame
	}
	switch kind {
	case inline:
		if b.count > len(rest) {
			return nil, errFrame
		}
		ends, after, err := decodeTable(rest, b.count)
		if err != nil || ends[b.count-1] != len(after) {
			return nil, errFrame
		}
		b.payloads = make([][]byte, b.count)
		start := 0
		for i, end := range ends {
			b.payloads[i] = after[start:end:end]
			start = end
		}
		b.bytes += 24 * b.count
	case reference:
		r := &ref{count: b.count}
		for _, n := range []*int{&r.table, &r.total, &r.piece} {
			if *n, rest, err = uvarint(rest, min(vlog.MaxEntryBytes*8, math.MaxInt)); err != nil {
				return nil, err
			}
		}
		if r.piece == 0 || r.table < r.count || r.table > r.total {
			return nil, errFrame
		}
		r.id = string(rest)
		b.ref = r
	default:
		return nil, errFrame
	}
	return b, nil
}

// decodeTable reads count lengths and returns where each payload ends, and what follows the table.
func decodeTable(b []byte, count int) (ends []int, rest []byte, err error) {
	ends = make([]int, count)
	sum := 0
	for i := range ends {
		var n int
		if n, b, err = uvarint(b, vlog.MaxEntryBytes); err != nil {
			return nil, nil, err
		}
		sum += n
		ends[i] = sum
	}
	return ends, b, nil
}

// request is one Append that waits for its turn: payloads, or the reference to those that were too large.
type request struct {
	payloads [][]byte
	ref      *ref
	count    int
	size     int
	done     chan struct{} // closed when first and err are there
	first    vlog.Position
	err      error
}
