package zookeeper

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"rebase/vlog"
)

// Loglet is a handle on a loglet in a ZooKeeper ensemble. Safe for concurrent use, and beside any number of other handles in other processes.
//
// A call waits for as long as its context allows for the ensemble to be there.
type Loglet struct {
	opts   Options
	cfg    Config
	path   string // of the loglet's node
	client *client
	writer uint64 // this handle's name

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	closed sync.Once
	tasks  sync.WaitGroup

	mu      sync.Mutex
	known   end           // as far as this handle has seen
	sealed  bool          // known is the last there will be
	trimmed vlog.Position // as far as this handle has seen
	changed chan struct{} // closed and replaced with known and sealed

	round     *tailRound // to come
	rounding  bool       // runRounds is running
	waiting   int        // calls of WaitTail
	following bool       // follow is running
	tailWatch chan struct{}
	sealWatch chan struct{}

	appends appender
	cache   cache
}

var (
	_ vlog.Loglet     = (*Loglet)(nil)
	_ vlog.Remover    = (*Loglet)(nil)
	_ vlog.Configured = (*Loglet)(nil)
)

// Provider returns a vlog.Provider of loglets on ZooKeeper. A Config is one of this package, encoded; to create, it may also be empty.
func Provider(o Options) vlog.Provider {
	return func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		l, err := Open(ctx, o, spec)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
}

// Open opens the loglet that spec.Config names, or makes one if spec says so.
func Open(ctx context.Context, o Options, spec vlog.LogletSpec) (*Loglet, error) {
	o = o.withDefaults()
	cfg, err := DecodeConfig(spec.Config)
	if err != nil {
		return nil, err
	}
	if len(cfg.Servers) == 0 {
		cfg.Servers = o.Servers
	}
	if cfg.Prefix == "" {
		cfg.Prefix = o.Prefix
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if len(cfg.Servers) == 0 {
		return nil, errors.New("vlog/zookeeper: neither the configuration nor the options name a server")
	}
	if spec.Create {
		var id [16]byte
		rand.Read(id[:]) // never fails
		cfg.Name = fmt.Sprintf("%d.%d-%s", spec.ID, spec.Stripe, hex.EncodeToString(id[:]))
	} else if cfg.Name == "" {
		return nil, errConfig
	}
	l := &Loglet{opts: o, cfg: cfg, path: cfg.Prefix + "/" + cfg.Name, trimmed: 1, changed: make(chan struct{})}
	var writer [8]byte
	rand.Read(writer[:])
	l.writer = binary.LittleEndian.Uint64(writer[:])
	l.client = newClient(&l.opts, cfg.Servers)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.cache.init()
	if spec.Create {
		err = l.create(ctx)
	}
	if err == nil {
		err = l.begin(ctx)
	}
	if err != nil {
		l.cancel()
		l.client.close()
		return nil, fmt.Errorf("vlog/zookeeper: %s: %w", l.path, err)
	}
	l.appends.init()
	l.tasks.Go(l.commit)
	return l, nil
}

// Config implements vlog.Configured.
func (l *Loglet) Config() []byte { return l.cfg.Encode() }

// create makes the loglet's nodes. The name being drawn at random, whatever is there under it is this handle's own.
func (l *Loglet) create(ctx context.Context) error {
	acl := l.opts.acl()
	for i := 1; i <= len(l.cfg.Prefix); i++ {
		if i < len(l.cfg.Prefix) && l.cfg.Prefix[i] != '/' {
			continue
		}
		_, err := l.client.insist(ctx, createNode{l.cfg.Prefix[:i], nil, anyone})
		if err != nil && !errors.Is(err, codeNodeExists) {
			return fmt.Errorf("create %s: %w", l.cfg.Prefix[:i], err)
		}
	}
	answer, err := l.client.insist(ctx, multi{
		createNode{l.path, nil, acl},
		createNode{l.node(sealNode), []byte(openState), acl},
		createNode{l.node(tailNode), end{next: 1}.encode(), acl},
		createNode{l.node(trimNode), encodeTrim(1), acl},
		createNode{l.node(entriesNode), nil, acl},
		createNode{l.node(partsNode), nil, acl},
		createNode{l.node(largeNode), nil, acl},
	})
	if err == nil {
		err = decodeMulti(answer.p)
	}
	if err != nil && !errors.Is(err, codeNodeExists) {
		return fmt.Errorf("create: %w", err)
	}
	return nil
}

// begin finds out where the log stands.
func (l *Loglet) begin(ctx context.Context) error {
	// A server may not have heard yet of a loglet that another process has just made; after a write of its own it has.
	if err := l.barrier(ctx, l.cfg.Prefix); err != nil {
		return err
	}
	err := l.look(ctx)
	if errors.Is(err, codeNoNode) {
		return vlog.ErrMissing
	}
	if err != nil {
		return err
	}
	return l.lookTrim(ctx)
}

// barrier is a transaction that changes nothing. When it has been answered, the server that this handle reads from has come at least as far as
// the ensemble was when it began. ZooKeeper's sync is made for the same, but a leader may answer it that has been deposed
// and does not know it yet; a transaction needs a majority.
func (l *Loglet) barrier(ctx context.Context, path string) error {
	_, err := l.client.insist(ctx, multi{check{path, anyVersion}})
	return err
}

// look reads tail and seal from the server at hand: perhaps an old tail, but never an open one of a log whose end it does not know.
func (l *Loglet) look(ctx context.Context) error {
	for {
		k, err := l.client.conn(ctx)
		if err != nil {
			return err
		}
		_, err = l.lookOn(ctx, k, nil, nil)
		if !errors.Is(err, errLost) {
			return err
		}
	}
}

// state is what lookOn saw.
type state struct {
	end         end
	sealVersion int32
	sealed      bool
}

// lookOn is look on one connection; the watches may be nil.
func (l *Loglet) lookOn(ctx context.Context, k *conn, tailWatch, sealWatch chan struct{}) (state, error) {
	tail := k.send(getData{l.node(tailNode), tailWatch != nil}, tailWatch)
	seal := k.send(getData{l.node(sealNode), sealWatch != nil}, sealWatch)
	return l.seen(ctx, k, tail, seal)
}

// seen takes the answers to a getData of the tail and, behind it, one of the seal.
func (l *Loglet) seen(ctx context.Context, k *conn, tail, seal *call) (s state, err error) {
	if s.end, err = l.tailOf(ctx, tail); err != nil {
		return s, err
	}
	r, err := seal.wait(ctx)
	if err != nil {
		return s, err
	}
	data := string(r.bytes())
	s.sealVersion = r.stat()
	if err := r.err(); err != nil {
		return s, err
	}
	if data == sealedState {
		// The tail may have been read before the seal. Nothing is appended after it.
		if s.end, err = l.tailOf(ctx, k.send(getData{l.node(tailNode), false}, nil)); err != nil {
			return s, err
		}
		s.sealed = true
	}
	l.observe(s.end, s.sealed)
	return s, nil
}

func (l *Loglet) tailOf(ctx context.Context, c *call) (end, error) {
	r, err := c.wait(ctx)
	if err != nil {
		return end{}, err
	}
	data, version := r.bytes(), r.stat()
	if err := r.err(); err != nil {
		return end{}, err
	}
	e, err := decodeEnd(data, version)
	if err != nil {
		return end{}, l.damaged(l.node(tailNode))
	}
	return e, nil
}

func (l *Loglet) damaged(path string) error {
	return &vlog.CorruptError{File: path, Reason: "a node's data fails its checksum; restore the ensemble from a backup"}
}

// observe takes what a server has told.
func (l *Loglet) observe(e end, sealed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.version > l.known.version || l.known.next == 0 {
		l.known = e
	} else if !sealed || l.sealed {
		return
	}
	l.sealed = l.sealed || sealed
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *Loglet) lookTrim(ctx context.Context) error {
	_, _, err := l.readTrim(ctx)
	return err
}

func (l *Loglet) readTrim(ctx context.Context) (vlog.Position, int32, error) {
	r, err := l.client.insist(ctx, getData{l.node(trimNode), false})
	if err != nil {
		return 0, 0, err
	}
	data, version := r.bytes(), r.stat()
	p, err := decodeTrim(data)
	if err != nil || r.bad {
		return 0, 0, l.damaged(l.node(trimNode))
	}
	l.mu.Lock()
	l.trimmed = max(l.trimmed, p)
	l.mu.Unlock()
	return p, version, nil
}

// tail returns what is known.
func (l *Loglet) tail() (vlog.Tail, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return vlog.Tail{Next: l.known.next, Sealed: l.sealed}, l.changed
}

// tailRound is one enquiry for the tail, made for all calls that came before it began.
type tailRound struct {
	done chan struct{}
	tail vlog.Tail
	err  error
}

// Tail implements vlog.Loglet. The tail of a loglet that has been removed is sealed: the chain has left it.
func (l *Loglet) Tail(ctx context.Context) (vlog.Tail, error) {
	if err := l.usable(ctx); err != nil {
		return vlog.Tail{}, err
	}
	l.mu.Lock()
	if t := (vlog.Tail{Next: l.known.next, Sealed: l.sealed}); t.Sealed { // nothing can change any more
		l.mu.Unlock()
		return t, nil
	}
	if l.ctx.Err() != nil {
		l.mu.Unlock()
		return vlog.Tail{}, vlog.ErrClosed
	}
	if l.round == nil {
		l.round = &tailRound{done: make(chan struct{})}
	}
	r := l.round
	if !l.rounding {
		l.rounding = true
		l.tasks.Go(l.runRounds)
	}
	l.mu.Unlock()
	select {
	case <-r.done:
		return r.tail, r.err
	case <-ctx.Done():
		return vlog.Tail{}, ctx.Err()
	case <-l.ctx.Done():
		return vlog.Tail{}, vlog.ErrClosed
	}
}

func (l *Loglet) runRounds() {
	for {
		l.mu.Lock()
		r := l.round
		l.round = nil
		if r == nil {
			l.rounding = false
		}
		l.mu.Unlock()
		if r == nil {
			return
		}
		r.tail, r.err = l.strongTail()
		close(r.done)
	}
}

func (l *Loglet) strongTail() (vlog.Tail, error) {
	for {
		k, err := l.client.conn(l.ctx)
		if err != nil {
			return vlog.Tail{}, l.failed(err)
		}
		// See barrier. The reads are carried out behind it.
		barrier := k.send(multi{check{l.node(sealNode), anyVersion}}, nil)
		s, err := l.lookOn(l.ctx, k, nil, nil)
		if _, lost := barrier.wait(l.ctx); errors.Is(lost, errLost) {
			err = lost
		}
		switch {
		case err == nil:
			return vlog.Tail{Next: s.end.next, Sealed: s.sealed}, nil
		case errors.Is(err, errLost):
		case errors.Is(err, codeNoNode):
			t, _ := l.tail()
			return vlog.Tail{Next: t.Next, Sealed: true}, nil
		default:
			return vlog.Tail{}, l.failed(err)
		}
	}
}

// usable tells whether a call may begin.
func (l *Loglet) usable(ctx context.Context) error {
	if l.ctx.Err() != nil {
		return vlog.ErrClosed
	}
	return ctx.Err()
}

// failed is what a caller is told of an error.
func (l *Loglet) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case l.ctx.Err() != nil:
		return vlog.ErrClosed
	case errors.Is(err, codeNoNode):
		return fmt.Errorf("vlog/zookeeper: %s: %w", l.path, vlog.ErrMissing)
	}
	return fmt.Errorf("vlog/zookeeper: %s: %w", l.path, err)
}

// WaitTail implements vlog.Loglet.
func (l *Loglet) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	if atLeast <= 1 {
		return l.Tail(ctx)
	}
	if err := l.usable(ctx); err != nil {
		return vlog.Tail{}, err
	}
	t, changed := l.tail()
	if t.Next >= atLeast || t.Sealed {
		return t, nil
	}
	l.mu.Lock()
	l.waiting++
	if !l.following && l.ctx.Err() == nil {
		l.following = true
		l.tasks.Go(l.follow)
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.waiting--
		l.mu.Unlock()
	}()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return vlog.Tail{}, ctx.Err()
		case <-l.ctx.Done():
			return vlog.Tail{}, vlog.ErrClosed
		}
		if t, changed = l.tail(); t.Next >= atLeast || t.Sealed {
			return t, nil
		}
	}
}

// followPoll is how often who waits looks even though no watch has spoken.
const followPoll = 2 * time.Second

// follow watches the tail for as long as somebody waits for it.
func (l *Loglet) follow() {
	timer := time.NewTimer(followPoll)
	defer timer.Stop()
	for {
		l.mu.Lock()
		if l.waiting == 0 || l.sealed || l.ctx.Err() != nil {
			l.following = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		k, err := l.client.conn(l.ctx)
		if err != nil {
			continue // the handle is closed
		}
		tailWatch, sealWatch := l.watches()
		if _, err = l.lookOn(l.ctx, k, tailWatch, sealWatch); errors.Is(err, codeNoNode) {
			// Removed: whoever waits has to look elsewhere.
			t, _ := l.tail()
			l.observe(end{next: t.Next}, true)
			continue
		} else if err != nil && !errors.Is(err, errLost) {
			l.opts.Logger.Warn("cannot follow a log on ZooKeeper", "path", l.path, "error", err)
			select {
			case <-time.After(followPoll):
			case <-l.ctx.Done():
			}
			continue
		}
		timer.Reset(followPoll)
		select {
		case <-l.tailWatch:
		case <-l.sealWatch:
		case <-timer.C:
		case <-l.ctx.Done():
		}
	}
}

// watches returns those that have to be set (again); only follow calls it.
func (l *Loglet) watches() (tail, seal chan struct{}) {
	if spent(l.tailWatch) {
		l.tailWatch = make(chan struct{})
		tail = l.tailWatch
	}
	if spent(l.sealWatch) {
		l.sealWatch = make(chan struct{})
		seal = l.sealWatch
	}
	return tail, seal
}

func spent(watch chan struct{}) bool {
	if watch == nil {
		return true
	}
	select {
	case <-watch:
		return true
	default:
		return false
	}
}

// Seal implements vlog.Loglet: it changes the version of the node that every append checks.
func (l *Loglet) Seal(ctx context.Context) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	ctx, cancel := l.bind(ctx)
	defer cancel()
	if t, _ := l.tail(); t.Sealed {
		return nil
	}
	if _, err := l.client.insist(ctx, setData{l.node(sealNode), []byte(sealedState), anyVersion}); err != nil {
		return l.failed(err)
	}
	return l.failed(l.look(ctx))
}

// bind makes a context end with the handle, too.
func (l *Loglet) bind(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// Close implements vlog.Loglet. It does not wait for the ensemble.
func (l *Loglet) Close() error {
	l.closed.Do(func() {
		l.mu.Lock() // so that no task begins after it
		l.cancel()
		l.mu.Unlock()
		l.client.close()
		l.tasks.Wait()
	})
	return nil
}
