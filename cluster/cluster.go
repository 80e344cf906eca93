package cluster

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/cluster/secret"
	"rebase/vlog"
	"rebase/vlog/etcd/embedded"
	"rebase/vlog/local"
	"rebase/vlog/native"
	"rebase/vlog/native/core"
)

// chainNumber tells the native loglets of a cluster's log apart from those of other logs, of which there are none yet.
const chainNumber = 1

// Cluster is this node's part in its cluster. Safe for concurrent use.
type Cluster struct {
	o           Options
	identity    *identity
	incarnation uint64
	log         *slog.Logger
	tls         *secret.Identity // nil: no secret
	port        *peerPort
	mux         *http.ServeMux
	client      *http.Client
	node        *native.Node
	counters    counters

	meta     *embedded.Server // nil: external, or none
	etcd     *clientv3.Client // nil: a log server
	registry *registry        // nil: a log server

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	self    Record // as it should be in the registry
	hooks   *Hooks
	driver  *driver
	leader  NodeID   // of the embedded etcd
	orphans []uint64 // incarnations of sequencers that are no more
	closers []func() error
	err     error // why it cannot go on
	failed  chan struct{}
	blocked string

	stranded    time.Time // since when nothing can be appended; zero: it can
	strandedWhy string

	adding    sync.Mutex  // held while a member is added to etcd
	securing  sync.Mutex  // held while a node is about to be replaced
	ready     atomic.Bool // the registry is in use
	pulses    pulses
	around    around
	closeOnce sync.Once
	closeErr  error
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&o.SuspectAfter, time.Second)
	set(&o.ReplaceAfter, 10*time.Second)
	set(&o.NodeTimeout, 5*time.Second)
	if o.LogServers <= 0 {
		o.LogServers = 3
	}
	return o
}

// Open takes part in the cluster that the data folder belongs to; or begins one, or joins one. It returns when the node is a member that can be used:
// with an embedded etcd that takes a majority of the database nodes, and Open waits for them for as long as ctx lets it. Errors that an
// operator has to do something about are *StartError.
func Open(ctx context.Context, o Options) (_ *Cluster, err error) {
	o = o.withDefaults()
	stored, err := loadIdentity(o.FS, o.Data)
	if err != nil {
		return nil, err
	}
	id, err := begin(stored, o)
	if err != nil {
		return nil, err
	}
	keys, err := loadSecret(o, id)
	if err != nil {
		return nil, err
	}
	id.Secured = id.Secured || keys != nil
	if err := id.store(o.FS, o.Data); err != nil { // before the incarnation is used
		return nil, err
	}
	c := &Cluster{o: o, identity: id, incarnation: id.incarnation(), log: o.Logger.With("node", id.ID.String()), mux: http.NewServeMux(), failed: make(chan struct{})}
	c.pulses.init(o)
	c.around.vouched = map[NodeID]time.Time{}
	c.ctx, c.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			if c.node == nil && o.Storage != nil {
				err = errors.Join(err, o.Storage.Close())
			}
			err = errors.Join(err, c.Close())
		}
	}()
	if keys != nil {
		if c.tls, err = keys.Identity(id.ID.String(), nil); err != nil {
			return nil, err
		}
	}
	if c.port, err = listenPeers(o.Listen, c.tls, c.log, &c.counters.refused); err != nil {
		return nil, err
	}
	c.client = &http.Client{Transport: transport{&http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return c.dial(ctx, addr) }, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4,
	}}}
	if err := c.startNode(); err != nil {
		return nil, err
	}
	if err := c.describe(); err != nil {
		return nil, err
	}
	c.routes()
	c.port.serve(c.node.ServeConn, guard(c.tls != nil, c.mux))
	c.wg.Go(c.watchDisk)
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// startNode starts the native loglet's node on this node's disk.
func (c *Cluster) startNode() (err error) {
	storage := c.o.Storage
	if storage == nil {
		dir := filepath.Join(c.o.Data, "logserver")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return &StartError{What: "the log server's folder cannot be made", Err: err}
		}
		if storage, err = local.Open(dir, local.Options{Logger: c.log}); err != nil {
			return &StartError{What: "the log server's files in " + dir + " cannot be opened", Err: err,
				Advice: "Nothing was changed. If the disk has lost data, join with an empty folder and --replace " + c.identity.Name + "; do not restore this folder from a backup, for the log has gone on since."}
		}
	}
	c.node, err = native.Start(native.NodeOptions{
		ID: core.Node(c.identity.ID), Address: c.advertised(), Log: storage, Chain: chainNumber,
		Dial: c.dial, Candidates: c.candidates, PingEvery: c.o.SuspectAfter / 5, Broken: c.broken, Name: c.identity.Name, Logger: c.log,
	})
	if err != nil {
		if storage != c.o.Storage {
			err = errors.Join(err, storage.Close())
		}
		return err
	}
	return nil
}

// advertised is this node's peer address as others dial it.
func (c *Cluster) advertised() string {
	if c.o.Peer != "" {
		return c.o.Peer
	}
	return c.port.listener.Addr().String()
}

// describe makes this node's record.
func (c *Cluster) describe() error {
	if host, _, err := net.SplitHostPort(c.advertised()); err != nil {
		return &StartError{What: fmt.Sprintf("%q is no address to reach this node by", c.advertised()), Advice: "Give host and port."}
	} else if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return &StartError{What: fmt.Sprintf("the peer port listens on all addresses (%s), and others have to know one of them", c.advertised()), Advice: "Say with --peer-advertise, or with an address in --peer, how other nodes reach this one."}
	}
	c.self = Record{ID: c.identity.ID, Name: c.identity.Name, Peer: c.advertised(), ClientURL: c.o.ClientURL, Role: c.identity.Role,
		Disk: NodeID(c.node.Disk()), Incarnation: c.incarnation, Version: c.o.Version, State: Up}
	if c.self.Name == "" {
		c.self.Name = c.o.Replace
	}
	if c.self.Name == "" {
		c.self.Name = c.self.Peer
	}
	if c.self.Role == RoleLog {
		c.self.ClientURL = ""
	}
	return nil
}

// metaAddresses are where the embedded etcd listens for other members, and how they dial it.
func (c *Cluster) metaAddresses() (listen, advertised string, err error) {
	listen = c.o.MetaListen
	if listen == "" {
		host, port, err := net.SplitHostPort(c.port.listener.Addr().String())
		if err != nil {
			return "", "", err
		}
		n, err := strconv.Atoi(port)
		if err != nil || n+100 > 65535 {
			return "", "", &StartError{What: "the port " + port + " leaves no room for etcd's, 100 above", Advice: "Give --meta-peer."}
		}
		listen = net.JoinHostPort(host, strconv.Itoa(n+100))
	}
	if advertised = c.o.MetaPeer; advertised == "" {
		peerHost, _, _ := net.SplitHostPort(c.advertised())
		_, port, err := net.SplitHostPort(listen)
		if err != nil {
			return "", "", &StartError{What: fmt.Sprintf("%q is no address for etcd", listen), Err: err, Advice: "Give --meta-peer host and port."}
		}
		advertised = net.JoinHostPort(peerHost, port)
	}
	return listen, advertised, nil
}

// metaURL is the address of an etcd member as etcd has it.
func (c *Cluster) metaURL(addr string) string {
	if c.tls != nil {
		return "https://" + addr
	}
	return "http://" + addr
}

// dial connects to another node's peer port.
func (c *Cluster) dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	return dialPeer(ctx, addr, c.tls)
}

// routes mounts the cluster API.
func (c *Cluster) routes() {
	c.mux.Handle("POST "+joinPath, answer(c.serveJoin))
	c.mux.Handle("POST "+promotePath, answer(c.servePromote))
	c.mux.Handle("POST "+recordPath, answer(c.serveRecord))
	c.mux.Handle("POST "+removePath, answer(c.serveRemove))
	c.mux.Handle("GET "+statusPath, answer(c.serveStatus))
}

// Handle mounts h on the peer port, under a pattern of http.ServeMux. Only nodes of the cluster get there, or, without a secret, programs on this
// machine. To be called once for a pattern; requests that come before are answered with 404.
func (c *Cluster) Handle(pattern string, h http.Handler) { c.mux.Handle(pattern, h) }

// HTTP returns a client for other nodes' peer ports: http://ADDRESS/path with the address of a Record, TLS included.
func (c *Cluster) HTTP() *http.Client { return c.client }

// PeerURL is the URL of a path on a node's peer port, for HTTP.
func (c *Cluster) PeerURL(r Record, path string) string { return "http://" + r.Peer + path }

// ID returns this node's number.
func (c *Cluster) ID() NodeID { return c.identity.ID }

// Incarnation returns the number of this start of the node, greater than those before.
func (c *Cluster) Incarnation() uint64 { return c.incarnation }

// Role returns what this node is for.
func (c *Cluster) Role() Role { return c.identity.Role }

// ClusterID returns the cluster's id.
func (c *Cluster) ClusterID() string { return c.identity.Cluster }

// Name returns this node's name.
func (c *Cluster) Name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.self.Name
}

// PeerAddr returns this node's peer address as others dial it.
func (c *Cluster) PeerAddr() string { return c.advertised() }

// Secured says whether node-to-node traffic is encrypted and authenticated.
func (c *Cluster) Secured() bool { return c.tls != nil }

// Native returns the native loglet's node.
func (c *Cluster) Native() *native.Node { return c.node }

// Etcd returns a client of the etcd that holds chain and registry; nil on a log server. It is closed with the Cluster.
func (c *Cluster) Etcd() *clientv3.Client { return c.etcd }

// Prefix is what the keys of this cluster in etcd begin with.
func (c *Cluster) Prefix() string { return "/rebase/" + c.identity.Cluster + "/" }

// Initial is the first segment of the log of a new cluster.
func (c *Cluster) Initial() vlog.Segment {
	return vlog.Segment{Kind: "native", Config: native.Wish{}.Encode()}
}

// Close ends this node's part: others will suspect it. The log and the database have to be closed before.
func (c *Cluster) Close() error {
	c.closeOnce.Do(func() {
		c.stop()
		var errs []error
		if c.port != nil && c.port.http != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			c.port.shutdown(ctx)
			cancel()
		}
		c.wg.Wait()
		for _, f := range c.closers {
			errs = append(errs, f())
		}
		if c.node != nil {
			errs = append(errs, c.node.Close())
		}
		if c.port != nil {
			errs = append(errs, c.port.close())
		}
		if c.meta != nil {
			errs = append(errs, c.meta.Close())
		} else if c.etcd != nil {
			errs = append(errs, c.etcd.Close())
		}
		if c.client != nil {
			c.client.CloseIdleConnections()
		}
		c.closeErr = errors.Join(errs...)
	})
	return c.closeErr
}

// newClusterID draws the id of a new cluster.
func newClusterID() string {
	var b [8]byte
	n := random64()
	for i := range b {
		b[i] = byte(n >> (8 * i))
	}
	return hex.EncodeToString(b[:])
}
