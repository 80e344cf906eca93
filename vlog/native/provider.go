package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// ErrNoMajority: too few log servers are alive for a new loglet, which could not take an append.
var ErrNoMajority = errors.New("vlog/native: no majority of log servers is alive; start them, or name others")

// ErrNoSequencer: no node that could run a sequencer has agreed to.
var ErrNoSequencer = errors.New("vlog/native: no node that is alive can run the sequencer")

// beginWait is how long a node may take to start a sequencer before another is asked.
const beginWait = time.Second

// Provider opens native loglets. With Create, the Config is an encoded Wish, or the Config of an earlier loglet, or nothing. Servers that are named and are
// candidates are taken; one that is dead gives way to a spare that lives, and stays where there is none: when it comes back it counts. The
// sequencer runs where it was wished if that node lives, and otherwise at the best that does.
//
// Opening does not wait for the servers. Where the disks that a Config names are known to be gone from so many servers that a majority can never
// be had again, the calls, or the opening, return vlog.ErrMissing.
func (n *Node) Provider() vlog.Provider {
	return func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		l, err := n.open(ctx, spec)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
}

func (n *Node) open(ctx context.Context, spec vlog.LogletSpec) (*Loglet, error) {
	if spec.ID == 0 || spec.ID > core.MaxSegment {
		return nil, fmt.Errorf("vlog/native: loglet %d cannot be", spec.ID)
	}
	number := core.Number(n.o.Chain, spec.ID, spec.Stripe)
	var c Config
	var err error
	if spec.Create {
		c, err = n.create(ctx, number, spec.Config)
	} else {
		c, err = DecodeConfig(spec.Config)
	}
	if err != nil {
		return nil, err
	}
	cfg := c.core(number)
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("loglet %d: %w", spec.ID, err)
	}
	if n.missing(c) {
		return nil, fmt.Errorf("%w: the disks of its log servers are not those it was made with", vlog.ErrMissing)
	}
	return n.handleOn(spec, c, cfg)
}

// handleOn makes a handle.
func (n *Node) handleOn(spec vlog.LogletSpec, c Config, cfg core.Config) (*Loglet, error) {
	self := core.Node(random())
	away := func(i int) bool { return n.away(c.Servers[i].Node) }
	near := int(uint64(self) % uint64(len(c.Servers)))
	for range c.Servers {
		if !away(near) {
			break
		}
		near = (near + 1) % len(c.Servers)
	}
	if i := slices.IndexFunc(c.Servers, func(s Server) bool { return s.Node == n.o.ID }); i >= 0 {
		near = i
	}
	l := newLoglet(cfg, self, near, away, n.net.Send, &n.repeats)
	l.segment, l.config = spec.ID, c
	l.missing = func() bool { return n.missing(c) }
	l.broke = func() {
		n.log.Warn("the sequencer of a loglet is gone", "segment", spec.ID, "node", c.Sequencer.Name)
		if n.o.Broken != nil {
			n.o.Broken(spec.ID, c)
		}
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil, vlog.ErrClosed
	}
	n.handles[l] = struct{}{}
	n.mu.Unlock()
	addresses := map[core.Node]string{}
	for _, candidate := range n.o.Candidates() {
		addresses[candidate.Node] = candidate.Address
	}
	where := func(node core.Node, stored string) string { return cmp.Or(addresses[node], stored) }
	releases := []func(){n.net.Attach(self, l.handle), n.net.Route(cfg.Sequencer, c.Sequencer.Node, where(c.Sequencer.Node, c.Sequencer.Address))}
	for _, s := range c.Servers {
		releases = append(releases, n.net.Route(s.Node, s.Node, where(s.Node, s.Address)))
	}
	releases = append(releases, n.net.Route(c.Sequencer.Node, c.Sequencer.Node, where(c.Sequencer.Node, c.Sequencer.Address)))
	l.leave = func() {
		bye := []core.Message{{Kind: kindLeave, From: self, To: c.Sequencer.Node, Bit: true}}
		for _, s := range c.Servers {
			if s.Node != c.Sequencer.Node {
				bye = append(bye, core.Message{Kind: kindLeave, From: self, To: s.Node, Bit: true})
			}
		}
		n.net.Send(bye)
		for _, release := range releases {
			release()
		}
		n.mu.Lock()
		delete(n.handles, l)
		n.mu.Unlock()
	}
	if spec.Lowest > 0 {
		n.forget(c, core.Number(n.o.Chain, min(spec.Lowest, core.MaxSegment), 0))
	}
	return l, nil
}

// forget tells the servers of c, and ends the sequencers here, of loglets that are over.
func (n *Node) forget(c Config, lowest uint64) {
	var out []core.Message
	for _, s := range c.Servers {
		out = append(out, core.Message{Kind: core.Forget, To: s.Node, Disk: s.Disk, Loglet: lowest})
	}
	n.net.Send(out)
	for _, r := range n.running() {
		if r.sequencer.cfg.Loglet < lowest {
			n.endSequencer(r.sequencer.cfg.Incarnation)
		}
	}
}

// missing says that a majority of the servers has other disks than c names, so that nothing of it can ever be read or sealed.
func (n *Node) missing(c Config) bool {
	other := 0
	for _, s := range c.Servers {
		if d := n.diskOf(s.Node); d != 0 && d != s.Disk {
			other++
		}
	}
	return len(c.Servers)-other < len(c.Servers)/2+1
}

// create chooses the parts of a new loglet and has its sequencer started.
func (n *Node) create(ctx context.Context, number uint64, wish []byte) (Config, error) {
	w, err := decodeWish(wish)
	if err != nil {
		return Config{}, err
	}
	candidates := n.candidates(ctx)
	servers, err := chooseServers(w, candidates)
	if err != nil {
		return Config{}, err
	}
	var failures []string
	for _, s := range chooseSequencers(w, candidates) {
		c := Config{Sequencer: Process{Node: s.Node, Address: s.Address, Name: s.Name}}
		for _, m := range servers {
			c.Servers = append(c.Servers, Server{Node: m.Node, Disk: m.Disk, Address: m.Address, Name: m.Name})
		}
		if c.Incarnation, err = n.askToBegin(ctx, number, c); err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return Config{}, ctx.Err()
		}
		n.log.Warn("a node does not start a sequencer", "node", s.Name, "err", err)
		failures = append(failures, s.Name+": "+err.Error())
	}
	if len(failures) == 0 {
		return Config{}, ErrNoSequencer
	}
	return Config{}, fmt.Errorf("%w (%s)", ErrNoSequencer, strings.Join(failures, "; "))
}

// candidates is NodeOptions.Candidates with what this node knows better. A log server of which nobody knows the disk yet is waited for a little, if it lives.
func (n *Node) candidates(ctx context.Context) []Candidate {
	deadline := time.Now().Add(beginWait)
	for {
		out := slices.Clone(n.o.Candidates())
		unknown := false
		for i := range out {
			c := &out[i]
			if c.Node == n.o.ID {
				c.Alive, c.Disk, c.Address = true, n.Disk(), cmp.Or(c.Address, n.o.Address)
				c.LogServer = c.LogServer && n.server != nil && n.server.failed() == nil
			} else if d := n.diskOf(c.Node); d != 0 {
				c.Disk = d
			}
			if c.Disk == 0 {
				unknown = unknown || c.LogServer && c.Alive
				c.LogServer = false
			}
		}
		if !unknown || ctx.Err() != nil || n.ctx.Err() != nil || time.Now().After(deadline) {
			return out
		}
		time.Sleep(beginWait / 200)
	}
}

// chooseServers picks the log servers.
func chooseServers(w Wish, candidates []Candidate) ([]Candidate, error) {
	var named, spare []Candidate
	for _, id := range w.Servers {
		i := slices.IndexFunc(candidates, func(c Candidate) bool { return c.Node == id && c.LogServer })
		if i >= 0 && !slices.ContainsFunc(named, func(c Candidate) bool { return c.Node == id }) {
			named = append(named, candidates[i])
		}
	}
	for _, c := range candidates {
		if c.LogServer && !slices.ContainsFunc(named, func(o Candidate) bool { return o.Node == c.Node }) {
			spare = append(spare, c)
		}
	}
	slices.SortStableFunc(spare, func(a, b Candidate) int { return cmp.Or(alive(b)-alive(a), b.Prefer-a.Prefer) })
	count := max(w.Count, len(w.Servers))
	if count == 0 {
		if count = min(3, len(spare)); count == 2 {
			count = 1 // of two, the loss of either would stop the log
		}
	}
	// Those named, then spares that live in the place of the dead, then the dead.
	chosen := named
	slices.SortStableFunc(chosen, func(a, b Candidate) int { return alive(b) - alive(a) })
	chosen = chosen[:min(count, len(chosen))]
	for _, s := range spare {
		if !s.Alive {
			break
		}
		if i := slices.IndexFunc(chosen, func(c Candidate) bool { return !c.Alive }); len(chosen) >= count && i >= 0 {
			chosen[i] = s
		} else if len(chosen) < count {
			chosen = append(chosen, s)
		}
	}
	for _, s := range spare {
		if !s.Alive && len(chosen) < count {
			chosen = append(chosen, s)
		}
	}
	up := 0
	for _, c := range chosen {
		up += alive(c)
	}
	if len(chosen) == 0 || up < len(chosen)/2+1 {
		return nil, fmt.Errorf("%w: %d of %d", ErrNoMajority, up, max(count, 1))
	}
	return chosen, nil
}

func alive(c Candidate) int {
	if c.Alive {
		return 1
	}
	return 0
}

// chooseSequencers lists who can run the sequencer, the best first.
func chooseSequencers(w Wish, candidates []Candidate) (out []Candidate) {
	for _, c := range candidates {
		if c.Alive && c.Sequencer {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int {
		wished := func(c Candidate) int {
			if c.Node == w.Sequencer {
				return 1
			}
			return 0
		}
		return cmp.Or(wished(b)-wished(a), b.Prefer-a.Prefer)
	})
	return out
}

// askToBegin has a sequencer started, and returns its incarnation.
func (n *Node) askToBegin(ctx context.Context, number uint64, c Config) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, beginWait)
	defer cancel()
	answer := make(chan core.Message, 1)
	n.mu.Lock()
	n.lastRef++
	ref := n.lastRef
	n.questions[ref] = answer
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.questions, ref)
		n.mu.Unlock()
	}()
	release := n.net.Route(c.Sequencer.Node, c.Sequencer.Node, c.Sequencer.Address)
	defer release()
	m := core.Message{Kind: kindBegin, From: n.self, To: c.Sequencer.Node, Ref: ref, Loglet: number, Entries: [][]byte{c.Encode()}}
	again := time.NewTicker(beginWait / 5)
	defer again.Stop()
	for {
		n.net.Send([]core.Message{m})
		select {
		case a := <-answer:
			if a.Incarnation == 0 {
				reason := "no reason"
				if len(a.Entries) > 0 {
					reason = string(a.Entries[0])
				}
				return 0, errors.New(reason)
			}
			return a.Incarnation, nil
		case <-again.C:
		case <-n.ctx.Done():
			return 0, vlog.ErrClosed
		case <-ctx.Done():
			return 0, errors.New("it does not answer")
		}
	}
}
