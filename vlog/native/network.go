package native

import (
	"sync"

	"rebase/vlog/native/core"
)

// memoryNetwork is a Network within one process, which all its nodes share. Each endpoint has a queue and a goroutine that empties it.
type memoryNetwork struct {
	mu     sync.Mutex
	boxes  map[core.Node]*box
	routes map[core.Node]core.Node
	wg     sync.WaitGroup
}

var _ Network = (*memoryNetwork)(nil)

type box struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []core.Message
	bytes  int
	closed bool
}

func newMemoryNetwork() *memoryNetwork {
	return &memoryNetwork{boxes: map[core.Node]*box{}, routes: map[core.Node]core.Node{}}
}

// Attach implements Network.
func (w *memoryNetwork) Attach(n core.Node, handle func([]core.Message)) (detach func()) {
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
			b.queue, b.bytes = nil, 0
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

// Route implements Network.
func (w *memoryNetwork) Route(endpoint, node core.Node, _ string) (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.routes[endpoint] = node
	return func() {}
}

// Send implements Network.
func (w *memoryNetwork) Send(messages []core.Message) {
	for i := range messages {
		m := &messages[i]
		w.mu.Lock()
		b := w.boxes[m.To]
		if b == nil {
			b = w.boxes[w.routes[m.To]]
		}
		w.mu.Unlock()
		if b == nil {
			continue
		}
		b.mu.Lock()
		if size := frameBytes(m); b.bytes == 0 || b.bytes+size <= queueBytes {
			b.queue = append(b.queue, *m)
			b.bytes += size
		}
		b.mu.Unlock()
		b.more.Signal()
	}
}

// Close implements Network. The endpoints of the other nodes go on.
func (w *memoryNetwork) Close() error { return nil }
