package db

import (
	"context"
	"sync"
	"time"
)

// holdBack is how long a write that may be the beginning of a replay waits for the next one:
// an SDK sends its unanswered writes back to back.
const holdBack = 250 * time.Millisecond

// replayWindow is how long after its begin a session's first write is still looked for among
// those of the previous session. An SDK sends its unanswered writes as soon as it is connected,
// though credentials and listens first. A longer time would find no more of them, but would
// take more new writes for old ones: somebody presses the same button again.
const replayWindow = 10 * time.Second

// Session is one client's stay on one namespace. Its methods are safe for concurrent use;
// operations take effect in the order in which Propose was called.
type Session struct {
	db *DB
	id SessionID
	ns string

	mu        sync.Mutex
	ended     bool
	seq       uint64 // of the last proposal
	confirmed uint64
	logged    uint64 // of confirmed: what the log has been told
	lastPrint uint64 // the last proposal that the client might send again
	accepted  uint64 // proposals taken, those held back included

	caller *Caller
	told   bool // the log knows of the caller
	named  bool // the log knows of the owner

	// While the beginning of the session may be a replay of the previous one.
	match    *matcher
	begun    bool // the log knows of the session
	held     []heldOp
	timer    *time.Timer
	deadline time.Time // when the timer's word counts: one that has fired cannot be taken back

	over     chan struct{} // closed when the end of the session has been applied
	overOnce sync.Once

	lost ended // whether another has ended it; with a lock of its own, for the same reason as answers

	// answers has a lock of its own: the apply goroutine must get at it while a proposer
	// holds mu and waits for room in the queue.
	answers struct {
		sync.Mutex
		count   uint64
		waiters []waiter
	}
}

type heldOp struct {
	op   *Op
	done func(Result)
}

type waiter struct {
	target uint64
	ch     chan struct{}
}

// NewSession begins a session. previous is the client's last session id if it told one: that
// session is ended at once if the server still thought it alive, and the writes that the
// client sends again because its answers were lost are recognised. It waits for the log where
// that is needed. caller is in whose name the session acts, until SetCaller says otherwise.
//
// In a cluster the previous session may be one of another node. It is then ended through the log, also if nothing is known of it: what
// it has under way may be applied before that, and not after. Since the log is waited for, the client finds all that it
// has seen before.
//
// If the database fails, the session refuses everything, and its ID is the previous one:
// what the client may send again to the next server is there.
func (d *DB) NewSession(ns, previous string, caller *Caller) *Session {
	s, _ := d.ResumeSession(context.Background(), ns, previous, caller)
	return s
}

// ResumeSession is NewSession for somebody who does not wait for ever: if ctx ends while the log is waited for it returns
// an error, and there is no session.
func (d *DB) ResumeSession(ctx context.Context, ns, previous string, caller *Caller) (*Session, error) {
	prev, err := ParseSessionID(previous)
	if err != nil {
		return d.newSession(ns, caller), nil
	}
	s := &Session{db: d, id: newSessionID(), ns: ns, caller: caller, over: make(chan struct{})}
	err = s.takeOver(ctx, prev)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil || d.Err() != nil {
		s.id, s.ended = prev, true
		close(s.over)
		return s, nil
	}
	d.register(s)
	return s, nil
}

func (d *DB) newSession(ns string, caller *Caller) *Session {
	s := &Session{db: d, id: newSessionID(), ns: ns, caller: caller, over: make(chan struct{})}
	d.register(s)
	return s
}

func (d *DB) register(s *Session) {
	d.sessionsMu.Lock()
	d.sessions[s.id] = s
	d.sessionsMu.Unlock()
}

// takeOver ends the previous session and learns which of its writes may come again.
func (s *Session) takeOver(ctx context.Context, previous SessionID) error {
	d := s.db
	d.sessionsMu.Lock()
	old := d.sessions[previous]
	d.sessionsMu.Unlock()
	if old != nil {
		// Also one that is ending already: its last writes may still be on their way to the log.
		select {
		case <-old.end():
		case <-d.failed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	} else if d.replicated {
		if err := d.endElsewhere(ctx, previous, s.ns); err != nil {
			return err
		}
	}
	var tail []resend
	var from SessionID
	d.Barrier(func(uint64) {
		var err error
		if from, tail, err = d.machine.resendable(previous, s.ns); err != nil {
			d.log.Warn("the previous session's writes cannot be read; re-sent ones will be applied again",
				"session", previous, "err", err)
		}
	})
	if len(tail) == 0 {
		return nil
	}
	resumed := make(chan struct{})
	op := &Op{Kind: opResumeSession, NS: s.ns}
	w := proposal{session: s.id, done: func(Result) { close(resumed) }}
	o := origin{now: d.now(), replayOf: &writeRef{session: from}}
	s.introduce(&o)
	go d.enqueue(w, op, o)
	select {
	case <-resumed:
	case <-ctx.Done():
		go func() { // nobody will have this session
			<-resumed
			s.mu.Lock()
			s.begun = true
			s.mu.Unlock()
			s.end()
		}()
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.match = true, newMatcher(tail)
	s.releaseAfter(replayWindow)
	return nil
}

// ID is what the client gives as its previous session when it comes back.
func (s *Session) ID() string { return s.id.String() }

// Namespace is the one that the session's operations act on.
func (s *Session) Namespace() string { return s.ns }

// LastSeq is the number of the session's last proposal that has entered the log's queue.
func (s *Session) LastSeq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

// Confirm says that the client has provably received the answers to the session's proposals
// up to seq, so that it will not send them again.
func (s *Session) Confirm(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.confirmed = max(s.confirmed, min(seq, s.seq))
	if s.confirmed > s.logged && s.lastPrint > s.logged && !s.ended {
		s.db.noteConfirmation(s)
	}
}

// SetCaller says in whose name the session acts from now on. Its onDisconnect operations, too, will be judged as those of
// whom it has last acted for.
func (s *Session) SetCaller(c *Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.match != nil && len(s.held) > 0 {
		s.release(s.match.replayed()) // they were proposed for the caller before
	}
	s.caller, s.told = c, false
}

// Propose queues op and returns. done is called once, on the apply goroutine and after the
// observer has seen the change; or at once, before Propose returns, if the operation is invalid;
// or on some goroutine if the session or the database takes nothing more. It must not block.
// Propose blocks only while the database's queue is full.
func (s *Session) Propose(op *Op, done func(Result)) {
	if s.ns != "" {
		op.NS = s.ns
	}
	if err := op.check(); err != nil {
		done(Result{Err: err})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		go done(Result{Err: ErrSessionEnded})
		return
	}
	if s.match == nil { // else it may be one that was made when it was allowed
		as := s.caller
		if s.ns == "" {
			as = callerOf(op)
		}
		if s.db.refuses(op, as) {
			if op.Fingerprint == 0 {
				s.db.stats.denied.Add(1)
				go done(Result{Err: ErrDenied})
				return
			}
			op = &Op{Kind: opRefused, NS: op.NS, Fingerprint: op.Fingerprint, Caller: op.Caller}
		}
	}
	s.accepted++
	if s.match == nil {
		s.enqueue(op, nil, done)
		return
	}
	if op.Fingerprint == 0 {
		// SDKs send their unanswered writes before anything else that changes data: whatever is
		// not such a write shows that they have come, or that there were none.
		s.release(s.match.replayed())
		s.enqueue(op, nil, done)
		return
	}
	s.held = append(s.held, heldOp{op, done})
	if s.match.feed(op.Fingerprint) {
		s.release(s.match.replayed())
		return
	}
	s.releaseAfter(holdBack)
}

// releaseAfter sets the moment at which silence decides. The caller holds mu.
func (s *Session) releaseAfter(d time.Duration) {
	s.deadline = time.Now().Add(d)
	if s.timer != nil {
		s.timer.Reset(d)
		return
	}
	s.timer = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.match != nil && !time.Now().Before(s.deadline) {
			s.release(s.match.replayed())
		}
	})
}

// release proposes what was held back, now that the verdict is known: the first of them repeat
// the writes replayed. The caller holds mu.
func (s *Session) release(replayed []resend) {
	held := s.held
	s.match, s.held = nil, nil
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	for _, h := range held {
		var ref *writeRef
		if len(replayed) > 0 {
			ref = &replayed[0].ref
			replayed = replayed[1:]
		}
		s.enqueue(h.op, ref, h.done)
	}
}

// enqueue numbers op and hands it to the proposer. The caller holds mu, so that the queue's
// order is that of the numbers.
func (s *Session) enqueue(op *Op, replayOf *writeRef, done func(Result)) {
	s.seq++
	o := origin{now: s.db.now(), confirmed: s.confirmed, replayOf: replayOf}
	s.begun, s.logged = true, s.confirmed
	switch {
	case s.ns == "": // many callers share the session
		o.named, o.caller = true, callerOf(op)
	case !s.told:
		o.named, o.caller, o.ofSession, s.told = true, s.caller, true, true
	}
	if op.Fingerprint != 0 {
		s.lastPrint = s.seq
	}
	named := s.named
	s.introduce(&o)
	if !s.db.enqueue(proposal{session: s.id, seq: s.seq, done: done, owner: s}, op, o) && (o.begins || o.ofSession) {
		s.named, s.told = named, s.told && !o.ofSession // the next one has to say it
	}
}

// introduce says in a proposal's entry whose session it is. The caller holds mu, unless nobody else has the session yet.
func (s *Session) introduce(o *origin) {
	if s.db.self.node != 0 {
		o.owned, o.begins, o.owner = true, !s.named, s.db.self
		s.named = true
	}
}

// callerOf is in whose name an operation without a session acts. The server's own namespaces are nobody else's.
func callerOf(op *Op) *Caller {
	if op.Caller == nil && ownNamespace(op.NS) {
		return Root
	}
	return op.Caller
}

func (s *Session) answer() {
	a := &s.answers
	a.Lock()
	defer a.Unlock()
	a.count++
	kept := a.waiters[:0]
	for _, w := range a.waiters {
		if w.target <= a.count {
			close(w.ch)
		} else {
			kept = append(kept, w)
		}
	}
	a.waiters = kept
}

// Do is Propose, waiting for the result.
func (s *Session) Do(ctx context.Context, op *Op) Result {
	ch := make(chan Result, 1)
	s.Propose(op, func(r Result) { ch <- r })
	select {
	case r := <-ch:
		return r
	case <-ctx.Done():
		return Result{Err: context.Cause(ctx)}
	}
}

// Wait returns when everything that the session has proposed so far has been answered, so that
// a read that follows sees it.
func (s *Session) Wait(ctx context.Context) error {
	s.mu.Lock()
	if len(s.held) > 0 {
		// A read behind held writes shows that the client's burst is over. One before all writes does not: SDKs
		// restore their listens first.
		s.release(s.match.replayed())
	}
	target := s.accepted
	s.mu.Unlock()

	s.answers.Lock()
	if s.answers.count >= target {
		s.answers.Unlock()
		return nil
	}
	w := waiter{target, make(chan struct{})}
	s.answers.waiters = append(s.answers.waiters, w)
	s.answers.Unlock()
	select {
	case <-w.ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// End says that the client is gone: its onDisconnect operations run, and further proposals
// are refused. It does not wait.
func (s *Session) End() { s.end() }

// end returns a channel that is closed when the end has been applied, or never will be.
func (s *Session) end() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return s.over
	}
	s.ended = true
	if s.match != nil {
		s.release(s.match.cutShort())
	}
	if !s.begun {
		s.gone() // it has left no trace
		return s.over
	}
	s.accepted++
	s.enqueue(&Op{Kind: opEndSession, NS: s.ns}, nil, func(Result) { s.gone() })
	return s.over
}

func (s *Session) gone() {
	s.db.sessionsMu.Lock()
	delete(s.db.sessions, s.id)
	s.db.sessionsMu.Unlock()
	s.overOnce.Do(func() { close(s.over) })
}
