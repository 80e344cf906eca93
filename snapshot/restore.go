package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/store"
)

// partSuffix is added to the name of a store that is not whole yet.
const partSuffix = ".restoring"

// Restore reads a stream and makes a store of it in dir, which must not exist, and returns its position. Nothing is there under that name
// before everything was read, verified and synced. What an earlier Restore into dir has left half done is removed. It reads exactly the
// stream and nothing behind it.
func Restore(ctx context.Context, r io.Reader, dir string, o Options) (position uint64, err error) {
	o = o.withDefaults()
	if _, err := o.FS.Stat(dir); err == nil {
		return 0, fmt.Errorf("snapshot: %s exists; move it away first", dir)
	} else if !oserror.IsNotExist(err) {
		return 0, fmt.Errorf("snapshot: look for %s: %w", dir, err)
	}
	part := dir + partSuffix
	if err := o.FS.RemoveAll(part); err != nil && !oserror.IsNotExist(err) {
		return 0, fmt.Errorf("snapshot: remove %s: %w", part, err)
	}
	if err := o.FS.MkdirAll(part, 0o700); err != nil {
		return 0, fmt.Errorf("snapshot: create %s: %w", part, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.FS.RemoveAll(part))
		}
	}()
	if position, err = receive(ctx, r, part, o); err != nil {
		return 0, err
	}
	// The engine itself has to agree, before anybody relies on it.
	has, err := store.ReadPosition(part, o.FS)
	if err != nil {
		return 0, damaged("no store can be opened from it: %v", err)
	}
	if has != position {
		return 0, damaged("it says that it is at position %d, and is at %d", position, has)
	}
	if err := o.FS.Remove(o.FS.PathJoin(part, lockFile)); err != nil && !oserror.IsNotExist(err) {
		return 0, err
	}
	err = syncDir(o.FS, part)
	if err == nil {
		err = o.FS.Rename(part, dir)
	}
	if err != nil {
		return 0, fmt.Errorf("snapshot: finish %s: %w", dir, err)
	}
	if err := syncDir(o.FS, o.FS.PathDir(dir)); err != nil {
		return 0, fmt.Errorf("snapshot: finish %s: %w", dir, err)
	}
	return position, nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// receive writes the files of a stream into dir.
func receive(ctx context.Context, r io.Reader, dir string, o Options) (uint64, error) {
	first := make([]byte, headerSize)
	if err := readFull(r, first); err != nil {
		return 0, err
	}
	h, err := decodeHeader(first)
	if err != nil {
		return 0, err
	}
	in := &hashing{r: r, sum: sha256.New(), ctx: ctx, pace: newPace(o, int64(h.bytes)), left: int64(h.bytes) - headerSize}
	in.sum.Write(first)
	in.pace.done = headerSize
	seen := map[string]bool{}
	buf := make([]byte, chunk)
	for range h.files {
		record := buf[:recordSize]
		if err := readFull(in, record); err != nil {
			return 0, err
		}
		length, size := binary.LittleEndian.Uint32(record[4:]), binary.LittleEndian.Uint64(record[8:])
		if !bytes.Equal(record[:4], fileMagic) || length > maxName || size > h.bytes {
			return 0, damaged("a file is not introduced as one")
		}
		name := buf[:length]
		if err := readFull(in, name); err != nil {
			return 0, err
		}
		if err := checkFileName(string(name)); err != nil {
			return 0, err
		}
		if seen[string(name)] || string(name) == lockFile {
			return 0, damaged("file %q must not be there, or not twice", name)
		}
		seen[string(name)] = true
		if err := receiveFile(in, o.FS, o.FS.PathJoin(dir, string(name)), size, buf); err != nil {
			return 0, err
		}
	}
	sum := [sha256.Size]byte(in.sum.Sum(nil))
	last := buf[:trailerSize]
	if err := readFull(in, last); err != nil {
		return 0, err
	}
	switch {
	case !bytes.Equal(last, trailer(h.position, sum)):
		return 0, damaged("the checksum of the whole is wrong")
	case in.left != 0:
		return 0, damaged("it is shorter than it says")
	}
	return h.position, nil
}

func receiveFile(in io.Reader, fs vfs.FS, name string, size uint64, buf []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("snapshot: create %s: %w", name, err)
	}
	sum := uint32(0)
	for left := size; left > 0 && err == nil; {
		p := buf[:min(uint64(len(buf)), left)]
		if err = readFull(in, p); err == nil {
			sum = crc32.Update(sum, castagnoli, p)
			left -= uint64(len(p))
			if _, err = f.Write(p); err != nil {
				err = fmt.Errorf("snapshot: write %s: %w", name, err)
			}
		}
	}
	if err == nil {
		if err = readFull(in, buf[:sumSize]); err == nil && binary.LittleEndian.Uint32(buf) != sum {
			err = damaged("the checksum of %s is wrong", fs.PathBase(name))
		}
	}
	if err == nil {
		if err = f.Sync(); err != nil {
			err = fmt.Errorf("snapshot: sync %s: %w", name, err)
		}
	}
	return errors.Join(err, f.Close())
}

// hashing reads no further than the stream says it goes.
type hashing struct {
	r    io.Reader
	sum  hash.Hash
	ctx  context.Context
	pace *pace
	left int64
}

func (h *hashing) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	if h.left <= 0 {
		return 0, io.EOF
	}
	n, err := h.r.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	h.sum.Write(p[:n])
	if perr := h.pace.passed(h.ctx, n); err == nil {
		err = perr
	}
	return n, err
}
