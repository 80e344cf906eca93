package local

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
)

const (
	segmentSuffix = ".seg"  // part of the log, or prepared to become the next part
	spareSuffix   = ".free" // zero-filled or trimmed, to be used again
	newSuffix     = ".new"  // being made; worthless after a crash

	// indexEvery is how many bytes of blocks lie between two points of a segment's index.
	indexEvery = 64 << 10
	// fillChunk is how much of a new file is filled with zeros at a time.
	fillChunk = 1 << 20
)

// walCategory labels the log's writes for file systems that account for them.
const walCategory = vfs.WriteCategoryUnspecified

// segment is one file of the log.
type segment struct {
	segmentHeader
	path string
	file vfs.File
	size int64 // of the file; blocks end at or before it

	// Guarded by Loglet.mu, and written only by the committer.
	first vlog.Position // of the first block, 0 while there is none
	end   int64         // behind the last block known to be on the disk
	index []indexPoint
	refs  int // reads that use file

	sealed *sealedBy // of a segment that Open found sealed; immutable
}

// sealedBy is what the first blocks of a segment and of the following one say, and so what must lie between.
type sealedBy struct{ first, following blockHeader }

// indexPoint says at which offset the block that begins with position pos is.
type indexPoint struct {
	pos vlog.Position
	off int64
}

func (s *segment) started() bool { return s.first != 0 }

// note records a block behind those of the index if the last point is far enough away.
func (s *segment) note(pos vlog.Position, off int64) {
	if n := len(s.index); n == 0 || off-s.index[n-1].off >= indexEvery {
		s.index = append(s.index, indexPoint{pos, off})
	}
}

// seek returns the offset of a block at or before the one that holds pos.
func (s *segment) seek(pos vlog.Position) int64 {
	i := sort.Search(len(s.index), func(i int) bool { return s.index[i].pos > pos })
	// Blocks without records share their position with the block behind them; any of them is early enough.
	if i == 0 {
		return segmentHeaderSize
	}
	return s.index[i-1].off
}

func segmentName(id uint64, suffix string) string { return fmt.Sprintf("%016x%s", id, suffix) }

func parseSegmentName(name, suffix string) (id uint64, ok bool) {
	hex, ok := strings.CutSuffix(name, suffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil && segmentName(id, suffix) == name
}

// fill makes a file of zeros at path, synced. Writing into space that exists and was written before spares every later
// commit the journal entry for a new size or extent: 1.4 to 1.8 times the appends of a growing file.
func fill(fs vfs.FS, path string, size int64, stop <-chan struct{}) (f vfs.File, err error) {
	// OpenReadWrite, because only files opened so may be written at an offset.
	if f, err = fs.OpenReadWrite(path, walCategory); err != nil {
		return nil, err
	}
	zeros := make([]byte, min(fillChunk, size))
	for off := int64(0); off < size && err == nil; off += int64(len(zeros)) {
		select {
		case <-stop:
			err = vlog.ErrClosed
		default:
			_, err = f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off)
		}
		// Sync in pieces, so that a commit never queues behind one long flush.
		if err == nil && off/fillChunk%8 == 7 {
			err = f.SyncData()
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// stamp turns a file into the segment of that id: header, sync, name, and the directory's sync.
func stamp(fs vfs.FS, dir string, f vfs.File, path string, size int64, id uint64) (*segment, error) {
	s := &segment{segmentHeader: segmentHeader{id: id, salt: newSalt()}, file: f, size: size, end: segmentHeaderSize}
	s.path = fs.PathJoin(dir, segmentName(id, segmentSuffix))
	if _, err := f.WriteAt(s.segmentHeader.append(nil), 0); err != nil {
		return nil, err
	}
	// Only now the name: a file called .seg always has a good header.
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := fs.Rename(path, s.path); err != nil {
		return nil, err
	}
	return s, syncDir(fs, dir)
}

func newSalt() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mkdirAll is FS.MkdirAll made durable: it syncs the directories that gained an entry.
func mkdirAll(fs vfs.FS, dir string) error {
	var parents []string
	for d := dir; ; d = fs.PathDir(d) {
		if _, err := fs.Stat(d); err == nil || d == fs.PathDir(d) {
			break
		}
		parents = append(parents, fs.PathDir(d))
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range parents {
		if err := syncDir(fs, p); err != nil {
			return err
		}
	}
	return nil
}

// blockReader reads blocks of one segment through a window.
type blockReader struct {
	seg    *segment
	limit  int64 // offsets at and beyond are not read
	chunk  int   // how much to read at a time
	reuse  bool  // the window may be overwritten: nobody keeps what block returned
	window []byte
	begin  int64 // offset of the window
}

// bytes returns n bytes at off, or fewer at the limit.
func (r *blockReader) bytes(off, n int64) ([]byte, error) {
	n = max(min(n, r.limit-off), 0)
	if off < r.begin || off+n > r.begin+int64(len(r.window)) {
		size := max(n, min(int64(r.chunk), r.limit-off))
		if !r.reuse || int64(cap(r.window)) < size {
			r.window = make([]byte, size)
		}
		got, err := r.seg.file.ReadAt(r.window[:size], off)
		if err != nil && err != io.EOF {
			r.window = nil
			return nil, fmt.Errorf("vlog/local: read %s at %d: %w", r.seg.path, off, err)
		}
		r.window, r.begin = r.window[:got], off
		n = min(n, int64(got))
	}
	return r.window[off-r.begin:][:n:n], nil
}

// block returns the block of this segment at off. ok is false if there is no good one.
func (r *blockReader) block(off int64) (h blockHeader, block []byte, ok bool, err error) {
	b, err := r.bytes(off, blockHeaderSize)
	if err != nil {
		return h, nil, false, err
	}
	h, ok = decodeBlockHeader(b)
	if !ok || h.salt != r.seg.salt || h.segment != r.seg.id || h.length > uint64(r.limit-off-blockHeaderSize) {
		return h, nil, false, nil
	}
	block, err = r.bytes(off, blockHeaderSize+int64(h.length))
	if err != nil || uint64(len(block)) != blockHeaderSize+h.length {
		return h, nil, false, err
	}
	return h, block, h.verify(block), nil
}
