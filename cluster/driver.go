package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rebase/vlog"
)

// Drive begins to act: to move the log away from nodes that fail, and to have the sessions of nodes ended that are gone. It is called once,
// on a database node, when the log and the database are open.
func (c *Cluster) Drive(h Hooks) {
	d := &driver{c: c, h: h, inc: map[uint64]map[NodeID]uint64{}, left: abandoned{}, limit: limiter{first: 200 * time.Millisecond, most: 30 * time.Second, calm: time.Minute}}
	c.mu.Lock()
	c.hooks, c.driver = &h, d
	c.mu.Unlock()
	c.wg.Go(d.run)
	c.wg.Go(c.lookAround)
	c.wg.Go(d.heal)
	if h.OnGone != nil {
		c.wg.Go(d.mourn)
	}
	if h.OnState != nil {
		c.wg.Go(d.states)
	}
}

// driver carries out what decide decides.
type driver struct {
	c *Cluster
	h Hooks

	mu    sync.Mutex // held while it looks and acts
	limit limiter
	// inc remembers for each loglet in which incarnations the nodes of its sequencers were first seen: in another one there is no sequencer.
	inc     map[uint64]map[NodeID]uint64
	left    abandoned
	planned string // the plan that stands, and since when
	since   time.Time
	blocked string
}

// reconfigureTimeout is for one try. A seal and a write to the MetaStore take milliseconds, or there is no majority.
const reconfigureTimeout = 5 * time.Second

func (d *driver) run() {
	every := min(max(d.c.o.SuspectAfter/20, 5*time.Millisecond), 50*time.Millisecond)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-d.c.ctx.Done():
			return
		case <-t.C:
		}
		now := time.Now()
		d.c.look(now)
		d.step(now)
	}
}

// step looks at the log, and acts if there is something to do and it is this node's turn.
func (d *driver) step(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.view(d.h.Log.Chain().Active(), now)
	p := decide(v)
	d.c.noteStranded(p, now)
	if p.blocked != d.blocked {
		d.blocked = p.blocked
		d.c.mu.Lock()
		d.c.blocked = p.blocked
		d.c.mu.Unlock()
		if p.blocked != "" {
			d.c.log.Warn("the log should be moved and cannot be; start the nodes that are silent", "why", d.c.names(p.blocked))
		}
	}
	if p.why == "" {
		d.planned = ""
		return
	}
	if key := fmt.Sprint(v.active.segment, p.servers, p.sequencers); key != d.planned {
		d.planned, d.since = key, now
	}
	if now.Sub(d.since) < p.after || !d.limit.allows(now) {
		return
	}
	d.planned = ""
	if d.reconfigure(v, p) {
		d.limit.use(now)
	}
}

// strandedAfter is how long nothing could be appended to the log until that is said. Moving it takes milliseconds.
const strandedAfter = 3 * time.Second

// noteStranded takes note of a plan that has to be carried out before anything can be appended.
func (c *Cluster) noteStranded(p plan, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !p.urgent:
		c.stranded = time.Time{}
	case c.stranded.IsZero():
		c.stranded = now
	}
	c.strandedWhy = p.why + p.blocked
}

// Stranded returns why nothing can be appended to the log, and has not been for a while; "" if it can, as far as this node knows.
func (c *Cluster) Stranded() string {
	c.mu.Lock()
	since, why := c.stranded, c.strandedWhy
	c.mu.Unlock()
	if since.IsZero() || time.Since(since) < strandedAfter {
		return ""
	}
	return c.names(why)
}

// HandOver moves sequencers off this node, if there is another that can carry them: before the process ends, so that nobody has to find out that it has.
// Log servers stay where they are.
func (c *Cluster) HandOver(ctx context.Context) error {
	c.mu.Lock()
	d := c.driver
	c.mu.Unlock()
	if d == nil {
		return nil
	}
	if _, err := d.leave(ctx, c.ID(), Draining); err != nil {
		return fmt.Errorf("cluster: move the sequencer off this node: %w", err)
	}
	return nil
}

// leave moves the end of the log as if a node that is alive were in a state, Draining or Left. It returns whether nothing more is to be done: another may have
// moved the log at the same time.
func (d *driver) leave(ctx context.Context, id NodeID, as State) (done bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	chain, err := d.c.chain(ctx)
	if err != nil {
		return false, err
	}
	from := chain.Active()
	v := d.view(from, time.Now())
	uses := false
	for _, p := range v.active.parts {
		uses = uses || p.sequencer == id || as == Left && slices.Contains(p.servers, id)
	}
	if !uses {
		return true, nil
	}
	for i := range v.members {
		if m := &v.members[i]; m.id == id && (m.state == Up || as == Left) {
			m.state = as
		}
	}
	p := decide(v)
	if p.blocked != "" {
		return false, errors.New(d.c.names(p.blocked))
	}
	if p.why == "" {
		return true, nil
	}
	next, err := d.c.segment(from, p)
	if err != nil {
		return false, err
	}
	var overtaken *vlog.OvertakenError
	switch err := d.h.Log.ReconfigureFrom(ctx, from.ID, next); {
	case errors.As(err, &overtaken):
		return false, nil
	case err != nil:
		return false, err
	}
	d.c.log.Info("moved the log off a node", "node", d.c.nameOf(id), "loglet", d.h.Log.Chain().Active().ID)
	return true, nil
}

// reconfigure moves the log to where p says, if it is still where v saw it. It returns whether it has done or tried anything.
func (d *driver) reconfigure(v view, p plan) bool {
	from := d.h.Log.Chain().Active()
	if from.ID != v.active.segment {
		return false
	}
	next, err := d.c.segment(from, p)
	if err == nil {
		ctx, cancel := context.WithTimeout(d.c.ctx, reconfigureTimeout)
		defer cancel()
		begun := time.Now()
		err = d.h.Log.ReconfigureFrom(ctx, from.ID, next)
		if err == nil {
			d.c.counters.reconfigurations.Add(1)
			d.left.note(v, p, time.Now())
			d.c.log.Info("moved the log", "why", d.c.names(p.why), "loglet", d.h.Log.Chain().Active().ID, "took", time.Since(begun))
			return true
		}
		var overtaken *vlog.OvertakenError
		if errors.As(err, &overtaken) { // by another node, who saw the same
			return false
		}
	}
	if d.c.ctx.Err() == nil {
		d.c.counters.failed.Add(1)
		d.c.log.Warn("the log could not be moved; it will be tried again", "why", d.c.names(p.why), "err", err)
	}
	return true
}

// names puts names in the place of numbers in a text.
func (c *Cluster) names(text string) string {
	for _, r := range c.records() {
		text = strings.ReplaceAll(text, r.ID.String(), r.Name)
	}
	return text
}

// view is what this node knows now, of a log whose active segment is s.
func (d *driver) view(s vlog.Segment, now time.Time) view {
	records, layout, _ := d.c.registry.all()
	d.c.mu.Lock()
	leader := d.c.leader
	d.c.mu.Unlock()
	v := view{self: d.c.ID(), layout: layout, want: d.c.o.LogServers, replaceAfter: d.c.o.ReplaceAfter}
	started := map[NodeID]uint64{}
	for _, r := range records {
		pulse := d.c.pulse(r.ID)
		started[r.ID] = r.Incarnation
		v.members = append(v.members, seen{
			id: r.ID, database: r.Database(), logServer: r.Disk != 0, state: r.State,
			heard: pulse.heard, alive: pulse.alive && r.State != Left, steady: now.Sub(pulse.since), metaLeader: leader == r.ID,
		})
	}
	v.active = active{segment: s.ID, parts: d.c.parts(s)}
	if d.inc[s.ID] == nil {
		clear(d.inc) // earlier loglets are sealed
		d.inc[s.ID] = map[NodeID]uint64{}
	}
	for i := range v.active.parts {
		p := &v.active.parts[i]
		id := p.sequencer
		if d.inc[s.ID][id] == 0 {
			d.inc[s.ID][id] = started[id]
		}
		p.lost = d.inc[s.ID][id] != started[id] || d.c.orphaned(p.incarnation)
	}
	d.left.judge(v, now)
	return v
}

// mourn has the sessions of nodes ended that are gone. The database node of the lowest number that is alive does it at once; the others do it later, in case it
// could not, and then find nothing more to do.
func (d *driver) mourn() {
	c := d.c
	done := ""
	var since time.Time
	pending := ""
	trouble := complaint{first: 10 * time.Second, every: time.Minute}
	for {
		sleep(c.ctx, 100*time.Millisecond)
		if c.ctx.Err() != nil {
			return
		}
		now := time.Now()
		key, any := c.goneKey(now)
		if key == done {
			continue
		}
		if key != pending {
			pending, since = key, now
		}
		if now.Sub(since) < time.Duration(c.rank())*2*time.Second {
			continue
		}
		if any {
			ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
			err := d.h.OnGone(ctx, c.Gone())
			cancel()
			if err != nil {
				// While a node starts its database is not open yet, and without a majority nothing can be ended: that is known from elsewhere.
				if trouble.due(time.Now()) && c.ctx.Err() == nil {
					c.log.Warn("the sessions of clients whose nodes are gone could not be ended for a while: their onDisconnect operations wait; it is tried again and again", "err", err)
				}
				sleep(c.ctx, 500*time.Millisecond)
				continue
			}
			trouble = complaint{first: trouble.first, every: trouble.every}
			c.counters.gone.Add(1)
		}
		done = key
	}
}

// goneKey changes with who is gone. any is false as long as nobody can be: in a cluster of one node that has started once.
func (c *Cluster) goneKey(now time.Time) (key string, any bool) {
	var b strings.Builder
	for _, r := range c.records() {
		gone := r.ID != c.ID() && (r.State == Left || c.timedOut(r, now))
		fmt.Fprintf(&b, "%s %x %t\n", r.ID, r.Incarnation, gone)
		any = any || gone || r.Incarnation>>32 > 1
	}
	return b.String(), any
}

// rank is this node's place among the database nodes that are alive, by number.
func (c *Cluster) rank() (n int) {
	for _, r := range c.records() {
		if c.alive(r.ID) && r.Database() && r.State != Left && r.ID < c.ID() {
			n++
		}
	}
	return n
}

// states tells the hook of this node's state.
func (d *driver) states() {
	last := Up
	for {
		records, _, changed := d.c.registry.all()
		if i := slices.IndexFunc(records, func(r Record) bool { return r.ID == d.c.ID() }); i >= 0 && records[i].State != last {
			last = records[i].State
			d.c.mu.Lock()
			d.c.self.State = last
			d.c.mu.Unlock()
			d.h.OnState(last)
		}
		select {
		case <-d.c.ctx.Done():
			return
		case <-changed:
		}
	}
}
