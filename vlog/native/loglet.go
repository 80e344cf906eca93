package native

import (
	"context"
	"errors"
	"slices"
	"sync"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// Loglet is a client's handle on a native loglet. Safe for concurrent use.
//
// A call waits for as long as its context lets it: for a majority of the log servers, and an Append for the sequencer as well. If the sequencer
// is gone, Append and Tail wait until somebody seals the loglet, which is the business of whoever watches it.
type Loglet struct {
	cfg   core.Config
	send  func([]core.Message)
	leave func() // takes the handle off the network

	mu     sync.Mutex
	client *core.Client
	calls  map[uint64]chan core.Result
	ticks  ticker
	closed chan struct{}
}

var (
	_ vlog.Loglet  = (*Loglet)(nil)
	_ vlog.Remover = (*Loglet)(nil)
)

func newLoglet(cfg core.Config, self core.Node, near int, send func([]core.Message)) *Loglet {
	return &Loglet{
		cfg: cfg, send: send,
		client: core.NewClient(cfg, self, core.ClientOptions{Near: near, Retry: clientRetry}),
		calls:  map[uint64]chan core.Result{}, ticks: ticker{interval: clientTick}, closed: make(chan struct{}),
	}
}

// handle takes messages from the network.
func (l *Loglet) handle(batch []core.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range batch {
		l.do(l.client.Step(m))
	}
}

// do carries out what the client wants. Caller holds mu.
func (l *Loglet) do(out core.Output) {
	l.send(out.Messages)
	for _, r := range out.Results {
		l.calls[r.Call] <- r // has room for one
		delete(l.calls, r.Call)
	}
	if l.client.Calls() > 0 {
		l.ticks.arm(l.tick)
	}
}

func (l *Loglet) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ticks.armed = false
	l.do(l.client.Tick())
}

// call begins a call and waits for its end.
func (l *Loglet) call(ctx context.Context, begin func() (uint64, core.Output)) (core.Result, error) {
	if err := ctx.Err(); err != nil {
		return core.Result{}, err
	}
	done := make(chan core.Result, 1)
	l.mu.Lock()
	select {
	case <-l.closed:
		l.mu.Unlock()
		return core.Result{}, vlog.ErrClosed
	default:
	}
	id, out := begin()
	l.calls[id] = done
	l.do(out)
	l.mu.Unlock()
	var err error
	select {
	case r := <-done:
		return r, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.closed:
		err = vlog.ErrClosed
	}
	l.mu.Lock()
	l.client.Cancel(id)
	delete(l.calls, id)
	l.mu.Unlock()
	return core.Result{}, err
}

var errForgotten = errors.New("vlog/native: the sequencer was out of reach for so long that it has forgotten this client; whether the append is in the log is unknown")

// maxAppendBytes leaves room for what a log server writes around an entry, in a log with the limit of vlog.MaxEntryBytes.
const maxAppendBytes = vlog.MaxEntryBytes - 4096

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
	// They stay under way after a caller whose context has ended.
	body := make([][]byte, len(payloads))
	buf := make([]byte, 0, size)
	for i, p := range payloads {
		buf = append(buf, p...)
		body[i] = buf[len(buf)-len(p) : len(buf) : len(buf)]
	}
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.Append(body) })
	switch {
	case err != nil:
		return 0, err
	case r.Status == core.Sealed:
		return 0, vlog.ErrSealed
	case r.Status == core.Refused:
		return 0, errForgotten
	}
	return r.First, nil
}

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
	known := l.client.Known()
	l.mu.Unlock()
	if known > p && !l.isClosed() {
		return known, nil
	}
	t, err := l.Tail(ctx)
	return t.Next, err
}

func (l *Loglet) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
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
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.Read(from, to, maxBytes) })
	if err != nil {
		return nil, err
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

// Trim implements vlog.Loglet.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	if _, err := l.known(ctx, before); err != nil {
		return 0, err
	}
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.Trim(before) })
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
	defer l.mu.Unlock()
	if !l.isClosed() {
		close(l.closed)
		l.leave()
	}
	return nil
}

// Remove implements vlog.Remover: the log servers drop this loglet. One that does not hear it now hears of it when a later loglet of the chain is
// opened after the chain has no older one.
func (l *Loglet) Remove(context.Context) error {
	var out []core.Message
	for _, m := range l.cfg.Servers {
		out = append(out, core.Message{Kind: core.Drop, To: m.Node, Disk: m.Disk, Loglet: l.cfg.Loglet, Incarnation: l.cfg.Incarnation})
	}
	l.send(out)
	return l.Close()
}

func forget(cfg core.Config, lowest uint64) (out []core.Message) {
	for _, m := range cfg.Servers {
		out = append(out, core.Message{Kind: core.Forget, To: m.Node, Disk: m.Disk, Loglet: lowest, Incarnation: cfg.Incarnation})
	}
	return slices.Clip(out)
}
