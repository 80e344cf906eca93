package native

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
	"rebase/vlog/local"
	"rebase/vlog/logtest"
	"rebase/vlog/mem"
	"rebase/vlog/native/core"
)

// cluster is nodes with listeners of their own, whose disks can lose what was not synced.
type cluster struct {
	t     testing.TB
	nodes []*member

	mu     sync.Mutex
	broken []uint64 // segments whose sequencer was found to be gone
}

type member struct {
	id      core.Node
	address string
	disk    *vfs.MemFS
	hide    bool        // its connections do not look like sockets, as those of TLS do not
	dir     string      // files instead of disk
	log     *mem.Loglet // or memory

	mu     sync.Mutex
	node   *Node // nil: down
	accept net.Listener
	conns  map[net.Conn]struct{}
	done   sync.WaitGroup
	cut    bool          // connections to and from it are refused
	paused chan struct{} // closed when it may read on; nil: it is not paused
}

func newCluster(t testing.TB, n int) *cluster { return newClusterIn(t, make([]string, n)) }

// newClusterIn has files in real directories, or nothing but memory where one is named so.
func newClusterIn(t testing.TB, dirs []string) *cluster {
	c := &cluster{t: t}
	for i, dir := range dirs {
		m := &member{id: core.Node(0x1000 + i), address: "127.0.0.1:0", disk: vfs.NewCrashableMem(), dir: dir}
		if dir == "memory" {
			m.log = mem.New()
		}
		c.nodes = append(c.nodes, m)
	}
	for i := range dirs {
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	c.settle()
	return c
}

// settle waits until the nodes that are up know each other.
func (c *cluster) settle() {
	for i := range c.nodes {
		for j := range c.nodes {
			for n, m := c.node(i), c.node(j); n != nil && m != nil; {
				if i == j || n.diskOf(m.ID()) == m.Disk() {
					break
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
}

func (c *cluster) candidates() (out []Candidate) {
	for i, m := range c.nodes {
		m.mu.Lock()
		out = append(out, Candidate{Node: m.id, Name: fmt.Sprint("n", i+1), Address: m.address, LogServer: true, Sequencer: true, Alive: m.node != nil && !m.cut, Prefer: -i})
		m.mu.Unlock()
	}
	return out
}

func (c *cluster) start(i int) {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.node != nil {
		return
	}
	l, err := net.Listen("tcp", m.address)
	if err != nil {
		c.t.Fatal(err)
	}
	m.address = l.Addr().String()
	var log vlog.Loglet
	switch {
	case m.log != nil:
		log = m.log.Another()
	case m.dir != "":
		log, err = local.Open(m.dir, local.Options{})
	default:
		m.disk = m.disk.CrashClone(vfs.CrashCloneCfg{})
		log, err = local.Open("wal", local.Options{FS: m.disk, SegmentBytes: 64 << 10})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	node, err := Start(NodeOptions{
		ID: m.id, Address: m.address, Log: log, Chain: 7, Candidates: c.candidates, PingEvery: 20 * time.Millisecond,
		Broken: func(segment uint64, _ Config) {
			c.mu.Lock()
			c.broken = append(c.broken, segment)
			c.mu.Unlock()
		},
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			if m.isCut() || c.cutAt(address) {
				return nil, errors.New("cut off")
			}
			var d net.Dialer
			nc, err := d.DialContext(ctx, "tcp", address)
			if err == nil {
				nc = m.keep(nc)
			}
			return nc, err
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	m.node, m.accept, m.conns = node, l, map[net.Conn]struct{}{}
	m.done.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc = m.keep(nc)
			m.done.Go(func() { node.ServeConn(nc) })
		}
	})
}

func (m *member) keep(nc net.Conn) net.Conn {
	m.mu.Lock()
	defer m.mu.Unlock()
	nc = &pausable{nc, m}
	m.conns[nc] = struct{}{}
	if m.hide {
		return struct{ net.Conn }{nc}
	}
	return nc
}

// pausable is a connection whose process may be stopped for a while.
type pausable struct {
	net.Conn
	m *member
}

// SyscallConn allows direct writes.
func (p *pausable) SyscallConn() (syscall.RawConn, error) {
	return p.Conn.(syscall.Conn).SyscallConn()
}

func (p *pausable) Read(b []byte) (int, error) {
	p.m.mu.Lock()
	wait := p.m.paused
	p.m.mu.Unlock()
	if wait != nil {
		<-wait
	}
	return p.Conn.Read(b)
}

func (m *member) pause() (resume func()) {
	c := make(chan struct{})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = c
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.paused = nil
		close(c)
	})
}

// cutOff breaks the connections of a node and makes none until it is healed.
func (c *cluster) cutOff(i int) {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = true
	for nc := range m.conns {
		nc.Close()
	}
}

func (c *cluster) heal(i int) {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = false
}

func (m *member) isCut() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cut
}

func (c *cluster) cutAt(address string) bool {
	for _, m := range c.nodes {
		m.mu.Lock()
		cut := m.cut && m.address == address
		m.mu.Unlock()
		if cut {
			return true
		}
	}
	return false
}

// stop ends a node as a crash would.
func (c *cluster) stop(i int) {
	m := c.nodes[i]
	m.mu.Lock()
	node := m.node
	m.node = nil
	m.mu.Unlock()
	if node == nil {
		return
	}
	m.accept.Close()
	if err := node.Close(); err != nil {
		c.t.Error(err)
	}
	m.done.Wait()
}

func (c *cluster) node(i int) *Node {
	m := c.nodes[i]
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

func (c *cluster) create(i int, segment uint64, w Wish) *Loglet {
	c.t.Helper()
	l, err := c.node(i).open(bg, vlog.LogletSpec{ID: segment, Create: true, Config: w.Encode()})
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

func (c *cluster) open(i int, l *Loglet) *Loglet {
	c.t.Helper()
	fresh, err := c.node(i).open(bg, vlog.LogletSpec{ID: l.segment, Config: l.Config()})
	if err != nil {
		c.t.Fatal(err)
	}
	return fresh
}

func (c *cluster) suite(from, sequencer int) logtest.Subject {
	var last atomic.Uint64
	return logtest.Subject{
		New: func(t testing.TB) logtest.Log {
			id := last.Add(1)
			w := Wish{Sequencer: c.nodes[sequencer].id, Count: len(c.nodes)}
			l, err := c.node(from).open(bg, vlog.LogletSpec{ID: id, Create: true, Lowest: id, Config: w.Encode()})
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		Reopen: func(t testing.TB, closed logtest.Log) logtest.Log { return c.open(from, closed.(*Loglet)) },
		Another: func(t testing.TB, open logtest.Log) logtest.Log {
			at := (from + 1) % len(c.nodes)
			if c.node(at) == nil {
				at = from
			}
			return c.open(at, open.(*Loglet))
		},
	}
}

func TestConformanceTCP(t *testing.T) {
	for _, tc := range []struct {
		nodes, from, sequencer, dead int
		hide                         bool
	}{
		{1, 0, 0, -1, false},
		{3, 0, 1, -1, false},
		{3, 0, 0, 2, true},
		{5, 4, 0, 2, false},
	} {
		t.Run(fmt.Sprintf("nodes=%d,from=%d,sequencer=%d,dead=%d", tc.nodes, tc.from, tc.sequencer, tc.dead), func(t *testing.T) {
			var dirs []string
			for range tc.nodes {
				dirs = append(dirs, "memory")
			}
			c := newClusterIn(t, dirs)
			for i, m := range c.nodes {
				if tc.hide {
					c.stop(i)
					m.hide = true
					c.start(i)
				}
			}
			if tc.dead >= 0 {
				c.stop(tc.dead)
			}
			logtest.Run(t, c.suite(tc.from, tc.sequencer))
		})
	}
}

// A sequencer's process is killed: appends wait, until somebody seals. What was acknowledged is there.
func TestSequencerKilled(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Sequencer: c.nodes[2].id})
	defer l.Close()
	for i := range 10 {
		if p, err := l.Append(bg, fmt.Append(nil, i)); err != nil || int(p) != i+1 {
			t.Fatal(p, err)
		}
	}
	c.stop(2)
	hang := make(chan error, 1)
	go func() {
		_, err := l.Append(bg, []byte("late"))
		hang <- err
	}()
	other := c.open(1, l)
	defer other.Close()
	if err := other.Seal(bg); err != nil {
		t.Fatal(err)
	}
	if err := <-hang; !errors.Is(err, vlog.ErrSealed) {
		t.Fatal(err)
	}
	tail, err := l.Tail(bg)
	if err != nil || tail != (vlog.Tail{Next: 11, Sealed: true}) {
		t.Fatalf("%+v, %v", tail, err)
	}
	if got := logtest.All(t, other, 1); len(got) != 10 {
		t.Fatalf("%q", got)
	}
}

// A process that has started again says at once that it has no such sequencer.
func TestSequencerRestarted(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Sequencer: c.nodes[1].id})
	defer l.Close()
	if _, err := l.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	c.stop(1)
	c.start(1)
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error, 1)
	go func() {
		_, err := l.Append(ctx, []byte("b"))
		done <- err
	}()
	for !l.Broken() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for found := false; !found; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		found = len(c.broken) == 1 && c.broken[0] == 1
		c.mu.Unlock()
	}
}

// So does it to itself, where nobody else is there to ask it.
func TestSequencerRestartedAlone(t *testing.T) {
	c := newCluster(t, 1)
	l := c.create(0, 1, Wish{})
	if _, err := l.Append(bg, []byte("a")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	c.stop(0)
	c.start(0)
	again := c.open(0, l)
	defer again.Close()
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error, 1)
	go func() {
		_, err := again.Tail(ctx) // which waits for word of what is committed
		done <- err
	}()
	for !again.Broken() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// The sequencer of a loglet that is sealed ends. Who comes late is told of the seal.
func TestAppendAfterSequencerEnded(t *testing.T) {
	c := newCluster(t, 3)
	l := c.create(0, 1, Wish{Sequencer: c.nodes[1].id})
	defer l.Close()
	late := c.open(2, l)
	defer late.Close()
	appendN(t, l, 0, 3)
	if err := l.Seal(bg); err != nil {
		t.Fatal(err)
	}
	for c.node(1).Stats().Sequencers > 0 {
		c.node(1).sweepOnce()
		time.Sleep(time.Millisecond)
	}
	if _, err := late.Append(bg, []byte("late")); !errors.Is(err, vlog.ErrSealed) {
		t.Fatal(err)
	}
}

// What nodes hear of each other.
func TestHeard(t *testing.T) {
	c := newCluster(t, 2)
	n := c.node(0)
	before := time.Now()
	for {
		if last, rtt := n.Heard(c.nodes[1].id); last.After(before) {
			if rtt <= 0 {
				t.Fatal(rtt)
			}
			break
		}
		time.Sleep(time.Millisecond)
	}
	if last, _ := n.Heard(n.ID()); last.IsZero() {
		t.Error("a node does not hear itself")
	}
	if last, _ := n.Heard(99); !last.IsZero() {
		t.Error("somebody was heard who is not there")
	}
	c.stop(1)
	dead, _ := n.Heard(c.nodes[1].id)
	for n.Stats().DialErrors == 0 {
		time.Sleep(time.Millisecond)
	}
	if last, _ := n.Heard(c.nodes[1].id); last.Sub(dead) > time.Second {
		t.Error("the dead are heard")
	}
	c.start(1)
	for {
		if last, _ := n.Heard(c.nodes[1].id); last.After(dead) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if s := n.Stats(); s.BytesOut == 0 || s.FramesIn == 0 || s.Writes == 0 || s.Connections == 0 || s.Dials < 2 {
		t.Errorf("%+v", s)
	}
}

// logOn opens the whole log at a node.
func (c *cluster) logOn(i int, meta vlog.MetaStore) *vlog.Log {
	c.t.Helper()
	log, err := vlog.Open(bg, vlog.Options{Meta: meta, Providers: map[string]vlog.Provider{"native": c.node(i).Provider()}, Initial: vlog.Segment{Kind: "native"}})
	if err != nil {
		c.t.Fatal(err)
	}
	return log
}

// A log goes from one native loglet to the next under load, and nodes crash and come back all the time. Everything acknowledged is in the
// log, where it was acknowledged.
func TestRestartStorm(t *testing.T) {
	t.Run("memory", func(t *testing.T) { testStorm(t, newCluster(t, 4)) })
	t.Run("files", func(t *testing.T) {
		testStorm(t, newClusterIn(t, []string{t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()}))
	})
}

func testStorm(t *testing.T, c *cluster) {
	meta := new(mem.Meta)
	log := c.logOn(0, meta) // node 0 stays up: it is the client
	defer log.Close()
	writers := logtest.Write(t, log, 4)
	for i := range 12 {
		victim := 1 + i%3
		c.stop(victim)
		time.Sleep(5 * time.Millisecond) // for some load; nothing depends on it
		// The others roll on, with whoever is alive.
		if err := log.Reconfigure(bg, vlog.Segment{Kind: "native", Config: Wish{Count: 3, Sequencer: c.nodes[1+(i+1)%3].id}.Encode()}); err != nil {
			t.Fatal(err)
		}
		c.start(victim)
		c.settle()
	}
	writers.Stop()
	writers.Check(log)
	other := c.logOn(3, meta)
	defer other.Close()
	writers.Check(other)
}
