package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// enter makes this node a member: of the cluster it belongs to, of one that it begins, or of one that it joins.
func (c *Cluster) enter(ctx context.Context) error {
	id := c.identity
	embedded := id.Role == RoleAll && len(c.o.Meta) == 0 && len(id.Meta) == 0
	var listen string
	if embedded {
		var err error
		if listen, c.self.MetaPeer, err = c.metaAddresses(); err != nil {
			return err
		}
	}
	joined := false
	if id.Cluster == "" {
		if c.o.Begin {
			id.Cluster, id.Meta = newClusterID(), c.o.Meta
			c.log.Info("beginning a cluster", "cluster", id.Cluster)
		} else {
			a, err := c.join(ctx)
			if err != nil {
				return err
			}
			id.Cluster, id.Meta, id.MetaCluster, id.Contacts = a.Cluster, a.Meta, a.MetaCluster, a.Peers
			if joined = true; len(id.Meta) > 0 {
				embedded, c.self.MetaPeer = false, ""
			}
			c.log.Info("joined a cluster", "cluster", id.Cluster)
		}
		id.Name = c.self.Name
		if err := id.store(c.o.FS, c.o.Data); err != nil {
			return err
		}
	}
	if id.Role == RoleLog {
		c.wg.Go(func() { c.keepRegistered(joined) })
		return nil
	}
	if err := c.openMeta(ctx, embedded, listen); err != nil {
		return err
	}
	c.registry = newRegistry(c.etcd, id.Cluster, c.log)
	if err := c.register(ctx); err != nil {
		return err
	}
	c.ready.Store(true)
	c.wg.Go(func() { c.registry.watch(c.ctx) })
	if embedded {
		c.wg.Go(c.tendMeta)
	}
	return nil
}

// join asks the nodes given, one after the other and again, until one of them lets this one in or refuses for good.
func (c *Cluster) join(ctx context.Context) (*joinAnswer, error) {
	req := joinRequest{Record: c.self, Replace: c.o.Replace}
	said := map[string]bool{}
	var last error
	// The same list may be given to all nodes; but this one has to ask another.
	addrs := slices.DeleteFunc(slices.Clone(c.o.Join), func(addr string) bool { return addr == c.advertised() })
	if len(addrs) == 0 {
		return nil, &StartError{What: "this node has the address " + c.advertised() + " itself, and cannot join by it",
			Advice: "Give --join the peer address of another node, one that is in the cluster; or --cluster to begin one with this node."}
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		for _, addr := range addrs {
			var a joinAnswer
			err := c.callWithin(ctx, joinTimeout, addr, joinPath, req, &a)
			if err == nil && a.Cluster == "" {
				err = errors.New("it has answered without a cluster")
			}
			if err == nil {
				return &a, nil
			}
			var e *refusal
			if errors.As(err, &e) && e.Status != 503 {
				return nil, &StartError{What: fmt.Sprintf("%s does not let this node join: %s", addr, e.What), Advice: e.Advice}
			}
			if last == nil || ctx.Err() == nil { // that there was no more time says less
				last = fmt.Errorf("%s: %w", addr, err)
			}
			if !said[last.Error()] {
				said[last.Error()] = true
				c.log.Warn("joining is not possible yet; it will be tried again", "node", addr, "err", err)
			}
		}
		sleep(ctx, pause)
		if ctx.Err() != nil {
			return nil, &StartError{What: "no node of the cluster could be joined", Err: last, Advice: "Give --join the peer address of a database node that is running, \"peer\" in its `rebase cluster status`."}
		}
	}
}

func (c *Cluster) callWithin(ctx context.Context, d time.Duration, addr, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return c.call(ctx, addr, path, in, out)
}

// register brings this node's record into the registry, or up to date.
func (c *Cluster) register(ctx context.Context) error {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := c.updateSelf(ctx)
		var start *StartError
		if err == nil || errors.As(err, &start) {
			return err
		}
		c.log.Debug("the registry is not to be had yet", "err", err)
		sleep(ctx, pause)
		if ctx.Err() != nil {
			return &StartError{What: "the cluster's registry cannot be reached", Err: err, Advice: "It needs a majority of the database nodes (or the external etcd). Start the others."}
		}
	}
}

// updateSelf writes this node's record, but for its state, which is what operators want.
func (c *Cluster) updateSelf(ctx context.Context) error {
	c.mu.Lock()
	want := c.self
	c.mu.Unlock()
	rec, err := c.registry.update(ctx, want.ID, func(rec *Record, others []Record) error { return renew(rec, want, others) })
	if err == nil {
		c.mu.Lock()
		c.self.State = rec.State
		c.mu.Unlock()
	}
	return err
}

// renew brings the stored record of a node up to date with what the node says of itself.
func renew(rec *Record, want Record, others []Record) error {
	if rec.State == Left {
		return removedError(*rec)
	}
	if rec.Incarnation > want.Incarnation {
		return &StartError{What: "the data folder is of an earlier time: the cluster has already seen a later start of this node",
			Advice: "If the folder was restored from a backup or copied, do not use it: join with an empty one and --replace " + rec.Name + ". Otherwise another process with this folder is running."}
	}
	if rec.Disk != 0 && rec.Disk != want.Disk {
		return &StartError{What: "the log server's storage of this node is another one than the cluster knows", Advice: "Bring back the folder logserver; or join with an empty data folder and --replace " + rec.Name + "."}
	}
	if err := unique(want, others); err != nil {
		return err
	}
	state, since := rec.State, rec.Since
	if state == "" {
		state = Up
	}
	*rec = want
	rec.State, rec.Since = state, since
	return nil
}

var errRemoved = errors.New("it cannot come back under its number")

func removedError(rec Record) error {
	return &StartError{What: fmt.Sprintf("node %s (%s) was removed from the cluster", rec.Name, rec.ID), Err: errRemoved, Advice: "To take part again it joins as a new node, with an empty data folder."}
}

// unique refuses a name or an address that another node has.
func unique(rec Record, others []Record) error {
	for _, o := range others {
		switch {
		case o.State == Left:
		case o.Name == rec.Name:
			return &StartError{What: fmt.Sprintf("the cluster has a node of the name %s already (%s)", rec.Name, o.ID), Advice: "Give another --name; or, if that node is lost for good, --replace " + rec.Name + "."}
		case o.Peer == rec.Peer, rec.MetaPeer != "" && o.MetaPeer == rec.MetaPeer:
			return &StartError{What: fmt.Sprintf("node %s (%s) of the cluster has the same address %s", o.Name, o.ID, rec.Peer), Advice: "Give this node another --peer; or, if that node is lost for good, --replace " + o.Name + "."}
		}
	}
	return nil
}

// keepRegistered is what a log server does instead: it tells a database node of itself at the start, and now and then, in case its addresses are
// no longer known. It serves without that.
func (c *Cluster) keepRegistered(fresh bool) {
	told := fresh
	for pause := 250 * time.Millisecond; c.ctx.Err() == nil; {
		if !told {
			var a joinAnswer
			err := c.askAny(c.ctx, nil, recordPath, joinRequest{Record: c.self}, &a)
			switch e := (*refusal)(nil); {
			case err == nil:
				told, pause = true, 250*time.Millisecond
				c.contacts(a.Peers)
			case errors.As(err, &e) && e.Removed:
				c.fail(&StartError{What: e.What, Advice: e.Advice})
				return
			case errors.As(err, &e) && e.Status != 503:
				c.log.Error("the cluster does not know this log server", "err", e)
				pause = time.Minute
			default:
				c.log.Warn("no database node could be told of this log server; it will be tried again", "err", err)
				pause = min(2*pause, 10*time.Second)
			}
		} else {
			told, pause = false, 20*time.Second
		}
		sleep(c.ctx, pause)
	}
}

// contacts remembers database nodes.
func (c *Cluster) contacts(peers []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(peers) == 0 || slices.Equal(peers, c.identity.Contacts) {
		return
	}
	c.identity.Contacts = peers
	if err := c.identity.store(c.o.FS, c.o.Data); err != nil {
		c.log.Warn("the addresses of the database nodes could not be kept", "err", err)
	}
}

// askAny asks database nodes until one answers: those at addrs, or else those that were there when this one has joined.
func (c *Cluster) askAny(ctx context.Context, addrs []string, path string, in, out any) error {
	if addrs == nil {
		c.mu.Lock()
		addrs = slices.Concat(c.identity.Contacts, c.o.Join)
		c.mu.Unlock()
	}
	slices.Sort(addrs)
	addrs = slices.DeleteFunc(slices.Compact(addrs), func(a string) bool { return a == c.advertised() })
	err := errors.New("no database node is known")
	for _, addr := range addrs {
		var e *refusal
		err = c.callWithin(ctx, joinTimeout, addr, path, in, out)
		if err == nil || errors.As(err, &e) && e.Status != 503 {
			return err
		}
	}
	return fmt.Errorf("none of %s: %w", strings.Join(addrs, ", "), err)
}
