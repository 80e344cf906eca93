package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

// batchBytes is how much one transaction carries. etcd's limit for a request is 1.5 MiB unless --max-request-bytes says otherwise.
const batchBytes = 1 << 20

// Append implements vlog.Loglet.
func (l *Loglet) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	if len(payloads) == 0 {
		t, err := l.Tail(ctx)
		if err == nil && t.Sealed {
			err = vlog.ErrSealed
		}
		return t.Next, err
	}
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	if size > vlog.MaxEntryBytes {
		return 0, vlog.ErrTooLarge
	}
	if stored := size + 4*len(payloads); stored > batchBytes {
		return l.appendLarge(ctx, inner, payloads)
	}
	r := &request{payloads: payloads, count: len(payloads), size: size + 4*len(payloads)}
	return l.submit(inner, ctx, r)
}

// submit queues a request and waits for what becomes of it.
func (l *Loglet) submit(inner, ctx context.Context, r *request) (vlog.Position, error) {
	r.done = make(chan struct{})
	l.mu.Lock()
	if l.known.sealed {
		l.mu.Unlock()
		return 0, vlog.ErrSealed
	}
	l.queue = append(l.queue, r)
	if !l.committing {
		l.committing = true
		l.commits.Go(l.commitAll)
	}
	l.mu.Unlock()
	select {
	case <-r.done:
		return r.first, r.err
	case <-inner.Done():
	}
	// What is not yet under way is taken back; otherwise its outcome is open, and its payloads have been copied.
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue, r); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	select {
	case <-r.done:
		return r.first, r.err
	default:
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return 0, vlog.ErrClosed
}

// work is one transaction's worth of requests.
type work struct {
	requests []*request
	number   uint64
	count    int
	bytes    int
	value    []byte
	ref      *ref
}

// take cuts the next transaction off the queue: what has gathered, in order, up to batchBytes; a reference goes alone. It is
// called by the committer alone. nil means that there is nothing left to do.
func (l *Loglet) take() *work {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known.sealed || l.known.gone {
		err := error(vlog.ErrSealed)
		if l.known.gone {
			err = errGone
		}
		finish(l.queue, 0, err)
		l.queue = nil
	}
	if len(l.queue) == 0 {
		l.committing = false
		return nil
	}
	l.number++
	w := &work{number: l.number}
	n := 0
	for _, r := range l.queue {
		if n > 0 && (r.ref != nil || w.ref != nil || w.bytes+r.size > batchBytes) {
			break
		}
		w.ref = r.ref
		w.count += r.count
		w.bytes += r.size
		n++
	}
	w.requests = slices.Clone(l.queue[:n])
	l.queue = slices.Delete(l.queue, 0, n)
	if w.ref != nil {
		w.value = w.ref.encode()
	} else {
		// Here, under the lock, so that an Append whose context ends knows that nobody reads its payloads any more.
		w.value = encodeInline(w.requests, w.count, w.bytes)
	}
	return w
}

// finish tells requests, which stand one behind the other from first on, what became of them. Caller holds mu.
func finish(requests []*request, first vlog.Position, err error) {
	for _, r := range requests {
		if r.err = err; err == nil {
			r.first = first
			first += vlog.Position(r.count)
		}
		close(r.done)
	}
}

// commitAll is the committer: there is at most one at a time, for as long as there are requests. It does not begin a transaction
// before it knows what became of the one before. Keeping several in the air would save waiting only where etcd's answer takes
// longer than its disk, and a transaction that overtakes another fails; what gathers meanwhile shares the next one anyway.
func (l *Loglet) commitAll() {
	for {
		w := l.take()
		if w == nil {
			return
		}
		begun := time.Now()
		first, err := l.commit(w)
		took := time.Since(begun)
		var b *batch
		if err == nil && w.ref == nil {
			b, _ = decodeBatch(first, w.value) // who appends is likely to read
		}
		l.mu.Lock()
		l.cache.add(b)
		finish(w.requests, first, err)
		rival := l.rival
		l.rival = false
		l.mu.Unlock()
		if err == nil {
			l.spent(len(w.value))
		}
		if rival {
			l.giveWay(first+vlog.Position(w.count), min(2*took, mostGiven))
		}
	}
}

// mostGiven is how long a writer waits at most for another's batch.
const mostGiven = 50 * time.Millisecond

// giveWay waits until there is another writer's batch behind next, or the time is over. A transaction whose condition does not hold leaves a sign that its writer
// was too slow. Without that the one who is nearest to etcd's leader would win again and again, and the others get nothing.
func (l *Loglet) giveWay(next vlog.Position, d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		l.mu.Lock()
		s, changed := l.known, l.waiting()
		l.mu.Unlock()
		if s.next > next || s.sealed || s.gone {
			return
		}
		select {
		case <-changed:
		case <-over.C:
			return
		case <-l.closing:
			return
		}
	}
}

// errSwept says that the pieces of a large Append have been taken for left behind.
var errSwept = errors.New("vlog/etcd: stored pieces were deleted before a batch referred to them")

// commit runs one transaction to its end. Its outcome is unknown only if the error is neither ErrSealed, errGone nor errSwept.
//
// After an error of etcd the same transaction is sent again, under the same condition. At most one of the two can succeed, since
// both change the tail that both compare; and if the tail is another one, then none of them can any more, and what this writer
// has done last, read in the same transaction, says whether one has.
func (l *Loglet) commit(w *work) (first vlog.Position, err error) {
	l.mu.Lock()
	at := l.known
	l.mu.Unlock()
	for {
		var done bool
		err := retry(l.ctx, l.health, attemptTimeout, func(ctx context.Context) (err error) {
			var s state
			if s, first, done, err = l.try(ctx, w, at); err == nil {
				l.learn(s)
				at = s
			}
			return err
		})
		if err != nil {
			return 0, l.explain(context.Background(), "append to", err)
		}
		switch {
		case done:
			return first, nil
		case at.gone:
			return 0, errGone
		case at.sealed:
			return 0, vlog.ErrSealed
		case first != 0:
			return 0, errSwept
		}
		// Another writer was faster. Perhaps more is known by now than its batch.
		l.mu.Lock()
		if l.known.rev > at.rev {
			at = l.known
		}
		l.mu.Unlock()
	}
}

// try sends the transaction of w under the condition that the tail is still the one of at. If it did not succeed, and neither
// had an earlier try, done is false and s is the state that was found; first is not 0 then if the intent is missing.
func (l *Loglet) try(ctx context.Context, w *work, at state) (s state, first vlog.Position, done bool, err error) {
	k := l.keys
	next := at.next + vlog.Position(w.count)
	conditions := []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(k.tail()), "=", at.mod),
		clientv3.Compare(clientv3.CreateRevision(k.seal()), "=", 0),
	}
	puts := []clientv3.Op{
		clientv3.OpPut(k.entry(at.next), string(w.value)),
		clientv3.OpPut(k.tail(), tailValue(next)),
		clientv3.OpPut(k.writer(l.writer), writerValue(w.number, at.next)),
	}
	gets := []clientv3.Op{clientv3.OpGet(k.tail()), clientv3.OpGet(k.seal()), clientv3.OpGet(k.writer(l.writer))}
	if w.ref != nil {
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(k.intent(w.ref.id)), ">", 0))
		puts = append(puts, clientv3.OpPut(k.big(at.next), w.ref.id), clientv3.OpDelete(k.intent(w.ref.id)))
		gets = append(gets, clientv3.OpGet(k.intent(w.ref.id), clientv3.WithCountOnly()))
	}
	puts = append(puts, clientv3.OpGet(k.late()))
	gets = append(gets, clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(k.tail()), ">", 0), clientv3.Compare(clientv3.CreateRevision(k.seal()), "=", 0)},
		[]clientv3.Op{clientv3.OpPut(k.late(), writerName(l.writer))}, nil))
	r, err := l.client.Txn(ctx).If(conditions...).Then(puts...).Else(gets...).Commit()
	if err != nil {
		return state{}, 0, false, err
	}
	if r.Succeeded {
		rev := r.Header.Revision
		l.mu.Lock()
		if late := r.Responses[len(puts)-1].GetResponseRange().Kvs; len(late) > 0 && late[0].ModRevision > l.heeded && string(late[0].Value) != writerName(l.writer) {
			l.rival, l.heeded = true, late[0].ModRevision
		}
		l.mu.Unlock()
		return state{rev: rev, mod: rev, next: next}, at.next, true, nil
	}
	s, err = l.stateOf(r.Header.Revision, r.Responses[0].GetResponseRange(), r.Responses[1].GetResponseRange())
	if err != nil {
		return state{}, 0, false, err
	}
	if kvs := r.Responses[2].GetResponseRange().Kvs; len(kvs) > 0 {
		number, where, err := parseWriter(kvs[0].Value)
		if err != nil {
			return state{}, 0, false, l.corrupt(k.writer(l.writer), fmt.Errorf("%q is not what a writer leaves: %w", kvs[0].Value, err))
		}
		if number == w.number {
			return s, where, true, nil // it was in the log all along: an answer was lost
		}
	}
	if w.ref != nil && r.Responses[3].GetResponseRange().Count == 0 {
		return s, 1, false, nil
	}
	return s, 0, false, nil
}
