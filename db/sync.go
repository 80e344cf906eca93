package db

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"rebase/vlog"
)

// A strong read asks where the log ends, and waits until everything before that is applied here: then it sees all that was
// acknowledged anywhere before it began (Virtual Consensus in Delos, section 2).

// Sync returns when everything that was acknowledged before the call, by whatever node, can be read here. Of many calls at the
// same time those that have not begun to ask for the log's end ask together. If nobody else appends to the log, as with a single server, there is nothing
// to wait for.
func (d *DB) Sync(ctx context.Context) error {
	if !d.replicated {
		return nil
	}
	c := d.tails.join(d)
	select {
	case <-c.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if c.err != nil {
		return c.err
	}
	return d.waitApplied(ctx, c.next-1)
}

// tailChecks are the questions for the log's end: at most one that is being asked, and one that waits for it.
type tailChecks struct {
	mu     sync.Mutex
	next   *tailCheck // has not begun
	busy   bool       // a goroutine asks
	closed bool
}

type tailCheck struct {
	done chan struct{}
	next vlog.Position
	err  error
}

// join returns a check that begins after the call.
func (t *tailChecks) join(d *DB) *tailCheck {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		c := &tailCheck{done: make(chan struct{}), err: ErrClosed}
		close(c.done)
		return c
	}
	if t.next == nil {
		t.next = &tailCheck{done: make(chan struct{})}
	}
	if !t.busy {
		t.busy = true
		d.done.Add(1)
		go t.ask(d)
	}
	return t.next
}

func (t *tailChecks) ask(d *DB) {
	defer d.done.Done()
	for {
		t.mu.Lock()
		c := t.next
		t.next = nil
		if c == nil {
			t.busy = false
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		tail, err := d.vlog.Tail(d.run)
		if err != nil && d.run.Err() != nil {
			err = ErrClosed
		}
		c.next, c.err = tail.Next, err
		close(c.done)
	}
}

func (t *tailChecks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// reached is how far the log has been applied, for those who wait for it.
type reached struct {
	pos    atomic.Uint64
	wanted atomic.Uint64 // the lowest position waited for, plus 1; 0 if there is none

	mu      sync.Mutex
	waiters []*positionWaiter
}

type positionWaiter struct {
	pos uint64
	ch  chan struct{}
}

// set is called by the apply goroutine.
func (r *reached) set(p vlog.Position) {
	r.pos.Store(uint64(p))
	if w := r.wanted.Load(); w == 0 || w-1 > uint64(p) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters = slices.DeleteFunc(r.waiters, func(w *positionWaiter) bool {
		if w.pos <= uint64(p) {
			close(w.ch)
			return true
		}
		return false
	})
	r.publish()
}

// publish brings wanted up to date. The caller holds mu.
func (r *reached) publish() {
	lowest := uint64(math.MaxUint64)
	for _, w := range r.waiters {
		lowest = min(lowest, w.pos)
	}
	r.wanted.Store(lowest + 1)
}

func (d *DB) waitApplied(ctx context.Context, p vlog.Position) error {
	r := &d.reached
	if r.pos.Load() >= uint64(p) {
		return nil
	}
	w := &positionWaiter{uint64(p), make(chan struct{})}
	r.mu.Lock()
	r.waiters = append(r.waiters, w)
	r.publish()
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.waiters = slices.DeleteFunc(r.waiters, func(x *positionWaiter) bool { return x == w })
		r.publish()
	}()
	if r.pos.Load() >= uint64(p) { // it may have come between the first look and the entry in the list
		return nil
	}
	select {
	case <-w.ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-d.failed:
		return closedBy(d.failure)
	}
}
