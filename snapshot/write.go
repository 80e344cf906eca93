package snapshot

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/store"
)

// Options are those of writing and of reading. The zero value is usable.
type Options struct {
	// FS is the file system; nil means the operating system's. It must be the store's.
	FS vfs.FS
	// Temp is the folder for the checkpoint that is streamed, on the same file system as the store: its files are then linked, not
	// copied. Empty means that of the operating system. Restore does not use it.
	Temp string
	// BytesPerSecond limits the stream; 0 means no limit.
	BytesPerSecond int64
	// Progress is called now and then with the bytes of the stream that are through, and how many there are in all. Nil means not.
	Progress func(done, total int64)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Temp == "" {
		o.Temp = os.TempDir()
	}
	return o
}

const (
	// tempPrefix is what the names of checkpoints begin with.
	tempPrefix = "snapshot-"
	lockFile   = "LOCK" // held by who has the store open; not part of it
	chunk      = 256 << 10
)

// A Source is a store as it is at one position, ready to be streamed any number of times. It must be closed: until then it keeps files
// on the disk that the store has long replaced. Not safe for concurrent use.
type Source struct {
	opts     Options
	dir      string
	position uint64
	files    []sourceFile
	bytes    int64
}

type sourceFile struct {
	name string
	size int64
}

// Open makes a checkpoint of the store. The store is written to meanwhile.
func Open(s *store.Store, o Options) (_ *Source, err error) {
	o = o.withDefaults()
	var id [12]byte
	rand.Read(id[:]) // never fails
	src := &Source{opts: o, dir: o.FS.PathJoin(o.Temp, tempPrefix+hex.EncodeToString(id[:]))}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("snapshot: copy the store to %s: %w", src.dir, err), src.Close())
		}
	}()
	if err := o.FS.MkdirAll(o.Temp, 0o700); err != nil {
		return nil, err
	}
	if err := s.Checkpoint(src.dir); err != nil {
		return nil, err
	}
	if src.position, err = store.ReadPosition(src.dir, o.FS); err != nil {
		return nil, err
	}
	names, err := o.FS.List(src.dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	src.bytes = headerSize + trailerSize
	for _, name := range names {
		if name == lockFile {
			continue
		}
		info, err := o.FS.Stat(o.FS.PathJoin(src.dir, name))
		if err != nil {
			return nil, err
		}
		if err := checkFileName(name); err != nil || info.IsDir() {
			return nil, fmt.Errorf("the store has a file %q, which is not known here", name)
		}
		src.files = append(src.files, sourceFile{name, info.Size()})
		src.bytes += fileBytes(name, info.Size())
	}
	return src, nil
}

// Position returns the position of the last batch that is in it.
func (s *Source) Position() uint64 { return s.position }

// Bytes returns the length of the stream.
func (s *Source) Bytes() int64 { return s.bytes }

// Close removes the checkpoint.
func (s *Source) Close() error {
	err := s.opts.FS.RemoveAll(s.dir)
	if oserror.IsNotExist(err) {
		return nil
	}
	return err
}

// Write streams the source to w.
func (s *Source) Write(ctx context.Context, w io.Writer) error {
	out := &writer{ctx: ctx, w: w, sum: sha256.New(), pace: newPace(s.opts, s.bytes)}
	if _, err := out.Write(header{s.position, uint64(len(s.files)), uint64(s.bytes)}.encode()); err != nil {
		return err
	}
	buf := make([]byte, chunk)
	for _, f := range s.files {
		if err := s.writeFile(out, f, buf); err != nil {
			return fmt.Errorf("snapshot: send %s: %w", f.name, err)
		}
	}
	_, err := out.Write(trailer(s.position, [sha256.Size]byte(out.sum.Sum(nil))))
	return err
}

func (s *Source) writeFile(out *writer, f sourceFile, buf []byte) error {
	file, err := s.opts.FS.Open(s.opts.FS.PathJoin(s.dir, f.name), vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := out.Write(fileRecord(f.name, uint64(f.size))); err != nil {
		return err
	}
	sum := uint32(0)
	for left := f.size; left > 0; {
		p := buf[:min(int64(len(buf)), left)]
		if _, err := io.ReadFull(file, p); err != nil {
			return err
		}
		sum = crc32.Update(sum, castagnoli, p)
		if _, err := out.Write(p); err != nil {
			return err
		}
		left -= int64(len(p))
	}
	_, err = out.Write([]byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
	return err
}

// writer hashes and paces what it passes on.
type writer struct {
	ctx  context.Context
	w    io.Writer
	sum  hash.Hash
	pace *pace
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	w.sum.Write(p)
	n, err := w.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, w.pace.passed(w.ctx, n)
}

// pace limits the speed of a stream and tells its progress.
type pace struct {
	opts        Options
	begin       time.Time
	done, total int64
}

func newPace(o Options, total int64) *pace { return &pace{opts: o, begin: time.Now(), total: total} }

func (p *pace) passed(ctx context.Context, n int) error {
	p.done += int64(n)
	if p.opts.Progress != nil {
		p.opts.Progress(p.done, p.total)
	}
	if p.opts.BytesPerSecond <= 0 {
		return nil
	}
	due := time.Duration(float64(p.done) / float64(p.opts.BytesPerSecond) * float64(time.Second))
	wait := due - time.Since(p.begin)
	if wait < 5*time.Millisecond {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Write streams the present state of the store to w and returns its position.
func Write(ctx context.Context, s *store.Store, w io.Writer, o Options) (position uint64, err error) {
	src, err := Open(s, o)
	if err != nil {
		return 0, err
	}
	return src.Position(), errors.Join(src.Write(ctx, w), src.Close())
}

// Clean removes from a folder for checkpoints (Options.Temp) what a process that died has left in it. None may be in use.
func Clean(temp string, fs vfs.FS) error {
	o := Options{FS: fs, Temp: temp}.withDefaults()
	names, err := o.FS.List(o.Temp)
	if oserror.IsNotExist(err) {
		return nil
	}
	for _, name := range names {
		if strings.HasPrefix(name, tempPrefix) {
			err = errors.Join(err, o.FS.RemoveAll(o.FS.PathJoin(o.Temp, name)))
		}
	}
	return err
}
