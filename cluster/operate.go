package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rebase/vlog"
	"rebase/vlog/etcd"
	"rebase/vlog/native"
	"rebase/vlog/native/core"
	"rebase/vlog/zookeeper"
)

// What operators ask for. Each of these can be asked of any database node, and asked again after a failure.

// Drain makes a node, given by name or number, stop taking part, so that it can be ended without anybody noticing: its sequencer moves to another
// node, its log server's place is taken by a spare one, if there is one, and Hooks.OnState tells it to move its clients. Drain returns when
// the log can go on without the node. It is undone by Undrain.
func (c *Cluster) Drain(ctx context.Context, node string) error {
	m, err := c.operand(node)
	if err != nil {
		return err
	}
	if m.Database() && len(c.ables(m.ID)) == 0 {
		return &StartError{What: "there is no other database node that is alive and not draining", Advice: "Start another one first, or simply end this one."}
	}
	if err := c.mayDrain(ctx, m); err != nil {
		return err
	}
	if err := c.setState(ctx, m.ID, Draining); err != nil {
		return err
	}
	return c.until(ctx, "the log still depends on "+m.Name, func(log *vlog.Log) bool { return c.expendable(log.Chain().Active(), m.ID) })
}

// ables are the database nodes that could do the work of id.
func (c *Cluster) ables(id NodeID) []Member {
	return slices.DeleteFunc(c.Members(), func(m Member) bool { return m.ID == id || !m.Database() || !m.Alive || m.State != Up })
}

// mayDrain refuses what could not be ended beside those that are drained already.
func (c *Cluster) mayDrain(ctx context.Context, m Member) error {
	drained := map[NodeID]bool{}
	names, all, up := []string(nil), 0, 0
	for _, o := range c.Members() {
		if o.State == Draining && o.ID != m.ID {
			drained[o.ID], names = true, append(names, o.Name)
		}
		if o.Database() && o.State != Left {
			all, up = all+1, up+b2i(o.Alive && o.State == Up && o.ID != m.ID)
		}
	}
	if len(drained) == 0 {
		return nil
	}
	chain, err := c.chain(ctx)
	if err != nil {
		return err
	}
	short := c.meta != nil && m.Database() && up <= all/2
	for _, p := range c.parts(chain.Active()) {
		left := slices.DeleteFunc(slices.Clone(p.servers), func(id NodeID) bool { return id == m.ID || drained[id] })
		short = short || slices.Contains(p.servers, m.ID) && len(left) <= len(p.servers)/2
	}
	if short {
		return &StartError{What: fmt.Sprintf("with %v drained already, no majority would be left without %s", names, m.Name), Advice: "Bring them back first (`rebase cluster undrain`)."}
	}
	return nil
}

// expendable says whether a loglet can be sealed and appended to without a node.
func (c *Cluster) expendable(s vlog.Segment, id NodeID) bool {
	for _, p := range c.parts(s) {
		without := 0
		for _, other := range p.servers {
			without += b2i(c.pulse(other).heard && other != id)
		}
		if p.sequencer == id || without <= len(p.servers)/2 {
			return false
		}
	}
	return true
}

// Undrain lets a drained node take part again.
func (c *Cluster) Undrain(ctx context.Context, node string) error {
	m, err := c.operand(node)
	if err != nil {
		return err
	}
	return c.setState(ctx, m.ID, Up)
}

// operand is the node that an operator means.
func (c *Cluster) operand(node string) (Member, error) {
	if err := c.usable(); err != nil {
		return Member{}, err
	}
	m, err := c.find(node, false)
	if err != nil {
		return m, &StartError{What: err.Error(), Advice: "See `rebase cluster status` for the names."}
	}
	return m, nil
}

func (c *Cluster) setState(ctx context.Context, id NodeID, s State) error {
	_, err := c.registry.update(ctx, id, func(r *Record, _ []Record) error {
		switch {
		case r.ID == 0:
			return fmt.Errorf("the cluster has no node %s", id)
		case r.State == Left:
			return removedError(*r)
		}
		r.State = s
		return nil
	})
	return err
}

// until waits for the driver, of this node or another, to have made something of the log come true.
func (c *Cluster) until(ctx context.Context, else_ string, ok func(*vlog.Log) bool) error {
	c.mu.Lock()
	hooks := c.hooks
	c.mu.Unlock()
	if hooks == nil {
		return errNotReady
	}
	log := hooks.Log
	for !ok(log) {
		sleep(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			c.mu.Lock()
			blocked := c.blocked
			c.mu.Unlock()
			if blocked != "" {
				else_ += " (" + c.names(blocked) + ")"
			}
			return fmt.Errorf("%s: %w", else_, ctx.Err())
		}
		if _, err := log.Tail(ctx); err != nil && ctx.Err() == nil { // which meets a newer chain
			return err
		}
	}
	return nil
}

// Remove takes a node out of the cluster for good. The log leaves it first, so a node that is alive can be removed; one that is removed ends, and never
// comes back under its number. Parts of the log that would be left without a majority of their disks are copied to others before. Without force it is
// refused where that cannot be done, or where it would leave etcd without a majority.
func (c *Cluster) Remove(ctx context.Context, node string, force bool) error {
	if err := c.usable(); err != nil {
		return err
	}
	m, err := c.find(node, true)
	if err != nil {
		return &StartError{What: err.Error(), Advice: "See `rebase cluster status` for the names."}
	}
	if m.Self {
		// Its own etcd would end in the middle of it.
		var a struct{}
		return c.askAny(ctx, c.databases(), removePath, removeRequest{Node: m.ID.String(), Force: force}, &a)
	}
	if m.State != Left {
		if err := c.mayRemove(ctx, m, force); err != nil {
			return err
		}
	}
	if err := c.dismiss(ctx, m.Record); err != nil {
		return err
	}
	return c.until(ctx, "the log has not left "+m.Name, func(log *vlog.Log) bool {
		sequencer, server := c.uses(log.Chain().Active(), m.ID)
		return !sequencer && (!server || force)
	})
}

// dismiss marks a node as left, and takes its vote in etcd.
func (c *Cluster) dismiss(ctx context.Context, r Record) error {
	stored, err := c.registry.update(ctx, r.ID, func(r *Record, _ []Record) error {
		if r.ID == 0 {
			return fmt.Errorf("the cluster has no such node")
		}
		r.State = Left
		return nil
	})
	if err != nil {
		return err
	}
	if c.meta != nil && stored.Database() {
		if err := removeMember(ctx, c.etcd, stored.ID, c.metaURL(stored.MetaPeer)); err != nil {
			return fmt.Errorf("%s is marked as removed, but is still a member of etcd; ask again: %w", stored.Name, err)
		}
	}
	return nil
}

// mayRemove refuses a removal that would cost a majority. What of the log would lose its own goes to other disks before.
func (c *Cluster) mayRemove(ctx context.Context, m Member, force bool) error {
	if m.Database() && len(slices.DeleteFunc(c.Members(), func(o Member) bool { return !o.Database() || o.State == Left || o.ID == m.ID })) == 0 {
		return &StartError{What: m.Name + " is the only database node", Advice: "A cluster ends with its last node: end that and delete its folder."}
	}
	if force {
		return nil
	}
	if c.meta != nil && m.Database() {
		alive, all := 0, 0
		for _, o := range c.Members() {
			if o.Database() && o.State != Left && o.ID != m.ID {
				all, alive = all+1, alive+b2i(o.Alive)
			}
		}
		if alive <= all/2 {
			return &StartError{What: fmt.Sprintf("without %s there is no majority of database nodes: %d of %d are alive", m.Name, alive, all), Advice: "Start the others first."}
		}
	}
	if !m.Alive {
		return c.secure(ctx, m)
	}
	// It is drained first, lest it be taken for a spare; and stays in the cluster if the log cannot do without it.
	if err := c.setState(ctx, m.ID, Draining); err != nil {
		return err
	}
	err := c.retreat(ctx, m)
	if err == nil {
		err = c.secure(ctx, m)
	}
	if err != nil && m.State == Up {
		err = errors.Join(err, c.setState(context.WithoutCancel(ctx), m.ID, Up))
	}
	return err
}

// retreat moves the end of the log off a node that is alive.
func (c *Cluster) retreat(ctx context.Context, m Member) error {
	c.mu.Lock()
	d := c.driver
	c.mu.Unlock()
	if d == nil {
		return errNotReady
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		done, err := d.leave(ctx, m.ID, Left)
		switch {
		case done:
			return nil
		case err != nil:
			return &StartError{What: "the log cannot leave " + m.Name, Err: err, Advice: "Start the nodes that are silent, or give --force if its disk is lost in any case."}
		}
		sleep(ctx, 20*time.Millisecond) // another has moved it meanwhile
	}
}

// secure sees to it that no part of the log is left without a majority of its disks when a node goes, from which the log has retreated if it could.
func (c *Cluster) secure(ctx context.Context, m Member) error {
	c.mu.Lock()
	hooks := c.hooks
	c.mu.Unlock()
	if hooks == nil {
		return errNotReady
	}
	chain, err := c.chain(ctx)
	if err != nil {
		return err
	}
	if s := chain.Active(); c.endangers(s, m.ID) {
		return &StartError{What: fmt.Sprintf("the log, from entry %d on, would be left without a majority of its disks", s.Start),
			Advice: "Start " + m.Name + " with its data folder. If that is lost for good, so is what was written: restore the cluster from a backup, or remove the node with --force."}
	}
	for _, s := range chain.Segments {
		if !s.Sealed || s.End == s.Start || !c.endangers(s, m.ID) {
			continue
		}
		if err := c.rebuild(ctx, hooks.Log, s, m.ID); err != nil {
			return &StartError{What: fmt.Sprintf("entries %d to %d of the log would be left without a majority of their disks, and cannot be copied to others", s.Start, s.End-1), Err: err,
				Advice: "They go when they are trimmed (see `rebase log status`); try again then, or remove the node with --force if its disk is lost in any case."}
		}
	}
	return nil
}

// chain loads the log's chain: that in use by the log may be an older one.
func (c *Cluster) chain(ctx context.Context) (vlog.Chain, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	value, version, err := c.Meta().Load(ctx)
	if err != nil || version == 0 {
		return vlog.Chain{}, errors.Join(err, errors.New("cluster: the log's chain cannot be had"))
	}
	return vlog.DecodeChain(value)
}

// Target is where an operator wants the log.
type Target struct {
	Kind string
	// Servers and Sequencer are names or numbers of nodes, for native and striped; without them the driver chooses. They are kept to from then on.
	Servers   []string
	Sequencer string
	Stripes   int      // striped: how many; 0 is 2
	Endpoints []string // of an external etcd or ZooKeeper; for etcd, none is the cluster's own
}

// Reconfigure moves the log to another engine, or to other nodes, under the load that there is. It returns when the log is there: if a
// reconfiguration of somebody else was faster it tries again.
func (c *Cluster) Reconfigure(ctx context.Context, t Target) error {
	if err := c.usable(); err != nil {
		return err
	}
	c.mu.Lock()
	hooks := c.hooks
	c.mu.Unlock()
	if hooks == nil {
		return errNotReady
	}
	next, layout, err := c.target(t)
	if err != nil {
		return err
	}
	if layout != nil {
		if err := c.registry.setLayout(ctx, *layout); err != nil {
			return err
		}
	}
	for range 5 {
		before := hooks.Log.Chain().Active()
		var overtaken *vlog.OvertakenError
		if err := hooks.Log.ReconfigureFrom(ctx, before.ID, next); err != nil && !errors.As(err, &overtaken) {
			return err
		}
		if now := hooks.Log.Chain().Active(); now.ID != before.ID && c.fulfils(now, next, t) {
			return nil
		}
	}
	return errors.New("the log was moved by others at the same time, each time; look at `rebase log status` and try again")
}

// fulfils says whether a segment is what was asked for.
func (c *Cluster) fulfils(s, next vlog.Segment, t Target) bool {
	if s.Kind != next.Kind {
		return false
	}
	switch s.Kind {
	case etcd.Kind:
		got, err := etcd.DecodeConfig(s.Config)
		return err == nil && sameSet(got.Endpoints, t.Endpoints)
	case "zookeeper":
		got, err := zookeeper.DecodeConfig(s.Config)
		return err == nil && sameSet(got.Servers, t.Endpoints)
	}
	parts := c.parts(s)
	if s.Kind == "striped" && t.Stripes > 0 && len(parts) != t.Stripes {
		return false
	}
	for _, p := range parts {
		names := Place{Sequencer: c.nameOf(p.sequencer)}
		for _, id := range p.servers {
			names.Servers = append(names.Servers, c.nameOf(id))
		}
		for _, want := range t.Servers {
			m, err := c.find(want, false)
			if err != nil || !slices.Contains(names.Servers, m.Name) {
				return false
			}
		}
		if t.Sequencer != "" && s.Kind == "native" {
			if m, err := c.find(t.Sequencer, false); err != nil || m.ID != p.sequencer {
				return false
			}
		}
	}
	return len(parts) > 0
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// target makes the segment that a target asks for, and the layout to remember with it.
func (c *Cluster) target(t Target) (vlog.Segment, *Layout, error) {
	bad := func(advice, format string, args ...any) (vlog.Segment, *Layout, error) {
		return vlog.Segment{}, nil, &StartError{What: fmt.Sprintf(format, args...), Advice: advice}
	}
	onNodes := t.Kind == "native" || t.Kind == "striped"
	if !onNodes && (len(t.Servers) > 0 || t.Sequencer != "") {
		return bad("Leave them out.", "--servers and --sequencer are for native and striped logs")
	}
	if t.Stripes < 0 || t.Stripes > 0 && t.Kind != "striped" {
		return bad("Leave it out, or move to striped.", "--stripes is for striped logs, and a number above 0")
	}
	if onNodes && len(t.Endpoints) > 0 {
		return bad("Leave them out.", "--endpoints are for logs on etcd and ZooKeeper")
	}
	switch t.Kind {
	case etcd.Kind:
		return vlog.Segment{Kind: t.Kind, Config: etcd.Config{Endpoints: t.Endpoints}.Encode()}, nil, nil
	case "zookeeper":
		if len(t.Endpoints) == 0 {
			return bad("Give --endpoints HOST:PORT,…", "where ZooKeeper is was not said")
		}
		return vlog.Segment{Kind: t.Kind, Config: zookeeper.Config{Servers: t.Endpoints, Prefix: "/rebase/" + c.ClusterID()}.Encode()}, nil, nil
	case "native", "striped":
	case "local":
		return bad("Use native: with one log server it is as fast.", "a cluster's log cannot be on the files of one node alone")
	default:
		return bad("There are native, striped, etcd and zookeeper.", "there is no log of kind %q", t.Kind)
	}
	l := &Layout{}
	w := native.Wish{}
	for _, name := range t.Servers {
		m, err := c.find(name, false)
		switch {
		case err != nil:
			return bad("See `rebase cluster status` for the names.", "%v", err)
		case m.Disk == 0:
			return bad("", "%s has no log server", m.Name)
		case !m.Alive:
			return bad("Start it first, or choose another one.", "%s is not heard", m.Name)
		case slices.Contains(l.Servers, m.ID):
			return bad("", "%s is named twice", m.Name)
		}
		l.Servers, w.Servers = append(l.Servers, m.ID), append(w.Servers, core.Node(m.ID))
	}
	if t.Sequencer != "" {
		m, err := c.find(t.Sequencer, false)
		switch {
		case err != nil:
			return bad("See `rebase cluster status` for the names.", "%v", err)
		case !m.Database():
			return bad("Sequencers run on database nodes.", "%s is only a log server", m.Name)
		case !m.Alive:
			return bad("Start it first, or choose another one.", "%s is not heard", m.Name)
		}
		l.Sequencer, w.Sequencer = m.ID, core.Node(m.ID)
	}
	if w.Count = len(w.Servers); w.Count == 0 {
		servers := len(slices.DeleteFunc(c.Members(), func(m Member) bool { return m.Disk == 0 || !m.Alive || m.State != Up }))
		w.Count = max(1, min(c.o.LogServers, servers-(servers+1)%2)) // odd
	}
	config := w.Encode()
	if t.Kind == "striped" {
		var err error
		if config, err = c.stripedWish(w, cmp.Or(t.Stripes, 2)); err != nil {
			return vlog.Segment{}, nil, err
		}
	}
	return vlog.Segment{Kind: t.Kind, Config: config}, l, nil
}
