package etcd

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

// closeGrace is how long Close lets calls that are under way finish before it cuts them off.
const closeGrace = 2 * time.Second

// errGone is the error of every call about a Loglet that another process has removed: the chain has dropped it, so whoever
// matches ErrClosed loads the chain and finds what came after.
var errGone = fmt.Errorf("vlog/etcd: the loglet has been removed: %w", vlog.ErrClosed)

var (
	_ vlog.Loglet     = (*Loglet)(nil)
	_ vlog.Remover    = (*Loglet)(nil)
	_ vlog.Configured = (*Loglet)(nil)
)

// Loglet is a log in etcd. Any number of handles, in any number of processes, may be open on the same one.
type Loglet struct {
	client *clientv3.Client
	opts   Options
	config Config
	keys   keys
	name   string // for messages
	writer uint64 // random; names this handle in what it writes
	health *health

	ctx        context.Context // ends when Close has waited long enough
	cancel     context.CancelFunc
	closing    chan struct{}  // closed by Close
	calls      sync.WaitGroup // of callers
	commits    sync.WaitGroup // the committer
	background sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	known    state
	changed  chan struct{} // closed when known changes; nil while nobody waits
	watching bool
	watchErr error // why the watch ended, for those that wait

	queue      []*request
	committing bool
	number     uint64 // of this handle's last batch
	heeded     int64  // the revision of the last sign of a late writer that was seen
	rival      bool   // and it has not yet been given way
	uploads    uint64 // number of this handle's last large Append

	nextTail    *tailCall
	askingTails bool

	cache   cache
	average int // bytes of the batches that were read lately
	space   space
	strange map[string]sighting // intents that may have been left behind
}

// state is what is known of a Loglet at one revision of etcd.
type state struct {
	rev    int64
	mod    int64 // modification revision of the tail
	next   vlog.Position
	sealed bool
	gone   bool
}

func (s state) tail() vlog.Tail { return vlog.Tail{Next: s.next, Sealed: s.sealed} }

// Provider returns the Provider of Loglets in etcd.
func Provider(o Options) vlog.Provider {
	o.fill()
	return func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		config, err := DecodeConfig(spec.Config)
		if err != nil {
			return nil, err
		}
		if config.Prefix == "" {
			config.Prefix = o.Prefix
		}
		if o.Client == nil {
			return nil, errors.New("vlog/etcd: no client is configured")
		}
		client, err := o.Client(config.Endpoints)
		if err != nil {
			return nil, err
		}
		if spec.Create {
			config.Creation = random()
		}
		l := newLoglet(client, o, config, spec.ID)
		if err := l.begin(ctx, spec); err != nil {
			l.Close()
			return nil, err
		}
		return l, nil
	}
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:]) | 1
}

func newLoglet(client *clientv3.Client, o Options, config Config, id uint64) *Loglet {
	l := &Loglet{
		client: client, opts: o, config: config, keys: keysOf(config.Prefix, id, config.Creation),
		writer: random(), closing: make(chan struct{}), strange: map[string]sighting{},
	}
	l.name = l.keys.base
	l.health = &health{logger: o.Logger, name: l.name}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// begin creates what spec asks for, or finds it.
func (l *Loglet) begin(ctx context.Context, spec vlog.LogletSpec) error {
	if spec.Create {
		// The name is new, so whatever is there is of an attempt of this call.
		err := retry(ctx, l.health, attemptTimeout, func(ctx context.Context) error {
			_, err := l.client.Txn(ctx).
				If(clientv3.Compare(clientv3.CreateRevision(l.keys.tail()), "=", 0)).
				Then(clientv3.OpPut(l.keys.index, ""), clientv3.OpPut(l.keys.tail(), tailValue(1))).
				Commit()
			return err
		})
		if err != nil {
			return fmt.Errorf("vlog/etcd: create %s: %w", l.name, err)
		}
	} else if l.config.Creation == 0 {
		return fmt.Errorf("vlog/etcd: the chain does not say which loglet %d it means: %w", spec.ID, vlog.ErrMissing)
	}
	s, err := l.load(ctx)
	if err != nil {
		return err
	}
	if s.gone {
		return fmt.Errorf("vlog/etcd: %s: %w", l.name, vlog.ErrMissing)
	}
	l.learn(s)
	l.sweep(ctx, spec.Lowest)
	return nil
}

// Config implements vlog.Configured.
func (l *Loglet) Config() []byte { return l.config.Encode() }

// enter admits a call: its context ends with the caller's, and when Close has lost patience. leave must be called.
func (l *Loglet) enter(ctx context.Context) (inner context.Context, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, vlog.ErrClosed
	}
	if l.known.gone {
		return nil, nil, errGone
	}
	l.calls.Add(1)
	inner, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return inner, func() {
		stop()
		cancel()
		l.calls.Done()
	}, nil
}

// explain makes of an error what the caller is to see.
func (l *Loglet) explain(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case l.ctx.Err() != nil:
		return vlog.ErrClosed
	case errors.Is(err, vlog.ErrClosed), errors.Is(err, vlog.ErrSealed), errors.Is(err, vlog.ErrTrimmed):
		return err
	}
	return fmt.Errorf("vlog/etcd: %s %s: %w", doing, l.name, err)
}

// load asks etcd for the state. It is linearizable: etcd answers a transaction that only reads as it answers a read, and the
// tail and the seal are of one revision.
func (l *Loglet) load(ctx context.Context) (s state, err error) {
	err = retry(ctx, l.health, attemptTimeout, func(ctx context.Context) error {
		s, err = l.loadOnce(ctx)
		return err
	})
	if err != nil {
		return state{}, l.explain(ctx, "look at", err)
	}
	return s, nil
}

func (l *Loglet) loadOnce(ctx context.Context) (state, error) {
	r, err := l.client.Txn(ctx).Then(clientv3.OpGet(l.keys.tail()), clientv3.OpGet(l.keys.seal())).Commit()
	if err != nil {
		return state{}, err
	}
	return l.stateOf(r.Header.Revision, r.Responses[0].GetResponseRange(), r.Responses[1].GetResponseRange())
}

// learn takes in what is known as of a later revision, and wakes those that wait for a change.
func (l *Loglet) learn(s state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.rev <= l.known.rev {
		return
	}
	old := l.known
	l.known = s
	if old.next != s.next || old.sealed != s.sealed || old.gone != s.gone {
		l.wake()
	}
}

// wake wakes those that wait. Caller holds mu.
func (l *Loglet) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// waiting returns a channel that is closed at the next change. Caller holds mu.
func (l *Loglet) waiting() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Seal implements vlog.Loglet. It is one transaction, which waits for no writer.
func (l *Loglet) Seal(ctx context.Context) error {
	inner, leave, err := l.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var s state
	err = retry(inner, l.health, attemptTimeout, func(ctx context.Context) error {
		r, err := l.client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(l.keys.tail()), ">", 0),
				clientv3.Compare(clientv3.CreateRevision(l.keys.seal()), "=", 0)).
			Then(clientv3.OpPut(l.keys.seal(), writerName(l.writer)), clientv3.OpGet(l.keys.tail()), clientv3.OpGet(l.keys.seal())).
			Else(clientv3.OpGet(l.keys.tail()), clientv3.OpGet(l.keys.seal())).
			Commit()
		if err != nil {
			return err
		}
		n := len(r.Responses)
		s, err = l.stateOf(r.Header.Revision, r.Responses[n-2].GetResponseRange(), r.Responses[n-1].GetResponseRange())
		return err
	})
	if err != nil {
		return l.explain(ctx, "seal", err)
	}
	l.learn(s)
	if s.gone {
		return errGone
	}
	return nil
}

// Close implements vlog.Loglet. Calls that etcd has not answered after two seconds end with ErrClosed.
func (l *Loglet) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.closing)
	wrote := l.number > 0
	l.mu.Unlock()

	done := make(chan struct{})
	go func() {
		l.calls.Wait()
		l.commits.Wait()
		close(done)
	}()
	patience := time.NewTimer(closeGrace)
	defer patience.Stop()
	settled := true
	select {
	case <-done:
	case <-patience.C:
		settled = false
	}
	if wrote && settled {
		// Nobody will ask what this writer has done. If this fails a small key stays until the Loglet is removed.
		ctx, cancel := context.WithTimeout(l.ctx, 500*time.Millisecond)
		l.client.Delete(ctx, l.keys.writer(l.writer))
		cancel()
	}
	l.cancel()
	<-done
	l.background.Wait()
	return nil
}
