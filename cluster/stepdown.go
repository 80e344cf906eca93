package cluster

import (
	"context"
	"errors"
	"slices"

	"rebase/vlog"
)

// StepDown moves what this node orders of the log to other nodes, because it is about to end: so nobody has to find out. It changes nothing about what operators
// want of the node. Where nobody else could do it, it does nothing.
func (c *Cluster) StepDown(ctx context.Context) error {
	c.mu.Lock()
	hooks := c.hooks
	c.mu.Unlock()
	if hooks == nil {
		return nil
	}
	for {
		active := hooks.Log.Chain().Active()
		next, ok, err := c.without(active)
		if err != nil || !ok {
			return err
		}
		c.log.Info("leaving the order of the log to others, before the end", "loglet", active.ID)
		if err := hooks.Log.Reconfigure(ctx, next); !errors.Is(err, vlog.ErrOvertaken) {
			return err
		}
	}
}

// without is the segment s with other sequencers in the place of this node's. ok is false if there is nothing to change, or nobody to take over.
func (c *Cluster) without(s vlog.Segment) (next vlog.Segment, ok bool, err error) {
	others := c.ables(c.ID())
	if len(others) == 0 {
		return next, false, nil
	}
	var p plan
	for i, part := range c.parts(s) {
		p.servers = part.servers
		if part.sequencer == c.ID() {
			ok = true
			part.sequencer = others[i%len(others)].ID
			// The leader of etcd has enough to do when something happens.
			if j := slices.IndexFunc(others, func(m Member) bool { return !m.MetaLeader }); j >= 0 && len(others) > 1 && others[i%len(others)].MetaLeader {
				part.sequencer = others[j].ID
			}
		}
		p.sequencers = append(p.sequencers, part.sequencer)
	}
	if !ok {
		return next, false, nil
	}
	next, err = c.segment(s, p)
	return next, true, err
}
