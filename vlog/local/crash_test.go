package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
	"rebase/vlog/logtest"
)

// A test entry tells who wrote it, as its how manieth, and fills itself with a pattern, so that a half or mixed one shows.
func testEntry(writer, n uint32, size int) []byte {
	b := make([]byte, 8, 8+size)
	binary.LittleEndian.PutUint32(b, writer)
	binary.LittleEndian.PutUint32(b[4:], n)
	return append(b, bytes.Repeat([]byte{byte(writer*31 + n)}, size)...)
}

// history is what one life of the log after the other has been told.
type history struct {
	mu    sync.Mutex
	acked map[vlog.Position]string
	// sent counts the appends begun by each writer, durable those acknowledged.
	sent, durable map[uint32]uint32
	trimAsked     vlog.Position // the highest point any Trim was asked for
	trimAcked     vlog.Position
	sealed        bool // acknowledged
	sealAsked     bool
}

func newHistory() *history {
	return &history{acked: map[vlog.Position]string{}, sent: map[uint32]uint32{}, durable: map[uint32]uint32{}, trimAsked: 1, trimAcked: 1}
}

// clone copies the promises made so far.
func (h *history) clone() *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := newHistory()
	for p, s := range h.acked {
		c.acked[p] = s
	}
	for w, n := range h.durable {
		c.durable[w] = n
	}
	c.trimAcked, c.sealed = h.trimAcked, h.sealed
	return c
}

// check compares a recovered log with the promises made before the crash (h) and with all that was tried (tried). It
// returns the history as it now is: what is in the log is from now on a promise.
func (h *history) check(t *testing.T, l *Loglet, tried *history) *history {
	t.Helper()
	ctx := context.Background()
	tail, _ := l.Tail(ctx)
	first, err := l.Trim(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	tried.mu.Lock()
	defer tried.mu.Unlock()
	if first < h.trimAcked || first > tried.trimAsked {
		t.Fatalf("trim point is %d; acknowledged %d, asked %d", first, h.trimAcked, tried.trimAsked)
	}
	if (h.sealed && !tail.Sealed) || (tail.Sealed && !tried.sealAsked) {
		t.Fatalf("sealed: %v; acknowledged %v, asked %v", tail.Sealed, h.sealed, tried.sealAsked)
	}
	now := newHistory()
	now.trimAsked, now.trimAcked, now.sealed, now.sealAsked = first, first, tail.Sealed, tail.Sealed
	got := logtest.All(t, l, first)
	if first+vlog.Position(len(got)) != tail.Next {
		t.Fatalf("%d entries from %d, but the tail is %d", len(got), first, tail.Next)
	}
	last := map[uint32]uint32{}
	for i, body := range got {
		p := first + vlog.Position(i)
		w, n := binary.LittleEndian.Uint32([]byte(body)), binary.LittleEndian.Uint32([]byte(body)[4:])
		if body != string(testEntry(w, n, len(body)-8)) {
			t.Fatalf("entry %d is not whole", p)
		}
		if prev, ok := last[w]; ok && n != prev+1 {
			t.Fatalf("entry %d: writer %d's number %d follows %d", p, w, n, prev)
		}
		if n >= tried.sent[w] {
			t.Fatalf("entry %d: writer %d's number %d was never written", p, w, n)
		}
		last[w] = n
		now.acked[p] = body
	}
	for p, body := range h.acked {
		if p >= first && now.acked[p] != body {
			t.Fatalf("acknowledged entry %d is gone (the log is [%d,%d))", p, first, tail.Next)
		}
	}
	for w, n := range h.durable {
		now.sent[w], now.durable[w] = n, n
	}
	for w, n := range last {
		if n+1 > now.sent[w] {
			now.sent[w], now.durable[w] = n+1, n+1
		}
	}
	return now
}

// run loads the log from several goroutines until stop.
func (h *history) run(t *testing.T, l *Loglet, seed uint64, stop *atomic.Bool) *sync.WaitGroup {
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range uint32(4) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for range 40 {
				if stop.Load() {
					return
				}
				h.mu.Lock()
				n := h.sent[w]
				count := uint32(rng.IntN(3) + 1)
				h.sent[w] += count
				h.mu.Unlock()
				var batch [][]byte
				for i := range count {
					size := rng.IntN(300)
					if rng.IntN(10) == 0 {
						size = rng.IntN(30000) // torn over several pages, or larger than a segment
					}
					batch = append(batch, testEntry(w, n+i, size))
				}
				p, err := l.Append(ctx, batch...)
				if errors.Is(err, vlog.ErrSealed) {
					return
				}
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				h.mu.Lock()
				for i, b := range batch {
					h.acked[p+vlog.Position(i)] = string(b)
				}
				h.durable[w] = n + count
				h.mu.Unlock()
				if rng.IntN(8) == 0 {
					before := p - min(p, vlog.Position(rng.IntN(20)))
					h.mu.Lock()
					h.trimAsked = max(h.trimAsked, before)
					h.mu.Unlock()
					if _, err := l.Trim(ctx, before); err != nil {
						t.Errorf("trim: %v", err)
						return
					}
					h.mu.Lock()
					h.trimAcked = max(h.trimAcked, before)
					h.mu.Unlock()
				}
			}
		})
	}
	return &wg
}

// TestFirstAppendLargerThanSegment: the first segment used to be passed over without a block, which recovery took for
// damage (found by TestCrash, seed 6).
func TestFirstAppendLargerThanSegment(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, Options{})
	want := string(testEntry(1, 1, 50<<10))
	if _, err := l.Append(context.Background(), []byte(want)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := logtest.All(t, l, 1); len(got) != 1 || got[0] != want {
			t.Fatalf("%d entries", len(got))
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, fs, Options{})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCrash cuts the power at random moments of a busy log, many lives in a row, with anything from none to all of what
// was not synced reaching the disk.
func TestCrash(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 99))
			fs := vfs.NewCrashableMem()
			h := newHistory()
			for life := range 6 {
				o := Options{SegmentBytes: 16 << 10}
				l := open(t, fs, o)
				if life > 0 {
					h = h.check(t, l, h)
				}
				var stop atomic.Bool
				wg := h.run(t, l, seed*100+uint64(life), &stop)
				target := l.durable().Next + vlog.Position(rng.IntN(60))
				if _, err := l.WaitTail(context.Background(), target); err != nil {
					t.Fatal(err)
				}
				if life == 5 && !h.sealAsked {
					h.mu.Lock()
					h.sealAsked = true
					h.mu.Unlock()
					wg.Go(func() {
						if err := l.Seal(context.Background()); err != nil {
							t.Errorf("seal: %v", err)
						}
						h.mu.Lock()
						h.sealed = true
						h.mu.Unlock()
					})
				}
				// Several disks out of one life, each with a fate of its own; the life goes on in one of them.
				var promised *history
				var next *vfs.MemFS
				for range 3 {
					promised = h.clone()
					next = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 10, 50, 90, 100}[rng.IntN(5)], RNG: rng})
					after := open(t, next.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng}), o)
					promised.check(t, after, h)
					if err := after.Close(); err != nil {
						t.Fatal(err)
					}
				}
				stop.Store(true)
				wg.Wait()
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				// Keep the promises of the last crash, and allow what was tried by then or later.
				promised.sent, promised.trimAsked, promised.sealAsked = h.sent, h.trimAsked, h.sealAsked
				fs, h = next, promised
			}
			l := open(t, fs, Options{SegmentBytes: 16 << 10})
			h.check(t, l, h)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
