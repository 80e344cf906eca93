package cluster

import (
	"context"
	"sync"
	"time"

	"rebase/vlog/native/core"
)

// around is what the other database nodes have said of whom they hear. Where two nodes do not hear each other and a third hears both, neither of the two is
// dead, and only the third can lead both (the indirect probe of SWIM: Das, Gupta and Motivala, 2002, section 3.1).
type around struct {
	mu      sync.Mutex
	vouched map[NodeID]time.Time // when another node has last heard one that is silent here
}

// report is whom a node has heard, and when.
type report struct {
	of    NodeID
	heard map[NodeID]time.Time
}

// lookAround asks the others as long as somebody is silent.
func (c *Cluster) lookAround() {
	yield := limiter{first: 5 * c.o.SuspectAfter, most: time.Minute, calm: 5 * time.Minute}
	better := NodeID(0)
	for {
		sleep(c.ctx, c.o.SuspectAfter/2)
		if c.ctx.Err() != nil {
			return
		}
		own, reports := c.askAround()
		now := time.Now()
		c.around.note(reports)
		was := better
		better = hearsMore(own, reports, now.Add(-c.o.SuspectAfter))
		// Twice in a row: what others have said is a moment old.
		if better == 0 || better != was || c.meta == nil || !c.meta.Leader() || !yield.allows(now) {
			continue
		}
		yield.use(now)
		ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
		err := c.meta.Yield(ctx, better.String())
		cancel()
		if c.ctx.Err() == nil {
			c.log.Info("another node hears more of the others than this one: it is to lead etcd", "to", c.names(better.String()), "err", err)
		}
	}
}

// askAround returns whom of the other database nodes this one hears, and what those that are heard say. There are no reports if nobody is silent.
func (c *Cluster) askAround() (own report, reports []report) {
	own = report{of: c.ID(), heard: map[NodeID]time.Time{}}
	databases := map[NodeID]bool{c.ID(): true}
	var ask []Record
	silent := false
	for _, r := range c.others() {
		if r.State == Left {
			continue
		}
		databases[r.ID] = r.Database()
		switch heard := c.pulse(r.ID).heard; {
		case !heard:
			silent = true
		case r.Database():
			ask = append(ask, r)
		}
		if at, _ := c.node.Heard(core.Node(r.ID)); r.Database() {
			own.heard[r.ID] = at // also of one whose port refuses connections: the others do not know that yet
		}
	}
	if !silent {
		return own, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.SuspectAfter)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, r := range ask {
		wg.Go(func() {
			var s NodeStatus
			if c.call(ctx, r.Peer, statusPath, nil, &s) != nil {
				return
			}
			now := time.Now()
			said := report{of: r.ID, heard: map[NodeID]time.Time{}}
			for text, ago := range s.Heard {
				var id NodeID
				if id.UnmarshalText([]byte(text)) == nil && databases[id] {
					said.heard[id] = now.Add(-time.Duration(ago) * time.Millisecond)
				}
			}
			mu.Lock()
			reports = append(reports, said)
			mu.Unlock()
		})
	}
	wg.Wait()
	return own, reports
}

func (a *around) note(reports []report) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range reports {
		for id, at := range r.heard {
			if at.After(a.vouched[id]) {
				a.vouched[id] = at
			}
		}
	}
}

// lastVouched is when another node has last heard this one, as far as is known here; zero for never.
func (a *around) lastVouched(id NodeID) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.vouched[id]
}

// hearsMore returns the node that has heard the most others since a moment, if that is more than own has heard, and 0 if there is none.
func hearsMore(own report, reports []report, since time.Time) NodeID {
	lately := func(r report) (n int) {
		for _, at := range r.heard {
			n += b2i(at.After(since))
		}
		return n
	}
	best, most := NodeID(0), lately(own)
	for _, r := range reports {
		n := lately(r)
		if n > most || n == most && best != 0 && r.of < best {
			best, most = r.of, n
		}
	}
	return best
}
