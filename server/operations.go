package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"rebase/auth"
	"rebase/cluster"
	"rebase/gateway/adminapi"
	"rebase/gateway/clusteradmin"
	"rebase/vlog"
	"rebase/vlog/backup"
	"rebase/vlog/etcd"
	"rebase/vlog/zookeeper"
)

// newOperations makes the administration of the log and of the cluster.
func (s *Server) newOperations() *clusteradmin.Handler {
	o := clusteradmin.Options{
		Guard: adminapi.Guard{IsRoot: s.auth.keys.IsRoot, Audit: s.audit}, Audit: s.audit, Logger: s.log,
		Log: s.logStatus, Reconfigure: s.reconfigure,
	}
	if s.o.open() {
		o.Guard.Owner = auth.Owner
	}
	if c := s.data.cluster; c != nil {
		o.Cluster = s.clusterStatus
		o.Drain = func(ctx context.Context, node string) error { return refusal(c.Drain(ctx, node)) }
		o.Undrain = func(ctx context.Context, node string) error { return refusal(c.Undrain(ctx, node)) }
		o.Remove = func(ctx context.Context, node string, force bool) error { return refusal(c.Remove(ctx, node, force)) }
		o.Digest = s.digestNow
	}
	return clusteradmin.New(o)
}

// statusTimeout bounds the questions to loglets: one that does not answer is told as such.
const statusTimeout = 2 * time.Second

func (s *Server) logStatus(ctx context.Context) (*clusteradmin.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st := s.data.log.Status(ctx)
	out := &clusteradmin.Log{Version: st.Version, Applied: s.data.db.Stats().Position, Durable: s.data.store.Durable()}
	for _, seg := range st.Segments {
		v := clusteradmin.Segment{
			ID: seg.ID, Kind: seg.Kind, Start: uint64(seg.Start), End: uint64(seg.End), Sealed: seg.Segment.Sealed, Seal: seg.Tail.Sealed, Tail: uint64(seg.Tail.Next),
			Detail: s.describe(seg.Segment),
		}
		if seg.Err != nil {
			v.Error = seg.Err.Error()
		}
		if !seg.Segment.Sealed && seg.Err == nil {
			out.Tail = uint64(seg.Tail.Next)
		}
		out.Segments = append(out.Segments, v)
	}
	return out, nil
}

// describe words where a segment is.
func (s *Server) describe(seg vlog.Segment) json.RawMessage {
	text := ""
	switch seg.Kind {
	case kindLocal:
		text = "files of this server"
	case backup.Kind:
		if c, err := backup.DecodeConfig(seg.Config); err == nil {
			text = c.URL
		}
	case etcd.Kind:
		if c, err := etcd.DecodeConfig(seg.Config); err == nil {
			text = "the cluster's etcd"
			if len(c.Endpoints) > 0 {
				text = strings.Join(c.Endpoints, " ")
			}
		}
	case kindZooKeeper:
		if c, err := zookeeper.DecodeConfig(seg.Config); err == nil {
			text = strings.Join(c.Servers, " ")
		}
	}
	if c := s.data.cluster; c != nil && text == "" {
		var parts []string
		for _, p := range c.Places(seg) {
			parts = append(parts, "disks "+strings.Join(p.Servers, " ")+"; sequencer "+p.Sequencer)
		}
		text = strings.Join(parts, " | ")
	}
	b, _ := json.Marshal(map[string]string{"text": text})
	return b
}

// reconfigure continues the log elsewhere, and repeats where somebody else was faster with something else.
func (s *Server) reconfigure(ctx context.Context, in clusteradmin.Reconfiguration) error {
	for _, e := range in.Endpoints {
		if strings.Contains(e, "@") { // endpoints are stored in the chain, and shown
			return adminapi.Refusef(400, "an endpoint must not hold credentials: start the servers with --engine-user and REBASE_ENGINE_PASSWORD")
		}
	}
	if c := s.data.cluster; c != nil {
		err := c.Reconfigure(ctx, cluster.Target{Kind: in.Kind, Servers: in.Servers, Sequencer: in.Sequencer, Stripes: in.Stripes, Endpoints: in.Endpoints})
		return refusal(err)
	}
	if len(in.Servers) > 0 || in.Sequencer != "" || in.Stripes != 0 {
		return adminapi.Refusef(400, "servers, sequencers and stripes are for the log of a cluster; this server is in none")
	}
	next := vlog.Segment{Kind: in.Kind}
	switch in.Kind {
	case kindLocal:
	case etcd.Kind:
		if len(in.Endpoints) == 0 {
			return adminapi.Refusef(400, "give the endpoints of etcd: a server by itself has none of its own")
		}
		next.Config = etcd.Config{Endpoints: in.Endpoints}.Encode()
	case kindZooKeeper:
		if len(in.Endpoints) == 0 {
			return adminapi.Refusef(400, "give the endpoints of ZooKeeper")
		}
		next.Config = zookeeper.Config{Servers: in.Endpoints}.Encode()
	default:
		return adminapi.Refusef(400, "a server by itself can have its log in files (local), etcd or ZooKeeper, not in %q", in.Kind)
	}
	for {
		err := s.data.log.Reconfigure(ctx, next)
		if !errors.Is(err, vlog.ErrOvertaken) {
			return err
		}
	}
}

// refusal makes of an error that an operator has to do something about one that says so.
func refusal(err error) error {
	var e *cluster.StartError
	if errors.As(err, &e) {
		return adminapi.Refusef(409, "%s", e.Error())
	}
	return err
}

func (s *Server) clusterStatus(ctx context.Context) (*clusteradmin.Cluster, error) {
	c := s.data.cluster
	out := &clusteradmin.Cluster{ID: c.ClusterID(), Self: c.Name()}
	disks, sequencers := map[string]bool{}, map[string]bool{}
	for _, p := range c.Places(s.data.log.Chain().Active()) {
		sequencers[p.Sequencer] = true
		for _, d := range p.Servers {
			disks[d] = true
		}
	}
	for _, p := range c.Peers(ctx) {
		m := p.Member
		n := clusteradmin.Node{
			ID: m.ID.String(), Name: m.Name, Role: string(m.Role), State: string(m.State), Peer: m.Peer, URL: m.ClientURL, Version: m.Version, HeardMillis: -1,
			RTTMicros: m.RTT.Microseconds(), LogServer: disks[m.Name], Sequencer: sequencers[m.Name], MetaLeader: m.MetaLeader,
		}
		if !m.Heard.IsZero() {
			n.HeardMillis = time.Since(m.Heard).Milliseconds()
		}
		if !m.Alive && !m.Self {
			n.State = "suspected"
		}
		if r := p.Status.Replica; p.Err == nil && r != nil {
			n.Applied = r.Applied
			if len(r.Digests) > 0 {
				last := r.Digests[len(r.Digests)-1]
				n.DigestAt, n.Digest = last.Pos, last.Sum
			}
			if r.Err != "" {
				n.State += ": " + r.Err
			}
		}
		if pos, stray := s.data.member.stray(m.ID); stray {
			n.Diverged, n.DigestAt = true, pos
		}
		out.Nodes = append(out.Nodes, n)
	}
	slices.SortFunc(out.Nodes, func(a, b clusteradmin.Node) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// digestNow has the replicas compared, and waits a while for all to have told.
func (s *Server) digestNow(ctx context.Context) error {
	if err := s.data.db.ProposeDigest(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	s.data.member.compare(s.data.cluster.Peers(ctx))
	return nil
}

// inCluster fills in what a node of a cluster takes from the address of its clients. A data folder that belongs to a node makes a node.
func (o Options) inCluster(h *httpServer) (Options, error) {
	if o.Cluster == nil {
		if info, err := o.FS.Stat(o.Data); err != nil || !info.IsDir() {
			return o, nil // which is found out, and said, where the data are opened
		}
		role, belongs, err := cluster.Belongs(o.Data, o.FS)
		if err != nil || !belongs {
			return o, clusterError(err)
		}
		o.Cluster = &cluster.Options{Role: role}
	}
	c := *o.Cluster
	o.Cluster = &c
	if c.ClientURL == "" {
		c.ClientURL = h.url
	}
	if c.Listen == "" {
		var err error
		if c.Listen, err = peerDefault(h.listener.Addr()); err != nil {
			return o, err
		}
	}
	return o, nil
}
