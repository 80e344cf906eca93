package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"rebase/cluster"
	"rebase/db"
	"rebase/vlog"
	"rebase/vlog/local"
)

// member is a server's part in a cluster, above the log: what its replica tells the others and what it makes of what they tell.
type member struct {
	cluster   *cluster.Cluster
	data      *data
	log       *slog.Logger
	every     time.Duration // between digests
	run       context.Context
	end       context.CancelFunc
	wg        sync.WaitGroup
	ready     chan struct{} // closed when data.db is set
	draining  atomic.Bool
	fail      func(error) // what attach was given; guarded by mu
	drain     func(on bool)
	following sync.Mutex
	followed  bool          // what drain was told last; guarded by following
	begun     atomic.Uint64 // position of the store when it was opened

	mu      sync.Mutex
	digests []cluster.Digest // the last of this replica, oldest first
	peers   []cluster.PeerStatus
	strays  map[cluster.NodeID]uint64 // replicas with another state than most, and a position where they have it
}

// keepDigests is how many digests a replica tells: others are later or earlier with theirs.
const keepDigests = 8

// pollEvery is how often a replica asks the others how far they are.
const pollEvery = 2 * time.Second

// openMember opens the data of a node of a cluster.
func (d *data) openMember(ctx context.Context, o Options, m *metrics) error {
	start, err := convert(ctx, o, m)
	if err != nil {
		return err
	}
	co := *o.Cluster
	co.Data, co.FS, co.Version, co.Logger = o.Data, o.FS, o.Version, o.Logger
	if d.cluster, err = cluster.Open(ctx, co); err != nil {
		return clusterError(err)
	}
	if d.engines, err = newEngines(o, m, d.cluster); err != nil {
		return err
	}
	initial := d.cluster.Initial()
	initial.Start = start
	d.log, err = vlog.Open(ctx, vlog.Options{
		Meta: d.cluster.Meta(), Providers: d.engines.providers, Initial: initial, Logger: o.Logger, OnReconfigure: m.reconfigured,
	})
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if first := d.log.Chain().First(); first < start {
		return fmt.Errorf("the cluster's log begins at %d, and this server's ends only before %d: the cluster was begun with other data", first, start)
	}
	if err := retire(o); err != nil {
		return err
	}
	d.member = newMember(d, o)
	// The driver before the database: after all nodes have been down, nobody orders the log until it has moved on.
	d.cluster.Drive(cluster.Hooks{Log: d.log, Replica: d.member.replica, OnGone: d.member.endSessions, OnState: d.member.state})
	d.cluster.Handle("GET "+snapshotPath, d.snapshots(o))
	if err := d.catchUp(ctx, o); err != nil {
		return err
	}
	d.member.begun.Store(d.store.Applied())
	d.db, err = db.Open(ctx, db.Options{
		Log: &meteredLog{Log: d.log, m: m, count: true}, Store: d.store, Observer: d.hub, Logger: o.Logger, OnApply: m.applied,
		Replicated: true, Node: uint64(d.cluster.ID()), Incarnation: d.cluster.Incarnation(), OnDigest: d.member.digest,
	})
	if err != nil {
		return err
	}
	close(d.member.ready)
	d.member.wg.Go(d.member.poll)
	return nil
}

// clusterError keeps the advice of package cluster.
func clusterError(err error) error {
	var e *cluster.StartError
	if errors.As(err, &e) {
		return &StartError{Kind: KindCluster, What: e.What, Err: e.Err, Advice: e.Advice}
	}
	return err
}

// convert prepares the data of a server by itself that is to be the first node of a cluster: its log is applied to the end, and the cluster's begins where it
// ends. It returns the first position of that; 0 if there is nothing to convert.
func convert(ctx context.Context, o Options, m *metrics) (vlog.Position, error) {
	if _, err := o.FS.Stat(o.FS.PathJoin(o.Data, local.ChainFile)); err != nil {
		return 0, nil
	}
	if !o.Cluster.Begin {
		return 0, &StartError{Kind: KindCluster, What: "the folder " + o.Data + " holds the data of a server by itself",
			Advice: "Begin a cluster with it (--cluster), or join one with an empty folder."}
	}
	alone := &data{hub: nil}
	err := alone.openAlone(ctx, o, m)
	var applied uint64
	if err == nil {
		closing, cancel := context.WithTimeout(ctx, time.Minute)
		err = alone.db.Close(closing)
		cancel()
		applied = alone.store.Applied()
	}
	if err = errors.Join(err, alone.closeFiles()); err != nil {
		return 0, err
	}
	return vlog.Position(applied + 1), nil
}

// retire puts the chain of the server by itself away, which the cluster's has followed.
func retire(o Options) error {
	from := o.FS.PathJoin(o.Data, local.ChainFile)
	if _, err := o.FS.Stat(from); err != nil {
		return nil
	}
	if err := o.FS.Rename(from, from+".before-cluster"); err != nil {
		return err
	}
	o.Logger.Info("the data of this server are the cluster's now; the folder log holds what was logged before, and is not needed any more", "folder", o.FS.PathJoin(o.Data, "log"))
	return syncDir(o.FS, o.Data)
}

func newMember(d *data, o Options) *member {
	m := &member{cluster: d.cluster, data: d, log: o.Logger, every: o.DigestEvery, ready: make(chan struct{}), strays: map[cluster.NodeID]uint64{}}
	m.run, m.end = context.WithCancel(context.Background())
	return m
}

// stop ends what it does on its own.
func (m *member) stop() {
	if m != nil {
		m.end()
		m.wg.Wait()
	}
}

// database returns the database once it is open.
func (m *member) database() *db.DB {
	select {
	case <-m.ready:
		return m.data.db
	default:
		return nil
	}
}

// beingOpened is what a replica says of itself until it has applied what the log had at its start.
const beingOpened = "it is being brought up to date"

// replica tells how far this node is.
func (m *member) replica() cluster.Replica {
	d := m.database()
	if d == nil {
		begun := m.begun.Load()
		return cluster.Replica{Applied: begun, Durable: begun, Err: beingOpened}
	}
	r := cluster.Replica{Applied: d.Stats().Position, Durable: m.data.store.Durable(), Clients: int(d.Stats().Sessions)}
	if err := d.Err(); err != nil {
		r.Err = err.Error()
	}
	m.mu.Lock()
	r.Digests = append(r.Digests, m.digests...)
	m.mu.Unlock()
	return r
}

// endSessions ends the sessions of nodes that are gone.
func (m *member) endSessions(ctx context.Context, gone func(node, incarnation uint64) bool) error {
	d := m.database()
	if d == nil {
		return errors.New("the database is not open yet")
	}
	n, err := d.EndSessionsOf(ctx, gone)
	if n > 0 {
		m.log.Info("ended the sessions of clients whose node is gone", "sessions", n)
	}
	return err
}

// state is told what operators want of this node.
func (m *member) state(s cluster.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	on := s == cluster.Draining
	if m.draining.Swap(on) != on && m.drain != nil {
		m.wg.Go(m.follow)
	}
}

// follow tells of the last state, one after the other.
func (m *member) follow() {
	m.following.Lock()
	defer m.following.Unlock()
	if on := m.draining.Load(); on != m.followed {
		m.followed = on
		m.drain(on)
	}
}

// attach says who is told when the node's disk fails, and when the node is drained or taken back. It may be drained already.
func (m *member) attach(fail func(error), drain func(on bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail, m.drain = fail, drain
	if m.draining.Load() {
		m.wg.Go(m.follow)
	}
}

func (m *member) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		m.fail(err)
	}
}

// digest takes note of this replica's digest.
func (m *member) digest(pos uint64, sum [32]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.digests = append(m.digests, cluster.Digest{Pos: pos, Sum: hex.EncodeToString(sum[:])})
	if len(m.digests) > keepDigests {
		m.digests = m.digests[len(m.digests)-keepDigests:]
	}
}

// poll asks the others how far they are, compares states, and now and then has them summed up.
func (m *member) poll() {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	next := time.Now().Add(m.every)
	for {
		select {
		case <-m.run.Done():
			return
		case <-tick.C:
		}
		if err := m.cluster.Err(); err != nil {
			m.failed(err)
		}
		peers := m.cluster.Peers(m.run)
		m.mu.Lock()
		m.peers = peers
		m.mu.Unlock()
		m.compare(peers)
		if time.Now().After(next) && m.first() {
			if err := m.data.db.ProposeDigest(m.run); err != nil && m.run.Err() == nil {
				m.log.Warn("the replicas could not be compared", "err", err)
			}
		}
		if time.Now().After(next) {
			next = time.Now().Add(m.every)
		}
	}
}

// first says that of the replicas that are alive this one has the lowest number: what one has to do for all it does.
func (m *member) first() bool {
	for _, p := range m.cluster.Members() {
		if p.Alive && p.Database() && p.State == cluster.Up && p.ID < m.cluster.ID() {
			return false
		}
	}
	return true
}

// compare looks for replicas with another state than most at the same position.
func (m *member) compare(peers []cluster.PeerStatus) {
	type at struct {
		sum   string
		nodes []cluster.PeerStatus
	}
	sums := map[uint64][]at{}
	for _, p := range peers {
		if p.Err != nil || p.Status.Replica == nil {
			continue
		}
		for _, d := range p.Status.Replica.Digests {
			same := -1
			for i, a := range sums[d.Pos] {
				if a.sum == d.Sum {
					same = i
				}
			}
			if same < 0 {
				same = len(sums[d.Pos])
				sums[d.Pos] = append(sums[d.Pos], at{sum: d.Sum})
			}
			sums[d.Pos][same].nodes = append(sums[d.Pos][same].nodes, p)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for pos, groups := range sums {
		if len(groups) < 2 {
			continue
		}
		most, tie := 0, false
		for i, g := range groups {
			switch {
			case i > 0 && len(g.nodes) == len(groups[most].nodes):
				tie = true
			case len(g.nodes) > len(groups[most].nodes):
				most, tie = i, false
			}
		}
		for i, g := range groups {
			if i == most && !tie {
				continue
			}
			for _, p := range g.nodes {
				if _, known := m.strays[p.Member.ID]; !known {
					m.strays[p.Member.ID] = pos
					m.log.Error("a replica has another state than the others: it is damaged and has to be replaced", "node", p.Member.Name, "position", pos, "digest", g.sum)
				}
			}
		}
	}
}

// stray says whether a replica has another state than the others, and where.
func (m *member) stray(id cluster.NodeID) (pos uint64, stray bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	pos, stray = m.strays[id]
	return pos, stray
}

// health tells how many replicas are known to differ from the others, and how far this one is behind the furthest of them.
func (m *member) health() (strays int, behind uint64) {
	applied := m.data.db.Stats().Position
	members := m.cluster.Members()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		if r := p.Status.Replica; p.Err == nil && r != nil && r.Applied > applied {
			behind = max(behind, r.Applied-applied)
		}
	}
	return remaining(m.strays, members), behind
}

// remaining counts the strays that have not been replaced since.
func remaining(strays map[cluster.NodeID]uint64, members []cluster.Member) (n int) {
	for _, p := range members {
		if _, stray := strays[p.ID]; stray && p.State != cluster.Left {
			n++
		}
	}
	return n
}

// durable is the position up to which all replicas that are alive have everything on their disks: what is before nobody needs who is there.
func (m *member) durable() vlog.Position {
	low := m.data.store.Durable()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		r := p.Status.Replica
		if p.Member.Self || !p.Member.Alive || !p.Member.Database() || p.Err != nil || r == nil {
			continue
		}
		if r.Err == "" || r.Err == beingOpened && r.Durable > 0 { // what such a one is about to read must stay
			low = min(low, r.Durable)
		}
	}
	return vlog.Position(low)
}

// sharedTrimmer trims a log that others follow, too.
type sharedTrimmer struct {
	*vlog.Log
	m *member
}

// Trim implements trimmer.
func (t sharedTrimmer) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	return t.Log.Trim(ctx, min(before, t.m.durable()+1))
}

// elsewhere returns the address, host and port, of another node that clients may go to; "" if none is known. Each call may
// return another one.
func (m *member) elsewhere() string {
	var hosts []string
	for _, p := range m.cluster.Members() {
		u, err := url.Parse(p.ClientURL)
		if p.Self || !p.Alive || !p.Database() || p.State != cluster.Up || err != nil || u.Host == "" {
			continue
		}
		if u.Port() == "" {
			u.Host = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		}
		hosts = append(hosts, u.Host)
	}
	if len(hosts) == 0 {
		return ""
	}
	return hosts[int(turn.Add(1))%len(hosts)]
}

var turn atomic.Uint32

// peerDefault is the address of the peer port where none is given: 100 above the clients'.
func peerDefault(clients net.Addr) (string, error) {
	host, port, err := net.SplitHostPort(clients.String())
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(port)
	if err != nil || n+100 > 65535 {
		return "", &StartError{Kind: KindCluster, What: "the port " + port + " leaves no room for the peer port, 100 above", Advice: "Give --peer."}
	}
	return net.JoinHostPort(host, strconv.Itoa(n+100)), nil
}

// catchUp opens the store, and if it is too old for the log fetches another node's in its place.
func (d *data) catchUp(ctx context.Context, o Options) error {
	first, err := d.log.Trim(ctx, 0)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if err := d.openStore(o); err != nil {
		return err
	}
	if vlog.Position(d.store.Applied())+1 >= first {
		return nil
	}
	o.Logger.Info("the log begins after what this node has: fetching another's state", "has", d.store.Applied(), "log_begins", first)
	if err := d.store.Close(); err != nil {
		return err
	}
	d.store = nil
	if err := d.fetchSnapshot(ctx, o, first); err != nil {
		return &StartError{Kind: KindCluster, What: "no node has given its state", Err: err, Advice: "At least one database node of the cluster has to be running and up to date."}
	}
	return d.openStore(o)
}
