package vlog

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// view is one chain with its Loglets. Immutable.
type view struct {
	version uint64
	chain   Chain
	slots   []*slot
}

func (v *view) active() (Segment, *slot) {
	return v.chain.Active(), v.slots[len(v.slots)-1]
}

// find returns the slot of a segment's Loglet, nil if there is none. A segment may come to be held by another Loglet under the same id (Log.Replace).
func (v *view) find(s Segment) *slot {
	if v != nil {
		for i, o := range v.chain.Segments {
			if o.sameLoglet(s) {
				return v.slots[i]
			}
		}
	}
	return nil
}

// slot is the Loglet of one segment for as long as chains name it.
type slot struct {
	// leading ends a while after the Loglet has ceased to be the active one, so that an Append or a wait that still hopes for its answer is let
	// go. present ends when no chain names it any more.
	leading, present context.Context
	unlead, vanish   context.CancelFunc
	unleading        *time.Timer
	open             func(context.Context) (Loglet, error)
	loglet           atomic.Pointer[opened]
	opening          chan struct{} // a token in it is held by who opens the Loglet
	mu               sync.Mutex
	closed           bool

	// What every call writes is on lines of its own, away from what every call reads.
	_         [64]byte
	calls     atomic.Int64 // begun
	_         [56]byte
	ended     atomic.Int64
	seen      atomic.Int64 // ended when the watch last looked
	_         [48]byte
	confirmed atomic.Uint64 // positions of the Loglet below it are in the log: they lie below a tail that was not sealed
	_         [56]byte
}

type opened struct{ Loglet }

// unleadAfter is how long calls on a Loglet that is no longer active may take to come to their end by themselves. It was sealed, so they will as a rule.
const unleadAfter = time.Second

func newSlot(loglet Loglet, open func(context.Context) (Loglet, error)) *slot {
	s := &slot{open: open, opening: make(chan struct{}, 1)}
	s.leading, s.unlead = context.WithCancel(context.Background())
	s.present, s.vanish = context.WithCancel(context.Background())
	s.confirmed.Store(1)
	if loglet != nil {
		s.loglet.Store(&opened{loglet})
	}
	return s
}

// get returns the Loglet, and opens it if that was not possible before.
func (s *slot) get(ctx context.Context) (Loglet, error) {
	if o := s.loglet.Load(); o != nil {
		return o.Loglet, nil
	}
	select {
	case s.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.present.Done():
		return nil, ErrClosed
	}
	defer func() { <-s.opening }()
	if o := s.loglet.Load(); o != nil {
		return o.Loglet, nil
	}
	ctx, done := bind(ctx, s.present)
	loglet, err := s.open(ctx)
	done()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(ErrClosed, loglet.Close())
	}
	s.loglet.Store(&opened{loglet})
	return loglet, nil
}

// leave ends a call that Log.attend has counted.
func (s *slot) leave(unbind func()) {
	s.ended.Add(1)
	if unbind != nil {
		unbind()
	}
}

// confirm takes notice of a tail that was not sealed, or of an acknowledged append.
func (s *slot) confirm(next Position) {
	for {
		now := s.confirmed.Load()
		if uint64(next) <= now || s.confirmed.CompareAndSwap(now, uint64(next)) {
			return
		}
	}
}

// retire is called when the Loglet has ceased to be the active one.
func (s *slot) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unleading == nil && !s.closed {
		s.unleading = time.AfterFunc(unleadAfter, s.unlead)
	}
}

// close ends the use of the Loglet, with end or, if that is nil, with its Close.
func (s *slot) close(end func(Loglet) error) error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	if s.unleading != nil {
		s.unleading.Stop()
	}
	s.mu.Unlock()
	if already {
		return nil
	}
	var err error
	if o := s.loglet.Load(); o != nil {
		if end == nil {
			end = Loglet.Close
		}
		err = end(o.Loglet)
	}
	s.unlead()
	s.vanish()
	return err
}

// drop closes a Loglet that no chain names any more. Who still reads in it is let go first.
func (s *slot) drop(end func(Loglet) error) error {
	s.unlead()
	s.vanish()
	return s.close(end)
}

// bind returns a context that ends with ctx or with other. The function returned must be called.
func bind(ctx, other context.Context) (context.Context, func()) {
	if ctx.Done() == nil {
		return other, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(other, cancel)
	return ctx, func() { stop(); cancel() }
}
