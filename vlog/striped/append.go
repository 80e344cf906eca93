package striped

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"rebase/vlog"
)

// Holes
//
// A handle sends its appends to the stripe whose next slot is the lowest as far as it knows: one after the other, so that a handle that is alone never
// leaves a hole. With several handles, which do not know of each other's appends, some stripes come to be ahead of others. An append in a stripe that is ahead
// waits for the others to be filled up to it. Whether they are the handle may not know; so it finds out, and if they are not fills
// them with nothing:
//
//   - as long as this handle is itself appending enough to a stripe, it waits for that, for a few times as long as an append takes;
//   - otherwise it asks for the stripe's tail, gives the appends of others that may be under way a moment, and then fills.
//
// Filling is never wrong: what is appended to the stripe later simply gets a later slot.

const (
	// moment is for the appends of others. What is gained by a longer one is slots that are not wasted, and what is lost is the latency of an append after which the log
	// is idle.
	moment = 200 * time.Microsecond
	// slowFactor times the duration of an append is when a stripe to which this handle is appending is given no more time, but slowLeast at least.
	slowFactor = 4
	slowLeast  = 5 * time.Millisecond
)

// waiter is an append that waits for the slots below its own.
type waiter struct {
	slot slot
	err  error
	done chan struct{}
}

// waiters is a heap, the lowest slot first.
type waiters []*waiter

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].slot < w[j].slot }
func (w waiters) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waiters) Push(x any)        { *w = append(*w, x.(*waiter)) }
func (w *waiters) Pop() any {
	old := *w
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	return x
}

// release lets go whose slots are below filled.
func (w *waiters) release(filled slot) {
	for len(*w) > 0 && (*w)[0].slot < filled {
		close(heap.Pop(w).(*waiter).done)
	}
}

func (w *waiters) fail(err error) {
	for _, x := range *w {
		x.err = err
		close(x.done)
	}
	*w = nil
}

// Append implements vlog.Loglet.
func (l *Loglet) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	switch {
	case size > vlog.MaxEntryBytes:
		return 0, vlog.ErrTooLarge
	case len(payloads) > maxPayloads:
		return 0, fmt.Errorf("%w; a striped loglet takes %d payloads at once", vlog.ErrTooLarge, maxPayloads)
	case len(payloads) == 0:
		t, err := l.Tail(ctx)
		if err == nil && t.Sealed {
			err = vlog.ErrSealed
		}
		return t.Next, err
	}
	entry := encode(payloads)
	k, ok := l.choose()
	if !ok {
		return 0, l.sealRest(ctx)
	}
	at, err := l.appendTo(ctx, k, entry)
	if err != nil {
		return 0, err
	}
	if es, err := decode(entry); err == nil {
		l.cache.put(at, es) // it will be read soon
	}
	return at.position(), l.await(ctx, at)
}

// choose picks the stripe for the next entry, and counts it as sending. It fails if the log is sealed.
func (l *Loglet) choose() (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed {
		return 0, false
	}
	best := 0
	for k := range l.stripes {
		if l.expected(k) < l.expected(best) {
			best = k
		}
	}
	l.stripes[best].sending++
	return best, true
}

// expected is where the next entry in a stripe would stand, as far as this handle knows. Caller holds mu.
func (l *Loglet) expected(k int) slot {
	s := l.stripes[k]
	return l.at(k, s.filled+vlog.Position(s.sending))
}

// appendTo appends entries, counted as sending, to a stripe, and returns the slot of the first.
func (l *Loglet) appendTo(ctx context.Context, k int, entries ...[]byte) (slot, error) {
	s := l.stripes[k]
	begin := time.Now()
	p, err := s.loglet.Append(ctx, entries...)
	l.mu.Lock()
	s.sending -= len(entries)
	if err == nil {
		s.took += (time.Since(begin) - s.took) / 8
		l.grow(k, p+vlog.Position(len(entries)))
	}
	l.mu.Unlock()
	if errors.Is(err, vlog.ErrSealed) {
		err = l.sealRest(ctx)
	}
	return l.at(k, p), err
}

// sealRest completes a seal that a stripe has told of. It always returns an error: ErrSealed, as a rule.
func (l *Loglet) sealRest(ctx context.Context) error {
	l.mu.Lock()
	l.noteSeal()
	l.mu.Unlock()
	if err := l.Seal(ctx); err != nil {
		return errors.Join(vlog.ErrSealed, err)
	}
	return vlog.ErrSealed
}

// await returns when all slots below s are filled.
func (l *Loglet) await(ctx context.Context, at slot) error {
	l.mu.Lock()
	if l.filled > at {
		l.mu.Unlock()
		return nil
	}
	switch {
	case l.ctx.Err() != nil:
		l.mu.Unlock()
		return vlog.ErrClosed
	case l.sealed:
		l.mu.Unlock()
		return vlog.ErrSealed
	}
	w := &waiter{slot: at, done: make(chan struct{})}
	heap.Push(&l.waiters, w)
	for k, s := range l.stripes {
		if s.wanted = max(s.wanted, l.below(k, at)); s.wanted > s.filled && !s.chased {
			s.chased = true
			l.tasks.Go(func() { l.chase(k) })
		}
	}
	l.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err() // the waiter stays until its slot's time has come
	}
}

// chase sees to it that a stripe is filled as far as is wanted.
func (l *Loglet) chase(k int) {
	s := l.stripes[k]
	for l.waitForOwn(k) {
		if l.fill(k) {
			continue
		}
		// Unreachable, perhaps. The appends wait, as they do for their own stripe.
		select {
		case <-time.After(100 * time.Millisecond):
		case <-l.ctx.Done():
		}
	}
	l.mu.Lock()
	s.chased = false
	again := s.wanted > s.filled && !l.sealed && l.ctx.Err() == nil
	if again {
		s.chased = true
		l.tasks.Go(func() { l.chase(k) })
	}
	l.mu.Unlock()
}

// waitForOwn waits for as long as what this handle is appending to a stripe will do. It returns whether something is still wanted.
func (l *Loglet) waitForOwn(k int) bool {
	s := l.stripes[k]
	var timer <-chan time.Time
	for {
		l.mu.Lock()
		lacking := s.wanted > s.filled && !l.sealed && l.ctx.Err() == nil
		enough := s.filled+vlog.Position(s.sending) >= s.wanted
		grown := s.grown
		patience := max(slowLeast, slowFactor*s.took)
		l.mu.Unlock()
		if !lacking || !enough {
			return lacking
		}
		if timer == nil {
			timer = time.After(patience)
		}
		select {
		case <-grown:
			timer = nil // it gets on
		case <-timer:
			return true
		case <-l.ctx.Done():
			return false
		}
	}
}

// fill asks for a stripe's tail and fills what is wanted. It returns false if that was not possible.
func (l *Loglet) fill(k int) bool {
	s := l.stripes[k]
	wanted := func() (vlog.Position, int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return s.wanted, int(max(s.wanted, s.filled) - s.filled)
	}
	if t, err := s.loglet.Tail(l.ctx); err != nil || l.learn(k, t) {
		return err == nil
	}
	p, n := wanted()
	if n == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(l.ctx, moment)
	t, err := s.loglet.WaitTail(ctx, p)
	cancel()
	if err == nil && l.learn(k, t) {
		return true
	}
	if _, n = wanted(); n == 0 {
		return true
	}
	fillers := make([][]byte, min(n, maxFillers))
	for i := range fillers {
		fillers[i] = nothing
	}
	l.mu.Lock()
	s.sending += len(fillers)
	l.mu.Unlock()
	_, err = l.appendTo(l.ctx, k, fillers...)
	return err == nil
}

var nothing = encode(nil)

// maxFillers bounds one append of them.
const maxFillers = 4096

// learn takes the tail of a stripe, and returns whether it is sealed.
func (l *Loglet) learn(k int, t vlog.Tail) bool {
	if t.Sealed {
		l.sealRest(l.ctx)
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grow(k, t.Next)
	return false
}
