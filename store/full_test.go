package store

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"rebase/tree"
)

// The engine repeats a failed flush without end while it opens; the server once
// hung there when it was started on a full disk.
func TestOpenOnFullDiskReturns(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openMem(t, mem)
	set(t, s, "a", tree.NewInt(1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for allowed := range int64(40) {
		var left atomic.Int64
		left.Store(allowed)
		full := errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpFileWrite, errorfs.OpFileWriteAt:
				if left.Add(-1) < 0 {
					return syscall.ENOSPC
				}
			}
			return nil
		})
		disk := mem.CrashClone(vfs.CrashCloneCfg{})
		done := make(chan error, 1)
		go func() {
			s, err := Open("db", Options{FS: errorfs.Wrap(disk, full), Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				err = s.Err()
				s.Close()
			}
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				refused++
				if !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("full after %d writes: %v", allowed, err)
				}
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("Open does not return if the disk is full after %d writes", allowed)
		}
		// With space again everything is there.
		s, err := Open("db", Options{FS: disk.CrashClone(vfs.CrashCloneCfg{}), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatalf("after the disk was full after %d writes: %v", allowed, err)
		}
		if n, err := s.Get("ns", "a"); err != nil || n.Int() != 1 {
			t.Errorf("after the disk was full after %d writes: %v, %v", allowed, n, err)
		}
		s.Close()
	}
	if refused == 0 {
		t.Error("the disk was never full")
	}
}
