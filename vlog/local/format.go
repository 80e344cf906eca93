package local

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"rebase/vlog"
)

// The layout of a segment file; docs/format/log.md is the reference. Integers are little-endian.
const (
	segmentHeaderSize = 64
	blockHeaderSize   = 72
	recordHeaderSize  = 4

	flagSealed = 1 << 0 // the log is sealed as of this block
	flagFirst  = 1 << 1 // the first block of its segment
	flagClosed = 1 << 2 // written by Close and prove: says nothing but that everything before it is synced
	knownFlags = flagSealed | flagFirst | flagClosed
)

var (
	segmentMagic = []byte("RBLOGSG1")
	blockMagic   = []byte("RBk1")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// segmentHeader opens every segment file.
type segmentHeader struct {
	id   uint64
	salt uint64 // random for every use of a file, so that what an earlier use left in it never passes for this one's
}

func (h *segmentHeader) append(dst []byte) []byte {
	begin := len(dst)
	dst = append(dst, segmentMagic...)
	dst = append(dst, make([]byte, segmentHeaderSize-len(segmentMagic))...)
	b := dst[begin:]
	binary.LittleEndian.PutUint64(b[16:], h.id)
	binary.LittleEndian.PutUint64(b[24:], h.salt)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return dst
}

func decodeSegmentHeader(b []byte) (h segmentHeader, ok bool) {
	if len(b) < segmentHeaderSize || !bytes.Equal(b[:8], segmentMagic) {
		return h, false
	}
	b = b[:segmentHeaderSize]
	h = segmentHeader{id: binary.LittleEndian.Uint64(b[16:]), salt: binary.LittleEndian.Uint64(b[24:])}
	return h, bytes.Equal(h.append(nil), b)
}

// blockHeader opens every block: the unit that is written, synced and checksummed as one.
type blockHeader struct {
	crc     uint32
	salt    uint64
	segment uint64
	seq     uint64        // counts blocks over all segments
	first   vlog.Position // of the first record, or the tail if there is none
	count   uint32        // records
	flags   uint32
	length  uint64 // bytes behind the header
	// synced is the offset up to which the segment was known to be on the disk when this block was written; in the first
	// block of a segment it is the end of the previous one, which was then on the disk completely.
	synced uint64
	trim   vlog.Position // entries below are trimmed as of this block
}

// put writes the header into b[:blockHeaderSize] with the checksum of the whole block b.
func (h *blockHeader) put(b []byte) {
	le := binary.LittleEndian
	copy(b, blockMagic)
	le.PutUint64(b[8:], h.salt)
	le.PutUint64(b[16:], h.segment)
	le.PutUint64(b[24:], h.seq)
	le.PutUint64(b[32:], uint64(h.first))
	le.PutUint32(b[40:], h.count)
	le.PutUint32(b[44:], h.flags)
	le.PutUint64(b[48:], h.length)
	le.PutUint64(b[56:], h.synced)
	le.PutUint64(b[64:], uint64(h.trim))
	le.PutUint32(b[4:], blockChecksum(h.salt, b))
}

// blockChecksum is the CRC-32C of the salt followed by everything behind the checksum itself.
func blockChecksum(salt uint64, block []byte) uint32 {
	var s [8]byte
	binary.LittleEndian.PutUint64(s[:], salt)
	return crc32.Update(crc32.Checksum(s[:], castagnoli), castagnoli, block[8:])
}

// decodeBlockHeader reads a header without verifying the checksum, which covers the whole block.
func decodeBlockHeader(b []byte) (h blockHeader, ok bool) {
	if len(b) < blockHeaderSize || !bytes.Equal(b[:4], blockMagic) {
		return h, false
	}
	le := binary.LittleEndian
	return blockHeader{
		crc:     le.Uint32(b[4:]),
		salt:    le.Uint64(b[8:]),
		segment: le.Uint64(b[16:]),
		seq:     le.Uint64(b[24:]),
		first:   vlog.Position(le.Uint64(b[32:])),
		count:   le.Uint32(b[40:]),
		flags:   le.Uint32(b[44:]),
		length:  le.Uint64(b[48:]),
		synced:  le.Uint64(b[56:]),
		trim:    vlog.Position(le.Uint64(b[64:])),
	}, true
}

// next is the position behind the block's records.
func (h *blockHeader) next() vlog.Position { return h.first + vlog.Position(h.count) }

// verify checks a complete block against its header: checksum, flags, and that the records fill the block exactly.
func (h *blockHeader) verify(block []byte) bool {
	if blockChecksum(h.salt, block) != h.crc || h.flags&^knownFlags != 0 || h.first == 0 {
		return false
	}
	body := block[blockHeaderSize:]
	for range h.count {
		_, rest, ok := takeRecord(body)
		if !ok {
			return false
		}
		body = rest
	}
	return len(body) == 0
}

func appendRecord(dst, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}

func takeRecord(body []byte) (payload, rest []byte, ok bool) {
	if len(body) < recordHeaderSize {
		return nil, nil, false
	}
	n := uint64(binary.LittleEndian.Uint32(body))
	body = body[recordHeaderSize:]
	if n > uint64(len(body)) {
		return nil, nil, false
	}
	return body[:n:n], body[n:], true
}
