package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"rebase/vlog/native"
	"rebase/vlog/native/core"
)

// pulses is who is heard, and who has been silent for how long.
type pulses struct {
	mu        sync.Mutex
	suspicion *suspicion
	state     map[NodeID]pulseState
	probing   map[NodeID]bool
}

type pulseState struct {
	heard, alive bool
	since        time.Time // when alive became what it is
}

func (p *pulses) init(o Options) {
	p.suspicion = newSuspicion(o.SuspectAfter, 2*o.SuspectAfter)
	p.state, p.probing = map[NodeID]pulseState{}, map[NodeID]bool{}
}

// look looks at all nodes. It is called by one goroutine often enough for what it says to be true.
func (c *Cluster) look(now time.Time) {
	others := c.others()
	last := make([]time.Time, len(others))
	for i, r := range others {
		last[i], _ = c.node.Heard(core.Node(r.ID)) // not under a lock that candidates needs
	}
	c.pulses.mu.Lock()
	defer c.pulses.mu.Unlock()
	c.pulses.suspicion.tick(now)
	for i, r := range others {
		heard := last[i]
		audible, alive, since := c.pulses.suspicion.look(r.ID, heard)
		if r.State != Left && c.pulses.suspicion.doubtful(r.ID) && !c.pulses.probing[r.ID] {
			c.pulses.probing[r.ID] = true
			c.wg.Go(func() { c.probe(r) })
		}
		before, known := c.pulses.state[r.ID]
		c.pulses.state[r.ID] = pulseState{audible, alive, since}
		switch {
		case r.State == Left:
		case known && before.alive && !alive:
			c.counters.suspicions.Add(1)
			c.log.Warn("a node is silent", "name", r.Name, "id", r.ID.String(), "heard", heard)
		case known && !before.alive && alive:
			c.counters.trusted.Add(1)
			c.log.Info("a node is heard again", "name", r.Name, "id", r.ID.String())
		}
	}
}

// probe takes a closer look at a node that is late: where a process has ended and its machine has not, the machine says that nobody listens.
// That is known much sooner than a silence is long enough.
func (c *Cluster) probe(r Record) {
	at := time.Now()
	d := net.Dialer{Timeout: c.o.SuspectAfter / 2}
	conn, err := d.DialContext(c.ctx, "tcp", r.Peer)
	if err == nil {
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		sleep(c.ctx, c.o.SuspectAfter/4) // before the next one
	}
	c.pulses.mu.Lock()
	defer c.pulses.mu.Unlock()
	c.pulses.probing[r.ID] = false
	if errors.Is(err, syscall.ECONNREFUSED) {
		c.pulses.suspicion.refuse(r.ID, at)
	}
}

// pulse is what is known of whether a node is alive. Before the first look everyone is.
func (c *Cluster) pulse(id NodeID) pulseState {
	c.pulses.mu.Lock()
	defer c.pulses.mu.Unlock()
	s, known := c.pulses.state[id]
	if !known || id == c.ID() {
		return pulseState{heard: true, alive: true}
	}
	return s
}

// alive says whether a node is.
func (c *Cluster) alive(id NodeID) bool { return c.pulse(id).alive }

// records are all that the registry knows, this node first to have itself as it is.
func (c *Cluster) records() []Record {
	if c.registry == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return []Record{c.self}
	}
	records, _, _ := c.registry.all()
	return records
}

func (c *Cluster) others() []Record {
	return slices.DeleteFunc(c.records(), func(r Record) bool { return r.ID == c.ID() })
}

// Members returns all nodes of the cluster, by number, also those that have left. A log server knows only itself.
func (c *Cluster) Members() []Member {
	c.mu.Lock()
	leader := c.leader
	c.mu.Unlock()
	var out []Member
	for _, r := range c.records() {
		m := Member{Record: r, Self: r.ID == c.ID(), MetaLeader: leader != 0 && leader == r.ID}
		m.Alive = c.alive(r.ID)
		if m.Self {
			m.Heard = time.Now()
		} else {
			m.Heard, m.RTT = c.node.Heard(core.Node(r.ID))
			m.Alive = m.Alive && r.State != Left
		}
		out = append(out, m)
	}
	return out
}

// Self returns this node as a Member.
func (c *Cluster) Self() Member {
	c.mu.Lock()
	m := Member{Record: c.self, Self: true, Alive: true, Heard: time.Now(), MetaLeader: c.leader == c.self.ID}
	c.mu.Unlock()
	if c.registry != nil {
		if r, ok := c.registry.get(m.ID); ok {
			m.State, m.Since = r.State, r.Since
		}
	}
	return m
}

// Find returns a node by its name or number.
func (c *Cluster) Find(node string) (Member, error) { return c.find(node, false) }

func (c *Cluster) find(node string, left bool) (Member, error) {
	var gone *Member
	for _, m := range c.Members() {
		if m.Name != node && m.ID.String() != node {
			continue
		}
		if m.State != Left {
			return m, nil
		}
		gone = &m
	}
	if gone != nil && left {
		return *gone, nil
	}
	if gone != nil {
		return *gone, fmt.Errorf("node %s was removed from the cluster", node)
	}
	return Member{}, fmt.Errorf("the cluster has no node %q", node)
}

// candidates are the nodes as the native loglet sees them.
func (c *Cluster) candidates() []native.Candidate {
	if !c.ready.Load() {
		return nil
	}
	c.mu.Lock()
	leader := c.leader
	c.mu.Unlock()
	var out []native.Candidate
	for _, r := range c.records() {
		if r.State == Left {
			continue
		}
		out = append(out, native.Candidate{
			Node: core.Node(r.ID), Name: r.Name, Address: r.Peer, Disk: uint64(r.Disk), Alive: c.alive(r.ID),
			LogServer: r.Disk != 0, Sequencer: r.Database() && r.State == Up, Prefer: b2i(r.ID != leader) - 2*b2i(r.State == Draining),
		})
	}
	return out
}

// PeerStatus is what a node has said of itself, or why it has not.
type PeerStatus struct {
	Member Member
	Status NodeStatus
	Err    error
}

// Peers asks all nodes that have not left for their status, at the same time, for as long as ctx allows and no longer than two seconds.
func (c *Cluster) Peers(ctx context.Context) []PeerStatus {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	members := slices.DeleteFunc(c.Members(), func(m Member) bool { return m.State == Left })
	out := make([]PeerStatus, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			out[i].Member = m
			if m.Self {
				out[i].Status = c.status()
				return
			}
			out[i].Err = c.call(ctx, m.Peer, statusPath, nil, &out[i].Status)
		})
	}
	wg.Wait()
	return out
}

// SetClientURL tells where clients reach this node.
func (c *Cluster) SetClientURL(ctx context.Context, url string) error {
	c.mu.Lock()
	c.self.ClientURL = url
	c.mu.Unlock()
	if c.registry == nil {
		return nil
	}
	return c.updateSelf(ctx)
}

// Gone returns a function that says which nodes, in which incarnations, are no longer there to end their clients' sessions themselves: those that have
// started again since, that have left, and that nobody who is heard here has heard for longer than Options.NodeTimeout. It says no of what it does not know.
func (c *Cluster) Gone() func(node, incarnation uint64) bool {
	return func(node, incarnation uint64) bool {
		if c.registry == nil {
			return false
		}
		r, ok := c.registry.get(NodeID(node))
		switch {
		case !ok || incarnation > r.Incarnation:
			return false
		case r.ID == c.ID():
			return incarnation < c.incarnation
		case r.State == Left || incarnation < r.Incarnation:
			return true
		}
		return c.timedOut(r, time.Now())
	}
}

func (c *Cluster) timedOut(r Record, now time.Time) bool {
	p := c.pulse(r.ID)
	return !p.heard && now.Sub(p.since)+c.o.SuspectAfter >= c.o.NodeTimeout && now.Sub(c.around.lastVouched(r.ID)) >= c.o.NodeTimeout
}
