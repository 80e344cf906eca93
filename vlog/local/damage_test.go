package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"rebase/vlog"
	"rebase/vlog/logtest"
)

var bg = context.Background()

// placed is where a block lies.
type placed struct {
	path       string
	begin, end int64
	entries    int // in the log up to and with this block
}

// build writes a log of several segments, one append a block, and returns the file system, the blocks, and what was
// appended. If closed it is closed regularly, otherwise the power is cut once all is synced.
func build(t *testing.T, closed bool) (*vfs.MemFS, []placed, []string) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	l := open(t, fs, Options{})
	var blocks []placed
	var want []string
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		body := string(testEntry(1, uint32(i), rng.IntN(900)))
		if _, err := l.Append(bg, []byte(body)); err != nil {
			t.Fatal(err)
		}
		want = append(want, body)
		s := l.activeSegment()
		blocks = append(blocks, placed{s.path, s.end - int64(blockHeaderSize+recordHeaderSize+len(body)), s.end, i + 1})
	}
	if closed {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return fs, blocks, want
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return crashed, blocks, want
}

// poke changes a file in place.
func poke(t *testing.T, fs vfs.FS, path string, off int64, change func(b []byte)) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, walCategory)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	change(b[:])
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestFlippedBits flips one bit anywhere in the written part of a log. In what is proven to have been synced it stops the
// open and names the block; in the last block of a log that was not closed it cuts that block, and nothing else.
func TestFlippedBits(t *testing.T) {
	for _, closed := range []bool{false, true} {
		fs, blocks, want := build(t, closed)
		rng := rand.New(rand.NewPCG(3, 4))
		for round := range 150 {
			i := rng.IntN(len(blocks))
			if round%10 == 0 {
				i = len(blocks) - 1
			}
			b := blocks[i]
			off := b.begin + rng.Int64N(b.end-b.begin)
			bit := byte(1) << rng.IntN(8)
			clone := fs.CrashClone(vfs.CrashCloneCfg{})
			poke(t, clone, b.path, off, func(b []byte) { b[0] ^= bit })
			l, err := tryOpen(clone, Options{VerifyAll: true})
			if i == len(blocks)-1 && !closed {
				if err != nil {
					t.Fatalf("offset %d of the last block: %v", off-b.begin, err)
				}
				if got := logtest.All(t, l, 1); !slices.Equal(got, want[:len(want)-1]) {
					t.Fatalf("offset %d of the last block: %d entries, want all but the last of %d", off-b.begin, len(got), len(want))
				}
				if p, err := l.Append(bg, []byte("goes on")); err != nil || int(p) != len(want) {
					t.Fatalf("append after a cut = %d, %v", p, err)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			var corrupt *vlog.CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("closed %v, block %d, offset %d, bit %x: open gives %v", closed, i, off-b.begin, bit, err)
			}
			if corrupt.File != b.path || corrupt.Offset != b.begin {
				t.Fatalf("damage in %s at %d is reported as %v", b.path, b.begin, corrupt)
			}
			if !strings.Contains(corrupt.Error(), "backup") {
				t.Fatalf("the error does not say what to do: %v", corrupt)
			}
		}
	}
}

// TestDamageFoundByRead: the disk may go bad after the open.
func TestDamageFoundByRead(t *testing.T) {
	fs, blocks, want := build(t, true)
	l := open(t, fs, Options{})
	defer l.Close()
	b := blocks[7]
	poke(t, fs, b.path, b.begin+100, func(b []byte) { b[0] ^= 1 })
	var got []string
	p := vlog.Position(1)
	for {
		es, err := l.Read(bg, p, 1000, 500)
		var corrupt *vlog.CorruptError
		if errors.As(err, &corrupt) {
			if corrupt.File != b.path || corrupt.Offset != b.begin {
				t.Fatalf("damage in %s at %d is reported as %v", b.path, b.begin, corrupt)
			}
			break
		}
		if err != nil || len(es) == 0 {
			t.Fatalf("read at %d: %d entries, %v", p, len(es), err)
		}
		for _, e := range es {
			got = append(got, string(e.Payload))
		}
		p += vlog.Position(len(es))
	}
	if !slices.Equal(got, want[:7]) {
		t.Fatalf("read %d entries before the damage, want 7", len(got))
	}
	// What lies in another stretch of the index is not affected.
	if es, err := l.Read(bg, 41, 42, 1000); err != nil || len(es) != 1 || string(es[0].Payload) != want[40] {
		t.Fatalf("read behind the damage: %v", err)
	}
}

func awaitVerified(l *Loglet) {
	for done := len(l.unverified) == 0; !done; runtime.Gosched() {
		l.mu.Lock()
		done = l.verified
		l.mu.Unlock()
	}
}

// TestDamageFoundLater: a start does not read the older segments, but damage in them is reported soon and to every read,
// while all else is answered.
func TestDamageFoundLater(t *testing.T) {
	fs, blocks, want := build(t, true)
	for i, b := range blocks {
		if b.path == blocks[len(blocks)-1].path {
			break
		}
		if i == 0 || b.path != blocks[i-1].path {
			continue // the first block of each segment is verified
		}
		clone := fs.CrashClone(vfs.CrashCloneCfg{})
		poke(t, clone, b.path, b.begin+blockHeaderSize, func(b []byte) { b[0] ^= 0x40 })
		var logged bytes.Buffer
		l := open(t, clone, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		for j := range blocks {
			es, err := l.Read(bg, vlog.Position(j+1), vlog.Position(j+2), 1000)
			var corrupt *vlog.CorruptError
			switch {
			case blocks[j].path != b.path || j < i:
				if err != nil || len(es) != 1 || string(es[0].Payload) != want[j] {
					t.Fatalf("block %d damaged, read of %d: %d entries, %v", i, j, len(es), err)
				}
			// Behind the damage the index may or may not have a point, by which a read finds its way.
			case j == i && !errors.As(err, &corrupt), err == nil && string(es[0].Payload) != want[j]:
				t.Fatalf("block %d damaged, read of %d: %d entries, %v", i, j, len(es), err)
			case corrupt != nil && (corrupt.File != b.path || corrupt.Offset != b.begin):
				t.Fatalf("damage in %s at %d is reported as %v", b.path, b.begin, corrupt)
			}
		}
		awaitVerified(l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(logged.String(), fmt.Sprintf("offset %d", b.begin)) {
			t.Fatalf("damage at %d was not reported: %s", b.begin, &logged)
		}
	}
}

// TestReadsBuildIndex: whoever reads a segment that is not yet verified does not begin at its first block every time.
func TestReadsBuildIndex(t *testing.T) {
	fs := vfs.NewMem()
	o := Options{SegmentBytes: 2 << 20, TailCacheBytes: 1}
	l := open(t, fs, o)
	for i := range 40 {
		if _, err := l.Append(bg, testEntry(1, uint32(i), 100<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, fs, o)
	defer l.Close()
	s := l.segs[0]
	awaitVerified(l)
	l.mu.Lock()
	s.index = nil // as before verifyLoop came to it
	l.mu.Unlock()
	for p := vlog.Position(1); p < 10; p++ {
		if _, err := l.Read(bg, p, p+1, 1); err != nil {
			t.Fatal(err)
		}
	}
	l.mu.Lock()
	off := s.seek(9)
	l.mu.Unlock()
	if off < 700<<10 {
		t.Fatalf("after reading up to position 9, a read there begins at offset %d", off)
	}
}

// TestTornWrites leaves every possible prefix, and every suffix, of the last block.
func TestTornWrites(t *testing.T) {
	fs, blocks, want := build(t, false)
	b := blocks[len(blocks)-1]
	for n := b.begin; n < b.end; n += 1 + (b.end-b.begin)/97 {
		for _, suffix := range []bool{false, true} {
			clone := fs.CrashClone(vfs.CrashCloneCfg{})
			f, err := clone.OpenReadWrite(b.path, walCategory)
			if err != nil {
				t.Fatal(err)
			}
			lost, at := make([]byte, b.end-n), n
			if suffix {
				lost, at = make([]byte, n+1-b.begin), b.begin
			}
			if _, err := f.WriteAt(lost, at); err != nil {
				t.Fatal(err)
			}
			f.Close()
			l := open(t, clone, Options{})
			if got := logtest.All(t, l, 1); len(got) < len(want)-1 || !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("lost [%d,+%d): %d entries, want at least %d", at, len(lost), len(got), len(want)-1)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestMissingSegment(t *testing.T) {
	fs, blocks, _ := build(t, true)
	for _, i := range []int{0, 20} {
		clone := fs.CrashClone(vfs.CrashCloneCfg{})
		if err := clone.Remove(blocks[i].path); err != nil {
			t.Fatal(err)
		}
		var corrupt *vlog.CorruptError
		if l, err := tryOpen(clone, Options{}); !errors.As(err, &corrupt) {
			t.Fatalf("open without %s: %v, %v", blocks[i].path, l, err)
		}
	}
	clone := fs.CrashClone(vfs.CrashCloneCfg{})
	poke(t, clone, blocks[0].path, 17, func(b []byte) { b[0] ^= 1 })
	var corrupt *vlog.CorruptError
	if _, err := tryOpen(clone, Options{}); !errors.As(err, &corrupt) || corrupt.Offset != 0 || corrupt.File != blocks[0].path {
		t.Fatalf("open with a bad header: %v", err)
	}
}

func TestMustExist(t *testing.T) {
	fs := vfs.NewMem()
	for range 2 {
		if _, err := tryOpen(fs, Options{MustExist: true}); !errors.Is(err, vlog.ErrMissing) {
			t.Fatalf("open of nothing: %v", err)
		}
		if err := fs.MkdirAll("a/log", 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLock(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, Options{})
	if _, err := tryOpen(fs, Options{}); err == nil {
		t.Fatal("opened twice")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, fs, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPoison fails one write or sync of the log. Nothing that was not synced is acknowledged then or later, not even when
// the disk works again, and what was acknowledged is there after a restart.
func TestPoison(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWriteAt, errorfs.OpFileSyncData} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			var broken errorfs.Toggle
			broken.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == kind && strings.HasSuffix(op.Path, segmentSuffix) || strings.HasSuffix(op.Path, newSuffix) && op.Kind == kind {
					return errorfs.ErrInjected
				}
				return nil
			})
			mem := vfs.NewCrashableMem()
			l := open(t, errorfs.Wrap(mem, &broken), Options{SegmentBytes: 1 << 20})
			if _, err := l.Append(bg, []byte("kept")); err != nil {
				t.Fatal(err)
			}
			waiting := make(chan error)
			go func() {
				_, err := l.WaitTail(bg, 3)
				waiting <- err
			}()
			broken.On()
			failed := make(chan error)
			for range 8 {
				go func() {
					_, err := l.Append(bg, []byte("lost"))
					failed <- err
				}()
			}
			for range 8 {
				if err := <-failed; !errors.Is(err, vlog.ErrPoisoned) || !errors.Is(err, errorfs.ErrInjected) {
					t.Fatalf("append during the failure: %v", err)
				}
			}
			if err := <-waiting; !errors.Is(err, vlog.ErrPoisoned) {
				t.Fatalf("wait for a tail that never comes: %v", err)
			}
			broken.Off()
			_, appendErr := l.Append(bg, []byte("again"))
			_, trimErr := l.Trim(bg, 2)
			for _, err := range []error{appendErr, trimErr, l.Seal(bg)} {
				if !errors.Is(err, vlog.ErrPoisoned) {
					t.Fatalf("write after the failure: %v", err)
				}
			}
			if tail, err := l.Tail(bg); err != nil || tail.Next != 2 {
				t.Fatalf("tail = %+v, %v", tail, err)
			}
			if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[kept]" {
				t.Fatalf("reads give %q", got)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, mem.CrashClone(vfs.CrashCloneCfg{}), Options{SegmentBytes: 1 << 20})
			if got := logtest.All(t, l, 1); got[0] != "kept" {
				t.Fatalf("after a restart: %q", got)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRecycle goes through many segments while trimming: the directory must not grow, and files must be used again.
func TestRecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		l := open(t, fs, Options{})
		for i := range 400 {
			synctest.Wait() // the preparer is through: how far it gets behind is not the matter here
			p, err := l.Append(bg, testEntry(0, uint32(i), 500))
			if err != nil {
				t.Fatal(err)
			}
			if p > 20 {
				if first, err := l.Trim(bg, p-20); err != nil || first != p-20 {
					t.Fatalf("trim = %d, %v", first, err)
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, fs, Options{})
		defer l.Close()
		if got := logtest.All(t, l, 380); len(got) != 21 || got[20] != string(testEntry(0, 399, 500)) {
			t.Fatalf("%d entries after trim", len(got))
		}
		if len(l.segs) > 4 {
			t.Fatalf("%d live segments for 21 entries of 512 bytes in files of 8 KiB", len(l.segs))
		}
		synctest.Wait()
		names, err := fs.List("a/log")
		if err != nil || len(names) > 4+maxSpares+4 {
			t.Fatalf("directory holds %v, %v", names, err)
		}
	})
}

// TestReadKeepsTrimmedSegment: a read that is under way when its segment is trimmed sees the old content to the end.
func TestReadKeepsTrimmedSegment(t *testing.T) {
	fs, _, want := build(t, true)
	l := open(t, fs, Options{})
	defer l.Close()
	l.mu.Lock()
	s := l.segs[0]
	s.refs++
	l.mu.Unlock()
	if _, err := l.Trim(bg, 50); err != nil {
		t.Fatal(err)
	}
	for range 30 { // enough to want the file back
		if _, err := l.Append(bg, make([]byte, 900)); err != nil {
			t.Fatal(err)
		}
	}
	r := blockReader{seg: s, limit: s.end, chunk: 100}
	_, block, ok, err := r.block(segmentHeaderSize)
	if !ok || err != nil || !bytes.Contains(block, []byte(want[0])) {
		t.Fatalf("the file was used again under a reader: %v, %v", ok, err)
	}
	l.release(s, nil)
}

// TestPayloadImitatesBlock: the last append carries, in its payload, a block that vouches for it. If it is torn, that must
// not pass for proof; who writes payloads does not know the salt.
func TestPayloadImitatesBlock(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := open(t, fs, Options{})
	if _, err := l.Append(bg, []byte("one")); err != nil {
		t.Fatal(err)
	}
	s := l.activeSegment()
	begin := s.end
	forged := make([]byte, blockHeaderSize)
	h := blockHeader{segment: s.id, seq: l.seq + 1, first: 3, synced: uint64(begin) + 500, trim: 1}
	h.put(forged)
	if _, err := l.Append(bg, append(make([]byte, 300), forged...)); err != nil {
		t.Fatal(err)
	}
	cut := fs.CrashClone(vfs.CrashCloneCfg{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	poke(t, cut, s.path, begin, func(b []byte) { b[0] = 0 })
	l = open(t, cut, Options{})
	defer l.Close()
	if got := logtest.All(t, l, 1); fmt.Sprint(got) != "[one]" {
		t.Fatalf("%q", got)
	}
}

func FuzzBlock(f *testing.F) {
	buf := appendRecord(appendRecord(make([]byte, blockHeaderSize), []byte("one")), nil)
	h := blockHeader{salt: 7, segment: 1, first: 5, count: 2, length: uint64(len(buf) - blockHeaderSize), synced: 64, trim: 2, flags: flagFirst}
	h.put(buf)
	f.Add(buf, true)
	f.Add(buf[:80], false)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		h, ok := decodeBlockHeader(b)
		if !ok {
			return
		}
		if fix {
			// Past the checksum, to the records.
			h.length = uint64(len(b) - blockHeaderSize)
			h.put(b)
			h, _ = decodeBlockHeader(b)
		}
		if !h.verify(b) {
			return
		}
		// What verifies is what would be written.
		again := slices.Clone(b[:blockHeaderSize])
		body := b[blockHeaderSize:]
		for range h.count {
			p, rest, ok := takeRecord(body)
			if !ok {
				t.Fatal("verified block has a bad record")
			}
			again = appendRecord(again, p)
			body = rest
		}
		h.put(again)
		if !bytes.Equal(again, b) {
			t.Fatal("verified block differs from the one written for the same content")
		}
	})
}

func FuzzSegmentHeader(f *testing.F) {
	h := segmentHeader{id: 3, salt: 9}
	f.Add(h.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := decodeSegmentHeader(b); ok && !bytes.Equal(h.append(nil), b[:segmentHeaderSize]) {
			t.Fatal("accepted a header in a form that is not written")
		}
	})
}
