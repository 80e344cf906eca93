package rtdb

import (
	"sync"
	"syscall"
	"time"
)

// What it costs to tell many clients of a change is, for the most part, the system calls. So a connection that gets output is only put
// on a list. A few flushers go through the lists, join all that a connection has by then into one buffer, and write it
// without waiting. While a flusher is busy with the others, more output gathers: the busier the server, the larger the
// writes. Nobody waits for a socket whose buffer is full: a goroutine of its own takes over until it has
// drained.
//
// (The textbook way, a goroutine and a channel for each connection, costs several times as much both in memory and
// per delivery: BenchmarkFanOut.)

// flushBytes is how much is joined into one write. Longer frames are written from where they are.
const flushBytes = 64 << 10

// After a pass over many connections a flusher pauses for as long as the pass took: under a steady load the next one then finds more
// to join, which more than halves the CPU time per delivery, for a delay that is no longer than what the last
// connection of the pass has had to wait anyway. Few connections are never kept waiting.
const (
	paceFrom = 16
	maxPace  = 2 * time.Millisecond
)

type flusher struct {
	mu    sync.Mutex
	dirty []*wsTransport
	wake  chan struct{}

	// Only the flusher's goroutine uses these.
	items []item
	buf   []byte
	out   []byte // what write writes
	n     int
	err   error
	write func(fd uintptr) bool
}

func newFlusher() *flusher {
	fl := &flusher{wake: make(chan struct{}, 1), buf: make([]byte, 0, flushBytes)}
	fl.write = func(fd uintptr) bool {
		fl.n, fl.err = writeOnce(fd, fl.out)
		return true // do not wait
	}
	return fl
}

// add puts a connection on the list. It does not block.
func (fl *flusher) add(t *wsTransport) {
	fl.mu.Lock()
	fl.dirty = append(fl.dirty, t)
	first := len(fl.dirty) == 1
	fl.mu.Unlock()
	if first {
		select {
		case fl.wake <- struct{}{}:
		default:
		}
	}
}

func (fl *flusher) run(stop <-chan struct{}) {
	var batch []*wsTransport
	for {
		select {
		case <-stop:
			return
		case <-fl.wake:
		}
		for {
			fl.mu.Lock()
			batch, fl.dirty = fl.dirty, batch[:0]
			fl.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			begin := time.Now()
			for i, t := range batch {
				fl.flush(t)
				batch[i] = nil
			}
			if len(batch) >= paceFrom {
				time.Sleep(min(time.Since(begin), maxPace))
			}
		}
	}
}

// flush sends what t has, or hands t to a goroutine of its own.
func (fl *flusher) flush(t *wsTransport) {
	if t.raw == nil {
		t.startDrain(nil)
		return
	}
	for {
		var ok bool
		if fl.items, ok = t.take(fl.items[:0], flushBytes); !ok {
			return
		}
		rest, err := fl.send(t.raw, fl.items)
		if err != nil {
			t.fail(err)
			return
		}
		if rest != nil {
			t.startDrain(rest)
			return
		}
	}
}

// send writes items as far as the socket takes them, and returns what is left, which nobody else holds on to.
func (fl *flusher) send(raw syscall.RawConn, items []item) (rest [][]byte, err error) {
	for i := 0; i < len(items); {
		// Either a run of short frames, joined, or one long one as it is.
		fl.out = items[i].f
		from := i
		i++
		if len(fl.out) < flushBytes {
			fl.buf = append(fl.buf[:0], fl.out...)
			for i < len(items) && len(fl.buf)+len(items[i].f) <= flushBytes {
				fl.buf = append(fl.buf, items[i].f...)
				i++
			}
			fl.out = fl.buf
		}
		if err := raw.Write(fl.write); err != nil {
			return nil, err
		}
		if fl.err != nil {
			return nil, fl.err
		}
		if n := fl.n; n < len(fl.out) {
			for ; from < len(items); from++ {
				f := items[from].f
				if n < len(f) {
					rest = append(rest, f[n:])
				}
				n = max(0, n-len(f))
			}
			break
		}
	}
	fl.out = nil
	clear(items)
	return rest, nil
}
