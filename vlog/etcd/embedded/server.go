package embedded

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// Errors of Start.
var (
	// ErrInUse: another process listens on the address, or has the folder open.
	ErrInUse = errors.New("in use by another process")
	// ErrForeign: the folder belongs to another cluster or another member.
	ErrForeign = errors.New("the folder belongs to another member")
	// ErrNoQuorum: the context ended before a majority of the members was there.
	ErrNoQuorum = errors.New("no majority of the members answers")
	// ErrRemoved: the member has been removed from its cluster.
	ErrRemoved = errors.New("this member was removed from the cluster")
)

// Server is a running member.
type Server struct {
	opts   Options
	etcd   *embed.Etcd
	client *clientv3.Client
	done   chan struct{} // closed when the member has stopped, for whatever reason

	stopTidy context.CancelFunc
	tidying  sync.WaitGroup

	mu      sync.Mutex
	closing bool
	err     error // why it stopped by itself
	closed  chan struct{}
}

// Start starts a member and returns when it can serve, which takes a majority of the members, or ctx ends; see Options.NoWait.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := claim(o); err != nil {
		return nil, err
	}
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	type result struct {
		etcd *embed.Etcd
		err  error
	}
	// etcd waits for a folder that another process has open for as long as it takes, and knows no context.
	started := make(chan result, 1)
	go func() {
		e, err := embed.StartEtcd(config)
		for begun := time.Now(); err != nil && o.InitialCluster != "" && behind(err) && time.Since(begun) < behindPatience && rest(ctx); {
			if config, err = o.config(); err == nil {
				e, err = embed.StartEtcd(config)
			}
		}
		started <- result{e, err}
	}()
	var r result
	select {
	case r = <-started:
	case <-ctx.Done():
		go func() {
			if late := <-started; late.err == nil {
				late.etcd.Close()
			}
		}()
		return nil, fmt.Errorf("embedded etcd: start in %s: the folder is perhaps %w: %w", o.Dir, ErrInUse, ctx.Err())
	}
	if r.err != nil {
		if errors.Is(r.err, syscall.EADDRINUSE) {
			r.err = fmt.Errorf("%s is %w: %w", o.Listen, ErrInUse, r.err)
		}
		return nil, fmt.Errorf("embedded etcd: start in %s: %w", o.Dir, r.err)
	}
	s := &Server{opts: o, etcd: r.etcd, client: v3client.New(r.etcd.Server), done: make(chan struct{}), closed: make(chan struct{})}
	go s.attend()
	var tidy context.Context
	tidy, s.stopTidy = context.WithCancel(context.Background())
	s.tidying.Go(func() { s.tidy(tidy, cmp.Or(o.tidyEvery, tidyEvery)) })
	if o.NoWait {
		return s, nil
	}
	if err := s.Ready(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// A member that joins asks another for the list of all, and stops if that is not the one it was given. The one it asks may not have heard yet that it was added.
func behind(err error) bool {
	return strings.Contains(err.Error(), "error validating peerURLs")
}

const behindPatience = 10 * time.Second

// marker is what tells whose a folder is.
type marker struct {
	Cluster string `json:"cluster"`
	Name    string `json:"name"`
}

// claim creates the folder, or checks that it is this member's.
func claim(o Options) error {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("embedded etcd: %w", err)
	}
	path := filepath.Join(o.Dir, "member.json")
	want := marker{o.Cluster, o.Name}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(o.Dir, "member")); err == nil {
			return fmt.Errorf("embedded etcd: %s holds the data of an etcd that was not begun here: %w; name an empty folder", o.Dir, ErrForeign)
		}
		text, err := json.Marshal(want)
		if err == nil {
			err = os.WriteFile(path+".new", append(text, '\n'), 0o600)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			return fmt.Errorf("embedded etcd: %w", err)
		}
		return nil
	}
	var have marker
	if err == nil {
		err = json.Unmarshal(text, &have)
	}
	if err != nil {
		return fmt.Errorf("embedded etcd: %s: %w", path, err)
	}
	if have != want {
		return fmt.Errorf("embedded etcd: %s is of member %q of cluster %q, and not of %q of %q: %w; name another folder", o.Dir, have.Name, have.Cluster, want.Name, want.Cluster, ErrForeign)
	}
	return nil
}

func (o Options) config() (*embed.Config, error) {
	c := embed.NewConfig()
	c.Name, c.Dir = o.Name, o.Dir
	listen, err := url.Parse(o.Listen)
	if err != nil {
		return nil, err
	}
	advertise, err := url.Parse(o.Advertise)
	if err != nil {
		return nil, err
	}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{*listen}, []url.URL{*advertise}
	c.ListenClientUrls, c.AdvertiseClientUrls = nil, nil // clients are in process
	c.EnableGRPCGateway = false
	c.InitialClusterToken = o.Cluster
	if o.InitialCluster == "" {
		c.ClusterState, c.InitialCluster = embed.ClusterStateFlagNew, o.Name+"="+o.Advertise
	} else {
		c.ClusterState, c.InitialCluster = embed.ClusterStateFlagExisting, o.InitialCluster
	}
	if o.TLS != nil {
		c.PeerTLSInfo = transport.TLSInfo{
			TrustedCAFile: o.TLS.CA, CertFile: o.TLS.Certificate, KeyFile: o.TLS.Key, ClientCertAuth: true,
			ServerName: o.TLS.Name,
			// A caller's address says nothing: nodes move, and stand behind others.
			SkipClientSANVerify: true,
		}
		if o.TLS.Name != "" {
			c.PeerTLSInfo.AllowedHostnames = []string{o.TLS.Name}
		}
		c.TlsMinVersion = "TLS1.3"
	}
	c.TickMs, c.ElectionMs = uint(o.Heartbeat.Milliseconds()), uint(o.Election.Milliseconds())
	c.QuotaBackendBytes = o.Quota
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, o.KeepHistory.String()
	c.BootstrapDefragThresholdMegabytes = 100
	// How much of its log a member keeps in memory for others that lag. etcd's default of five thousand entries is made for small ones.
	c.SnapshotCount, c.SnapshotCatchUpEntries = 2000, 1000
	c.MaxLearners = 1 // one joins at a time: the list of members that it was given to start with must not change before it has a vote
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newZap(o.Logger))
	c.LogLevel = "warn"
	return c, nil
}

// attend waits until the member stops by itself, or is closed.
func (s *Server) attend() {
	defer close(s.done)
	var cause error
	select {
	case <-s.etcd.Server.StopNotify():
	case err := <-s.etcd.Err():
		cause = err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	if cause == nil {
		// With a disk that fails etcd ends the process; this is the other reason it has to stop.
		cause = ErrRemoved
	}
	s.err = fmt.Errorf("embedded etcd: %w", cause)
	s.opts.Logger.Error("the embedded etcd has stopped", "error", cause)
}

// Ready waits until the member can serve, which takes a majority of the members.
func (s *Server) Ready(ctx context.Context) error {
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case <-s.done:
		return s.Err()
	case <-ctx.Done():
		return fmt.Errorf("embedded etcd: member %s runs, but of %d members %w: start the others, or see whether this one reaches them: %w",
			s.opts.Name, len(s.etcd.Server.Cluster().Members()), ErrNoQuorum, ctx.Err())
	}
}

// Client returns a client that calls this member without a connection. It is closed with the Server. It sees what the member
// sees: one that is cut off from the others answers nothing that needs a majority.
func (s *Server) Client() *clientv3.Client { return s.client }

// ID is the member's number.
func (s *Server) ID() uint64 { return uint64(s.etcd.Server.MemberID()) }

// Leader tells whether this member leads, as far as it knows.
func (s *Server) Leader() bool { return s.etcd.Server.Leader() == s.etcd.Server.MemberID() }

// LeaderID is the number of the member that leads, as far as this one knows; 0 if none does.
func (s *Server) LeaderID() uint64 { return uint64(s.etcd.Server.Leader()) }

// Yield hands the leadership to the member of this name, if it is this one's.
func (s *Server) Yield(ctx context.Context, name string) error {
	for _, m := range s.etcd.Server.Cluster().Members() {
		if m.Name == name && !m.IsLearner {
			return s.etcd.Server.MoveLeader(ctx, s.ID(), uint64(m.ID))
		}
	}
	return fmt.Errorf("embedded etcd: there is no voting member %s", name)
}

// Learner tells whether this member has no vote yet.
func (s *Server) Learner() bool { return s.etcd.Server.IsLearner() }

// Done is closed when the member has stopped, by Close or by itself.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says why the member stopped by itself; nil as long as it runs, and after Close.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Defragment gives back to the file system what is free in the member's file. The member answers nothing meanwhile, so one
// member is done after the other.
func (s *Server) Defragment() error { return s.etcd.Server.Defragment() }

// Close stops the member. If it leads it hands the leadership to another first.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	s.mu.Unlock()
	if !first {
		<-s.closed
		return nil
	}
	defer close(s.closed)
	s.stopTidy()
	s.tidying.Wait()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.etcd.Close() // hands over, stops, waits
	}()
	<-stopped
	if err := s.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("embedded etcd: %w", err)
	}
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		return errors.New("embedded etcd: it does not stop")
	}
	return nil
}
