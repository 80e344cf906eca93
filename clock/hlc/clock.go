package hlc

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// Options say how a clock is made.
type Options struct {
	// Now is the physical clock: milliseconds since 1970 in UTC. It may jump, in
	// both directions. It must be safe for concurrent use. Required.
	Now func() int64

	// MaxOffset is how far, in milliseconds, a received time may be ahead of the
	// physical clock: the most that the physical clocks of the system are apart.
	// Required. A negative number is no limit.
	MaxOffset int64

	// Bound is what Save was called with last, in this life or an earlier one. All
	// times that the clock gives are above it. Zero for a new node.
	Bound Time

	// Save makes a bound durable. The clock gives no time above the bound that was saved
	// last, so after a crash it cannot give one twice. It is called about once every
	// Window milliseconds of use, by one goroutine at a time, while others that need it
	// wait; more often, up to once every millisecond, while messages carry the clock
	// more than a Window ahead of the physical one. If it fails, so does the call that
	// needed it. Without Save nothing is kept: for nodes that take a new number when
	// they start.
	Save func(bound Time) error

	// Window is how far ahead of the physical clock, in milliseconds, a bound is saved.
	// A restart begins up to this far ahead of the physical clock, so it must not be
	// above MaxOffset: others would refuse the messages. Zero stands for half of
	// MaxOffset, 1000 at most.
	Window int64
}

// Clock is the clock of one node. Safe for concurrent use.
type Clock struct {
	now       func() int64
	maxOffset int64
	window    int64
	save      func(Time) error

	last  atomic.Uint64 // the time given or received last
	bound atomic.Uint64 // no time above it is given
	mu    sync.Mutex    // held while a bound is saved
}

// ErrExhausted is returned where the next time would not fit 64 bits.
var ErrExhausted = errors.New("hlc: no times left")

// OffsetError refuses a received time that is too far ahead of the physical clock.
type OffsetError struct {
	Received  Time
	Physical  int64 // in milliseconds since 1970
	MaxOffset int64 // in milliseconds
}

// Error implements error.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("hlc: received time is %d ms ahead of the clock here, more than the %d ms allowed",
		e.Received.Millis()-e.Physical, e.MaxOffset)
}

// New makes a clock. It is an error if the options contradict one another. Nothing
// is saved before the first time is asked for.
func New(o Options) (*Clock, error) {
	c := &Clock{now: o.Now, maxOffset: o.MaxOffset, window: o.Window, save: o.Save}
	switch {
	case o.Now == nil:
		return nil, errors.New("hlc: Options.Now is missing")
	case o.MaxOffset == 0:
		return nil, errors.New("hlc: Options.MaxOffset is missing")
	case o.Window < 0:
		return nil, errors.New("hlc: Options.Window is negative")
	case o.MaxOffset > 0 && o.Window > o.MaxOffset:
		return nil, fmt.Errorf("hlc: Options.Window of %d ms is above MaxOffset, %d ms: others would refuse the times after a restart", o.Window, o.MaxOffset)
	}
	if c.window == 0 {
		c.window = 1000
		if o.MaxOffset > 0 {
			c.window = min(c.window, o.MaxOffset/2)
		}
	}
	c.last.Store(uint64(o.Bound))
	c.bound.Store(uint64(o.Bound))
	if c.save == nil {
		c.bound.Store(^uint64(0))
	}
	return c, nil
}

// physical is the physical clock's reading, as the first time of its millisecond.
func (c *Clock) physical() uint64 { return uint64(clamp(c.now())) << counterBits }

func clamp(millis int64) int64 { return min(max(millis, 0), MaxMillis) }

// Now is the time of a local event or of the sending of a message. Errors are
// those of Options.Save, and ErrExhausted. It does not allocate.
func (c *Clock) Now() (Time, error) {
	return c.advance(c.physical(), 0)
}

// Update is the time of the receipt of a message that was sent at the given time.
// It is an *OffsetError if that is too far ahead; the clock stays as it is then, and
// the message should be dropped. Other errors are those of Now. It does not allocate,
// but for errors.
func (c *Clock) Update(sent Time) (Time, error) {
	millis := clamp(c.now())
	if c.maxOffset >= 0 && sent.Millis()-millis > c.maxOffset {
		return 0, &OffsetError{sent, millis, c.maxOffset}
	}
	return c.advance(uint64(millis)<<counterBits, uint64(sent))
}

// advance gives the next time. Packed into 64 bits the rules of the paper are one: the physical
// clock with counter 0 if it is in a later millisecond than both others, or else one
// more than the higher of them. (If both are in one millisecond, the higher has the
// higher counter; if one is in a later, only its counter counts.) A full counter
// carries into the milliseconds.
func (c *Clock) advance(physical, sent uint64) (Time, error) {
	for {
		last := c.last.Load()
		next := max(last, sent)
		if physical > next {
			next = physical
		} else if next == ^uint64(0) {
			return 0, ErrExhausted
		} else {
			next++
		}
		if next > c.bound.Load() {
			if err := c.extend(Time(next), Time(physical)); err != nil {
				return 0, err
			}
		}
		if c.last.CompareAndSwap(last, next) {
			return Time(next), nil
		}
	}
}

// extend saves a bound that is at least t. It is a window ahead of the physical clock
// and not of t: a node that crashes again and again, each time beginning
// at its bound, would otherwise run away from the time of day by a window each time.
func (c *Clock) extend(t, physical Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if uint64(t) <= c.bound.Load() {
		return nil // another goroutine has
	}
	bound := Time(clamp(max(t.Millis(), physical.Millis()+c.window)))<<counterBits | (1<<counterBits - 1)
	if err := c.save(bound); err != nil {
		return fmt.Errorf("hlc: saving the bound %v: %w", bound, err)
	}
	c.bound.Store(uint64(bound))
	return nil
}

// Last is the time given last, or the bound that the clock began with. It is no new event.
func (c *Clock) Last() Time { return Time(c.last.Load()) }

// Drift is how far, in milliseconds, the clock is ahead of the physical clock, or 0.
func (c *Clock) Drift() int64 { return max(0, c.Last().Millis()-clamp(c.now())) }
