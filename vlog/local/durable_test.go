package local

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"rebase/vlog"
	"rebase/vlog/logtest"
)

// writtenNotSynced returns a file system on which a process was killed between writing a block and syncing it: the entry
// "seen" is in the log, and only in the kernel's memory.
func writtenNotSynced(t *testing.T) *vfs.MemFS {
	t.Helper()
	var broken errorfs.Toggle
	broken.Injector = errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData { // only commits use it on a file that is a segment
			return errorfs.ErrInjected
		}
		return nil
	})
	mem := vfs.NewCrashableMem()
	l := open(t, errorfs.Wrap(mem, &broken), Options{SegmentBytes: 1 << 20})
	if _, err := l.Append(bg, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	broken.On()
	if _, err := l.Append(bg, []byte("seen")); !errors.Is(err, vlog.ErrPoisoned) {
		t.Fatalf("append: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return mem
}

// TestSeenThenPowerCut: what a reader has seen after a restart is not taken back by a power cut, although the process
// that had written it was killed before it could sync.
func TestSeenThenPowerCut(t *testing.T) {
	mem := writtenNotSynced(t)
	l := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), Options{})
	if got := logtest.All(t, l, 1); len(got) != 1 {
		t.Fatalf("the entry was synced, so this proves nothing: %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, mem, Options{SegmentBytes: 1 << 20})
	if got := logtest.All(t, l, 1); len(got) != 2 || got[1] != "seen" {
		t.Fatalf("after the kill: %q", got)
	}
	cut := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, cut, Options{SegmentBytes: 1 << 20})
	defer l.Close()
	if got := logtest.All(t, l, 1); len(got) != 2 || got[1] != "seen" {
		t.Fatalf("after the power cut: %q", got)
	}
}

// TestLastBlockWrittenAgain: a sync may pass over pages whose writing failed before, so the last block is written again
// before it is synced, and both before anybody can see it.
func TestLastBlockWrittenAgain(t *testing.T) {
	mem := writtenNotSynced(t)
	var mu sync.Mutex
	var ops []string
	l := open(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasSuffix(op.Path, segmentName(1, segmentSuffix)) {
			mu.Lock()
			defer mu.Unlock()
			switch op.Kind {
			case errorfs.OpFileWriteAt:
				ops = append(ops, "write")
			case errorfs.OpFileSync, errorfs.OpFileSyncData:
				ops = append(ops, "sync")
			}
		}
		return nil
	})), Options{SegmentBytes: 1 << 20})
	defer l.Close()
	mu.Lock()
	defer mu.Unlock()
	if strings.Join(ops, " ") != "write sync" {
		t.Fatalf("open did %q to the active segment", ops)
	}
}

// TestFilledAhead: every segment but one for an oversized append has its full size, of zeros, on the disk before the first
// block goes into it, so that no commit extends a file.
func TestFilledAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewCrashableMem()
		o := Options{SegmentBytes: 64 << 10}
		l := open(t, mem, o)
		defer l.Close()
		for i := range 200 {
			synctest.Wait() // the preparer is through
			cut := mem.CrashClone(vfs.CrashCloneCfg{})
			l.mu.Lock()
			active, next := l.segs[len(l.segs)-1], l.upcome
			l.mu.Unlock()
			if next == nil {
				t.Fatalf("append %d: nothing is prepared", i)
			}
			for _, s := range []*segment{active, next} {
				f, err := cut.Open(s.path)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(f)
				if err != nil {
					t.Fatal(err)
				}
				f.Close()
				if int64(len(b)) != o.SegmentBytes || int64(len(b)) != s.size {
					t.Fatalf("append %d: %s has %d bytes on the disk, %d in memory, want %d", i, s.path, len(b), s.size, o.SegmentBytes)
				}
				if rest := b[s.end:]; !bytes.Equal(rest, make([]byte, len(rest))) {
					t.Fatalf("append %d: %s is not zeros behind %d", i, s.path, s.end)
				}
			}
			if _, err := l.Append(bg, testEntry(1, uint32(i), 1000)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestSegmentCutShort: a segment that was never begun and whose file lost its zeros, as when a file system is restored
// from a copy, still takes an append. (It used to be given empty blocks until the stack overflowed.)
func TestSegmentCutShort(t *testing.T) {
	fs := vfs.NewMem()
	if err := open(t, fs, Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, segmentHeaderSize)
	path := fs.PathJoin("a/log", segmentName(1, segmentSuffix))
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(f, header); err != nil {
		t.Fatal(err)
	}
	f.Close()
	f, err = fs.Create(path, walCategory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(header); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for i := range 3 {
		l := open(t, fs, Options{})
		if p, err := l.Append(bg, testEntry(1, uint32(i), 100)); err != nil || int(p) != i+1 {
			t.Fatalf("append = %d, %v", p, err)
		}
		if got := logtest.All(t, l, 1); len(got) != i+1 {
			t.Fatalf("%d entries after %d appends", len(got), i+1)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIdleLogProvesItself: a second or two after the last commit the log vouches for it, so that damage to the last block
// is no longer taken for a torn write. It does so once, and not while commits go on.
func TestIdleLogProvesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewCrashableMem()
		o := Options{proveAfter: defaultProveAfter, SegmentBytes: 64 << 10}
		l := open(t, fs, o)
		defer l.Close()
		for i := range 10 {
			if _, err := l.Append(bg, testEntry(1, uint32(i), 100)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(defaultProveAfter / 2)
		}
		blocks := func() uint64 {
			synctest.Wait()
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.seq
		}
		if n := blocks(); n != 10 {
			t.Fatalf("%d blocks after 10 appends without a pause", n)
		}
		time.Sleep(2 * defaultProveAfter)
		if n := blocks(); n != 11 {
			t.Fatalf("%d blocks after a pause, want 11", n)
		}
		time.Sleep(time.Hour)
		if n := blocks(); n != 11 {
			t.Fatalf("%d blocks after an hour, want 11", n)
		}
		cut := fs.CrashClone(vfs.CrashCloneCfg{})
		s := l.segs[0]
		poke(t, cut, s.path, s.end-blockHeaderSize-10, func(b []byte) { b[0] ^= 1 })
		var corrupt *vlog.CorruptError
		if _, err := tryOpen(cut, o); !errors.As(err, &corrupt) {
			t.Fatalf("open with the last entry damaged: %v", err)
		}
		if p, err := l.Append(bg, []byte("on")); err != nil || p != 11 {
			t.Fatalf("append after the proof = %d, %v", p, err)
		}
	})
}
