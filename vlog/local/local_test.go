package local

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"rebase/vlog"
	"rebase/vlog/logtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a log whose files are small enough that a test goes through many of them.
func open(t testing.TB, fs vfs.FS, o Options) *Loglet {
	t.Helper()
	l, err := tryOpen(fs, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tryOpen(fs vfs.FS, o Options) (*Loglet, error) {
	o.FS = fs
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 8 << 10
	}
	if o.TailCacheBytes == 0 {
		o.TailCacheBytes = 4 << 10
	}
	if o.proveAfter == 0 {
		o.proveAfter = time.Hour // nothing that depends on how quick the machine is
	}
	return Open("a/log", o)
}

func TestConformanceInMemory(t *testing.T) {
	logtest.Run(t, logtest.Subject{
		New:    func(t testing.TB) logtest.Log { return open(t, vfs.NewMem(), Options{}) },
		Reopen: func(t testing.TB, l logtest.Log) logtest.Log { return open(t, l.(*Loglet).fs, Options{}) },
	})
}

func TestConformanceOnDisk(t *testing.T) {
	at := func(t testing.TB, dir string) logtest.Log {
		l, err := Open(dir, Options{SegmentBytes: 64 << 10, TailCacheBytes: 16 << 10})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	logtest.Run(t, logtest.Subject{
		New:    func(t testing.TB) logtest.Log { return at(t, t.TempDir()) },
		Reopen: func(t testing.TB, l logtest.Log) logtest.Log { return at(t, l.(*Loglet).dir) },
	})
}

func TestFileMeta(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		logtest.RunMeta(t, func(*testing.T) vlog.MetaStore { return FileMeta("a/b", vfs.NewMem()) })
	})
	t.Run("disk", func(t *testing.T) {
		logtest.RunMeta(t, func(t *testing.T) vlog.MetaStore { return FileMeta(t.TempDir(), nil) })
	})
}
