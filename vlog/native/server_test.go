package native

import (
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// hanging is a disk that does not finish what it has begun to write.
type hanging struct {
	*memory
	release chan struct{}
}

func (h hanging) Append(records []core.Record) error {
	<-h.release
	return h.memory.Append(records)
}

// The log goes on without a server whose disk hangs, and its sequencer tries again and again to bring that one up to date. What the server holds then
// must have a bound.
func TestHangingDiskHoldsBoundedMemory(t *testing.T) {
	disk := hanging{newMemory(7), make(chan struct{})}
	var drops atomic.Uint64
	s, err := startServer(disk, func([]core.Message) {}, slog.New(slog.DiscardHandler), &drops)
	if err != nil {
		t.Fatal(err)
	}
	entry := make([]byte, 1<<20)
	send := func(from, to int) {
		for i := from; i < to; i++ {
			p := vlog.Position(i + 1)
			s.handle([]core.Message{{Kind: core.Store, From: 1, To: 2, Disk: 7, Loglet: core.Number(0, 1, 0), Incarnation: 3, Ref: uint64(p), Known: p, First: p, Entries: [][]byte{entry}}}, false)
		}
	}
	held := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.bytes
	}
	send(0, 200)
	if h := held(); h > maxPending+(2<<20) || drops.Load() == 0 {
		t.Errorf("it holds %d bytes, and has dropped %d", h, drops.Load())
	}
	close(disk.release)
	for held() > 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("it never came to rest")
		default:
			runtime.Gosched()
		}
	}
	before := drops.Load()
	send(200, 210)
	if drops.Load() != before {
		t.Error("it still drops")
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}
