package native

import (
	"sync"
	"sync/atomic"
	"time"

	"rebase/vlog/native/core"
)

// Ticks. Those of a sequencer are short, since they bound for how long the end of a burst stays unknown to who follows the log at a server.
const (
	sequencerTick  = time.Millisecond
	sequencerRetry = 200 // ticks
	clientTick     = 20 * time.Millisecond
	clientRetry    = 10 // ticks
	sealedHaste    = 10 // ticks at once, when a seal is known of
	// A sequencer of which nobody has heard for quietTicks has only a dead server to ask again; it wakes up for slowTicks at once.
	quietTicks = 100
	slowTicks  = 25
)

// ticker calls tick every interval for as long as it says that there is something to do. Its owner's lock guards it.
type ticker struct {
	interval time.Duration
	armed    bool
	timer    *time.Timer
}

// arm makes sure that tick, which takes the owner's lock itself, will be called.
func (t *ticker) arm(tick func()) {
	if t.armed {
		return
	}
	t.armed = true
	if t.timer == nil {
		t.timer = time.AfterFunc(t.interval, tick)
	} else {
		t.timer.Reset(t.interval)
	}
}

// hurry sets a shorter interval, for the tick that is due, too.
func (t *ticker) hurry(interval time.Duration) {
	if t.interval == interval {
		return
	}
	t.interval = interval
	if t.armed && t.timer.Stop() {
		t.timer.Reset(interval)
	}
}

// sequencer is what runs around a core.Sequencer.
type sequencer struct {
	cfg     core.Config
	send    func([]core.Message)
	repeats *atomic.Uint64

	mu     sync.Mutex
	core   *core.Sequencer
	out    outbox
	ticks  ticker
	quiet  int // ticks since the last message
	closed bool
}

func startSequencer(cfg core.Config, send func([]core.Message), repeats *atomic.Uint64) *sequencer {
	return &sequencer{cfg: cfg, send: send, repeats: repeats,
		core: core.NewSequencer(cfg, core.SequencerOptions{Retry: sequencerRetry}), ticks: ticker{interval: sequencerTick}}
}

func (s *sequencer) handle(batch []core.Message) {
	s.mu.Lock()
	if !s.closed {
		s.quiet = 0
		for i := range batch {
			s.out.add(s.core.Step(batch[i]).Messages)
		}
		s.arm()
	}
	s.out.flush(&s.mu, s.send)
}

func (s *sequencer) arm() {
	if s.closed || s.core.Idle() {
		return
	}
	if s.quiet < quietTicks {
		s.ticks.hurry(sequencerTick)
	} else {
		s.ticks.interval = slowTicks * sequencerTick
	}
	s.ticks.arm(s.tick)
}

func (s *sequencer) tick() {
	s.mu.Lock()
	s.ticks.armed = false
	if !s.closed {
		n := 1
		if s.ticks.interval != sequencerTick {
			n = slowTicks
		}
		for range n {
			messages := s.core.Tick().Messages
			s.repeats.Add(uint64(len(messages)))
			s.out.add(messages)
		}
		s.quiet += n
		s.arm()
	}
	s.out.flush(&s.mu, s.send)
}

// ask asks the servers how they are, so that a sequencer without work hears of a seal.
func (s *sequencer) ask() {
	var out []core.Message
	for _, m := range s.cfg.Servers {
		out = append(out, core.Message{Kind: core.Ask, From: s.cfg.Sequencer, To: m.Node, Disk: m.Disk, Loglet: s.cfg.Loglet, Incarnation: s.cfg.Incarnation})
	}
	s.send(out)
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

// over says that the loglet is sealed: this sequencer is of no use any more.
func (s *sequencer) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.core.Sealed()
}
