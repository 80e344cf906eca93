package native

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// What nodes say to each other are frames: a length, a checksum, a message (docs/format/wire.md). A message is encoded with the fields that are
// not zero, of which a bitmap tells; payloads come last, so that large ones can be written from where they are.

// Kinds of messages beyond those of core. They go between nodes, or between a node and a connection's other end.
const (
	kindHello core.Kind = 200 + iota
	// kindPing asks for kindPong, which repeats its Ref. From an endpoint to a node it asks for the node's Disk and, in Ref, whether it lives;
	// without From and To it is the connection's own.
	kindPing
	kindPong
	// kindBegin asks a node to start the sequencer of a new loglet: Entries[0] is a Config. Answered by kindBegun, which has the incarnation, or in
	// Entries[0] the reason why not.
	kindBegin
	kindBegun
	// kindNobody answers a message to a sequencer that this process does not have, and so will never have.
	kindNobody
	// kindLeave says that the sender will read no more answers.
	kindLeave
)

// The fields, by bit.
const (
	hasFrom = 1 << iota
	hasTo
	hasLoglet
	hasDisk
	hasIncarnation
	hasRef
	hasKnown
	hasFirst
	hasNext
	hasTail
	hasTrimmed
	hasAcked
	hasOldest
	hasMaxBytes
	hasEntries
	hasBit   // a flag, no field
	hasAgain // a flag, no field
	hasAll   = 1<<iota - 1
)

const (
	frameHeader = 8
	// maxFrame has room for the largest append, even one of many payloads.
	maxFrame = vlog.MaxEntryBytes + 32<<20
	// byReference is the size from which a payload is not copied into the writer's buffer. Below, a copy is cheaper than another element of a writev.
	byReference = 8 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frames is a queue of encoded messages.
type frames struct {
	parts [][]byte // finished, in order
	buf   []byte   // the part that grows; only what is beyond used
	used  int
	bytes int // of all
}

// add encodes m.
func (f *frames) add(m *core.Message) {
	begin := len(f.buf)
	b := append(f.buf, 0, 0, 0, 0, 0, 0, 0, 0, byte(m.Kind), byte(m.Status), 0, 0, 0)
	var has uint32
	fixed := func(v uint64, bit uint32) {
		if v != 0 {
			has |= bit
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	number := func(v uint64, bit uint32) {
		if v != 0 {
			has |= bit
			b = binary.AppendUvarint(b, v)
		}
	}
	fixed(uint64(m.From), hasFrom)
	fixed(uint64(m.To), hasTo)
	fixed(m.Loglet, hasLoglet)
	fixed(m.Disk, hasDisk)
	fixed(m.Incarnation, hasIncarnation)
	number(m.Ref, hasRef)
	number(uint64(m.Known), hasKnown)
	number(uint64(m.First), hasFirst)
	number(uint64(m.Next), hasNext)
	number(uint64(m.Tail), hasTail)
	number(uint64(m.Trimmed), hasTrimmed)
	number(uint64(m.Acked), hasAcked)
	number(m.Oldest, hasOldest)
	number(uint64(max(0, m.MaxBytes)), hasMaxBytes)
	if m.Bit {
		has |= hasBit
	}
	if m.Again {
		has |= hasAgain
	}
	payload, large := 0, false
	if len(m.Entries) > 0 {
		has |= hasEntries
		b = binary.AppendUvarint(b, uint64(len(m.Entries)))
		for _, e := range m.Entries {
			b = binary.AppendUvarint(b, uint64(len(e)))
			payload += len(e)
			large = large || len(e) >= byReference
		}
	}
	head := b[begin:]
	head[frameHeader+2], head[frameHeader+3], head[frameHeader+4] = byte(has), byte(has>>8), byte(has>>16)
	binary.LittleEndian.PutUint32(head, uint32(len(head)-frameHeader+payload))
	f.bytes += len(head) + payload
	if !large {
		for _, e := range m.Entries {
			b = append(b, e...)
		}
		binary.LittleEndian.PutUint32(b[begin+4:], crc32.Checksum(b[begin+frameHeader:], castagnoli))
		f.buf = b
		return
	}
	sum := crc32.Checksum(head[frameHeader:], castagnoli)
	for _, e := range m.Entries {
		sum = crc32.Update(sum, castagnoli, e)
	}
	binary.LittleEndian.PutUint32(head[4:], sum)
	f.buf = b
	for _, e := range m.Entries {
		if len(e) < byReference {
			f.buf = append(f.buf, e...)
			continue
		}
		f.cut()
		f.parts = append(f.parts, e)
	}
}

// cut finishes the part that grows.
func (f *frames) cut() {
	if len(f.buf) > f.used {
		f.parts = append(f.parts, f.buf[f.used:len(f.buf):len(f.buf)])
		f.used = len(f.buf)
	}
}

// reset empties the queue, to be filled again. What it held must have been written.
func (f *frames) reset() {
	clear(f.parts)
	f.parts, f.buf, f.used, f.bytes = f.parts[:0], f.buf[:0], 0, 0
	if cap(f.buf) > 1<<20 {
		f.buf = nil
	}
}

// frameBytes is about what m takes.
func frameBytes(m *core.Message) int {
	n := 64 + 2*len(m.Entries)
	for _, e := range m.Entries {
		n += len(e)
	}
	return n
}

var errFrame = errors.New("vlog/native: a frame is damaged, or is none")

// decodeMessage reads the body of a frame. Payloads are parts of b. Exactly what frames.add writes is accepted.
func decodeMessage(b []byte) (m core.Message, err error) {
	d := decoder{b: b}
	head := d.take(5)
	if d.bad {
		return m, errFrame
	}
	m.Kind, m.Status = core.Kind(head[0]), core.Status(head[1])
	has := uint32(head[2]) | uint32(head[3])<<8 | uint32(head[4])<<16
	if has&^hasAll != 0 {
		return m, errFrame
	}
	zero := false
	fixed := func(bit uint32) (v uint64) {
		if has&bit != 0 {
			v = d.fixed()
			zero = zero || v == 0
		}
		return v
	}
	number := func(bit uint32) (v uint64) {
		if has&bit != 0 {
			v = d.uvarint()
			zero = zero || v == 0
		}
		return v
	}
	m.From, m.To = core.Node(fixed(hasFrom)), core.Node(fixed(hasTo))
	m.Loglet, m.Disk, m.Incarnation = fixed(hasLoglet), fixed(hasDisk), fixed(hasIncarnation)
	m.Ref = number(hasRef)
	m.Known, m.First = vlog.Position(number(hasKnown)), vlog.Position(number(hasFirst))
	m.Next, m.Tail = vlog.Position(number(hasNext)), vlog.Position(number(hasTail))
	m.Trimmed, m.Acked = vlog.Position(number(hasTrimmed)), vlog.Position(number(hasAcked))
	m.Oldest = number(hasOldest)
	limit := number(hasMaxBytes)
	m.MaxBytes = int(min(limit, maxFrame))
	m.Bit, m.Again = has&hasBit != 0, has&hasAgain != 0
	if d.bad || zero || limit > maxFrame {
		return m, errFrame
	}
	if has&hasEntries != 0 {
		n := d.uvarint()
		if d.bad || n == 0 || n > uint64(len(d.b)) { // each has a length of a byte at least
			return m, errFrame
		}
		sizes := d.b
		for range n {
			d.uvarint()
		}
		if d.bad {
			return m, errFrame
		}
		lengths := decoder{b: sizes[:len(sizes)-len(d.b)]}
		m.Entries = make([][]byte, n)
		for i := range m.Entries {
			if m.Entries[i] = d.take(lengths.uvarint()); d.bad {
				return m, errFrame
			}
		}
	}
	if len(d.b) > 0 {
		return m, errFrame
	}
	return m, nil
}

// frameReader takes frames from a stream. Payloads are not copied: they stay in the buffer that was read into, which is given up when it is full.
type frameReader struct {
	from io.Reader
	buf  []byte // [r, w) has been read and not decoded
	r, w int
	held bool // messages that were given away have payloads in buf
}

const (
	readBytes = 64 << 10
	readLeast = 4 << 10 // of room that is worth a read
	readGrow  = 1 << 20 // the first step for a large frame
)

// next waits for a frame, and adds it and those that have come with it to batch. An error ends the stream; messages before it are not lost.
func (f *frameReader) next(batch []core.Message) ([]core.Message, error) {
	for {
		n := len(batch)
		batch, err := f.decode(batch)
		if err != nil || len(batch) > n {
			return batch, err
		}
		f.room()
		k, err := f.from.Read(f.buf[f.w:])
		if f.w += k; err != nil && k == 0 {
			return batch, err
		}
	}
}

// decode takes the whole frames in the buffer.
func (f *frameReader) decode(batch []core.Message) ([]core.Message, error) {
	for f.w-f.r >= frameHeader {
		announced := binary.LittleEndian.Uint32(f.buf[f.r:])
		if announced > maxFrame {
			return batch, fmt.Errorf("%w: it would have %d bytes", errFrame, announced)
		}
		size := int(announced)
		if f.w-f.r < frameHeader+size {
			break
		}
		body := f.buf[f.r+frameHeader : f.r+frameHeader+size]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(f.buf[f.r+4:]) {
			return batch, fmt.Errorf("%w: wrong checksum", errFrame)
		}
		m, err := decodeMessage(body)
		if err != nil {
			return batch, err
		}
		f.held = f.held || len(m.Entries) > 0
		f.r += frameHeader + size
		batch = append(batch, m)
	}
	return batch, nil
}

// room makes room for more. A frame that is larger than the buffer gets a larger one, but no faster than its bytes come in: who only says
// that he will send much does not make us take the memory for it.
func (f *frameReader) room() {
	have := f.w - f.r
	if !f.held && f.r > 0 {
		copy(f.buf, f.buf[f.r:f.w])
		f.r, f.w = 0, have
	}
	need := frameHeader
	if have >= frameHeader {
		need += int(binary.LittleEndian.Uint32(f.buf[f.r:]))
	}
	fits := need <= len(f.buf)-f.r
	switch {
	case fits && (have >= frameHeader || len(f.buf)-f.w >= readLeast):
		return
	case !fits && f.r == 0 && f.w < len(f.buf):
		return // fill it, and then grow
	}
	size := readBytes
	if need > size {
		size = min(need, max(readGrow, 4*have))
	}
	fresh := make([]byte, size)
	copy(fresh, f.buf[f.r:f.w])
	f.buf, f.r, f.w, f.held = fresh, 0, have, false
}
