package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
)

// The layout of the stream; docs/format/snapshot.md is the reference. Integers are little-endian.
const (
	headerSize  = 40
	recordSize  = 16 // before the name of a file
	trailerSize = 56
	sumSize     = 4 // behind the content of a file

	maxName  = 255
	maxFiles = 1 << 24
)

var (
	streamMagic  = []byte("RBSNAP01")
	fileMagic    = []byte("RBf1")
	trailerMagic = []byte("RBSNEND1")
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// ErrDamaged is matched by the errors of Restore that lie in the stream: it was cut off, damaged, or never was a snapshot.
var ErrDamaged = errors.New("snapshot: the stream is damaged or cut off; fetch it again, or take an older snapshot")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// header opens the stream.
type header struct {
	position uint64
	files    uint64
	bytes    uint64 // of the whole stream
}

func (h header) encode() []byte {
	b := append(make([]byte, 0, headerSize), streamMagic...)
	b = binary.LittleEndian.AppendUint64(b, h.position)
	b = binary.LittleEndian.AppendUint64(b, h.files)
	b = binary.LittleEndian.AppendUint64(b, h.bytes)
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeHeader(b []byte) (header, error) {
	if len(b) != headerSize || !bytes.Equal(b[:8], streamMagic) {
		return header{}, damaged("it does not begin as a snapshot does")
	}
	h := header{binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])}
	if !bytes.Equal(h.encode(), b) {
		return header{}, damaged("the header's checksum is wrong")
	}
	if h.files == 0 || h.files > maxFiles || h.bytes > math.MaxInt64 {
		return header{}, damaged("the header makes no sense")
	}
	return h, nil
}

// fileRecord stands before the content of a file.
func fileRecord(name string, size uint64) []byte {
	b := append(make([]byte, 0, recordSize+len(name)), fileMagic...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(name)))
	b = binary.LittleEndian.AppendUint64(b, size)
	return append(b, name...)
}

// fileBytes is the length of a file in the stream.
func fileBytes(name string, size int64) int64 { return recordSize + int64(len(name)) + size + sumSize }

// trailer ends the stream.
func trailer(position uint64, sum [sha256.Size]byte) []byte {
	b := append(make([]byte, 0, trailerSize), trailerMagic...)
	b = binary.LittleEndian.AppendUint64(b, position)
	b = append(b, sum[:]...)
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// checkFileName accepts the names of files of one folder, and nothing that means another place on any system.
func checkFileName(name string) error {
	if name == "" || len(name) > maxName || name[0] == '.' || name[len(name)-1] == '.' || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) {
		return damaged("it holds a file with the name %q", name)
	}
	return nil
}

// readFull is io.ReadFull with the errors of a damaged stream.
func readFull(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("it ends too early")
	}
	if err != nil {
		return fmt.Errorf("snapshot: read the stream: %w", err)
	}
	return nil
}
