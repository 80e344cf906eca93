package native

import (
	"context"
	"runtime"
	"slices"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// Appends of one handle are gathered, as those of a local log are (package local): the first leaves at once, and while some are on the way the others
// make up the next batch, which is one message, and one closed channel for all who wait. With many appenders that is most of what an append costs.

const (
	// maxAppendBytes leaves room for what a log server writes around an entry, in a log with the limit of vlog.MaxEntryBytes.
	maxAppendBytes = vlog.MaxEntryBytes - 4096
	// maxBatches is how many may be on the way.
	maxBatches = 4
	// maxBatchBytes is when one is full.
	maxBatchBytes = 1 << 20
	// maxFlyingBytes bounds what the handle holds: beyond it appenders wait to be let in.
	maxFlyingBytes = 64 << 20
	appendArena    = 64 << 10
	// gatherMore is how many must have come along for it to be worth waiting for more.
	gatherMore = 16
)

// batch is what one message to the sequencer carries.
type batch struct {
	id      uint64 // the client's call, when it has left
	entries [][]byte
	bytes   int
	waiters int // appenders that still want the answer
	done    chan struct{}
	first   vlog.Position
	err     error
}

// batches are the appends of a handle. Its lock guards them.
type batches struct {
	waiting []*batch // not yet sent; entries join the last
	flying  map[uint64]*batch
	entries int // on the way
	bytes   int // of both
	limit   int // of bytes, unless it is a single append
	arena   []byte
	// launching says that an appender is about to send what is waiting.
	launching bool
	queue     []*entrance // appenders who have to wait
}

type entrance struct {
	bytes int
	ready chan struct{} // closed when the bytes are counted, or there is no more use in waiting
}

// Append implements vlog.Loglet. Its limit is 4 KiB less than vlog.MaxEntryBytes.
func (l *Loglet) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	if size > maxAppendBytes {
		return 0, vlog.ErrTooLarge
	}
	if len(payloads) == 0 {
		t, err := l.Tail(ctx)
		if err == nil && t.Sealed {
			err = vlog.ErrSealed
		}
		return t.Next, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	if err := l.enter(ctx, size); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	b := l.batches.join(size)
	at := len(b.entries)
	for _, p := range payloads {
		b.entries = append(b.entries, l.batches.copy(p))
	}
	if !l.batches.launching && l.batches.due() {
		l.batches.launching = true
		l.mu.Unlock()
		l.gather()
	} else {
		l.out.flush(&l.mu, l.send)
	}
	if ctx.Done() == nil {
		<-b.done
	} else {
		select {
		case <-b.done:
		case <-ctx.Done():
			l.giveUp(b)
			return 0, ctx.Err()
		}
	}
	return b.first + vlog.Position(at), b.err
}

// enter waits until there is room for so many bytes, which it counts. Caller holds mu, which enter may release in between.
func (l *Loglet) enter(ctx context.Context, size int) error {
	if l.err != nil {
		return l.err
	}
	q := &l.batches
	if len(q.queue) == 0 && (q.bytes == 0 || q.bytes+size <= q.limit) {
		q.bytes += size
		return nil
	}
	e := &entrance{bytes: size, ready: make(chan struct{})}
	q.queue = append(q.queue, e)
	l.mu.Unlock()
	var err error
	select {
	case <-e.ready:
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.mu.Lock()
	if i := slices.Index(q.queue, e); i >= 0 {
		q.queue = slices.Delete(q.queue, i, i+1)
		q.admit() // a smaller one may have stood behind it
		return err
	}
	if l.err != nil {
		return l.err
	}
	if err != nil {
		q.release(size) // it was let in at the same moment
	}
	return err
}

// release gives back room. Caller holds the handle's lock.
func (q *batches) release(size int) {
	q.bytes -= size
	q.admit()
}

// admit lets appenders in, in the order in which they came.
func (q *batches) admit() {
	for len(q.queue) > 0 && (q.bytes == 0 || q.bytes+q.queue[0].bytes <= q.limit) {
		q.bytes += q.queue[0].bytes
		close(q.queue[0].ready)
		q.queue = q.queue[1:]
	}
}

// join returns the batch that gathers.
func (q *batches) join(size int) *batch {
	if n := len(q.waiting); n > 0 && q.waiting[n-1].bytes+size <= maxBatchBytes {
		b := q.waiting[n-1]
		b.bytes += size
		b.waiters++
		return b
	}
	b := &batch{bytes: size, waiters: 1, done: make(chan struct{})}
	q.waiting = append(q.waiting, b)
	return b
}

// copy takes a payload over: it stays under way after an appender whose context has ended.
func (q *batches) copy(p []byte) []byte {
	if len(p) >= appendArena/4 {
		return slices.Clone(p)
	}
	if cap(q.arena)-len(q.arena) < len(p) {
		q.arena = make([]byte, 0, appendArena)
	}
	n := len(q.arena)
	q.arena = append(q.arena, p...)
	return q.arena[n:len(q.arena):len(q.arena)]
}

// gather lets those that the last batch has woken come along before the next leaves, which with many appenders makes it several times as large. The caller
// has set launching.
func (l *Loglet) gather() {
	// A yield lets some dozens of them run, not all.
	for have, more := 0, true; more; {
		runtime.Gosched()
		l.mu.Lock()
		n := 0
		if w := l.batches.waiting; len(w) == 1 {
			n = len(w[0].entries)
		}
		if have, more = n, n > have+gatherMore; more {
			l.mu.Unlock()
		}
	}
	l.batches.launching = false
	l.launch()
	l.out.flush(&l.mu, l.send)
}

// due says whether the next batch should leave: at once if it is as large as all that is on the way; otherwise it grows until something has come back.
func (q *batches) due() bool {
	if len(q.waiting) == 0 || len(q.flying) >= maxBatches {
		return false
	}
	return len(q.flying) == 0 || len(q.waiting) > 1 || len(q.waiting[0].entries) >= q.entries
}

// launch sends what has gathered. Caller holds mu, and flushes.
func (l *Loglet) launch() {
	q := &l.batches
	for l.err == nil && !q.launching && q.due() {
		b := q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		if b.waiters == 0 {
			q.release(b.bytes)
			continue
		}
		id, out := l.client.Append(b.entries)
		b.id = id
		if q.flying == nil {
			q.flying = map[uint64]*batch{}
		}
		q.flying[id] = b
		q.entries += len(b.entries)
		l.did(out)
	}
}

// appended ends a batch. Caller holds mu.
func (l *Loglet) appended(r *core.Result) {
	b := l.batches.flying[r.Call]
	if b == nil {
		return
	}
	l.batches.land(b)
	b.first = r.First
	switch r.Status {
	case core.OK:
	case core.Refused:
		b.err = errForgotten
	default:
		b.err = vlog.ErrSealed
	}
	l.batches.release(b.bytes)
	close(b.done)
}

// land takes a batch back from its way.
func (q *batches) land(b *batch) {
	delete(q.flying, b.id)
	q.entries -= len(b.entries)
}

// giveUp is for an appender who does not wait any longer.
func (l *Loglet) giveUp(b *batch) {
	l.mu.Lock()
	if b.waiters--; b.waiters == 0 && l.batches.flying[b.id] == b {
		l.client.Cancel(b.id)
		l.batches.land(b)
		l.batches.release(b.bytes)
		l.launch()
	}
	l.out.flush(&l.mu, l.send)
}

// end ends all batches.
func (q *batches) end(err error) {
	for _, b := range q.waiting {
		b.err = err
		close(b.done)
	}
	for _, b := range q.flying {
		b.err = err
		close(b.done)
	}
	for _, e := range q.queue {
		close(e.ready)
	}
	*q = batches{limit: q.limit}
}
