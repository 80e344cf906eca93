package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"

	"rebase/vlog"
)

// The layout of objects; docs/format/backup.md is the reference. Integers are little-endian.
const (
	objectHeaderSize = 32
	blockHeaderSize  = 24
	indexHeaderSize  = 16
	indexEntrySize   = 16
	trailerSize      = 16

	manifestHeaderSize = 12
	maxObjects         = 1 << 24
)

var (
	objectMagic   = []byte("RBARCOB1")
	blockMagic    = []byte("RBb1")
	indexMagic    = []byte("RBi1")
	trailerMagic  = []byte("RBAREND1")
	manifestMagic = []byte("RBARCMF1")
	castagnoli    = crc32.MakeTable(crc32.Castagnoli)

	errMalformed = errors.New("it is malformed")
)

// blockRef is one entry of an object's index.
type blockRef struct {
	first  vlog.Position // of the first record
	offset uint64        // in the object
}

// builder gathers entries into one object.
type builder struct {
	buf        []byte
	refs       []blockRef
	blockBytes int
	last       vlog.Position // of the last record
	count      uint64
	records    uint32 // in the open block
}

func newBuilder(blockBytes int) *builder {
	return &builder{buf: make([]byte, objectHeaderSize), blockBytes: blockBytes}
}

// add appends an entry; positions rise.
func (b *builder) add(e vlog.Entry) {
	if b.records > 0 && len(b.buf)-int(b.refs[len(b.refs)-1].offset)+len(e.Payload) > b.blockBytes {
		b.endBlock()
	}
	delta := uint64(0)
	if b.records == 0 {
		b.refs = append(b.refs, blockRef{e.Pos, uint64(len(b.buf))})
		b.buf = append(b.buf, make([]byte, blockHeaderSize)...)
	} else {
		delta = uint64(e.Pos - b.last)
	}
	b.buf = binary.AppendUvarint(b.buf, delta)
	b.buf = binary.AppendUvarint(b.buf, uint64(len(e.Payload)))
	b.buf = append(b.buf, e.Payload...)
	b.last = e.Pos
	b.records++
	b.count++
}

func (b *builder) endBlock() {
	ref := b.refs[len(b.refs)-1]
	block := b.buf[ref.offset:]
	copy(block, blockMagic)
	binary.LittleEndian.PutUint32(block[8:], uint32(len(block)-blockHeaderSize))
	binary.LittleEndian.PutUint32(block[12:], b.records)
	binary.LittleEndian.PutUint64(block[16:], uint64(ref.first))
	binary.LittleEndian.PutUint32(block[4:], crc32.Checksum(block[8:], castagnoli))
	b.records = 0
}

// finish ends the object, which has at least one entry, and describes it.
func (b *builder) finish() ([]byte, object) {
	b.endBlock()
	o := object{First: b.refs[0].first, Next: b.last + 1, Count: b.count, Index: uint64(len(b.buf))}
	le := binary.LittleEndian
	h := b.buf[:objectHeaderSize]
	copy(h, objectMagic)
	le.PutUint64(h[16:], uint64(o.First))
	le.PutUint64(h[24:], uint64(o.Next))
	le.PutUint32(h[8:], crc32.Checksum(h[12:], castagnoli))

	at := len(b.buf)
	b.buf = append(b.buf, indexMagic...)
	b.buf = le.AppendUint32(b.buf, 0)
	b.buf = le.AppendUint64(b.buf, uint64(len(b.refs)))
	for _, r := range b.refs {
		b.buf = le.AppendUint64(b.buf, uint64(r.first))
		b.buf = le.AppendUint64(b.buf, r.offset)
	}
	le.PutUint32(b.buf[at+4:], crc32.Checksum(b.buf[at+8:], castagnoli))
	b.buf = le.AppendUint64(b.buf, o.Index)
	b.buf = append(b.buf, trailerMagic...)
	o.Size = uint64(len(b.buf))
	o.Sum = sha256.Sum256(b.buf)
	return b.buf, o
}

// decodeIndex reads what lies between an object's index offset and its end, and checks that it fits the object.
func decodeIndex(p []byte, o object) ([]blockRef, error) {
	le := binary.LittleEndian
	if len(p) < indexHeaderSize+trailerSize || !bytes.Equal(p[:4], indexMagic) || !bytes.Equal(p[len(p)-8:], trailerMagic) ||
		le.Uint64(p[len(p)-16:]) != o.Index {
		return nil, errMalformed
	}
	p = p[:len(p)-trailerSize]
	if crc32.Checksum(p[8:], castagnoli) != le.Uint32(p[4:]) {
		return nil, errors.New("its checksum is wrong")
	}
	n := le.Uint64(p[8:])
	p = p[indexHeaderSize:]
	if n == 0 || n != uint64(len(p))/indexEntrySize || len(p)%indexEntrySize != 0 {
		return nil, errMalformed
	}
	refs := make([]blockRef, n)
	for i := range refs {
		refs[i] = blockRef{vlog.Position(le.Uint64(p[i*indexEntrySize:])), le.Uint64(p[i*indexEntrySize+8:])}
		end := o.Index
		if i > 0 && (refs[i].first <= refs[i-1].first || refs[i].offset < refs[i-1].offset+blockHeaderSize) || refs[i].offset >= end {
			return nil, errMalformed
		}
	}
	if refs[0] != (blockRef{o.First, objectHeaderSize}) || refs[n-1].first >= o.Next {
		return nil, errMalformed
	}
	return refs, nil
}

// decodeBlock checks a block and calls f with its entries, as long as it returns true. Positions rise, and payloads are parts of p.
func decodeBlock(p []byte, f func(vlog.Entry) bool) error {
	le := binary.LittleEndian
	if len(p) < blockHeaderSize || !bytes.Equal(p[:4], blockMagic) || uint64(le.Uint32(p[8:])) != uint64(len(p)-blockHeaderSize) {
		return errMalformed
	}
	if crc32.Checksum(p[8:], castagnoli) != le.Uint32(p[4:]) {
		return errors.New("its checksum is wrong")
	}
	return records(p, f)
}

// records is decodeBlock for a block that was checked before.
func records(p []byte, f func(vlog.Entry) bool) error {
	count, pos := binary.LittleEndian.Uint32(p[12:]), binary.LittleEndian.Uint64(p[16:])
	body := p[blockHeaderSize:]
	for i := range count {
		delta, n := binary.Uvarint(body)
		if n <= 0 || delta > math.MaxUint64-pos || (delta == 0) != (i == 0) {
			return errMalformed
		}
		pos += delta
		size, m := binary.Uvarint(body[n:])
		if m <= 0 || size > uint64(len(body)-n-m) {
			return errMalformed
		}
		payload := body[n+m : n+m+int(size) : n+m+int(size)]
		body = body[n+m+int(size):]
		if !f(vlog.Entry{Pos: vlog.Position(pos), Payload: payload}) {
			return nil
		}
	}
	if len(body) != 0 {
		return errMalformed
	}
	return nil
}

// object describes one object of an archive.
type object struct {
	First vlog.Position // of the first entry
	Next  vlog.Position // of the last one, plus one
	Count uint64        // entries
	Size  uint64        // bytes
	Index uint64        // offset of the index
	Sum   [32]byte      // SHA-256 of the object
}

// name is the object's, within its segment.
func (o object) name() string {
	return fmt.Sprintf("o-%016x-%016x-%x", uint64(o.First), uint64(o.Next), o.Sum[:16])
}

// nextOf reads the end of an object from its name.
func nextOf(name string) (vlog.Position, bool) {
	part := strings.Split(name, "-")
	if len(part) != 4 || part[0] != "o" || len(part[2]) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(part[2], 16, 64)
	return vlog.Position(n), err == nil
}

const trimPrefix = "t-"

func trimName(p vlog.Position) string { return fmt.Sprintf("%s%016x", trimPrefix, uint64(p)) }

func trimOf(name string) (vlog.Position, bool) {
	digits, ok := strings.CutPrefix(name, trimPrefix)
	n, err := strconv.ParseUint(digits, 16, 64)
	return vlog.Position(n), ok && err == nil && trimName(vlog.Position(n)) == name
}

// manifest describes an archived segment. Positions but Start are the loglet's.
type manifest struct {
	Log     string
	Segment uint64        // the number of the loglet in its chain
	Start   vlog.Position // the virtual position of the loglet's position 1
	First   vlog.Position // what is below had been trimmed when the segment was archived
	Tail    vlog.Position
	Objects []object
}

func (m *manifest) encode() []byte {
	b := append(make([]byte, 0, 256+64*len(m.Objects)), manifestMagic...)
	b = append(b, 0, 0, 0, 0)
	b = binary.AppendUvarint(b, uint64(len(m.Log)))
	b = append(b, m.Log...)
	for _, v := range []uint64{m.Segment, uint64(m.Start), uint64(m.First), uint64(m.Tail), uint64(len(m.Objects))} {
		b = binary.AppendUvarint(b, v)
	}
	for _, o := range m.Objects {
		for _, v := range []uint64{uint64(o.First), uint64(o.Next), o.Count, o.Size, o.Index} {
			b = binary.AppendUvarint(b, v)
		}
		b = append(b, o.Sum[:]...)
	}
	binary.LittleEndian.PutUint32(b[len(manifestMagic):], crc32.Checksum(b[manifestHeaderSize:], castagnoli))
	return b
}

func decodeManifest(p []byte) (*manifest, error) {
	if len(p) < manifestHeaderSize || !bytes.Equal(p[:len(manifestMagic)], manifestMagic) {
		return nil, errMalformed
	}
	if crc32.Checksum(p[manifestHeaderSize:], castagnoli) != binary.LittleEndian.Uint32(p[len(manifestMagic):]) {
		return nil, errors.New("its checksum is wrong")
	}
	d := decoder{p: p[manifestHeaderSize:]}
	m := &manifest{Log: string(d.take(d.uvarint())), Segment: d.uvarint(), Start: d.position(), First: d.position(), Tail: d.position()}
	n := d.uvarint()
	if d.bad || n > maxObjects || m.Start < 1 || m.First < 1 || m.First > m.Tail {
		return nil, errMalformed
	}
	for next := m.First; n > 0 && !d.bad; n-- {
		o := object{First: d.position(), Next: d.position(), Count: d.uvarint(), Size: d.uvarint(), Index: d.uvarint()}
		copy(o.Sum[:], d.take(32))
		// The first object may begin below First, if the log was trimmed while it was archived.
		if o.First >= o.Next || o.Next <= next || o.Next > m.Tail || len(m.Objects) > 0 && o.First < next || o.Count == 0 ||
			o.Index < objectHeaderSize || o.Size > math.MaxInt64 || o.Size < indexHeaderSize+trailerSize || o.Index > o.Size-indexHeaderSize-trailerSize {
			return nil, errMalformed
		}
		next = o.Next
		m.Objects = append(m.Objects, o)
	}
	if d.bad || len(d.p) != 0 {
		return nil, errMalformed
	}
	return m, nil
}

type decoder struct {
	p   []byte
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.p)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.p = d.p[n:]
	return v
}

func (d *decoder) position() vlog.Position { return vlog.Position(d.uvarint()) }

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.p)) {
		d.bad = true
		return nil
	}
	b := d.p[:n]
	d.p = d.p[n:]
	return b
}

// Config is what the chain stores of an archived segment.
type Config struct {
	URL      string        `json:"url"`      // of the bucket; without credentials
	Log      string        `json:"log"`      // the log's name in it
	Segment  uint64        `json:"segment"`  // the number of the segment that was archived
	Start    vlog.Position `json:"start"`    // its first virtual position
	First    vlog.Position `json:"first"`    // the first position kept, the loglet's
	Tail     vlog.Position `json:"tail"`     // the loglet's
	Manifest string        `json:"manifest"` // SHA-256 of the manifest, in hexadecimal
}

// Encode is what a Segment's Config is set to.
func (c Config) Encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers
	}
	return b
}

// DecodeConfig reads what Encode wrote.
func DecodeConfig(p []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(p, &c); err != nil {
		return c, fmt.Errorf("vlog/backup: the chain describes an archive in a way that cannot be read: %w", err)
	}
	if sum, err := hex.DecodeString(c.Manifest); err != nil || len(sum) != sha256.Size || c.First < 1 || c.First > c.Tail || c.Start < 1 || checkName(c.Log) != nil {
		return c, errors.New("vlog/backup: the chain describes an archive in a way that makes no sense")
	}
	return c, nil
}

// checkName refuses names of logs that are not one part of a key.
func checkName(name string) error {
	if name == "" || len(name) > 200 || name[0] == '.' || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) {
		return fmt.Errorf("vlog/backup: %q cannot name a log: use letters, digits, '-', '_' and '.' within", name)
	}
	return nil
}

// folderOf is what the keys of a log begin with, segmentOf those of one of its segments.
func folderOf(log string) string { return "log/" + log + "/" }

func segmentOf(log string, id uint64) string { return fmt.Sprintf("%s%016x/", folderOf(log), id) }

const manifestPrefix = "m-"

func (c Config) folder() string { return segmentOf(c.Log, c.Segment) }

func (c Config) manifestKey() string { return c.folder() + manifestPrefix + c.Manifest }
