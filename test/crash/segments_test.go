package crash

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"testing"
)

// The log's files, read as docs/format/log.md describes them and not with the
// server's own code.

type segment struct {
	path   string
	size   int64
	blocks []block
}

type block struct {
	off, end int64
	records  []record
}

// record is an entry of the log.
type record struct {
	session string
	seq     uint64
}

const (
	segmentHeader = 64
	blockHeader   = 72
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segments lists the segments that have been written to, oldest first.
func segments(t *testing.T, data string) []segment {
	t.Helper()
	var list []segment
	err := filepath.WalkDir(filepath.Join(data, "log"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".seg" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if s := readSegment(t, text); len(s.blocks) > 0 {
			s.path = path
			list = append(list, s)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("the log has no segment with a block")
	}
	sort.Slice(list, func(i, j int) bool { return list[i].path < list[j].path })
	return list
}

func readSegment(t *testing.T, text []byte) segment {
	s := segment{size: int64(len(text))}
	if string(text[:8]) != "RBLOGSG1" {
		t.Fatalf("a segment begins with %q", text[:8])
	}
	salt := text[24:32]
	for off := segmentHeader; off+blockHeader <= len(text); {
		b := text[off:]
		n := binary.LittleEndian.Uint64(b[48:]) + blockHeader
		if string(b[:4]) != "RBk1" || n > uint64(len(b)) {
			break
		}
		b = b[:n]
		sum := crc32.Update(crc32.Checksum(salt, castagnoli), castagnoli, b[8:])
		if sum != binary.LittleEndian.Uint32(b[4:]) {
			break
		}
		blk := block{off: int64(off), end: int64(off) + int64(n)}
		rest := b[blockHeader:]
		for range binary.LittleEndian.Uint32(b[40:]) {
			size := binary.LittleEndian.Uint32(rest)
			payload := rest[4 : 4+size]
			rest = rest[4+size:]
			seq, _ := binary.Uvarint(payload[17:])
			blk.records = append(blk.records, record{hex.EncodeToString(payload[1:17]), seq})
		}
		s.blocks = append(s.blocks, blk)
		off += int(n)
	}
	return s
}

func (s *segment) last() block { return s.blocks[len(s.blocks)-1] }

// acknowledged says whether a client has an answer to an entry of the block, or may
// have one.
func (f *fleet) acknowledged(b block) bool {
	for _, r := range b.records {
		known := false
		for _, w := range f.workers {
			if w.session == r.session {
				known = r.seq > w.proposals
			}
		}
		if !known {
			return true
		}
	}
	return false
}
