package native

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// Loglet is a client's handle on a native loglet. Safe for concurrent use.
//
// A call waits for as long as its context lets it: for a majority of the log servers, and an Append for the sequencer as well. If the sequencer
// is gone, Append and Tail wait until somebody seals the loglet, which is the business of whoever watches it (NodeOptions.Broken).
type Loglet struct {
	segment uint64
	config  Config
	core    core.Config
	send    func([]core.Message)
	repeats *atomic.Uint64
	leave   func() // takes the handle off the network
	broke   func() // the sequencer is gone; called once
	missing func() bool

	mu      sync.Mutex // taken before the node's
	client  *core.Client
	calls   map[uint64]*call
	batches batches
	out     outbox
	ticks   ticker
	broken  bool
	err     error // why there are no more calls: closed, as a rule
}

var (
	_ vlog.Loglet     = (*Loglet)(nil)
	_ vlog.Remover    = (*Loglet)(nil)
	_ vlog.Configured = (*Loglet)(nil)
	_ vlog.Discarder  = (*Loglet)(nil)
)

// call is a call of the client that is under way. Who waits for it reads result and err when done is closed.
type call struct {
	done   chan struct{}
	result core.Result
	err    error
}

func newLoglet(cfg core.Config, self core.Node, near int, away func(int) bool, send func([]core.Message), repeats *atomic.Uint64) *Loglet {
	return &Loglet{
		core: cfg, send: send, repeats: repeats,
		client: core.NewClient(cfg, self, core.ClientOptions{Near: near, Away: away, Retry: clientRetry}),
		calls:  map[uint64]*call{}, batches: batches{limit: maxFlyingBytes}, ticks: ticker{interval: clientTick},
	}
}

// Config implements vlog.Configured: what it was asked for, with the choices made.
func (l *Loglet) Config() []byte { return l.config.Encode() }

// Placement is the Config, decoded.
func (l *Loglet) Placement() Config { return l.config }

// Broken says that the process which should run the sequencer does not: nothing will be appended to this loglet any more. It needs a
// reconfiguration of the log.
func (l *Loglet) Broken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// handle takes messages from the network.
func (l *Loglet) handle(batch []core.Message) {
	l.mu.Lock()
	for i := range batch {
		if batch[i].Kind == kindNobody {
			l.nobody(&batch[i])
			continue
		}
		l.did(l.client.Step(batch[i]))
	}
	if !l.batches.launching && l.batches.due() {
		l.batches.launching = true
		go l.gather()
	}
	l.out.flush(&l.mu, l.send)
}

// nobody hears that the sequencer is gone. Caller holds mu.
func (l *Loglet) nobody(m *core.Message) {
	if l.broken || l.err != nil || m.From != l.core.Sequencer {
		return
	}
	l.broken = true
	if l.broke != nil && !l.client.Sealed() {
		go l.broke()
	}
	// The sequencer of a sealed loglet may have been ended. Whoever waits for it learns of the seal from the servers, now.
	for range clientRetry {
		l.did(l.client.Tick())
	}
}

// did takes in what the client wants. Caller holds mu, and flushes.
func (l *Loglet) did(out core.Output) {
	l.out.add(out.Messages)
	for i := range out.Results {
		r := &out.Results[i]
		if c := l.calls[r.Call]; c != nil {
			c.result = *r
			close(c.done)
			delete(l.calls, r.Call)
		} else {
			l.appended(r)
		}
	}
	if l.err == nil && l.client.Calls() > 0 {
		l.ticks.arm(l.tick)
	}
}

func (l *Loglet) tick() {
	l.mu.Lock()
	l.ticks.armed = false
	if l.err == nil {
		if l.missing != nil && l.missing() {
			l.end(vlog.ErrMissing)
		} else {
			// A sequencer that has died does not tell its appenders of the seal, so they ask; soon, once one is known of.
			ticks := 1
			if l.client.Sealed() {
				ticks = sealedHaste
			}
			for range ticks {
				out := l.client.Tick()
				l.repeats.Add(uint64(len(out.Messages)))
				l.did(out)
			}
			l.launch()
		}
	}
	l.out.flush(&l.mu, l.send)
}

// end makes all calls return err, now and later. Caller holds mu.
func (l *Loglet) end(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	for id, c := range l.calls {
		c.err = err
		l.client.Cancel(id)
		close(c.done)
	}
	clear(l.calls)
	l.batches.end(err)
}

// call begins a call and waits for its end.
func (l *Loglet) call(ctx context.Context, begin func() (uint64, core.Output)) (core.Result, error) {
	if err := ctx.Err(); err != nil {
		return core.Result{}, err
	}
	l.mu.Lock()
	if err := l.err; err != nil {
		l.mu.Unlock()
		return core.Result{}, err
	}
	id, out := begin()
	c := &call{done: make(chan struct{})}
	l.calls[id] = c
	l.did(out)
	l.out.flush(&l.mu, l.send)
	select {
	case <-c.done:
		return c.result, c.err
	case <-ctx.Done():
	}
	l.mu.Lock()
	l.client.Cancel(id)
	delete(l.calls, id)
	l.mu.Unlock()
	return core.Result{}, ctx.Err()
}

var errForgotten = errors.New("vlog/native: the sequencer was out of reach for so long that it has forgotten this client; whether the append is in the log is unknown")

// Tail implements vlog.Loglet, but for the finality of a sealed tail: see the package's comment.
func (l *Loglet) Tail(ctx context.Context) (vlog.Tail, error) {
	r, err := l.call(ctx, l.client.CheckTail)
	return r.Tail, err
}

// WaitTail implements vlog.Loglet.
func (l *Loglet) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	if atLeast <= 1 {
		return l.Tail(ctx)
	}
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.WaitTail(atLeast) })
	return r.Tail, err
}

// known returns a tail that this handle has been given, asking for one if what it has is not beyond p: what it has is a cache, and a
// decision must not be taken from an empty one.
func (l *Loglet) known(ctx context.Context, p vlog.Position) (vlog.Position, error) {
	l.mu.Lock()
	known, err := l.client.Known(), l.err
	l.mu.Unlock()
	if known > p && err == nil {
		return known, nil
	}
	r, err := l.call(ctx, l.client.CheckTail)
	if err == nil && r.Status == core.Over {
		err = vlog.ErrMissing // the chain has another loglet in its place, or has dropped it: who asks is behind
	}
	return r.Tail.Next, err
}

// Read implements vlog.Loglet. At or beyond the tail that this handle knows it asks for the tail first.
func (l *Loglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	known, err := l.known(ctx, from)
	if err != nil {
		return nil, err
	}
	if to = min(to, known); from >= to {
		return nil, nil
	}
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.Read(from, to, min(maxBytes, maxReadBytes)) })
	if err != nil {
		return nil, err
	}
	if r.Status == core.Over {
		return nil, vlog.ErrMissing
	}
	if len(r.Entries) == 0 {
		return nil, &vlog.TrimmedError{First: r.Trimmed}
	}
	out := make([]vlog.Entry, len(r.Entries))
	for i, e := range r.Entries {
		out[i] = vlog.Entry{Pos: from + vlog.Position(i), Payload: e}
	}
	return out, nil
}

// maxReadBytes bounds an answer to a reader, who gets less than he allows.
const maxReadBytes = 8 << 20

// Trim implements vlog.Loglet.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	if _, err := l.known(ctx, before); err != nil {
		return 0, err
	}
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.Trim(before) })
	if err == nil && r.Status == core.Over {
		err = vlog.ErrMissing
	}
	return r.First, err
}

// Seal implements vlog.Loglet. It needs a majority of the log servers, and not the sequencer.
func (l *Loglet) Seal(ctx context.Context) error {
	_, err := l.call(ctx, l.client.Seal)
	return err
}

// Close implements vlog.Loglet.
func (l *Loglet) Close() error {
	l.mu.Lock()
	closed := errors.Is(l.err, vlog.ErrClosed)
	l.end(vlog.ErrClosed)
	l.err = vlog.ErrClosed
	l.mu.Unlock()
	if !closed {
		l.leave()
	}
	return nil
}

// Remove implements vlog.Remover: the log servers drop this loglet. One that does not hear it now hears of it when a later loglet of the chain is
// opened after the chain has no older one.
func (l *Loglet) Remove(context.Context) error {
	var out []core.Message
	for _, m := range l.core.Servers {
		out = append(out, core.Message{Kind: core.Drop, To: m.Node, Disk: m.Disk, Loglet: l.core.Loglet, Incarnation: l.core.Incarnation})
	}
	l.send(out)
	return l.Close()
}

// Discard implements vlog.Discarder. The sequencer, wherever it is, hears from the servers that the loglet is over, and ends.
func (l *Loglet) Discard(ctx context.Context) error { return l.Remove(ctx) }
