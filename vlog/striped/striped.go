package striped

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rebase/vlog"
)

// Loglet is a handle on a striped loglet. Safe for concurrent use.
type Loglet struct {
	cfg     Config
	stripes []*stripe

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu      sync.Mutex
	filled  slot // all below are known to be filled, for good
	sealed  bool // a stripe is
	waiters waiters
	// told is the highest tail that this handle has returned. Unlike filled it may come from a sealed stripe, whose tail a repair may have
	// moved on after another has cut the log off: enough for reading below it, not for an acknowledgement.
	told    slot
	trimmed slot // slots below have been trimmed

	cache cache
}

var (
	_ vlog.Loglet     = (*Loglet)(nil)
	_ vlog.Remover    = (*Loglet)(nil)
	_ vlog.Discarder  = (*Loglet)(nil)
	_ vlog.Configured = (*Loglet)(nil)
)

// stripe is one of the loglets, and what is known of it; guarded by Loglet.mu.
type stripe struct {
	loglet  vlog.Loglet
	filled  vlog.Position // all below are known to be filled, for good
	sending int           // entries that this handle is appending
	wanted  vlog.Position // somebody waits for all below to be filled
	chased  bool          // chase is running
	grown   chan struct{} // closed and replaced when filled grows
	took    time.Duration // a moving average of how long an append takes
}

// Provider returns a vlog.Provider of striped loglets, whose stripes are opened by the providers of their kinds. A Config is a Config or, to create, a Wish, encoded.
func Provider(kinds map[string]vlog.Provider) vlog.Provider {
	return func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		l, err := Open(ctx, kinds, spec)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
}

// Open opens the stripes that spec.Config names, or makes them if spec says so.
func Open(ctx context.Context, kinds map[string]vlog.Provider, spec vlog.LogletSpec) (*Loglet, error) {
	cfg, err := DecodeConfig(spec.Config)
	if err != nil {
		return nil, err
	}
	var loglets []vlog.Loglet
	fail := func(err error) (*Loglet, error) {
		for _, o := range loglets {
			if d, ok := o.(vlog.Discarder); ok && spec.Create {
				err = errors.Join(err, d.Discard(ctx)) // what was made for nothing
			} else {
				err = errors.Join(err, o.Close())
			}
		}
		return nil, err
	}
	for i := range cfg.Stripes {
		s := &cfg.Stripes[i]
		open, ok := kinds[s.Kind]
		if !ok {
			return fail(fmt.Errorf("vlog/striped: stripe %d is of kind %q, which this program does not have", i, s.Kind))
		}
		loglet, err := open(ctx, vlog.LogletSpec{ID: spec.ID, Stripe: uint8(i), Config: s.Config, Create: spec.Create, Lowest: spec.Lowest})
		if err != nil {
			return fail(fmt.Errorf("vlog/striped: stripe %d, %s: %w", i, s.Kind, err))
		}
		loglets = append(loglets, loglet)
		if c, ok := loglet.(vlog.Configured); ok && spec.Create {
			s.Config = c.Config()
		}
		for j, other := range cfg.Stripes[:i] {
			if other.Kind == s.Kind && bytes.Equal(other.Config, s.Config) {
				return fail(fmt.Errorf("vlog/striped: stripes %d and %d are one and the same %s loglet; give each a configuration of its own", j, i, s.Kind))
			}
		}
	}
	l := New(loglets...)
	l.cfg = cfg
	if _, err := l.Trim(ctx, 0); err != nil { // learns how far it has been trimmed
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// New returns a handle on the striped loglet over these stripes, which it takes over. They must be the same, in the same order, every time.
func New(stripes ...vlog.Loglet) *Loglet {
	l := &Loglet{}
	for _, s := range stripes {
		l.stripes = append(l.stripes, &stripe{loglet: s, filled: 1, wanted: 1, grown: make(chan struct{})})
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.cache.init()
	return l
}

// Config implements vlog.Configured.
func (l *Loglet) Config() []byte { return l.cfg.Encode() }

// each calls f for every stripe at once, and returns an error if one does.
func (l *Loglet) each(f func(k int, s vlog.Loglet) error) error {
	errs := make([]error, len(l.stripes))
	var wg sync.WaitGroup
	for k, s := range l.stripes[1:] {
		wg.Go(func() { errs[k+1] = f(k+1, s.loglet) })
	}
	errs[0] = f(0, l.stripes[0].loglet)
	wg.Wait()
	return errors.Join(errs...)
}

func (l *Loglet) usable(ctx context.Context) error {
	if l.ctx.Err() != nil {
		return vlog.ErrClosed
	}
	return ctx.Err()
}

// Tail implements vlog.Loglet: it asks all stripes. An append that was acknowledged before has all slots up to its own filled, and every stripe's answer is beyond
// those.
func (l *Loglet) Tail(ctx context.Context) (vlog.Tail, error) {
	if err := l.usable(ctx); err != nil {
		return vlog.Tail{}, err
	}
	tails, sealed, err := l.tails(ctx)
	if err != nil {
		return vlog.Tail{}, err
	}
	if sealed > 0 && sealed < len(tails) {
		// Some are sealed. Nothing may be decided before all are: an open stripe still grows, and whoever has begun this may be dead.
		if err := l.Seal(ctx); err != nil {
			return vlog.Tail{}, err
		}
		if tails, sealed, err = l.tails(ctx); err != nil {
			return vlog.Tail{}, err
		}
		if sealed < len(tails) {
			return vlog.Tail{}, errors.New("vlog/striped: a stripe is open after a successful seal")
		}
	}
	end := l.at(0, tails[0].Next)
	for k, t := range tails {
		end = min(end, l.at(k, t.Next))
	}
	l.mu.Lock()
	l.told = max(l.told, end)
	l.mu.Unlock()
	return vlog.Tail{Next: end.position(), Sealed: sealed > 0}, nil
}

// tails asks all stripes at once, and returns how many of them are sealed.
func (l *Loglet) tails(ctx context.Context) ([]vlog.Tail, int, error) {
	tails := make([]vlog.Tail, len(l.stripes))
	err := l.each(func(k int, s vlog.Loglet) (err error) {
		tails[k], err = s.Tail(ctx)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	sealed := 0
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, t := range tails {
		if t.Sealed {
			sealed++
			l.noteSeal()
		} else {
			l.grow(k, t.Next)
		}
	}
	return tails, sealed, nil
}

// followPoll is how often who waits for one stripe looks at all of them: another may have been sealed and abandoned.
const followPoll = time.Second

// WaitTail implements vlog.Loglet. It does not fill slots: what stands above an empty one has not been acknowledged.
func (l *Loglet) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	if atLeast <= 1 {
		return l.Tail(ctx)
	}
	want := slotFrom(atLeast)
	for {
		if err := l.usable(ctx); err != nil {
			return vlog.Tail{}, err
		}
		l.mu.Lock()
		if l.filled >= want && !l.sealed {
			l.told = max(l.told, l.filled)
			t := vlog.Tail{Next: l.filled.position()}
			l.mu.Unlock()
			return t, nil
		}
		// The stripe that is furthest behind.
		k, sealed := 0, l.sealed
		for i := range l.stripes {
			if l.at(i, l.stripes[i].filled) < l.at(k, l.stripes[k].filled) {
				k = i
			}
		}
		l.mu.Unlock()
		if sealed {
			t, err := l.Tail(ctx)
			return t, err
		}
		poll, cancel := context.WithTimeout(ctx, followPoll)
		t, err := l.stripes[k].loglet.WaitTail(poll, l.below(k, want))
		late := poll.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err != nil && late:
			if t, err := l.Tail(ctx); err != nil || t.Sealed || t.Next >= atLeast {
				return t, err
			}
		case err != nil:
			return vlog.Tail{}, err
		case t.Sealed:
			return l.Tail(ctx)
		default:
			l.mu.Lock()
			l.grow(k, t.Next)
			l.mu.Unlock()
		}
	}
}

// Seal implements vlog.Loglet.
func (l *Loglet) Seal(ctx context.Context) error {
	if err := l.usable(ctx); err != nil {
		return err
	}
	err := l.each(func(_ int, s vlog.Loglet) error { return s.Seal(ctx) })
	if err == nil {
		l.mu.Lock()
		l.noteSeal()
		l.mu.Unlock()
	}
	return err
}

// noteSeal lets go of everybody who waits for slots below his own to be filled. Caller holds mu.
func (l *Loglet) noteSeal() {
	if !l.sealed {
		l.sealed = true
		l.waiters.fail(vlog.ErrSealed)
	}
}

// grow takes note that a stripe is filled up to p. Caller holds mu.
func (l *Loglet) grow(k int, p vlog.Position) {
	s := l.stripes[k]
	if p <= s.filled {
		return
	}
	s.filled = p
	close(s.grown)
	s.grown = make(chan struct{})
	l.filled = l.at(0, l.stripes[0].filled)
	for i, s := range l.stripes {
		l.filled = min(l.filled, l.at(i, s.filled))
	}
	l.waiters.release(l.filled)
}

// Close implements vlog.Loglet.
func (l *Loglet) Close() error {
	l.mu.Lock()
	first := l.ctx.Err() == nil
	l.cancel()
	l.waiters.fail(vlog.ErrClosed)
	l.mu.Unlock()
	if !first {
		return nil
	}
	err := l.each(func(_ int, s vlog.Loglet) error { return s.Close() })
	l.tasks.Wait()
	return err
}

// Remove implements vlog.Remover.
func (l *Loglet) Remove(ctx context.Context) error {
	err := l.each(func(_ int, s vlog.Loglet) error {
		if r, ok := s.(vlog.Remover); ok {
			return r.Remove(ctx)
		}
		return s.Close()
	})
	return errors.Join(err, l.Close())
}

// Discard implements vlog.Discarder, as far as the stripes do.
func (l *Loglet) Discard(ctx context.Context) error {
	err := l.each(func(_ int, s vlog.Loglet) error {
		if d, ok := s.(vlog.Discarder); ok {
			return d.Discard(ctx)
		}
		return s.Close()
	})
	return errors.Join(err, l.Close())
}
