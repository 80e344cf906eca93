package vlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options says how to open a Log.
type Options struct {
	// Meta holds the chain. Required.
	Meta MetaStore
	// Providers opens Loglets, by kind. Required; must know every kind in the stored chain.
	Providers map[string]Provider
	// Initial is the first segment of a log that does not exist yet: its Kind and Config, and its Start where it takes over from another log that ended before
	// that position; 0 is 1. Not looked at otherwise.
	Initial Segment
	// RollForwardAfter is how long a sealed log waits for whoever sealed it to install the next chain, before it does so
	// itself with the sealed segment's kind and config. Zero means 200 ms.
	RollForwardAfter time.Duration
	// RecheckEvery is how often the register is asked for a newer chain while calls wait for a Loglet and none of them ends. A Loglet that was sealed says so; this is
	// for one that can say nothing any more, because it was left and dismantled while this process was away. Zero means 3 s.
	RecheckEvery time.Duration
	// OnReconfigure is told of every change of the chain in use, after it, one at a time. It must not call the Log. Nil means nobody.
	OnReconfigure func(Reconfigured)
	// Logger hears of changes of the chain. Nil means none.
	Logger *slog.Logger

	mistakes mistakes
}

// Log is the VirtualLog: one log over a chain of Loglets, of which only the last takes appends. It has a Loglet's
// methods on virtual positions. Safe for concurrent use, and several processes may use one chain.
//
// In the steady state a call costs a few atomic loads and a translation of positions over the Loglet's own. Only a Loglet
// that answers "sealed", or that has been dropped, or that does not answer for long, sends a call to the MetaStore. Append, Tail and WaitTail wait
// for as long as their contexts let them while there is no chain that works: a register, or the servers of a new Loglet, that are out of reach
// for a moment are tried again.
type Log struct {
	opts Options
	view atomic.Pointer[view]

	// changing is held, by a token in it, by who changes or reloads the chain. It is not a mutex because it is held for as long as a seal
	// waits for a majority, and who waits for it has a context.
	changing chan struct{}
	// life ends with Close, and with it whatever holds changing.
	life context.Context
	end  context.CancelFunc

	mu      sync.Mutex
	closed  bool
	mending *mending // of the view in use; nil if nobody has met its end
	started sync.WaitGroup

	watch watch
}

// Open opens the log described by o.Meta, or begins one with o.Initial if nothing is stored there.
func Open(ctx context.Context, o Options) (*Log, error) {
	if o.RollForwardAfter <= 0 {
		o.RollForwardAfter = 200 * time.Millisecond
	}
	if o.RecheckEvery <= 0 {
		o.RecheckEvery = 3 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{opts: o, changing: make(chan struct{}, 1)}
	l.life, l.end = context.WithCancel(context.Background())
	_, version, err := o.Meta.Load(ctx)
	switch {
	case err != nil:
		err = fmt.Errorf("vlog: load the chain: %w", err)
	case version == 0:
		err = l.begin(ctx)
	default:
		_, err = l.reload(ctx)
	}
	if err != nil {
		l.end()
		return nil, err
	}
	return l, nil
}

// begin installs the first chain. Another process may do the same: the conditional write picks one.
func (l *Log) begin(ctx context.Context) error {
	begin := time.Now()
	chain := newChain(l.opts.Initial, newReconfiguration())
	first, err := l.create(ctx, &chain.Segments[0], chain.Lowest)
	if err != nil {
		return err
	}
	won, err := l.install(ctx, chain, 0, first, Reconfigured{Kind: Began, began: begin})
	if err != nil || won {
		return err
	}
	_, err = l.reload(ctx)
	return err
}

// acquire takes the right to change the chain, and returns a context that ends with ctx or the Log.
func (l *Log) acquire(ctx context.Context) (context.Context, func(), error) {
	select {
	case l.changing <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-l.life.Done():
		return nil, nil, ErrClosed
	}
	if l.life.Err() != nil {
		<-l.changing
		return nil, nil, ErrClosed
	}
	ctx, done := bind(ctx, l.life)
	return ctx, func() { done(); <-l.changing }, nil
}

// blame says ErrClosed for what failed because the Log was closed.
func (l *Log) blame(err error) error {
	if err != nil && l.life.Err() != nil && errors.Is(err, context.Canceled) {
		return ErrClosed
	}
	return err
}

// start runs f in the background, unless the Log is closed. Close waits for it.
func (l *Log) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.started.Go(f)
	return true
}

// Chain returns the chain in use.
func (l *Log) Chain() Chain {
	c := l.view.Load().chain
	c.Segments = slices.Clone(c.Segments)
	return c
}

// Close closes all Loglets. A reconfiguration that is under way is broken off, as if the process had died there; other calls finish first, or
// end with ErrClosed.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	if t := l.watch.timer; t != nil {
		t.Stop()
	}
	l.mu.Unlock()
	l.end()
	l.changing <- struct{}{}
	defer func() { <-l.changing }()
	var err error
	for _, s := range l.view.Load().slots {
		err = errors.Join(err, s.close(nil))
	}
	l.started.Wait()
	return err
}
