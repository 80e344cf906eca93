package zookeeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"rebase/vlog"
)

// The nodes of a loglet, below <prefix>/<segment>-<random>:
//
//	seal               its version is checked by every append; its data says whether the loglet is sealed
//	tail               the end of the log and the names of the latest batches; its version counts the batches
//	trim               the first position that has not been trimmed
//	entries/<chunk>/<first>-<writer>-<number>     a batch: one or more Appends of one writer, at consecutive positions from first on
//	parts/<writer>-<number>/<i>                   pieces of an Append that is too large for one transaction, which the batch refers to
//	large/<first>      names the pieces' folder of the batch that begins at first, so that trimming finds it
//
// A chunk holds the batches whose first position lies in one range of 4096, so that a listing stays small.
const (
	sealNode    = "/seal"
	tailNode    = "/tail"
	trimNode    = "/trim"
	entriesNode = "/entries"
	partsNode   = "/parts"
	largeNode   = "/large"
)

const chunkBits = 12

func chunkOf(p vlog.Position) uint64 { return uint64(p) >> chunkBits }

// What a seal node says.
const (
	openState   = "open"
	sealedState = "sealed"
)

// batchName names a batch: no two attempts to write one have the same name, unless they are the same in everything.
type batchName struct {
	first  vlog.Position
	writer uint64
	number uint64 // the writer's
}

func (n batchName) String() string {
	return fmt.Sprintf("%016x-%016x-%x", uint64(n.first), n.writer, n.number)
}

func parseBatchName(s string) (batchName, bool) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 || len(parts[0]) != 16 || len(parts[1]) != 16 {
		return batchName{}, false
	}
	first, err1 := strconv.ParseUint(parts[0], 16, 64)
	writer, err2 := strconv.ParseUint(parts[1], 16, 64)
	number, err3 := strconv.ParseUint(parts[2], 16, 64)
	n := batchName{vlog.Position(first), writer, number}
	return n, err1 == nil && err2 == nil && err3 == nil && n.String() == s
}

func (l *Loglet) node(name string) string { return l.path + name }
func (l *Loglet) chunkPath(c uint64) string {
	return fmt.Sprintf("%s%s/%013x", l.path, entriesNode, c)
}
func (l *Loglet) batchPath(n batchName) string {
	return l.chunkPath(chunkOf(n.first)) + "/" + n.String()
}

func partsFolder(writer, number uint64) string { return fmt.Sprintf("%016x-%x", writer, number) }

func (l *Loglet) largePath(first vlog.Position) string {
	return fmt.Sprintf("%s%s/%016x", l.path, largeNode, uint64(first))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("fails its checksum")

// sealSum appends the checksum, openSum takes it off.
func sealSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func openSum(b []byte) ([]byte, bool) {
	if len(b) < 4 {
		return nil, false
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	return body, crc32.Checksum(body, castagnoli) == binary.LittleEndian.Uint32(sum)
}

const layoutVersion = 1

// recentBatches is how many names a tail holds: enough for those who follow it to find what is new without a listing.
const recentBatches = 12

// end is what a tail node holds, and its version.
type end struct {
	version int32
	next    vlog.Position
	recent  []batchName // the latest last; all that there are if fewer than recentBatches
}

// follows returns the end behind one more batch.
func (e end) follows(n batchName, count int) end {
	recent := append(e.recent[:len(e.recent):len(e.recent)], n)
	if len(recent) > recentBatches {
		recent = recent[1:]
	}
	return end{version: e.version + 1, next: e.next + vlog.Position(count), recent: recent}
}

// needsChunk tells whether a batch at e.next is the first of its chunk.
func (e end) needsChunk() bool {
	return len(e.recent) == 0 || chunkOf(e.recent[len(e.recent)-1].first) != chunkOf(e.next)
}

func (e end) encode() []byte {
	b := []byte{layoutVersion}
	b = binary.AppendUvarint(b, uint64(e.next))
	b = binary.AppendUvarint(b, uint64(len(e.recent)))
	for _, n := range e.recent {
		b = binary.AppendUvarint(b, uint64(e.next-n.first))
		b = binary.LittleEndian.AppendUint64(b, n.writer)
		b = binary.AppendUvarint(b, n.number)
	}
	return sealSum(b)
}

func decodeEnd(p []byte, version int32) (end, error) {
	p, ok := openSum(p)
	if !ok || len(p) == 0 || p[0] != layoutVersion {
		return end{}, errDamaged
	}
	d := decoder{p: p[1:]}
	e := end{version: version, next: vlog.Position(d.uvarint())}
	n := d.uvarint()
	for i := uint64(0); i < n && !d.bad; i++ {
		back := d.uvarint()
		writer := d.take(8)
		if number := d.uvarint(); !d.bad {
			e.recent = append(e.recent, batchName{e.next - vlog.Position(back), binary.LittleEndian.Uint64(writer), number})
		}
	}
	if d.bad || len(d.p) != 0 || e.next == 0 {
		return end{}, errDamaged
	}
	return e, nil
}

// Forms of a batch.
const (
	inline  = 0 // the entries follow
	divided = 1 // they are in parts
)

// encodeEntries appends the entries of a batch: their number, lengths and bytes.
func encodeEntries(b []byte, entries [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = binary.AppendUvarint(b, uint64(len(e)))
	}
	for _, e := range entries {
		b = append(b, e...)
	}
	return b
}

// sizeOfEntries bounds what encodeEntries makes.
func sizeOfEntries(entries [][]byte) int {
	n := binary.MaxVarintLen64
	for _, e := range entries {
		n += len(e) + 2
		if len(e) >= 1<<14 {
			n += 3
		}
	}
	return n
}

// decodeEntries aliases p.
func decodeEntries(p []byte) ([][]byte, error) {
	d := decoder{p: p}
	n := d.uvarint()
	if d.bad || n > uint64(len(p)) {
		return nil, errDamaged
	}
	sizes := make([]uint64, n)
	for i := range sizes {
		sizes[i] = d.uvarint()
	}
	out := make([][]byte, n)
	for i := range out {
		out[i] = d.take(sizes[i])
	}
	if d.bad || len(d.p) != 0 {
		return nil, errDamaged
	}
	return out, nil
}

// encodeInline is the data of a batch that holds its entries.
func encodeInline(entries [][]byte) []byte {
	b := make([]byte, 0, 6+sizeOfEntries(entries))
	return sealSum(encodeEntries(append(b, layoutVersion, inline), entries))
}

// reference is the data of a batch whose entries are in parts.
type reference struct {
	folder string // below partsNode
	parts  int
	size   int // of all parts together
	sum    uint32
}

func (r reference) encode() []byte {
	b := binary.AppendUvarint([]byte{layoutVersion, divided}, uint64(len(r.folder)))
	b = append(b, r.folder...)
	b = binary.AppendUvarint(b, uint64(r.parts))
	b = binary.AppendUvarint(b, uint64(r.size))
	b = binary.LittleEndian.AppendUint32(b, r.sum)
	return sealSum(b)
}

// decodeBatch returns the entries, or the reference to them.
func decodeBatch(p []byte) ([][]byte, *reference, error) {
	p, ok := openSum(p)
	if !ok || len(p) < 2 || p[0] != layoutVersion {
		return nil, nil, errDamaged
	}
	switch p[1] {
	case inline:
		es, err := decodeEntries(p[2:])
		return es, nil, err
	case divided:
		d := decoder{p: p[2:]}
		r := &reference{folder: string(d.take(d.uvarint())), parts: int(d.uvarint()), size: int(d.uvarint())}
		sum := d.take(4)
		if d.bad || len(d.p) != 0 || r.size < 0 || r.size > maxAppendBytes+(1<<20) || r.parts < 0 || r.parts > r.size {
			return nil, nil, errDamaged
		}
		r.sum = binary.LittleEndian.Uint32(sum)
		return nil, r, nil
	}
	return nil, nil, errDamaged
}

func encodeTrim(p vlog.Position) []byte {
	return sealSum(binary.AppendUvarint([]byte{layoutVersion}, uint64(p)))
}

func decodeTrim(p []byte) (vlog.Position, error) {
	p, ok := openSum(p)
	if !ok || len(p) == 0 || p[0] != layoutVersion {
		return 0, errDamaged
	}
	d := decoder{p: p[1:]}
	v := d.uvarint()
	if d.bad || len(d.p) != 0 || v == 0 {
		return 0, errDamaged
	}
	return vlog.Position(v), nil
}

// decoder takes varints and bytes; after the first that is not there, bad is set.
type decoder struct {
	p   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.p)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.p)) {
		d.bad = true
		return nil
	}
	v := d.p[:n:n]
	d.p = d.p[n:]
	return v
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
