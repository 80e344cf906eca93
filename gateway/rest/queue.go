package rest

import (
	"sync"

	"rebase/live"
)

// queue holds the events that wait for a stream's reader. Deliver is called while
// the database stands still, so it only appends; encoding is left to the reader.
type queue struct {
	max  int           // bytes
	wake chan struct{} // holds a token when there is something to take

	mu       sync.Mutex
	events   []queued
	bytes    int
	overflow bool // events were dropped: the reader must resynchronise
}

// queued is an event and what all streams share of its encoding. The latter is found
// in Deliver, because only there Event.Memo may be called.
type queued struct {
	ev  *live.Event
	enc *encoding
}

var _ live.Subscriber = (*queue)(nil)

func newQueue(max int) *queue { return &queue{max: max, wake: make(chan struct{}, 1)} }

// Deliver implements live.Subscriber.
func (s *queue) Deliver(ev *live.Event, _ *live.Listener) {
	s.mu.Lock()
	switch {
	case ev.Kind == live.Revoked:
		// The one event that a resynchronisation would not make up for.
		s.overflow = false
		s.events = append(s.events, queued{ev: ev})
	case s.overflow:
	case ev.Kind == live.Lost:
		s.drop()
	default:
		e := queued{ev, encodingOf(ev)}
		// An event that is alone is always taken: sending the whole data instead
		// would not be less.
		if len(s.events) > 0 && s.bytes+e.enc.size > s.max {
			s.drop()
			break
		}
		s.events = append(s.events, e)
		s.bytes += e.enc.size
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *queue) drop() { s.events, s.bytes, s.overflow = nil, 0, true }

// take empties the queue. With overflow set the events are lost, and further ones
// are dropped until restart.
func (s *queue) take() (events []queued, overflow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, s.events, s.bytes = s.events, nil, 0
	return events, s.overflow
}

// restart ends an overflow; call it between the listener's Resync and Start, when
// nothing is delivered.
func (s *queue) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events, s.bytes, s.overflow = nil, 0, false
}
