package cluster

import (
	"slices"
	"time"
)

// suspicion tells who is alive from when they were last heard. Like decide it knows no clock.
type suspicion struct {
	suspectAfter time.Duration // of silence
	trustAfter   time.Duration // of being heard, for one that was suspected
	last         time.Time     // of the last look
	grace        time.Time     // until then nobody is newly suspected
	nodes        map[NodeID]*pulse
}

type pulse struct {
	heard   time.Time // when the node was last heard; when it was first asked for, if never
	suspect bool
	since   time.Time // when suspect became what it is
	hearing time.Time // since when a suspected one is heard again
	refused time.Time // when its machine has said that nobody listens at its address
}

func newSuspicion(suspectAfter, trustAfter time.Duration) *suspicion {
	return &suspicion{suspectAfter: suspectAfter, trustAfter: trustAfter, nodes: map[NodeID]*pulse{}}
}

// tick begins a look. If the last one is long ago, this process itself was not running: then nobody can be blamed for silence.
func (s *suspicion) tick(now time.Time) {
	if !s.last.IsZero() && now.Sub(s.last) > s.suspectAfter/2 {
		s.grace = now.Add(s.suspectAfter)
	}
	s.last = now
}

// look returns whether a node is heard, whether it is alive, and since when it is so. at is zero for one that was never heard: it is given the same time to be
// heard as the others.
func (s *suspicion) look(id NodeID, at time.Time) (audible, alive bool, since time.Time) {
	now := s.last
	p := s.nodes[id]
	if p == nil {
		p = &pulse{heard: now, since: now}
		s.nodes[id] = p
	}
	if at.After(p.heard) {
		p.heard = at
	}
	refused := p.refused.After(p.heard)
	silent := refused || now.Sub(p.heard) > s.suspectAfter
	switch {
	case !p.suspect && silent && (refused || now.After(s.grace)):
		p.suspect, p.since, p.hearing = true, now, time.Time{}
	case p.suspect && silent:
		p.hearing = time.Time{}
	case p.suspect && p.hearing.IsZero():
		p.hearing = now
	case p.suspect && now.Sub(p.hearing) >= s.trustAfter:
		p.suspect, p.since = false, now
	}
	return !silent || !p.suspect, !p.suspect, p.since
}

// doubtful says whether a node is late enough for a closer look, and not yet suspected.
func (s *suspicion) doubtful(id NodeID) bool {
	p := s.nodes[id]
	return p != nil && !p.suspect && s.last.Sub(p.heard) > s.suspectAfter/3
}

// refuse takes note that at the time given, nobody listened at the node's address: its process has ended.
func (s *suspicion) refuse(id NodeID, at time.Time) {
	if p := s.nodes[id]; p != nil && at.After(p.refused) {
		p.refused = at
	}
}

// limiter slows down what is repeated: each reconfiguration costs a seal, and a detector that is wrong once is wrong again.
type limiter struct {
	first, most time.Duration // pauses
	calm        time.Duration // after which it begins anew
	pause       time.Duration
	used, next  time.Time
}

func (l *limiter) allows(now time.Time) bool { return !now.Before(l.next) }

func (l *limiter) use(now time.Time) {
	switch {
	case l.used.IsZero() || now.Sub(l.used) > l.calm:
		l.pause = l.first
	default:
		l.pause = min(2*l.pause, l.most)
	}
	l.used, l.next = now, now.Add(l.pause)
}

// complaint says when to complain of what fails again and again: when it has failed for a while, and now and then from then on.
type complaint struct {
	first, every time.Duration
	next         time.Time
}

func (c *complaint) due(now time.Time) bool {
	switch {
	case c.next.IsZero():
		c.next = now.Add(c.first)
		return false
	case now.Before(c.next):
		return false
	}
	c.next = now.Add(c.every)
	return true
}

// abandoned remembers which silent nodes this one has moved the log away from.
type abandoned map[NodeID]abandonment

type abandonment struct {
	segment uint64
	time    time.Time
}

// rememberFor is longer than limiter.most, so that who disagrees is found out however slowly they take turns.
const rememberFor = 2 * time.Minute

// note is called when a driver has carried out p, of which v was its view.
func (a abandoned) note(v view, p plan, now time.Time) {
	for _, m := range v.members {
		if !m.heard && v.active.on(m.id) && !slices.Contains(p.servers, m.id) || !m.heard && v.active.sequencerOn(m.id) {
			a[m.id] = abandonment{v.active.segment, now}
		}
	}
}

// judge marks the members of v that are silent here and in use again.
func (a abandoned) judge(v view, now time.Time) {
	for i := range v.members {
		m := &v.members[i]
		left, ok := a[m.id]
		m.disputed = ok && !m.heard && left.segment < v.active.segment && now.Sub(left.time) < rememberFor && (v.active.on(m.id) || v.active.sequencerOn(m.id))
	}
}

func (a active) on(id NodeID) bool {
	return slices.ContainsFunc(a.parts, func(p part) bool { return slices.Contains(p.servers, id) })
}

func (a active) sequencerOn(id NodeID) bool {
	return slices.ContainsFunc(a.parts, func(p part) bool { return p.sequencer == id })
}
