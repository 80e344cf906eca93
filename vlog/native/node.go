package native

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// NodeOptions say how a process takes part. ID is required, and Candidates if loglets are to be created.
type NodeOptions struct {
	// ID is the node's number, random and not zero, kept for as long as its data.
	ID core.Node
	// Address is where other nodes dial this one. Its listener is the caller's, who passes connections to ServeConn.
	Address string
	Name    string
	// Log is the storage of this node's log server, of which nobody else writes; nil: there is none here. The Node takes it over: Close closes it.
	Log vlog.Loglet
	// Chain numbers the chain whose loglets these are. Nodes of different chains do not speak to each other.
	Chain uint16
	// Dial connects to another node; nil means plain TCP. What comes out should be authenticated (mutual TLS) wherever others can reach the
	// addresses: a connection can do everything.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Candidates are the nodes there are, this one among them, as they are now. It is called often, and must not call the Node.
	Candidates func() []Candidate
	// PingEvery is how often every candidate is asked for a sign of life. Zero means 200 ms.
	PingEvery time.Duration
	// Broken hears, on a goroutine of its own, that the process which should run a loglet's sequencer says that it does not: it has started again. The
	// loglet needs a reconfiguration. It is called once for every handle. May be nil.
	Broken func(segment uint64, c Config)
	// Logger hears of connections and sequencers; nil means none.
	Logger *slog.Logger
	// Network carries the messages; nil means TCP, through Dial and ServeConn. The Node closes it.
	Network Network
}

// Candidate is a node that could take part in a loglet.
type Candidate struct {
	Node    core.Node
	Name    string
	Address string
	// Disk is the identity of its log server's disk (Node.Disk); 0: ask it.
	Disk      uint64
	LogServer bool // it has a log server
	Sequencer bool // it can run sequencers
	Alive     bool
	Prefer    int // as a sequencer; higher is better
}

// Node is a process' part in native loglets: its log server, the sequencers it was asked to run, and the handles on loglets. Safe for concurrent use.
type Node struct {
	o        NodeOptions
	log      *slog.Logger
	net      Network
	tcp      *tcp // nil if net is another one
	server   *server
	disk     uint64
	instance uint64    // drawn anew at every start
	self     core.Node // the endpoint that asks other nodes
	repeats  atomic.Uint64
	drops    atomic.Uint64
	detach   []func()
	stop     context.CancelFunc
	ctx      context.Context
	wg       sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	sequencers map[uint64]*running // by incarnation
	begun      map[request]uint64  // what was answered to kindBegin, by who asked
	begunOrder []request
	questions  map[uint64]chan core.Message
	lastRef    uint64
	started    time.Time
	pinging    bool // there are candidates
	heard      map[core.Node]heard
	handles    map[*Loglet]struct{}
	routes     map[core.Node]func() // to nodes that are pinged
}

// running is a sequencer of this process.
type running struct {
	sequencer *sequencer
	release   func()
}

type request struct {
	from core.Node
	ref  uint64
}

// heard is what is known of another node.
type heard struct {
	last     time.Time
	rtt      time.Duration
	disk     uint64
	instance uint64
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])>>1 | 1
}

// Start makes a process take part: it recovers its log server from o.Log, and answers from then on.
func Start(o NodeOptions) (*Node, error) {
	if o.Log == nil {
		return start(o, nil)
	}
	disk, err := openWAL(o.Log)
	if err != nil {
		return nil, err
	}
	return start(o, disk)
}

func start(o NodeOptions, disk storage) (*Node, error) {
	if o.ID == 0 {
		return nil, errors.New("vlog/native: a node needs a number")
	}
	if o.Dial == nil {
		var d net.Dialer
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	if o.PingEvery <= 0 {
		o.PingEvery = 200 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Candidates == nil {
		o.Candidates = func() []Candidate { return nil }
	}
	n := &Node{
		started: time.Now(), o: o, log: o.Logger, net: o.Network, instance: random(), self: core.Node(random()),
		sequencers: map[uint64]*running{}, begun: map[request]uint64{}, questions: map[uint64]chan core.Message{},
		heard: map[core.Node]heard{}, handles: map[*Loglet]struct{}{}, routes: map[core.Node]func(){},
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	if n.net == nil {
		n.tcp = newTCP()
		n.tcp.chain, n.tcp.self, n.tcp.instance, n.tcp.dial, n.tcp.log = o.Chain, o.ID, n.instance, o.Dial, o.Logger
		n.tcp.deadAfter = max(3*time.Second, 10*o.PingEvery)
		n.net = n.tcp
	}
	if disk != nil {
		s, err := startServer(disk, n.net.Send, o.Logger, &n.drops)
		if err != nil {
			return nil, errors.Join(err, disk.Close())
		}
		n.server, n.disk = s, disk.Identity()
	}
	n.detach = []func(){n.net.Attach(n.o.ID, n.handle), n.net.Attach(n.self, n.answered)}
	if n.tcp != nil {
		n.tcp.start(n.handleRead)
	}
	n.wg.Go(n.ping)
	n.wg.Go(n.sweep)
	return n, nil
}

// ServeConn serves a connection that another node has dialed until it ends, beginning with the four bytes "RBL1". It closes the connection.
func (n *Node) ServeConn(c net.Conn) {
	if n.tcp == nil {
		c.Close()
		return
	}
	n.tcp.serveConn(c)
}

// ID is the node's number.
func (n *Node) ID() core.Node { return n.o.ID }

// Disk is the identity of the log server's disk, drawn at random when it was empty; 0 if there is no log server.
func (n *Node) Disk() uint64 {
	if n.server == nil {
		return 0
	}
	return n.disk
}

// Failed is the error of the log server's disk after which it takes part in nothing any more, until the process is started again.
func (n *Node) Failed() error {
	if n.server == nil {
		return nil
	}
	return n.server.failed()
}

// handle takes messages to the node: to its log server, to itself, and to endpoints that are not here.
func (n *Node) handle(batch []core.Message) { n.handleFrom(batch, false) }

// handleRead is handle for messages that a goroutine delivers which reads a connection, and has nothing else to do.
func (n *Node) handleRead(batch []core.Message) { n.handleFrom(batch, true) }

func (n *Node) handleFrom(batch []core.Message, reader bool) {
	begin := 0
	for i := range batch {
		m := &batch[i]
		if m.Kind < kindHello && m.To == n.o.ID {
			continue
		}
		n.toServer(batch[begin:i], reader)
		begin = i + 1
		if m.To == n.o.ID {
			n.control(m)
		} else {
			n.nobody(m)
		}
	}
	n.toServer(batch[begin:], reader)
}

func (n *Node) toServer(batch []core.Message, reader bool) {
	if n.server != nil && len(batch) > 0 {
		n.server.handle(batch, reader)
	}
}

// nobody answers for a sequencer that is not here. It never will be: if it was here, then before this process has started, and it began with
// nothing.
func (n *Node) nobody(m *core.Message) {
	if m.Kind == core.Append || m.Kind == core.Ask && m.Disk == 0 {
		n.net.Send([]core.Message{{Kind: kindNobody, From: m.To, To: m.From, Ref: m.Ref, Loglet: m.Loglet, Incarnation: m.Incarnation}})
	}
}

func (n *Node) control(m *core.Message) {
	switch m.Kind {
	case kindPing:
		n.net.Send([]core.Message{{Kind: kindPong, From: n.o.ID, To: m.From, Ref: m.Ref, Disk: n.Disk(), Incarnation: n.instance}})
	case kindBegin:
		n.net.Send([]core.Message{n.begin(m)})
	case kindLeave:
		if n.server != nil {
			n.server.gone(m.From)
		}
		if m.Bit {
			for _, s := range n.running() {
				s.sequencer.gone(m.From)
			}
		}
	}
}

// begin starts a sequencer. Asked twice the same, it answers the same.
func (n *Node) begin(m *core.Message) core.Message {
	answer := core.Message{Kind: kindBegun, From: n.o.ID, To: m.From, Ref: m.Ref}
	fail := func(err error) core.Message {
		answer.Entries = [][]byte{[]byte(err.Error())}
		return answer
	}
	if len(m.Entries) != 1 {
		return fail(errFrame)
	}
	c, err := DecodeConfig(m.Entries[0])
	if err != nil {
		return fail(err)
	}
	asked := request{m.From, m.Ref}
	n.mu.Lock()
	defer n.mu.Unlock()
	if answer.Incarnation = n.begun[asked]; answer.Incarnation != 0 {
		return answer
	}
	if n.closed {
		return fail(vlog.ErrClosed)
	}
	if len(n.begunOrder) >= 1024 {
		delete(n.begun, n.begunOrder[0])
		n.begunOrder = n.begunOrder[1:]
	}
	c.Incarnation = random()
	cfg := c.core(m.Loglet)
	if err := cfg.Check(); err != nil {
		return fail(err)
	}
	s := startSequencer(cfg, n.net.Send, &n.repeats)
	releases := []func(){n.net.Attach(cfg.Sequencer, s.handle)}
	for _, to := range c.Servers {
		releases = append(releases, n.net.Route(to.Node, to.Node, to.Address))
	}
	n.sequencers[c.Incarnation] = &running{s, func() {
		for _, release := range releases {
			release()
		}
	}}
	n.begun[asked], answer.Incarnation = c.Incarnation, c.Incarnation
	n.begunOrder = append(n.begunOrder, asked)
	n.log.Info("sequencer started", "loglet", cfg.Loglet, "incarnation", c.Incarnation)
	return answer
}

func (n *Node) running() (out []*running) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.sequencers {
		out = append(out, r)
	}
	return out
}

// endSequencer ends one, for good.
func (n *Node) endSequencer(incarnation uint64) {
	n.mu.Lock()
	r := n.sequencers[incarnation]
	delete(n.sequencers, incarnation)
	n.mu.Unlock()
	if r != nil {
		r.sequencer.stop()
		r.release()
		n.log.Info("sequencer ended", "loglet", r.sequencer.cfg.Loglet, "incarnation", incarnation)
	}
}

// sweepEvery is how often sequencers without work ask whether they are still wanted.
const sweepEvery = 10 * time.Second

// sweep ends sequencers of loglets that are sealed. They know it from their servers' answers, so it asks now and then.
func (n *Node) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
			n.sweepOnce()
		}
	}
}

func (n *Node) sweepOnce() {
	for _, r := range n.running() {
		if r.sequencer.over() {
			n.endSequencer(r.sequencer.cfg.Incarnation)
		} else {
			r.sequencer.ask()
		}
	}
}

// answered takes answers to this node's own questions.
func (n *Node) answered(batch []core.Message) {
	for i := range batch {
		m := &batch[i]
		n.mu.Lock()
		switch m.Kind {
		case kindPong:
			now := time.Now()
			n.heard[m.From] = heard{last: now, rtt: now.Sub(n.started) - time.Duration(m.Ref), disk: m.Disk, instance: m.Incarnation}
		case kindBegun:
			if c := n.questions[m.Ref]; c != nil {
				c <- *m // has room for one
				delete(n.questions, m.Ref)
			}
		}
		n.mu.Unlock()
	}
}

// ping asks all candidates for a sign of life.
func (n *Node) ping() {
	tick := time.NewTicker(n.o.PingEvery)
	defer tick.Stop()
	for {
		var batch []core.Message
		for _, c := range n.o.Candidates() {
			if c.Node == n.o.ID || c.Node == 0 {
				continue
			}
			if n.tcp != nil && c.Address != "" {
				n.tcp.moved(c.Node, c.Address)
			}
			n.mu.Lock()
			n.pinging = true
			if n.routes[c.Node] == nil {
				n.routes[c.Node] = n.net.Route(c.Node, c.Node, c.Address)
			}
			n.mu.Unlock()
			batch = append(batch, core.Message{Kind: kindPing, From: n.self, To: c.Node, Ref: uint64(time.Since(n.started))})
		}
		n.net.Send(batch)
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Heard tells when a candidate has last answered, and how long that took. A node has always just heard itself. A zero time: never.
func (n *Node) Heard(node core.Node) (last time.Time, rtt time.Duration) {
	if node == n.o.ID {
		return time.Now(), 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.heard[node]
	return h.last, h.rtt
}

// away says that a node has not answered for a while.
func (n *Node) away(node core.Node) bool {
	if node == n.o.ID {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	last := n.heard[node].last
	if last.IsZero() {
		last = n.started
	}
	return n.pinging && time.Since(last) > awayAfter*n.o.PingEvery
}

// awayAfter is how many pings without an answer make a node one that is not read from first.
const awayAfter = 5

// diskOf is the identity of a node's disk; 0 if it is not known.
func (n *Node) diskOf(node core.Node) uint64 {
	if node == n.o.ID {
		return n.Disk()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.heard[node].disk
}

// Stats are figures of a Node, counted since its start unless said otherwise.
type Stats struct {
	Handles, Sequencers, Connections int    // now
	QueuedBytes                      int    // now: what waits to be written to connections
	BytesOut, Writes                 uint64 // Writes are system calls
	FramesIn                         uint64
	Dials, DialErrors                uint64
	// Repeats are messages sent because there was no answer, and word of commits to idle servers.
	Repeats uint64
	// Dropped messages: the protocol repeats them.
	DroppedFull        uint64 // a connection's queue was full
	DroppedUnreachable uint64 // there was no connection
	DroppedNobody      uint64 // they came for an endpoint that is not here
	DroppedReads       uint64 // too many reads were under way, or too much waited for the disk
}

// Stats returns the present figures.
func (n *Node) Stats() Stats {
	n.mu.Lock()
	s := Stats{Handles: len(n.handles), Sequencers: len(n.sequencers)}
	n.mu.Unlock()
	s.Repeats, s.DroppedReads = n.repeats.Load(), n.drops.Load()
	if t := n.tcp; t != nil {
		for _, c := range t.all() {
			c.mu.Lock()
			s.Connections++
			s.QueuedBytes += c.queue.bytes + c.writing
			c.mu.Unlock()
		}
		s.BytesOut, s.Writes, s.FramesIn = t.stats.bytesOut.Load(), t.stats.writes.Load(), t.stats.framesIn.Load()
		s.Dials, s.DialErrors = t.stats.dials.Load(), t.stats.dialErrors.Load()
		s.DroppedFull, s.DroppedUnreachable, s.DroppedNobody = t.stats.full.Load(), t.stats.unreachable.Load(), t.stats.unknown.Load()
	}
	return s
}

// Close ends the process' part: handles return vlog.ErrClosed, sequencers end for good, and the log server closes its storage. What was acknowledged
// is on disks; all else is as after a crash.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	var handles []*Loglet
	for h := range n.handles {
		handles = append(handles, h)
	}
	n.mu.Unlock()
	n.stop()
	for _, h := range handles {
		h.Close()
	}
	for _, r := range n.running() {
		n.endSequencer(r.sequencer.cfg.Incarnation)
	}
	n.wg.Wait()
	for _, detach := range n.detach {
		detach()
	}
	n.mu.Lock()
	for _, release := range n.routes {
		release()
	}
	n.mu.Unlock()
	err := n.net.Close()
	if n.server != nil {
		err = errors.Join(err, n.server.stop())
	}
	if err != nil {
		return fmt.Errorf("vlog/native: close: %w", err)
	}
	return nil
}
