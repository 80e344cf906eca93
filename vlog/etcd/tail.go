package etcd

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

// stateOf reads the state out of the answers for the tail and the seal.
func (l *Loglet) stateOf(rev int64, tail, seal *pb.RangeResponse) (state, error) {
	s := state{rev: rev, sealed: len(seal.Kvs) > 0}
	if len(tail.Kvs) == 0 {
		s.gone = true
		return s, nil
	}
	var err error
	s.mod = tail.Kvs[0].ModRevision
	if s.next, err = parseTail(tail.Kvs[0].Value); err != nil {
		return state{}, l.corrupt(l.keys.tail(), err)
	}
	return s, nil
}

func (l *Loglet) corrupt(key string, err error) error {
	return &vlog.CorruptError{File: key, Reason: fmt.Sprintf("%v; restore etcd from a snapshot", err)}
}

// tailCall is one question for the tail, shared by all that came before it was asked.
type tailCall struct {
	done chan struct{}
	s    state
	err  error
}

// Tail implements vlog.Loglet. Calls that come while one is under way share the next one: that one begins after all of them did,
// which is what makes its answer linearizable for each.
func (l *Loglet) Tail(ctx context.Context) (vlog.Tail, error) {
	_, leave, err := l.enter(ctx)
	if err != nil {
		return vlog.Tail{}, err
	}
	defer leave()
	l.mu.Lock()
	call := l.nextTail
	if call == nil {
		call = &tailCall{done: make(chan struct{})}
		l.nextTail = call
		if !l.askingTails {
			l.askingTails = true
			l.background.Go(l.askTails)
		}
	}
	l.mu.Unlock()
	select {
	case <-call.done:
	case <-ctx.Done():
		return vlog.Tail{}, ctx.Err()
	}
	if call.err != nil {
		return vlog.Tail{}, call.err
	}
	if call.s.gone {
		return vlog.Tail{}, errGone
	}
	return call.s.tail(), nil
}

// askTails asks for as long as there are questions.
func (l *Loglet) askTails() {
	for {
		l.mu.Lock()
		call := l.nextTail
		l.nextTail = nil
		if call == nil {
			l.askingTails = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		call.s, call.err = l.load(l.ctx)
		if l.ctx.Err() != nil {
			call.err = vlog.ErrClosed
		}
		if call.err == nil {
			l.learn(call.s)
		}
		close(call.done)
	}
}

// WaitTail implements vlog.Loglet. All that wait share one watch.
func (l *Loglet) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	_, leave, err := l.enter(ctx)
	if err != nil {
		return vlog.Tail{}, err
	}
	defer leave()
	for {
		l.mu.Lock()
		s := l.known
		if s.next >= atLeast || s.sealed || s.gone {
			l.mu.Unlock()
			if s.gone {
				return vlog.Tail{}, errGone
			}
			return s.tail(), nil
		}
		if err := l.watchErr; err != nil {
			l.watchErr = nil // the next one tries again
			l.mu.Unlock()
			return vlog.Tail{}, err
		}
		if !l.watching && !l.closed {
			l.watching = true
			l.background.Go(l.watch)
		}
		changed := l.waiting()
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return vlog.Tail{}, ctx.Err()
		case <-l.closing:
			return vlog.Tail{}, vlog.ErrClosed
		}
	}
}

// doubtAfter is how long a watch may say nothing before the tail is asked for: a connection that hangs looks like a log
// that nobody writes to.
const doubtAfter = 2 * time.Second

// watch follows the tail and the seal until nothing more can change, or Close.
func (l *Loglet) watch() {
	var err error
	for pause := firstPause; err == nil; pause = min(2*pause, lastPause) {
		var s state
		if s, err = l.load(l.ctx); err != nil {
			break
		}
		l.learn(s)
		if s.sealed || s.gone {
			break
		}
		began := time.Now()
		l.follow(s)
		if time.Since(began) > time.Second {
			pause = firstPause
		}
		err = sleep(l.ctx, pause)
	}
	l.mu.Lock()
	l.watching = false
	if l.ctx.Err() == nil {
		l.watchErr = err
	}
	l.wake()
	l.mu.Unlock()
}

// follow watches from the revision of s on, until the watch breaks, proves to be stuck, or has seen the end.
func (l *Loglet) follow(s state) {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	events := l.client.Watch(clientv3.WithRequireLeader(ctx), l.keys.state(), clientv3.WithPrefix(), clientv3.WithRev(s.rev+1))
	doubt := time.NewTimer(doubtAfter)
	defer doubt.Stop()
	for {
		select {
		case r, ok := <-events:
			if !ok || r.Err() != nil || r.Canceled {
				return
			}
			for _, e := range r.Events {
				if s, ok = l.after(s, e); !ok {
					return
				}
			}
			l.learn(s)
			if s.sealed || s.gone {
				return
			}
		case <-doubt.C:
			attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
			fresh, err := l.loadOnce(attempt)
			cancel()
			if err == nil && (fresh.next > s.next || fresh.sealed || fresh.gone) {
				// Either it was written this very moment or the watch is stuck: a new one costs little.
				l.learn(fresh)
				return
			}
		case <-ctx.Done():
			return
		}
		doubt.Reset(doubtAfter)
	}
}

// after is the state after an event; false if the event makes no sense.
func (l *Loglet) after(s state, e *clientv3.Event) (state, bool) {
	s.rev = max(s.rev, e.Kv.ModRevision)
	switch string(e.Kv.Key) {
	case l.keys.seal():
		s.sealed = s.sealed || e.Type == clientv3.EventTypePut
	case l.keys.tail():
		if e.Type == clientv3.EventTypeDelete {
			s.gone = true
			return s, true
		}
		next, err := parseTail(e.Kv.Value)
		if err != nil {
			return s, false
		}
		s.next, s.mod = next, e.Kv.ModRevision
	}
	return s, true
}
