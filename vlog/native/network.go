package native

import (
	"sync"

	"rebase/vlog/native/core"
)

// network carries messages between the machines of one process. Each address has a queue and a goroutine that empties it; messages
// to an address that is not there are lost.
type network struct {
	mu    sync.Mutex
	boxes map[core.Node]*box
	wg    sync.WaitGroup
}

type box struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []core.Message
	closed bool
}

func newNetwork() *network { return &network{boxes: map[core.Node]*box{}} }

// attach delivers messages for n to handle, one batch after the other, until the function returned is called. That function does not wait
// for a batch being handled.
func (w *network) attach(n core.Node, handle func([]core.Message)) (detach func()) {
	b := &box{}
	b.more.L = &b.mu
	w.mu.Lock()
	w.boxes[n] = b
	w.mu.Unlock()
	w.wg.Go(func() {
		for {
			b.mu.Lock()
			for len(b.queue) == 0 && !b.closed {
				b.more.Wait()
			}
			batch, closed := b.queue, b.closed
			b.queue = nil
			b.mu.Unlock()
			if closed {
				return
			}
			handle(batch)
		}
	})
	return func() {
		w.mu.Lock()
		if w.boxes[n] == b {
			delete(w.boxes, n)
		}
		w.mu.Unlock()
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		b.more.Signal()
	}
}

// send queues messages, in order for each receiver.
func (w *network) send(messages []core.Message) {
	for _, m := range messages {
		w.mu.Lock()
		b := w.boxes[m.To]
		w.mu.Unlock()
		if b == nil {
			continue
		}
		b.mu.Lock()
		b.queue = append(b.queue, m)
		b.mu.Unlock()
		b.more.Signal()
	}
}
