package vlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// simSequencer is a sequencer in a process.
type simSequencer struct {
	w       *sim
	proc    *simProc
	node    core.Node
	machine *core.Sequencer
	stopped bool
}

func (s *simSequencer) tick()      { s.w.send(s.proc, s.machine.Tick().Messages) }
func (s *simSequencer) over() bool { return s.stopped }

func (w *sim) startSequencer(by, p *simProc, cfg core.Config) *simSequencer {
	s := &simSequencer{w: w, proc: p, node: cfg.Sequencer, machine: core.NewSequencer(cfg, core.SequencerOptions{
		Window: 1 + by.rng.IntN(3), BatchBytes: 1 + by.rng.IntN(20), Retry: 2 + by.rng.IntN(12)})}
	w.attach(cfg.Sequencer, p, func(m core.Message) { w.send(p, s.machine.Step(m).Messages) })
	p.machine = append(p.machine, s)
	return s
}

// simLoglet is a handle on a native loglet: what package native has around a core.Client, but with this network and these ticks.
type simLoglet struct {
	w      *sim
	proc   *simProc
	made   *simMade
	node   core.Node
	client *core.Client
	calls  map[uint64]chan core.Result
	closed bool
	end    chan struct{}
}

var (
	_ vlog.Loglet     = (*simLoglet)(nil)
	_ vlog.Remover    = (*simLoglet)(nil)
	_ vlog.Configured = (*simLoglet)(nil)
	_ vlog.Discarder  = (*simLoglet)(nil)
)

var errCannotStart = errors.New("the sequencer cannot be started there")

// provider makes and opens loglets for a process. A new one is asked for by a wish, or by the config of the one before.
func (w *sim) provider(p *simProc) vlog.Provider {
	return func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !p.up {
			return nil, vlog.ErrClosed
		}
		made := w.made[string(spec.Config)]
		if spec.Create {
			var servers []core.Member
			at, wish := p, 0
			if made != nil {
				servers = made.cfg.Servers
			} else {
				var where int
				text := string(spec.Config)
				i, j := strings.Index(text, "["), strings.Index(text, "]")
				fmt.Sscanf(text, "wish %d", &wish)
				fmt.Sscanf(text[j+1:], "%d", &where)
				for _, f := range strings.Fields(text[i+1 : j]) {
					var n int
					fmt.Sscan(f, &n)
					d := w.hosts[n].disk
					servers = append(servers, core.Member{Node: d.node, Disk: d.identity})
				}
				if at = w.procs[where-1]; at != p && (!at.up || at.paused || w.cut[[2]int{p.id, at.id}] || w.cut[[2]int{at.id, p.id}]) {
					return nil, errCannotStart
				}
			}
			cfg := core.Config{Loglet: core.Number(1, spec.ID, 0), Servers: servers, Sequencer: core.Node(p.number()), Incarnation: p.number()}
			if err := cfg.Check(); err != nil {
				return nil, err
			}
			made = &simMade{cfg: cfg, config: fmt.Sprintf("loglet %d/%d", spec.ID, cfg.Incarnation), wish: wish, by: p}
			made.sequencer = w.startSequencer(p, at, cfg)
			w.made[made.config] = made
			w.note("client %d makes %s for wish %d, sequencer in %d", p.id, made.config, wish, at.id)
		} else if made == nil {
			return nil, vlog.ErrMissing
		}
		l := &simLoglet{w: w, proc: p, made: made, node: core.Node(p.number()), calls: map[uint64]chan core.Result{}, end: make(chan struct{})}
		l.client = core.NewClient(made.cfg, l.node, core.ClientOptions{Near: p.rng.IntN(len(made.cfg.Servers)), Retry: 2 + p.rng.IntN(12)})
		w.attach(l.node, p, func(m core.Message) { l.do(l.client.Step(m)) })
		p.machine = append(p.machine, l)
		if spec.Lowest > 0 {
			l.tell(core.Forget, core.Number(1, spec.Lowest, 0))
		}
		return l, nil
	}
}

func (l *simLoglet) tick()          { l.do(l.client.Tick()) }
func (l *simLoglet) over() bool     { return l.closed }
func (l *simLoglet) Config() []byte { return []byte(l.made.config) }

// tell sends a message to all servers. Caller holds mu.
func (l *simLoglet) tell(k core.Kind, loglet uint64) {
	for _, s := range l.made.cfg.Servers {
		l.w.send(l.proc, []core.Message{{Kind: k, From: l.node, To: s.Node, Disk: s.Disk, Loglet: loglet, Incarnation: l.made.cfg.Incarnation}})
	}
}

// do carries out what the client wants. Caller holds mu.
func (l *simLoglet) do(out core.Output) {
	l.w.send(l.proc, out.Messages)
	for _, r := range out.Results {
		done := l.calls[r.Call]
		l.w.wakes = append(l.w.wakes, func() { done <- r })
		delete(l.calls, r.Call)
	}
}

func (l *simLoglet) call(ctx context.Context, begin func() (uint64, core.Output)) (core.Result, error) {
	if err := ctx.Err(); err != nil {
		return core.Result{}, err
	}
	done := make(chan core.Result, 1)
	l.w.mu.Lock()
	if l.closed {
		l.w.mu.Unlock()
		return core.Result{}, vlog.ErrClosed
	}
	id, out := begin()
	l.calls[id] = done
	l.do(out)
	l.w.mu.Unlock()
	var err error
	select {
	case r := <-done:
		return r, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.end:
		err = vlog.ErrClosed
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.client.Cancel(id)
	delete(l.calls, id)
	return core.Result{}, err
}

func (l *simLoglet) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.Append(payloads) })
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case r.Status == core.Sealed:
		return 0, vlog.ErrSealed
	case r.Status == core.Refused:
		return 0, errors.New("forgotten")
	}
	l.w.check.inLoglet(l.made.config, r.First+vlog.Position(len(payloads)), "an append was acknowledged")
	return r.First, nil
}

func (l *simLoglet) tailed(r core.Result, err error) (vlog.Tail, error) {
	if err == nil && !r.Tail.Sealed {
		l.w.mu.Lock()
		l.w.check.inLoglet(l.made.config, r.Tail.Next, "a tail was said to be unsealed")
		l.w.mu.Unlock()
	}
	return r.Tail, err
}

func (l *simLoglet) Tail(ctx context.Context) (vlog.Tail, error) {
	return l.tailed(l.call(ctx, l.client.CheckTail))
}

func (l *simLoglet) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	if atLeast <= 1 {
		return l.Tail(ctx)
	}
	return l.tailed(l.call(ctx, func() (uint64, core.Output) { return l.client.WaitTail(atLeast) }))
}

func (l *simLoglet) known(ctx context.Context, p vlog.Position) (vlog.Position, error) {
	l.w.mu.Lock()
	known := l.client.Known()
	l.w.mu.Unlock()
	if known > p {
		return known, nil
	}
	r, err := l.call(ctx, l.client.CheckTail)
	if err == nil && r.Status == core.Over {
		err = vlog.ErrMissing
	}
	return r.Tail.Next, err
}

func (l *simLoglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
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
	if r.Status == core.Over {
		return nil, vlog.ErrMissing
	}
	if len(r.Entries) == 0 {
		return nil, &vlog.TrimmedError{First: r.Trimmed}
	}
	var out []vlog.Entry
	for i, e := range r.Entries {
		out = append(out, vlog.Entry{Pos: from + vlog.Position(i), Payload: e})
	}
	return out, nil
}

func (l *simLoglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	if _, err := l.known(ctx, before); err != nil {
		return 0, err
	}
	r, err := l.call(ctx, func() (uint64, core.Output) { return l.client.Trim(before) })
	if err == nil && r.Status == core.Over {
		err = vlog.ErrMissing
	}
	return r.First, err
}

func (l *simLoglet) Seal(ctx context.Context) error {
	_, err := l.call(ctx, l.client.Seal)
	return err
}

func (l *simLoglet) Close() error {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.end)
		delete(l.w.ends, l.node)
	}
	return nil
}

func (l *simLoglet) Remove(context.Context) error {
	l.w.mu.Lock()
	l.tell(core.Drop, l.made.cfg.Loglet)
	l.w.note("client %d removes %s", l.proc.id, l.made.config)
	l.made.removed = true
	l.w.mu.Unlock()
	return l.Close()
}

func (l *simLoglet) Discard(context.Context) error {
	l.w.mu.Lock()
	l.w.note("client %d discards %s", l.proc.id, l.made.config)
	if l.made.discarded, l.made.removed = true, true; l.made.named {
		l.w.check.fail("client %d discards %s, which the chain names", l.proc.id, l.made.config)
	}
	l.tell(core.Drop, l.made.cfg.Loglet)
	if l.proc.up {
		l.made.sequencer.stopped = true
		delete(l.w.ends, l.made.cfg.Sequencer)
	}
	l.w.mu.Unlock()
	return l.Close()
}
