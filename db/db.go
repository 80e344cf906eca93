package db

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rebase/rules"
	"rebase/store"
	"rebase/vlog"
)

// Log is what the database needs of the shared log; *vlog.Log implements it.
type Log interface {
	Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error)
	Tail(ctx context.Context) (vlog.Tail, error)
	WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error)
	Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error)
}

var _ Log = (*vlog.Log)(nil)

// Observer hears of every change.
type Observer interface {
	// Applied is called on the apply goroutine, in log order, while the store is in the state
	// right after the change. It must not block.
	Applied(c *Change)
}

// Options are the parts of a database.
type Options struct {
	Log      Log
	Store    *store.Store
	Observer Observer         // may be nil
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: slog.Default()
	// OnApply, if not nil, is told how many entries were applied under one hold of the barrier,
	// and how long that took: decide, store, tell the observer and answer. It is called on the
	// apply goroutine, during Open's replay too, and must not block.
	OnApply func(entries int, took time.Duration)

	// Replicated says that others append to the log too: reads can be made strong (Sync), and the log may leave out positions.
	Replicated bool
	// Node and Incarnation are in whose name the sessions of this database are begun. A node of a cluster has a number
	// of its own, which is not 0, and gives every Open another incarnation. A single server leaves both 0.
	Node, Incarnation uint64
	// OnDigest, if not nil, is told the digests that ProposeDigest asks for, on a goroutine of their own: sum is that of the state
	// right after the entry at pos. See [store.Snapshot.Digest].
	OnDigest func(pos uint64, sum [32]byte)
}

// DB is an open database: all namespaces of one log. It is safe for concurrent use.
type DB struct {
	vlog     Log
	store    *store.Store
	observer Observer
	clock    func() time.Time
	log      *slog.Logger
	onApply  func(entries int, took time.Duration)

	replicated bool
	self       owner
	onDigest   func(pos uint64, sum [32]byte)
	digesting  atomic.Bool

	lastTime atomic.Int64
	server   atomic.Pointer[Session] // of callers without a session of their own
	door     chan struct{}           // full while one of them waits for room
	serverMu sync.Mutex              // held to begin another

	sessionsMu sync.Mutex
	sessions   map[SessionID]*Session

	// barrier is held while entries are applied. It guards machine and applied.
	barrier sync.Mutex
	machine *machine
	applied vlog.Position

	reached reached
	tails   tailChecks
	ends    sessionEnds

	watchers map[string][]func(*Change) // by namespace; guarded by the barrier

	prop     proposer
	confirms confirmer
	failOnce sync.Once
	failed   chan struct{}   // closed when the database can no longer go on
	failure  error           // set before failed is closed
	run      context.Context // ends with the database; nil while Open replays the log
	cancel   context.CancelFunc
	done     sync.WaitGroup
	stats    counters
}

// Open brings the store forward to the log's tail and begins to take operations. Sessions that
// were alive when the server last ended are ended now: their onDisconnect operations run. In a cluster those are the sessions of
// earlier incarnations of this node, and those from when there was no cluster.
// The log and the store stay the caller's to close, after Close.
//
// Open waits for as long as the log does. If the log has forgotten what the store lacks the error is a *TooOldError.
func Open(ctx context.Context, o Options) (*DB, error) {
	d := &DB{
		vlog: o.Log, store: o.Store, observer: o.Observer, clock: o.Now, log: o.Logger, onApply: o.OnApply,
		replicated: o.Replicated, self: owner{o.Node, o.Incarnation}, onDigest: o.OnDigest,
		sessions: map[SessionID]*Session{},
		watchers: map[string][]func(*Change){},
		failed:   make(chan struct{}),
		door:     make(chan struct{}, 1),
	}
	if d.clock == nil {
		d.clock = time.Now
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	d.prop.init()
	var err error
	if d.machine, err = newMachine(o.Store); err != nil {
		return nil, err
	}
	if err := d.recover(ctx); err != nil {
		return nil, err
	}
	d.run, d.cancel = context.WithCancel(context.Background())
	d.server.Store(d.newSession("", Root))
	d.done.Add(2)
	go d.applyLoop(d.run)
	go d.proposeLoop(d.run)
	if err := d.endLeftSessions(ctx); err != nil {
		d.Close(ctx)
		return nil, err
	}
	return d, nil
}

// recover replays what the log has and the store does not.
func (d *DB) recover(ctx context.Context) error {
	d.applied = vlog.Position(d.store.Applied())
	d.reached.set(d.applied)
	tail, err := d.vlog.Tail(ctx)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if d.applied >= tail.Next {
		return fmt.Errorf("the store has applied entry %d, but the log ends before %d: the log has lost entries, or belongs to another store; restore both from one backup", d.applied, tail.Next)
	}
	begin, from := time.Now(), d.applied
	for d.applied+1 < tail.Next {
		if err := d.applyUpTo(ctx, tail.Next); err != nil {
			if errors.Is(err, ErrTooOld) {
				return err
			}
			return fmt.Errorf("replay: %w", err)
		}
	}
	if d.applied > from {
		d.log.Info("replayed the log", "entries", d.applied-from, "up_to", d.applied, "took", time.Since(begin).Round(time.Millisecond))
	}
	return nil
}

// endLeftSessions ends the sessions that the last run of the server left alive.
func (d *DB) endLeftSessions(ctx context.Context) error {
	if d.self.node != 0 {
		_, err := d.endSessions(ctx, func(o owner) bool { return o.node == d.self.node || o.node == 0 })
		return err
	}
	var left []SessionID
	err := d.store.ScanMeta([]byte{recSession}, func(key, _ []byte) bool {
		left = append(left, SessionID(key[1:]))
		return true
	})
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	for _, id := range left {
		s, ok, err := loadSession(d.store, id)
		if err != nil {
			return err
		}
		if !ok || s.endedAt != 0 {
			continue
		}
		wait.Add(1)
		op := &Op{Kind: opEndSession, NS: s.ns}
		w := proposal{session: id, seq: s.lastSeq + 1, done: func(Result) { wait.Done() }}
		d.enqueue(w, op, origin{now: d.now()})
	}
	finished := make(chan struct{})
	go func() { wait.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return d.Err()
}

// Close stops taking operations, lets those under way finish, and stops the goroutines. It ends
// no session: what is left alive is ended by the next Open.
func (d *DB) Close(ctx context.Context) error {
	d.confirms.close()
	d.prop.close()
	var err error
	select {
	case <-d.prop.idle:
	case <-d.failed:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	d.fail(ErrClosed)
	d.cancel()
	d.tails.close()
	d.done.Wait()
	if cause := d.Err(); err == nil && !errors.Is(cause, ErrClosed) {
		err = cause
	}
	return err
}

// Barrier runs f between two applied entries; pos is the position of the last one. While f
// runs nothing is applied: it must be short, and must neither propose nor call Barrier.
func (d *DB) Barrier(f func(pos uint64)) {
	d.barrier.Lock()
	defer d.barrier.Unlock()
	f(uint64(d.applied))
}

// Store is where the state is; it is read freely, but written only by the database.
func (d *DB) Store() *store.Store { return d.store }

// Snapshot is the state at one position.
func (d *DB) Snapshot() *store.Snapshot { return d.store.Snapshot() }

// Rules returns the rules of a namespace as they were given and as they were understood; both
// are nil if none were ever set.
func (d *DB) Rules(ns string) (text []byte, r *rules.Rules) {
	if set := d.machine.rules.get(ns); set != nil {
		return set.text, set.parsed
	}
	return nil, nil
}

// Watch has f called for each change of a namespace, on the apply goroutine and under the barrier, while the store is in the state right
// after the change. f must not block. There is no end to it.
func (d *DB) Watch(ns string, f func(c *Change)) {
	d.Barrier(func(uint64) { d.watchers[ns] = append(d.watchers[ns], f) })
}

// Do proposes an operation on op.NS for a caller that has no session, and waits. Operations
// that belong to a session (onDisconnect) are refused.
func (d *DB) Do(ctx context.Context, op *Op) Result {
	switch op.Kind {
	case OpSet, OpMerge, OpSetRules:
		for {
			res := d.doAsServer(ctx, op)
			if !errors.Is(res.Err, ErrSessionEnded) {
				return res
			}
			// Another node took this one for dead, and has ended the session. The operation was not applied, and never will be.
		}
	}
	return Result{Err: invalidf("kind %d needs a session", op.Kind)}
}

// doAsServer is Do in the server's session. It waits for room in the queue here, where the wait ends with ctx, and one caller at a time, so that there still is
// room when its turn has come.
func (d *DB) doAsServer(ctx context.Context, op *Op) Result {
	select {
	case d.door <- struct{}{}:
	case <-ctx.Done():
		return Result{Err: context.Cause(ctx)}
	}
	ch := make(chan Result, 1)
	err := d.prop.waitForRoom(ctx)
	if err == nil {
		d.serverSession().Propose(op, func(r Result) { ch <- r })
	}
	<-d.door
	if err != nil {
		return Result{Err: err}
	}
	select {
	case r := <-ch:
		return r
	case <-ctx.Done():
		return Result{Err: context.Cause(ctx)}
	}
}

// Failed is closed when the database can no longer go on; Err then tells why. Operations are
// refused from then on, and the process should end: a restart recovers from the log.
func (d *DB) Failed() <-chan struct{} { return d.failed }

// Err is nil while the database works.
func (d *DB) Err() error {
	select {
	case <-d.failed:
		return d.failure
	default:
		return nil
	}
}

func (d *DB) fail(err error) {
	d.failOnce.Do(func() {
		d.failure = err
		close(d.failed)
		if !errors.Is(err, ErrClosed) {
			d.log.Error("the database stops", "err", err)
		}
	})
	d.prop.refuse(d.failure)
}

// now is the proposer's time in milliseconds. It never goes back, so that a step of the
// machine's clock does not reorder timestamps within one run.
func (d *DB) now() int64 {
	t := d.clock().UnixMilli()
	for {
		last := d.lastTime.Load()
		if t <= last {
			return last
		}
		if d.lastTime.CompareAndSwap(last, t) {
			return t
		}
	}
}

func newSessionID() (id SessionID) {
	rand.Read(id[:])
	return id
}
