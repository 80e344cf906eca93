package db

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"rebase/store"
)

// In a cluster every session belongs to a node: the one that its client is connected to. The node proposes the session's operations,
// and its end. When the node is gone, or when the client turns up at another, somebody else has to end the session, and the log decides
// who comes first: behind an opEndOther entry nothing of the session is applied any more, whoever proposed it and however
// late it comes (ErrSessionEnded). So what a client sends again elsewhere cannot be applied a second time by an
// entry that its first node still had on the way.
//
// That is so also for sessions of which the log knows nothing yet: the first entry of one may be on its way. So the end leaves a
// record that outlives such an entry (fencedTTL), and an entry that does not begin its session and finds none comes too late, too.

// owner is whose session one is. The zero value is a single server.
type owner struct {
	node        uint64
	incarnation uint64 // of the node: it changes with every start
}

func appendOwner(dst []byte, o owner) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, o.node), o.incarnation)
}

func (r *reader) owner() owner { return owner{r.uint64(), r.uint64()} }

// endOther ends the session named by the operation as its own end would have.
func (m *machine) endOther(b *store.Batch, s *sessionState, op *Op, o origin, res *Result) (*Change, error) {
	if o.replayOf == nil || o.replayOf.session == s.id {
		return nil, nil
	}
	other, err := m.session(o.replayOf.session, op.NS)
	if err != nil || other.endedAt != 0 {
		return nil, err
	}
	res.ended = true
	o.caller = other.caller
	change, err := m.runQueue(b, other, o, res)
	if err != nil {
		return nil, err
	}
	return change, m.end(b, other, o.now, recFenced)
}

// ended tells the owner of a session that another has ended it.
type ended struct {
	sync.Mutex
	is bool
	f  func()
}

func (e *ended) yes() bool {
	e.Lock()
	defer e.Unlock()
	return e.is
}

// OnEnded has f called, on a goroutine of its own, when another node has ended the session: because it took this one for dead, or because the
// client has turned up there. What the session has proposed and not been answered for was not applied, and is answered with
// ErrSessionEnded. Whoever speaks to the client must drop the connection and not answer that: the client
// comes back and sends it again.
func (s *Session) OnEnded(f func()) {
	s.lost.Lock()
	defer s.lost.Unlock()
	s.lost.f = f
	if s.lost.is {
		go f()
	}
}

// hasEnded is called by apply when a session has been ended by an opEndOther.
func (d *DB) hasEnded(id SessionID) {
	d.sessionsMu.Lock()
	s := d.sessions[id]
	d.sessionsMu.Unlock()
	if s == nil {
		return
	}
	s.lost.Lock()
	defer s.lost.Unlock()
	if s.lost.is {
		return
	}
	s.lost.is = true
	if s.lost.f != nil {
		go s.lost.f()
	}
	d.log.Debug("another node has ended a session of this one", "session", id, "namespace", s.ns)
	go s.drop() // it may have to wait for a proposer, who waits for apply
}

// drop ends a session that the log has ended already.
func (s *Session) drop() {
	s.mu.Lock()
	s.ended = true
	held := s.held
	s.match, s.held = nil, nil
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	for _, h := range held {
		h.done(Result{Err: ErrSessionEnded})
		s.answer()
	}
	s.gone()
}

// serverSession is the session of those who have none.
func (d *DB) serverSession() *Session {
	s := d.server.Load()
	if !s.lost.yes() {
		return s
	}
	d.serverMu.Lock()
	defer d.serverMu.Unlock()
	if s = d.server.Load(); s.lost.yes() {
		s = d.newSession("", Root)
		d.server.Store(s)
	}
	return s
}

// asServer proposes what the database itself has to say, until it is applied or the database fails.
func (d *DB) asServer(op *Op, ref *writeRef, done func(Result)) {
	s := d.serverSession()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		go d.asServer(op, ref, done)
		return
	}
	s.accepted++
	s.enqueue(op, ref, func(r Result) {
		if errors.Is(r.Err, ErrSessionEnded) {
			go d.asServer(op, ref, done)
			return
		}
		done(r)
	})
}

// sessionEnds are the ends of other nodes' sessions that are under way: a client that comes again and again while the
// log stands still is not to fill the queue.
type sessionEnds struct {
	mu  sync.Mutex
	due map[SessionID]*sessionEnd
}

type sessionEnd struct {
	done chan struct{}
	res  Result
}

// endOf proposes the end of a session, unless that is under way.
func (d *DB) endOf(id SessionID, ns string) (e *sessionEnd, mine bool) {
	x := &d.ends
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.due[id]; e != nil {
		return e, false
	}
	if x.due == nil {
		x.due = map[SessionID]*sessionEnd{}
	}
	e = &sessionEnd{done: make(chan struct{})}
	x.due[id] = e
	// The queue may be full: whoever waits for the end must be free to give up.
	go d.asServer(&Op{Kind: opEndOther, NS: ns}, &writeRef{session: id}, func(r Result) {
		x.mu.Lock()
		delete(x.due, id)
		x.mu.Unlock()
		e.res = r
		close(e.done)
	})
	return e, true
}

func (e *sessionEnd) wait(ctx context.Context) error {
	select {
	case <-e.done:
		return e.res.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// endElsewhere ends a session that is none of this database's, and sees to it that all is applied that its client can have seen.
func (d *DB) endElsewhere(ctx context.Context, id SessionID, ns string) error {
	var over bool
	var err error
	d.Barrier(func(uint64) {
		var s *sessionState
		if s, _, err = d.machine.peek(id); err == nil {
			over = s.endedAt != 0
		}
	})
	if err != nil {
		return err
	}
	if over {
		return d.Sync(ctx)
	}
	e, mine := d.endOf(id, ns)
	if err := e.wait(ctx); err != nil || mine {
		return err
	}
	return d.Sync(ctx) // it may have been proposed before the client saw the last it saw
}

// EndSessionsOf ends the sessions of nodes that are gone, through the log, and returns how many of them it has ended; others may
// have been faster. Their onDisconnect operations run. Any node may do it, and several at once. gone is asked about every owner of a
// session that is alive, but this database itself. A node that is not gone learns that its sessions were ended, closes its
// clients' connections, and goes on.
//
// An entry that a dead node had on the way can begin a session after this call. So call it again some time later.
func (d *DB) EndSessionsOf(ctx context.Context, gone func(node, incarnation uint64) bool) (n int, err error) {
	if err := d.Sync(ctx); err != nil {
		return 0, err
	}
	return d.endSessions(ctx, func(o owner) bool { return o != d.self && gone(o.node, o.incarnation) })
}

func (d *DB) endSessions(ctx context.Context, which func(owner) bool) (n int, err error) {
	type due struct {
		id SessionID
		ns string
	}
	var all []due
	var bad error
	err = d.store.ScanMeta([]byte{recSession}, func(key, rec []byte) bool {
		s := &sessionState{id: SessionID(key[1:])}
		if bad = s.decodeHead(rec); bad != nil {
			return false
		}
		if s.endedAt == 0 && which(s.owner) {
			all = append(all, due{s.id, s.ns})
		}
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return 0, err
	}
	const atOnce = 1024
	for len(all) > 0 {
		group := all[:min(atOnce, len(all))]
		all = all[len(group):]
		ends := make([]*sessionEnd, len(group))
		for i, s := range group {
			ends[i], _ = d.endOf(s.id, s.ns)
		}
		for _, e := range ends {
			if err := e.wait(ctx); err != nil {
				return n, err
			}
			if e.res.ended {
				n++
			}
		}
	}
	return n, nil
}
