package striped

import (
	"encoding/binary"
	"errors"

	"rebase/vlog"
)

// slot numbers the entries of the stripes, in the order of the log.
type slot uint64

// indexBits is for the payloads of one entry.
const indexBits = 20

const maxPayloads = 1 << indexBits

// position is that of a slot's first payload.
func (s slot) position() vlog.Position { return vlog.Position(s)<<indexBits + 1 }

// slotOf returns the slot that a position belongs to, and which payload of it.
func slotOf(p vlog.Position) (slot, int) {
	return slot((p - 1) >> indexBits), int((p - 1) & (maxPayloads - 1))
}

// slotFrom returns the first slot whose position is p or greater.
func slotFrom(p vlog.Position) slot {
	if p <= 1 {
		return 0
	}
	return slot((p - 1 + maxPayloads - 1) >> indexBits)
}

// at returns the slot of position p of stripe k.
func (l *Loglet) at(k int, p vlog.Position) slot { return slot(p-1)*slot(len(l.stripes)) + slot(k) }

// below returns the position in stripe k that all its slots below s are below.
func (l *Loglet) below(k int, s slot) vlog.Position {
	n := slot(len(l.stripes))
	if s <= slot(k) {
		return 1
	}
	return vlog.Position((s-slot(k)+n-1)/n) + 1
}

var errEntry = errors.New("vlog/striped: an entry of a stripe is malformed")

// encode makes one entry of the payloads of an Append. Without any it fills a slot with nothing.
func encode(payloads [][]byte) []byte {
	size := binary.MaxVarintLen64
	for _, p := range payloads {
		size += binary.MaxVarintLen32 + len(p)
	}
	b := binary.AppendUvarint(make([]byte, 0, size), uint64(len(payloads)))
	for _, p := range payloads {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// decode aliases b.
func decode(b []byte) ([][]byte, error) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > maxPayloads || n > uint64(len(b)) {
		return nil, errEntry
	}
	b = b[k:]
	out := make([][]byte, n)
	for i := range out {
		size, k := binary.Uvarint(b)
		if k <= 0 || size > uint64(len(b)-k) {
			return nil, errEntry
		}
		end := k + int(size)
		out[i], b = b[k:end:end], b[end:]
	}
	if len(b) != 0 {
		return nil, errEntry
	}
	return out, nil
}
