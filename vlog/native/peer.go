package native

import (
	"sync"
	"sync/atomic"
	"time"

	"rebase/vlog/native/core"
)

// peer is a node that this one asks. Its connections are made when they are needed, and made again after they have broken.
type peer struct {
	t     *tcp
	node  core.Node
	lanes [lanes]atomic.Pointer[conn]

	mu      sync.Mutex
	address string
	retry   [lanes]time.Time     // not before
	backoff [lanes]time.Duration // after the next failure
}

const (
	firstBackoff = 10 * time.Millisecond
	lastBackoff  = 500 * time.Millisecond
)

// conn is the connection of a lane, perhaps still being made. It is nil for a while after one has failed.
func (p *peer) conn(l lane) *conn {
	if c := p.lanes[l].Load(); c != nil {
		return c
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.lanes[l].Load(); c != nil {
		return c
	}
	if p.address == "" || time.Now().Before(p.retry[l]) {
		return nil
	}
	c := p.t.newConn(l)
	c.peer = p
	address := p.address
	if !p.t.begin(c, func() { c.dialed(address) }) {
		return nil
	}
	p.lanes[l].Store(c)
	return c
}

func (p *peer) connected(l lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backoff[l] = 0
}

// lost is called when a connection has ended.
func (p *peer) lost(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backoff[c.lane] = min(max(2*p.backoff[c.lane], firstBackoff), lastBackoff)
	p.retry[c.lane] = time.Now().Add(p.backoff[c.lane])
	p.lanes[c.lane].CompareAndSwap(c, nil)
}

func (p *peer) moved(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.address != address {
		p.address = address
		clear(p.retry[:])
	}
}

// session is a node that asks this one, from its start to its end: when it starts again it is another.
type session struct {
	node     core.Node
	instance uint64
	lanes    [lanes]atomic.Pointer[conn]
	learned  map[core.Node]struct{} // its endpoints; guarded by tcp.mu
}

// conn is the connection on which to answer.
func (s *session) conn(l lane) *conn {
	if c := s.lanes[l].Load(); c != nil {
		return c
	}
	for i := range s.lanes {
		if c := s.lanes[i].Load(); c != nil {
			return c
		}
	}
	return nil
}
