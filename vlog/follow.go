package vlog

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// lastingError is a failure that waiting does not mend.
type lastingError struct{ error }

func (e *lastingError) Unwrap() error { return e.error }

// lasting says whether an error met on the way to a chain that works will stay, so that whoever waits had better be told.
func lasting(err error) bool {
	var l *lastingError
	var c *CorruptError
	return errors.Is(err, ErrMissing) || errors.Is(err, ErrPoisoned) || errors.Is(err, ErrClosed) || errors.As(err, &l) || errors.As(err, &c)
}

// newView is the view of a chain, with the Loglets of the view in use where it has them, and next for the one that it has not.
func (l *Log) newView(chain Chain, version uint64, next Loglet) *view {
	if k, ok := next.(keep); ok {
		next = k.Loglet
	}
	old := l.view.Load()
	v := &view{version: version, chain: chain}
	for _, seg := range chain.Segments {
		s := old.find(seg)
		if s == nil {
			s = newSlot(next, func(ctx context.Context) (Loglet, error) { return l.open(ctx, seg, chain.Lowest, false) })
		}
		v.slots = append(v.slots, s)
	}
	return v
}

// adopted makes v the view in use. Caller holds changing.
func (l *Log) adopted(ctx context.Context, v *view, e Reconfigured) {
	old := l.view.Load()
	l.view.Store(v)
	active, leader := v.active()
	if old != nil {
		before, s := old.active()
		if e.Kind != Replaced {
			e.From, e.To = before, active
		}
		if s != leader {
			s.retire()
		}
	} else {
		e.To = active
	}
	e.Version = v.version
	if !e.began.IsZero() {
		e.Took = time.Since(e.began)
	}
	if !e.stalled.IsZero() {
		e.Stalled = time.Since(e.stalled)
	}
	l.mu.Lock()
	m := l.mending
	l.mending = nil
	l.mu.Unlock()
	if m != nil {
		close(m.done)
	}
	if l.opts.OnReconfigure != nil {
		l.opts.OnReconfigure(e)
	}
}

// adopt makes the stored chain the one in use, opening the Loglets not yet open and closing those it has dropped. The active one must be there; a
// sealed one that cannot be opened now is opened when it is read. What has been dropped is closed; mine tells of which the storage is this Log's to delete, and
// may be nil.
func (l *Log) adopt(ctx context.Context, value []byte, version uint64, mine func(Segment) bool) error {
	chain, err := DecodeChain(value)
	if err != nil {
		return &lastingError{err}
	}
	old := l.view.Load()
	v := l.newView(chain, version, nil)
	for i, s := range v.slots {
		_, err := s.get(ctx)
		if err == nil || i < len(v.slots)-1 && !lasting(err) {
			continue
		}
		for _, o := range v.slots {
			if old == nil || !contains(old.slots, o) {
				err = errors.Join(err, o.drop(nil))
			}
		}
		return err
	}
	l.adopted(ctx, v, Reconfigured{Kind: Followed})
	if old != nil {
		for i, s := range old.slots {
			if contains(v.slots, s) {
				continue
			}
			end := Loglet.Close
			if mine != nil && mine(old.chain.Segments[i]) {
				end = func(o Loglet) error { return remove(ctx, o) }
			}
			if err := s.drop(end); err != nil {
				l.opts.Logger.Warn("closing a loglet that is no longer part of the log", "loglet", old.chain.Segments[i].ID, "err", err)
			}
		}
	}
	return nil
}

func contains(slots []*slot, s *slot) bool {
	for _, o := range slots {
		if o == s {
			return true
		}
	}
	return false
}

// reload loads the chain and adopts it if it is newer. Caller holds changing (or is Open).
func (l *Log) reload(ctx context.Context) (changed bool, err error) {
	for failed := uint64(0); ; {
		value, version, err := l.opts.Meta.Load(ctx)
		if err != nil {
			return false, fmt.Errorf("vlog: load the chain: %w", err)
		}
		if v := l.view.Load(); v != nil {
			if version == v.version {
				return false, nil
			}
			if version < v.version {
				return false, &lastingError{fmt.Errorf("vlog: the register has gone back from version %d to %d: it was lost, or restored from a backup", v.version, version)}
			}
		}
		if err = l.adopt(ctx, value, version, nil); err == nil {
			return true, nil
		}
		// A Loglet that the chain names can be missing because, in the meantime, the chain does not name it any more.
		if !errors.Is(err, ErrMissing) || version == failed {
			return false, err
		}
		failed = version
	}
}

// mending is the way from a view whose active Loglet is sealed to a newer one. There is one for all who have met the seal, and it goes on when
// they have lost patience: what takes longer than any of them waits must come to its end too.
type mending struct {
	view *view
	done chan struct{} // closed when a newer view is in use, or err is set
	err  error
}

// advance is called by whoever met a sealed Loglet in the view seen. It returns when a newer view is in place: one
// that another has installed, or, after RollForwardAfter, one of its own.
func (l *Log) advance(ctx context.Context, seen *view) error {
	l.mu.Lock()
	if l.view.Load() != seen {
		l.mu.Unlock()
		return nil
	}
	m := l.mending
	if m == nil && !l.closed {
		m = &mending{view: seen, done: make(chan struct{})}
		l.mending = m
		l.started.Go(func() { l.mend(m) })
	}
	l.mu.Unlock()
	if m == nil {
		return ErrClosed
	}
	select {
	case <-m.done:
		return m.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mend tries until there is a newer view. adopted tells those who wait.
func (l *Log) mend(m *mending) {
	rollForward := time.Now().Add(l.opts.RollForwardAfter)
	warn := time.Now().Add(time.Second)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		done, err := l.tryMend(m.view, !time.Now().Before(rollForward))
		if done {
			return
		}
		if err != nil {
			if lasting(err) {
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.mending == m {
					l.mending, m.err = nil, l.blame(err)
					close(m.done)
				}
				return
			}
			if now := time.Now(); !now.Before(warn) {
				warn = now.Add(10 * time.Second)
				l.opts.Logger.Warn("the log waits for a chain that works", "err", err)
			}
			pause = max(pause, 10*time.Millisecond)
		}
		rest(l.life, pause)
	}
}

func (l *Log) tryMend(seen *view, late bool) (done bool, err error) {
	ctx, release, err := l.acquire(context.Background())
	if err != nil {
		return false, err
	}
	defer release()
	if l.view.Load() != seen {
		return true, nil
	}
	if done, err := l.reload(ctx); done || err != nil {
		return done, l.closing(err)
	}
	if !late || l.opts.mistakes&mistakeNoRoll != 0 {
		return false, nil
	}
	s := seen.chain.Active()
	l.opts.Logger.Warn("log was sealed and left without a successor: rolling forward", "kind", s.Kind, "loglet", s.ID)
	err = l.extend(ctx, seen, s, Rolled)
	return l.view.Load() != seen, l.closing(err)
}

// closing makes an error that came of closing the Log a lasting one.
func (l *Log) closing(err error) error {
	if err != nil && l.life.Err() != nil {
		return ErrClosed
	}
	return err
}

// watch notices calls that wait for long, and has the register asked then. It is one timer for all calls, for one for each would cost more than the rest
// of what a Log does.
type watch struct {
	awake atomic.Bool // the timer is set
	timer *time.Timer // guarded by Log.mu
}

// rouse sets the timer if it is not. It is called when a call begins.
func (w *watch) rouse(l *Log) {
	if w.awake.Load() || !w.awake.CompareAndSwap(false, true) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
	case w.timer == nil:
		w.timer = time.AfterFunc(l.opts.RecheckEvery, l.look)
	default:
		w.timer.Reset(l.opts.RecheckEvery)
	}
}

// look looks for Loglets with calls of which none has ended since it last looked.
func (l *Log) look() {
	v := l.view.Load()
	busy, stuck := false, false
	for _, s := range v.slots {
		ended := s.ended.Load()
		if s.calls.Load() > ended {
			busy, stuck = true, stuck || ended == s.seen.Load()
		}
		s.seen.Store(ended)
	}
	if stuck {
		l.start(func() { l.recheck(v) })
	}
	l.watch.awake.Store(false)
	for _, s := range v.slots {
		busy = busy || s.calls.Load() > s.ended.Load() // begun meanwhile, and saw the watch awake
	}
	if busy {
		l.watch.rouse(l)
	}
}

// recheck asks the register, because a call has waited for long in the view seen.
func (l *Log) recheck(seen *view) {
	ctx, cancel := context.WithTimeout(context.Background(), l.opts.RecheckEvery)
	defer cancel()
	ctx, release, err := l.acquire(ctx)
	if err != nil {
		return
	}
	defer release()
	if l.view.Load() != seen {
		return
	}
	if _, err := l.reload(ctx); err != nil {
		l.opts.Logger.Debug("asking for a newer chain", "err", err)
	}
}
