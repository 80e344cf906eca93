package native

import (
	"sync"
	"time"

	"rebase/vlog/native/core"
)

// Ticks. Those of a sequencer are short, since they bound for how long the end of a burst stays unknown to who follows the log at a server.
const (
	sequencerTick  = time.Millisecond
	sequencerRetry = 200 // ticks
	clientTick     = 5 * time.Millisecond
	clientRetry    = 40 // ticks
)

// ticker calls tick every interval for as long as it says that there is something to do. Its owner's lock guards it.
type ticker struct {
	interval time.Duration
	armed    bool
}

// arm makes sure that tick, which takes the owner's lock itself, will be called.
func (t *ticker) arm(tick func()) {
	if !t.armed {
		t.armed = true
		time.AfterFunc(t.interval, tick)
	}
}

// sequencer is the process around a core.Sequencer.
type sequencer struct {
	send func([]core.Message)

	mu     sync.Mutex
	core   *core.Sequencer
	ticks  ticker
	closed bool
}

func startSequencer(cfg core.Config, send func([]core.Message)) *sequencer {
	return &sequencer{send: send, core: core.NewSequencer(cfg, core.SequencerOptions{Retry: sequencerRetry}), ticks: ticker{interval: sequencerTick}}
}

func (s *sequencer) handle(batch []core.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range batch {
		s.send(s.core.Step(m).Messages)
	}
	s.arm()
}

func (s *sequencer) arm() {
	if !s.closed && !s.core.Idle() {
		s.ticks.arm(s.tick)
	}
}

func (s *sequencer) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticks.armed = false
	if !s.closed {
		s.send(s.core.Tick().Messages)
		s.arm()
	}
}

func (s *sequencer) gone(n core.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.Gone(n)
}

func (s *sequencer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
