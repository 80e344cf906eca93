package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rebase/vlog/etcd/embedded"
)

// What this node answers others on its peer port.

var errNotReady = &refusal{Status: http.StatusServiceUnavailable, What: "this node is not yet in service"}

// usable refuses what needs the registry where there is none, or not yet.
func (c *Cluster) usable() error {
	if c.identity.Role == RoleLog {
		return &refusal{Status: http.StatusMisdirectedRequest, What: "this node is only a log server", Advice: "Ask a database node of the cluster."}
	}
	if !c.ready.Load() {
		return errNotReady
	}
	return nil
}

// serveJoin lets a node join, in the place of another if it says so. It may be asked again by a node that did not hear the answer.
func (c *Cluster) serveJoin(ctx context.Context, q joinRequest) (any, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	rec := q.Record
	switch err := checkName(rec.Name); {
	case err != nil:
		return nil, refuse(err)
	case rec.ID == 0 || rec.ID == c.ID() || rec.Peer == "" || rec.Role != RoleAll && rec.Role != RoleLog:
		return nil, &refusal{Status: http.StatusBadRequest, What: "the node does not say properly who it is"}
	}
	inside := c.meta != nil && rec.Role == RoleAll
	if inside && rec.MetaPeer == "" {
		return nil, &refusal{Status: http.StatusConflict, What: "this cluster keeps its metadata in the etcd embedded in its nodes", Advice: "Leave out --meta."}
	}
	if !inside {
		rec.MetaPeer = ""
	}
	if q.Replace != "" {
		if err := c.retire(ctx, q.Replace, rec.ID); err != nil {
			return nil, err
		}
	}
	stored, err := c.registry.update(ctx, rec.ID, func(r *Record, others []Record) error { return renew(r, rec, others) })
	if err != nil {
		return nil, refuse(err)
	}
	a := &joinAnswer{Cluster: c.ClusterID(), Meta: c.identity.Meta, Peers: c.databases()}
	if inside {
		c.adding.Lock() // one after the other: see embedded.Add
		a.MetaCluster, _, err = embedded.Add(ctx, c.etcd, rec.ID.String(), c.metaURL(rec.MetaPeer))
		c.adding.Unlock()
		if err != nil {
			return nil, fmt.Errorf("adding the node to etcd: %w", err)
		}
	}
	c.log.Info("a node has joined", "name", stored.Name, "id", stored.ID.String(), "peer", stored.Peer, "role", string(stored.Role))
	return a, nil
}

// refuse makes a refusal of an error that an operator has to do something about.
func refuse(err error) error {
	var e *StartError
	if errors.As(err, &e) {
		what := e.What
		if e.Err != nil {
			what += ": " + e.Err.Error()
		}
		return &refusal{Status: http.StatusConflict, What: what, Advice: e.Advice, Removed: errors.Is(err, errRemoved)}
	}
	return err
}

// retire removes a dead node for one that takes its place.
func (c *Cluster) retire(ctx context.Context, name string, by NodeID) error {
	m, err := c.find(name, true)
	if err != nil || m.ID == by || m.State == Left {
		if err != nil {
			return &refusal{Status: http.StatusNotFound, What: err.Error(), Advice: "See `rebase cluster status` for the names."}
		}
		return nil
	}
	if m.Alive {
		return &refusal{Status: http.StatusConflict, What: fmt.Sprintf("node %s is alive", m.Name), Advice: "Only a node that is lost can be replaced so; end it first, or join under another name and remove it then."}
	}
	if err := c.secured(m); err != nil {
		return err
	}
	c.log.Info("removing a node that is replaced", "name", m.Name, "id", m.ID.String())
	return c.dismiss(ctx, m.Record)
}

// secured is secure for a node that asks again and again, and does not wait for as long as copying takes.
func (c *Cluster) secured(m Member) error {
	if !c.securing.TryLock() {
		return &refusal{Status: http.StatusServiceUnavailable, What: "parts of the log of which " + m.Name + " had a copy are being copied to others"}
	}
	defer c.securing.Unlock()
	ctx, cancel := context.WithTimeout(c.ctx, healTimeout)
	defer cancel()
	return refuse(c.secure(ctx, m))
}

// databases are the peer addresses of the database nodes.
func (c *Cluster) databases() []string {
	records, _, _ := c.registry.all()
	var out []string
	for _, r := range records {
		if r.Database() && r.State != Left {
			out = append(out, r.Peer)
		}
	}
	slices.Sort(out)
	return out
}

type promoteRequest struct {
	ID NodeID `json:"id"`
}

// servePromote gives a node that has joined its vote in etcd.
func (c *Cluster) servePromote(ctx context.Context, q promoteRequest) (any, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	rec, ok := c.registry.get(q.ID)
	if !ok || c.meta == nil {
		return nil, &refusal{Status: http.StatusNotFound, What: fmt.Sprintf("the cluster has no node %s to give a vote to", q.ID)}
	}
	return struct{}{}, promoteMember(ctx, c.etcd, q.ID, c.metaURL(rec.MetaPeer))
}

// serveRecord brings the record of a node up to date that has no access to the registry itself.
func (c *Cluster) serveRecord(ctx context.Context, q joinRequest) (any, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if q.Record.Role != RoleLog {
		return nil, &refusal{Status: http.StatusBadRequest, What: "only log servers are registered by others"}
	}
	_, err := c.registry.update(ctx, q.Record.ID, func(r *Record, others []Record) error {
		if r.ID == 0 {
			return &StartError{What: fmt.Sprintf("the cluster has no node %s", q.Record.ID), Advice: "Join with an empty data folder."}
		}
		return renew(r, q.Record, others)
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &joinAnswer{Cluster: c.ClusterID(), Peers: c.databases()}, nil
}

type removeRequest struct {
	Node  string `json:"node"`
	Force bool   `json:"force"`
}

func (c *Cluster) serveRemove(ctx context.Context, q removeRequest) (any, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if err := c.Remove(ctx, q.Node, q.Force); err != nil {
		return nil, refuse(err)
	}
	return struct{}{}, nil
}

func (c *Cluster) serveStatus(context.Context, struct{}) (any, error) { return c.status(), nil }

// status is what this node says of itself.
func (c *Cluster) status() NodeStatus {
	c.mu.Lock()
	s := NodeStatus{Record: c.self, Blocked: c.blocked, Heard: map[string]int64{}, Stats: c.Stats()}
	hooks := c.hooks
	c.mu.Unlock()
	if hooks != nil && hooks.Replica != nil {
		r := hooks.Replica()
		s.Replica = &r
	}
	for _, m := range c.Members() {
		if !m.Self && !m.Heard.IsZero() {
			s.Heard[m.ID.String()] = time.Since(m.Heard).Milliseconds()
		}
	}
	return s
}
