package cluster

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
	"rebase/vlog/etcd"
)

// metaServer is the embedded etcd.
type metaServer interface {
	// Client is in process, and closed with the server.
	Client() *clientv3.Client
	Leader() bool
	Close() error
}

// metaFiles are the certificates of etcd's peers, as files.
type metaFiles struct{ ca, cert, key string }

// openMeta starts the embedded etcd, or connects to the external one.
func (c *Cluster) openMeta(ctx context.Context, embedded bool, listen string) error {
	if !embedded {
		client, err := clientv3.New(clientv3.Config{Endpoints: c.identity.Meta, DialTimeout: requestTimeout, DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second})
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
		go c.askForVote()
	}
	waiting := time.AfterFunc(3*time.Second, func() {
		c.log.Info("waiting for a majority of the database nodes: the embedded etcd needs them")
	})
	defer waiting.Stop()
	if c.meta, err = c.startMeta(ctx, listen, files); err != nil {
		return &StartError{What: "the embedded etcd does not start", Err: err, Advice: "It needs a majority of the cluster's database nodes. If this node was removed or its folder etcd is damaged, join with an empty folder and --replace " + c.Name() + "."}
	}
	c.etcd = c.meta.Client()
	return nil
}

// askForVote asks other nodes to make this one a full member, until one has or the node is in service: one that was started again has its vote already.
func (c *Cluster) askForVote() {
	for c.ctx.Err() == nil && !c.ready.Load() {
		var a struct{}
		if err := c.askAny(c.ctx, promotePath, promoteRequest{c.ID()}, &a); err == nil {
			return
		}
		sleep(c.ctx, 100*time.Millisecond)
	}
}

// writeCertificates gives etcd the files for its peers' TLS, and renews them in time: it reads them at every handshake.
func (c *Cluster) writeCertificates() (*metaFiles, error) {
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
	return &metaFiles{ca: filepath.Join(dir, tlsAuthorities), cert: filepath.Join(dir, tlsCertificate), key: filepath.Join(dir, tlsKey)}, nil
}

// tendMeta keeps the embedded etcd's view of this node's address, and this node's view of who leads.
func (c *Cluster) tendMeta() {
	moved := false
	for c.ctx.Err() == nil {
		if !moved {
			moved = moveMember(c.ctx, c.etcd, c.ID(), c.metaURL(c.self.MetaPeer)) == nil
		}
		if leader, err := metaLeader(c.ctx, c.etcd); err == nil {
			c.mu.Lock()
			c.leader = leader
			c.mu.Unlock()
		}
		sleep(c.ctx, time.Second)
	}
}

// Meta returns the register that holds the log's chain.
func (c *Cluster) Meta() vlog.MetaStore { return etcd.Meta(c.etcd, c.Prefix()+chainKey) }
