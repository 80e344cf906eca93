package cluster

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"rebase/cluster/secret"
	"rebase/vlog"
	"rebase/vlog/etcd"
	"rebase/vlog/etcd/embedded"
)

// openMeta starts the embedded etcd, or connects to the external one.
func (c *Cluster) openMeta(ctx context.Context, inside bool, listen string) error {
	if !inside {
		config := c.o.MetaClient
		config.Endpoints, config.Logger = c.identity.Meta, cmp.Or(config.Logger, zap.NewNop())
		config.DialTimeout = cmp.Or(config.DialTimeout, requestTimeout)
		config.DialKeepAliveTime, config.DialKeepAliveTimeout = cmp.Or(config.DialKeepAliveTime, 5*time.Second), cmp.Or(config.DialKeepAliveTimeout, 3*time.Second)
		client, err := clientv3.New(config)
		if err != nil {
			return &StartError{What: "the external etcd cannot be used", Err: err, Advice: "Give --meta its client endpoints, http://HOST:2379."}
		}
		c.etcd = client
		return nil
	}
	files, err := c.writeCertificates()
	if err != nil {
		return err
	}
	if c.identity.MetaCluster != "" {
		// The vote can only be given by one who has one.
		c.wg.Go(c.askForVote)
	}
	waiting := time.AfterFunc(3*time.Second, func() {
		c.log.Info("waiting for a majority of the database nodes: the embedded etcd needs them")
	})
	defer waiting.Stop()
	c.meta, err = embedded.Start(ctx, embedded.Options{
		Dir: filepath.Join(c.o.Data, "etcd"), Name: c.ID().String(), Cluster: c.ClusterID(), InitialCluster: c.identity.MetaCluster,
		Listen: c.metaURL(listen), Advertise: c.metaURL(c.self.MetaPeer), TLS: files, Logger: slog.New(newQuiet(c.log.Handler())),
		Heartbeat: max(c.o.SuspectAfter/10, 20*time.Millisecond), Election: max(c.o.SuspectAfter, 200*time.Millisecond),
	})
	if err != nil {
		return c.metaError(err)
	}
	c.etcd = c.meta.Client()
	for c.meta.Learner() { // it answers nothing yet
		select {
		case <-ctx.Done():
			return &StartError{What: "no database node has given this one its vote in etcd", Err: ctx.Err(), Advice: "Start a majority of the others, then this one again."}
		case <-c.meta.Done():
			return c.metaError(c.meta.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// metaError tells what an error of the embedded etcd at the start means.
func (c *Cluster) metaError(err error) error {
	again := "Join with an empty data folder and --replace " + c.Name() + "."
	switch {
	case errors.Is(err, embedded.ErrRemoved):
		return &StartError{What: "this node was removed from the cluster", Err: err, Advice: "To take part again it joins as a new node, with an empty data folder."}
	case errors.Is(err, embedded.ErrNoQuorum):
		return &StartError{What: "there is no majority of the cluster's database nodes", Err: err, Advice: "Start the others; this one cannot be of use without them."}
	case errors.Is(err, embedded.ErrInUse):
		return &StartError{What: "the embedded etcd cannot start", Err: err, Advice: "End the other process, or give another address with --meta-peer."}
	case errors.Is(err, embedded.ErrForeign):
		return &StartError{What: "the folder etcd in the data folder is not this node's", Err: err, Advice: again}
	}
	return &StartError{What: "the embedded etcd does not start", Err: err, Advice: "If its folder is damaged, do not repair it by hand. " + again}
}

// Failed is closed when this node cannot go on: it was removed, its etcd has ended, or its log server's disk has failed. Err says why. The process should
// end then.
func (c *Cluster) Failed() <-chan struct{} { return c.failed }

// Err returns why the node cannot go on, nil if it can.
func (c *Cluster) Err() error {
	c.mu.Lock()
	err := c.err
	c.mu.Unlock()
	if err == nil {
		err = c.node.Failed()
	}
	return err
}

// watchDisk looks at the log server's disk now and then.
func (c *Cluster) watchDisk() {
	for c.ctx.Err() == nil {
		if err := c.node.Failed(); err != nil {
			c.fail(&StartError{What: "the log server's disk has failed", Err: err, Advice: "Repair or free it, and start this node again; if it has lost data, join with an empty folder and --replace."})
			return
		}
		sleep(c.ctx, 500*time.Millisecond)
	}
}

func (c *Cluster) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.ctx.Err() == nil {
		c.err = err
		close(c.failed)
		c.log.Error("this node cannot go on in the cluster", "err", err)
	}
}

// askForVote asks other nodes to make this one a full member, until one has or the node is in service: one that was started again has its vote already.
func (c *Cluster) askForVote() {
	for c.ctx.Err() == nil && !c.ready.Load() {
		var a struct{}
		if err := c.askAny(c.ctx, nil, promotePath, promoteRequest{c.ID()}, &a); err == nil {
			return
		}
		sleep(c.ctx, 100*time.Millisecond)
	}
}

// writeCertificates gives etcd the files for its peers' TLS, and renews them in time: it reads them at every handshake.
func (c *Cluster) writeCertificates() (*embedded.TLS, error) {
	if c.tls == nil {
		return nil, nil
	}
	dir := filepath.Join(c.o.Data, tlsDir)
	write := func() (time.Time, error) {
		ca, cert, key, until, err := c.tls.PEM()
		if err == nil {
			err = os.MkdirAll(dir, 0o700)
		}
		for name, text := range map[string][]byte{tlsAuthorities: ca, tlsCertificate: cert, tlsKey: key} {
			if err == nil {
				err = writeFile(vfs.Default, dir, name, text)
			}
		}
		return until, err
	}
	until, err := write()
	if err != nil {
		return nil, &StartError{What: "the certificates for etcd cannot be written", Err: err}
	}
	c.wg.Go(func() {
		for {
			sleep(c.ctx, max(time.Until(until)+time.Minute, time.Minute))
			if c.ctx.Err() != nil {
				return
			}
			if u, err := write(); err != nil {
				c.log.Error("the certificates for etcd cannot be renewed", "err", err, "valid until", until.Format(time.RFC3339))
			} else {
				until = u
			}
		}
	})
	return &embedded.TLS{CA: filepath.Join(dir, tlsAuthorities), Certificate: filepath.Join(dir, tlsCertificate), Key: filepath.Join(dir, tlsKey), Name: secret.Name}, nil
}

// tendMeta keeps the embedded etcd's view of this node's address, and this node's view of who leads.
func (c *Cluster) tendMeta() {
	moved := false
	seen := uint64(0)
	for {
		if !moved {
			moved = moveMember(c.ctx, c.etcd, c.ID(), c.metaURL(c.self.MetaPeer)) == nil
		}
		if leader := c.meta.LeaderID(); leader != seen {
			if members, err := embedded.Members(c.ctx, c.etcd); err == nil {
				seen = leader
				c.setLeader(leader, members)
			}
		}
		select {
		case <-c.ctx.Done():
			return
		case <-c.meta.Done():
			if err := c.meta.Err(); err != nil {
				c.fail(c.metaError(err))
			}
			return
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (c *Cluster) setLeader(leader uint64, members []embedded.Member) {
	var id NodeID
	for _, m := range members {
		if m.ID == leader {
			_ = id.UnmarshalText([]byte(m.Name)) // 0 for one that has no name yet
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leader = id
}

// Meta returns the register that holds the log's chain.
func (c *Cluster) Meta() vlog.MetaStore { return etcd.Meta(c.etcd, c.Prefix()+chainKey) }
