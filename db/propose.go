package db

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"rebase/vlog"
)

// Proposals travel in three steps, each with a queue of its own so that no step waits for
// another: callers encode their operation into the queue; the propose loop appends everything
// queued with one Append, which costs one sync of the disk however many there are, while the
// next proposals gather; the apply loop reads the entries back and finds the proposers waiting
// in the order of the log.
//
// The queue's bounds are the back-pressure: a caller waits while maxQueuedBytes are under way. Those who share the server's session wait before they propose,
// as long as they have the patience; what the database itself has to say is little, and does not wait.

const (
	maxQueuedBytes = 64 << 20
	maxAppendBytes = 8 << 20 // of one Append, unless a single entry is larger
)

// proposal is an operation on its way through the log.
type proposal struct {
	session SessionID
	seq     uint64
	payload []byte
	done    func(Result)
	owner   *Session // nil for what the database itself proposes
}

func (p *proposal) answer(r Result) {
	p.done(r)
	if p.owner != nil {
		p.owner.answer()
	}
}

type proposer struct {
	mu     sync.Mutex
	room   sync.Cond // there is room in the queue again
	work   sync.Cond // the queue is no longer empty
	queue  []proposal
	bytes  int // queued and waiting
	closed bool
	err    error         // set: everything is refused
	idle   chan struct{} // closed once closed is set and all proposals are answered

	// waiting are the proposals that have been, or are just being, appended: oldest first.
	waiting []proposal
	head    int // waiting[:head] have been answered
}

func (p *proposer) init() {
	p.room.L, p.work.L = &p.mu, &p.mu
	p.idle = make(chan struct{})
}

// enqueue puts an operation into the queue; what is given of the proposal is session, number
// and whom to answer. It returns false if the operation cannot be in the log.
func (d *DB) enqueue(w proposal, op *Op, o origin) bool {
	w.payload = vlog.AppendHeader(make([]byte, 0, 128), &vlog.Header{Session: w.session, Seq: w.seq})
	w.payload = appendOp(w.payload, op, o)
	if len(w.payload) > vlog.MaxEntryBytes {
		go w.answer(Result{Err: vlog.ErrTooLarge})
		return false
	}
	p := &d.prop
	p.mu.Lock()
	for p.full() && (w.owner == nil || w.owner.ns != "") {
		p.room.Wait()
	}
	if p.err != nil || p.closed {
		err := p.err
		if err == nil {
			err = ErrClosed
		}
		p.mu.Unlock()
		go w.answer(Result{Err: err})
		return false
	}
	p.queue = append(p.queue, w)
	p.bytes += len(w.payload)
	if len(p.queue) == 1 {
		p.work.Signal()
	}
	p.mu.Unlock()
	d.stats.proposed.Add(1)
	return true
}

// full says whether the next proposal has to wait. The caller holds mu.
func (p *proposer) full() bool { return p.bytes > maxQueuedBytes && p.err == nil && !p.closed }

// waitForRoom waits until the next proposal need not wait.
func (p *proposer) waitForRoom(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.full() {
		return nil
	}
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		p.room.Broadcast()
		p.mu.Unlock()
	})()
	for p.full() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.room.Wait()
	}
	return nil
}

func (d *DB) proposeLoop(ctx context.Context) {
	defer d.done.Done()
	var payloads [][]byte
	for {
		payloads = d.prop.take(payloads[:0])
		if len(payloads) == 0 {
			return
		}
		if _, err := d.vlog.Append(ctx, payloads...); err != nil {
			// Whether the entries are in the log is unknown: nothing is acknowledged, and
			// nothing more is taken, since order would be lost.
			d.fail(err)
			return
		}
		d.stats.groups.Add(1)
		clear(payloads)
	}
}

// take moves the next proposals from the queue to waiting, and appends their payloads to dst:
// none at the end.
func (p *proposer) take(dst [][]byte) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) == 0 {
		if p.closed || p.err != nil {
			p.checkIdle()
			return dst
		}
		p.work.Wait()
	}
	n, size := 1, len(p.queue[0].payload)
	for n < len(p.queue) && size+len(p.queue[n].payload) <= maxAppendBytes {
		size += len(p.queue[n].payload)
		n++
	}
	if p.head > 0 && p.head >= len(p.waiting)/2 {
		kept := copy(p.waiting, p.waiting[p.head:])
		clear(p.waiting[kept:])
		p.waiting, p.head = p.waiting[:kept], 0
	}
	for _, w := range p.queue[:n] {
		dst = append(dst, w.payload)
	}
	p.waiting = append(p.waiting, p.queue[:n]...)
	kept := copy(p.queue, p.queue[n:])
	clear(p.queue[kept:])
	p.queue = p.queue[:kept]
	return dst
}

// answered takes the proposal of an applied entry off waiting. ok is false if the entry was
// not proposed here.
func (p *proposer) answered(id SessionID, seq uint64) (answered proposal, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.head == len(p.waiting) {
		return proposal{}, false
	}
	w := &p.waiting[p.head]
	if w.session != id || w.seq != seq {
		return proposal{}, false
	}
	answered = *w
	wasFull := p.bytes > maxQueuedBytes
	p.bytes -= len(w.payload)
	*w = proposal{}
	p.head++
	if wasFull && p.bytes <= maxQueuedBytes {
		p.room.Broadcast()
	}
	p.checkIdle()
	return answered, true
}

// closedBy is the ErrClosed of a database that stopped because of err.
func closedBy(err error) error {
	if errors.Is(err, ErrClosed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

// checkIdle tells Close that nothing is under way. The caller holds mu.
func (p *proposer) checkIdle() {
	if p.closed && len(p.queue) == 0 && p.head == len(p.waiting) {
		select {
		case <-p.idle:
		default:
			close(p.idle)
		}
	}
}

func (p *proposer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.work.Broadcast()
	p.room.Broadcast()
	p.checkIdle()
}

// refuse answers everything under way, and everything to come, with ErrClosed because of err:
// whether it is, or will be, in the log nobody can tell.
func (p *proposer) refuse(err error) {
	err = closedBy(err)
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	left := append(append([]proposal(nil), p.waiting[p.head:]...), p.queue...)
	p.waiting, p.head, p.queue = nil, 0, nil
	p.work.Broadcast()
	p.room.Broadcast()
	p.mu.Unlock()
	for _, w := range left {
		w.answer(Result{Err: err})
	}
}
