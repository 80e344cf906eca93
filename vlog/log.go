package vlog

import (
	"context"
	"crypto/rand"
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
	// Initial is the first segment of a log that does not exist yet: its Kind and Config. Not looked at otherwise.
	Initial Segment
	// RollForwardAfter is how long a sealed log waits for whoever sealed it to install the next chain, before it does so
	// itself with the sealed segment's kind and config. Zero means 200 ms.
	RollForwardAfter time.Duration
	// Logger hears of changes of the chain. Nil means none.
	Logger *slog.Logger
}

// Log is the VirtualLog: one log over a chain of Loglets, of which only the last takes appends. It has a Loglet's
// methods on virtual positions. Safe for concurrent use.
//
// In the steady state a call costs one atomic load and a translation of positions over the Loglet's own. Only a Loglet
// that answers "sealed", or that has been dropped, sends a call to the MetaStore.
//
// An operator's Reconfigure that dies between the seal and the installation is completed by the next caller with the
// *old* segment's kind and config, since it cannot know what was wanted: whoever wants a change must look at Chain
// afterwards and repeat.
type Log struct {
	opts Options
	view atomic.Pointer[view]

	// reconf serialises, within this process, everything that changes or reloads the chain.
	reconf  sync.Mutex
	version uint64 // of the chain in view; guarded by reconf
	closed  atomic.Bool
}

// view is one chain with its open Loglets. Immutable.
type view struct {
	chain   Chain
	loglets []Loglet
}

func (v *view) active() (Segment, Loglet) {
	return v.chain.Active(), v.loglets[len(v.loglets)-1]
}

// Open opens the log described by o.Meta, or begins one with o.Initial if nothing is stored there.
func Open(ctx context.Context, o Options) (*Log, error) {
	if o.RollForwardAfter <= 0 {
		o.RollForwardAfter = 200 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{opts: o}
	value, version, err := o.Meta.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("vlog: load the chain: %w", err)
	}
	if version == 0 {
		return l, l.begin(ctx)
	}
	return l, l.adopt(ctx, value, version)
}

// begin installs the first chain. Another process may do the same: the conditional write picks one.
func (l *Log) begin(ctx context.Context) error {
	chain := newChain(l.opts.Initial, newReconfiguration())
	first, err := l.create(ctx, &chain.Segments[0], chain.Lowest)
	if err != nil {
		return err
	}
	won, err := l.install(ctx, chain, 0, first)
	if err != nil || won {
		return err
	}
	_, err = l.reload(ctx)
	return err
}

// create brings the Loglet of a segment into existence that no stored chain names yet. One that is left from an attempt
// that died before its chain was stored is taken if it is as good as new. s.Config becomes what finds it again.
func (l *Log) create(ctx context.Context, s *Segment, lowest uint64) (Loglet, error) {
	loglet, err := l.open(ctx, *s, lowest, true)
	if err != nil {
		return nil, err
	}
	if c, ok := loglet.(Configured); ok {
		s.Config = c.Config()
	}
	tail, err := loglet.Tail(ctx)
	if err == nil && (tail.Next != 1 || tail.Sealed) {
		err = errors.New("it is already in use: its storage holds another log; move it away")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("vlog: begin %s loglet %d: %w", s.Kind, s.ID, err), loglet.Close())
	}
	return loglet, nil
}

func (l *Log) open(ctx context.Context, s Segment, lowest uint64, create bool) (Loglet, error) {
	p, ok := l.opts.Providers[s.Kind]
	if !ok {
		return nil, fmt.Errorf("vlog: the chain names a loglet of kind %q, which this program does not have", s.Kind)
	}
	loglet, err := p(ctx, LogletSpec{ID: s.ID, Config: s.Config, Create: create, Lowest: lowest})
	if err != nil {
		return nil, fmt.Errorf("vlog: open %s loglet %d: %w", s.Kind, s.ID, err)
	}
	return loglet, nil
}

// install writes the chain if the register is still at ifVersion. If it wins it adopts it, with next as the active
// segment's Loglet (nil: as in the present view). If it loses, next is closed and won is false.
func (l *Log) install(ctx context.Context, chain Chain, ifVersion uint64, next Loglet) (won bool, err error) {
	value := chain.Append(nil)
	version, err := l.opts.Meta.Store(ctx, value, ifVersion)
	if err != nil && !errors.Is(err, ErrConflict) {
		// The outcome is unknown: the register tells.
		stored, v, lerr := l.opts.Meta.Load(ctx)
		if lerr != nil {
			return false, errors.Join(fmt.Errorf("vlog: store the chain: %w", err), giveUp(next))
		}
		if got, derr := DecodeChain(stored); v > ifVersion && derr == nil && got.Reconfiguration == chain.Reconfiguration {
			version, err = v, nil
		} else if v == ifVersion {
			return false, errors.Join(fmt.Errorf("vlog: store the chain: %w", err), giveUp(next))
		}
	}
	if err != nil {
		return false, giveUp(next)
	}
	old := l.view.Load()
	v := &view{chain: chain}
	for _, s := range chain.Segments {
		if i := old.index(s.ID); i >= 0 {
			v.loglets = append(v.loglets, old.loglets[i])
		} else {
			v.loglets = append(v.loglets, next)
		}
	}
	l.version = version
	l.view.Store(v)
	l.opts.Logger.Info("log chain installed", "version", version, "segments", len(chain.Segments),
		"kind", chain.Active().Kind, "loglet", chain.Active().ID, "start", chain.Active().Start)
	return true, nil
}

// giveUp lets go of a Loglet whose chain was not installed. Its storage stays: the chain that won may name the very same
// one, and an empty Loglet left over does no harm.
func giveUp(loglet Loglet) error {
	if loglet == nil {
		return nil
	}
	return loglet.Close()
}

// remove deletes the storage of a Loglet that the chain has dropped. Ids are never used twice, so nobody can want it.
func remove(ctx context.Context, loglet Loglet) error {
	if r, ok := loglet.(Remover); ok {
		return r.Remove(ctx)
	}
	return loglet.Close()
}

func (v *view) index(id uint64) int {
	if v == nil {
		return -1
	}
	return slices.IndexFunc(v.chain.Segments, func(s Segment) bool { return s.ID == id })
}

// adopt makes the stored chain the one in use, opening the Loglets not yet open and closing those it has dropped.
func (l *Log) adopt(ctx context.Context, value []byte, version uint64) error {
	chain, err := DecodeChain(value)
	if err != nil {
		return err
	}
	old := l.view.Load()
	v := &view{chain: chain}
	var opened []Loglet
	for _, s := range chain.Segments {
		if i := old.index(s.ID); i >= 0 {
			v.loglets = append(v.loglets, old.loglets[i])
			continue
		}
		loglet, err := l.open(ctx, s, chain.Lowest, false)
		if err != nil {
			for _, o := range opened {
				err = errors.Join(err, o.Close())
			}
			return err
		}
		opened = append(opened, loglet)
		v.loglets = append(v.loglets, loglet)
	}
	l.version = version
	l.view.Store(v)
	if old != nil {
		for i, s := range old.chain.Segments {
			if v.index(s.ID) < 0 {
				err = errors.Join(err, old.loglets[i].Close())
			}
		}
	}
	return err
}

// reload loads the chain and adopts it if it is newer. Caller holds reconf (or is Open).
func (l *Log) reload(ctx context.Context) (changed bool, err error) {
	value, version, err := l.opts.Meta.Load(ctx)
	if err != nil {
		return false, fmt.Errorf("vlog: load the chain: %w", err)
	}
	if version == l.version {
		return false, nil
	}
	return true, l.adopt(ctx, value, version)
}

// advance is called by whoever met a sealed or closed Loglet in the view seen. It returns when a newer view is in place: one
// that another has installed, or, after RollForwardAfter, one of its own.
func (l *Log) advance(ctx context.Context, seen *view, sealed bool) error {
	deadline := time.Now().Add(l.opts.RollForwardAfter)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if done, err := l.tryAdvance(ctx, seen, sealed, !time.Now().Before(deadline)); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (l *Log) tryAdvance(ctx context.Context, seen *view, sealed, late bool) (done bool, err error) {
	l.reconf.Lock()
	defer l.reconf.Unlock()
	if l.closed.Load() {
		return false, ErrClosed
	}
	if l.view.Load() != seen {
		return true, nil
	}
	if done, err = l.reload(ctx); done || err != nil {
		return done, err
	}
	if !sealed {
		// The Loglet closed under a chain that still names it: nothing to wait for.
		return false, ErrClosed
	}
	if !late {
		return false, nil
	}
	s := seen.chain.Active()
	l.opts.Logger.Warn("log was sealed and left without a successor: rolling forward", "kind", s.Kind, "loglet", s.ID)
	return true, l.extend(ctx, seen, s)
}

// Reconfigure seals the active segment and continues the log in a new Loglet of next's Kind and Config. It returns when
// a newer chain is in use. If another reconfiguration was faster, that one's chain is in use and not the one asked for, so
// a caller who wanted a particular kind looks at Chain. Appends that are under way are acknowledged by the old Loglet or
// repeated in the new one; none fails.
func (l *Log) Reconfigure(ctx context.Context, next Segment) error {
	l.reconf.Lock()
	defer l.reconf.Unlock()
	if l.closed.Load() {
		return ErrClosed
	}
	return l.extend(ctx, l.view.Load(), next)
}

// extend is the three-step protocol of Virtual Consensus in Delos, section 3.2: seal, install, load what won. The new
// Loglet is opened before the seal, so that one that cannot be opened does not stop the log. Caller holds reconf.
func (l *Log) extend(ctx context.Context, from *view, next Segment) error {
	seg, loglet := from.active()
	next.ID = seg.ID + 1
	fresh, err := l.create(ctx, &next, from.chain.Lowest)
	if err != nil {
		return err
	}
	if err := loglet.Seal(ctx); err != nil {
		return errors.Join(fmt.Errorf("vlog: seal loglet %d: %w", seg.ID, err), giveUp(fresh))
	}
	// The tail is asked for after the seal: everything acknowledged lies below it.
	tail, err := loglet.Tail(ctx)
	if err == nil && !tail.Sealed {
		err = errors.New("it is open after a successful seal")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("vlog: tail of sealed loglet %d: %w", seg.ID, err), giveUp(fresh))
	}
	chain := from.chain.Extend(seg.toVirtual(tail.Next), next, newReconfiguration())
	won, err := l.install(ctx, chain, l.version, fresh)
	if err != nil || won {
		return err
	}
	_, err = l.reload(ctx)
	return err
}

// Chain returns the chain in use.
func (l *Log) Chain() Chain {
	c := l.view.Load().chain
	c.Segments = slices.Clone(c.Segments)
	return c
}

// Close closes all Loglets. Calls that are under way finish first.
func (l *Log) Close() error {
	l.closed.Store(true)
	l.reconf.Lock()
	defer l.reconf.Unlock()
	var err error
	for _, loglet := range l.view.Load().loglets {
		err = errors.Join(err, loglet.Close())
	}
	return err
}

func newReconfiguration() (id [16]byte) {
	rand.Read(id[:]) // never fails
	return id
}
