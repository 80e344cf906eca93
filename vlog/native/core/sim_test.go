package core

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"rebase/vlog"
)

// The simulation runs a whole loglet in one goroutine from one seed: hosts with disks, a sequencer, clients, and a network between them. At each step
// it does one thing, chosen at random: deliver some message under way (any, so they are delayed and overtake each other), lose or double one,
// let a disk finish some of what it was given, let a process tick (unevenly, as clocks that jump do), crash one, cut the network, begin a call.
// What the calls return is checked as it comes by the checker. In the end everything heals, and then all calls have to end.

// settings are what a seed varies beyond its choices; the zero value of a field means that the seed chooses.
type settings struct {
	servers  int
	steps    int
	mistakes mistakes
	trace    bool
	duel     bool // see world.duelStep
}

type simHost struct {
	member  Member // as its disk says
	machine *Host
	up      bool
	wiped   bool
	disk    []Record // durable
	flying  []Record // given to the disk
	given   uint64   // records that the machine has given out and the disk has finished, since the start
	entries map[vlog.Position][]byte
}

type simClient struct {
	node    Node
	machine *Client
	calls   map[uint64]*simCall
	tail    vlog.Position // the furthest tail it was given
	install int           // 1: sealing, 2: asking for the tail, in order to install it
}

type simCall struct {
	kind   string
	began  int
	values []string
	from   vlog.Position
	to     vlog.Position
	floor  vlog.Position // what a tail must be at least
	sealed bool          // the seal had been seen before it began
	acked  vlog.Position // highest position acknowledged before it began
}

type world struct {
	settings
	rng     *rand.Rand
	cfg     Config
	hosts   []*simHost
	seq     *Sequencer
	clients []*simClient
	net     []Message
	cut     map[[2]Node]bool
	now     int
	values  int
	nodes   Node
	loss    int // of 100 messages
	double  int
	slow    int // the disks: a sync is so many times rarer than a delivery
	healing bool
	quiet   int              // no seal before this step
	sealing bool             // a seal has begun
	eager   int              // seals are so much more frequent
	few     int              // of 4 appends, so many are not begun
	plans   [][]string       // duel: what each client has still to do
	drag    map[[2]Node]bool // connections that are slow
	dragged int              // of 4 connections, so many are
	spare   int              // servers that may still lose their disks
	check   checker
	log     []string
}

const sequencerNode Node = 100

func newWorld(seed uint64, s settings) *world {
	w := &world{settings: s, rng: rand.New(rand.NewPCG(seed, 7)), cut: map[[2]Node]bool{}, nodes: 1000}
	if w.servers == 0 {
		w.servers = 3 + 2*w.rng.IntN(2)
	}
	if w.steps == 0 {
		w.steps = 150 + w.rng.IntN(500)
	}
	w.loss, w.double, w.slow = w.rng.IntN(3)*w.rng.IntN(12), w.rng.IntN(2)*w.rng.IntN(15), 1+w.rng.IntN(6)
	w.quiet = w.steps/3 + w.rng.IntN(w.steps)
	w.eager, w.few, w.dragged, w.drag = 1+w.rng.IntN(4), max(0, w.rng.IntN(6)-2), max(0, w.rng.IntN(6)-3), map[[2]Node]bool{}
	w.spare = (w.servers - 1) / 2
	w.cfg = Config{Loglet: 1, Sequencer: sequencerNode, Incarnation: 11}
	for i := range w.servers {
		m := Member{Node: Node(i + 1), Disk: uint64(i+1) * 1111}
		w.cfg.Servers = append(w.cfg.Servers, m)
		w.hosts = append(w.hosts, &simHost{member: m})
		w.start(w.hosts[i])
	}
	w.seq = w.newSequencer(w.cfg)
	for range 3 {
		w.clients = append(w.clients, w.newClient())
	}
	w.check.init()
	if s.duel {
		w.prepareDuel()
	}
	return w
}

func (w *world) newSequencer(cfg Config) *Sequencer {
	s := NewSequencer(cfg, SequencerOptions{Window: 1 + w.rng.IntN(3), BatchBytes: 1 + w.rng.IntN(12), Retry: 2 + w.rng.IntN(12)})
	s.mistakes = w.mistakes
	return s
}

func (w *world) newClient() *simClient {
	w.nodes++
	c := &simClient{node: w.nodes, calls: map[uint64]*simCall{}, tail: 1}
	c.machine = NewClient(w.cfg, c.node, ClientOptions{Near: w.rng.IntN(w.servers), Retry: 2 + w.rng.IntN(12)})
	c.machine.mistakes = w.mistakes
	return c
}

func (w *world) note(format string, args ...any) {
	if w.trace {
		w.log = append(w.log, fmt.Sprintf("%4d ", w.now)+fmt.Sprintf(format, args...))
	}
}

// start starts a host's process from its disk.
func (w *world) start(h *simHost) {
	h.machine = NewHost(h.member.Disk)
	h.machine.mistakes = w.mistakes
	h.up, h.given, h.flying, h.entries = true, 0, nil, map[vlog.Position][]byte{}
	for _, r := range h.disk {
		h.machine.Replay(r)
		h.apply(r)
	}
	h.machine.Ready()
}

func (h *simHost) apply(r Record) {
	switch r.Kind {
	case RecordEntry:
		h.entries[r.Pos] = r.Payload
	case RecordTrim:
		for p := range h.entries {
			if p < r.Pos {
				delete(h.entries, p)
			}
		}
	}
}

// crash ends a host's process; a part of what the disk was given survives.
func (w *world) crash(h *simHost) {
	kept := w.rng.IntN(len(h.flying) + 1)
	w.note("crash %d, %d of %d records survive", h.member.Node, kept, len(h.flying))
	for _, r := range h.flying[:kept] {
		w.check.durable(r, h)
	}
	h.disk = append(h.disk, h.flying[:kept]...)
	h.up, h.flying = false, nil
}

func (w *world) sync(h *simHost, n int) {
	for _, r := range h.flying[:n] {
		h.apply(r)
		w.check.durable(r, h)
	}
	h.disk = append(h.disk, h.flying[:n]...)
	h.flying = h.flying[n:]
	h.given += uint64(n)
	w.note("disk %d finishes %d", h.member.Node, n)
	w.do(h.machine.Synced(h.given), h, nil)
}

// do carries out what a machine wants.
func (w *world) do(out Output, h *simHost, c *simClient) {
	for _, m := range out.Messages {
		w.send(m)
	}
	if h != nil {
		h.flying = append(h.flying, out.Records...)
		for _, l := range out.Loads {
			size := 0
			for p := l.Reply.First; p < l.Reply.Next; p++ {
				e, ok := h.entries[p]
				if size += len(e); !ok || size > l.MaxBytes && len(l.Reply.Entries) > 0 {
					break
				}
				l.Reply.Entries = append(l.Reply.Entries, e)
			}
			w.send(l.Reply)
		}
	}
	for _, r := range out.Results {
		w.result(c, r)
	}
}

func (w *world) send(m Message) {
	if w.cut[[2]Node{m.From, m.To}] || !w.healing && w.rng.IntN(100) < w.loss {
		return
	}
	if len(w.net) > 80 && !w.healing {
		return // no network queues for ever
	}
	w.net = append(w.net, m)
	if !w.healing && w.rng.IntN(100) < w.double {
		w.net = append(w.net, m)
	}
}

func (w *world) deliver(i int) {
	m := w.net[i]
	w.net[i] = w.net[len(w.net)-1]
	w.net = w.net[:len(w.net)-1]
	if w.cut[[2]Node{m.From, m.To}] {
		return
	}
	w.note("%s", describe(m))
	if m.To == sequencerNode {
		if w.seq != nil {
			w.do(w.seq.Step(m), nil, nil)
		}
		return
	}
	for _, h := range w.hosts {
		if h.member.Node == m.To && h.up {
			w.do(h.machine.Step(m), h, nil)
			return
		}
	}
	for _, c := range w.clients {
		if c.node == m.To {
			w.do(c.machine.Step(m), nil, c)
			return
		}
	}
}

var kindNames = [...]string{"", "Append", "Appended", "Store", "Stored", "Release", "Ask", "Wait", "Seal", "Trim", "Repair", "Info", "Fetch", "Fetched", "Forget", "Drop"}

func describe(m Message) string {
	return fmt.Sprintf("%d>%d %s ref %d known %d bit %v status %d first %d next %d tail %d trimmed %d %q", m.From, m.To, kindNames[m.Kind], m.Ref, m.Known, m.Bit,
		m.Status, m.First, m.Next, m.Tail, m.Trimmed, m.Entries)
}

// step does one thing.
func (w *world) step() {
	w.now++
	switch x := w.rng.IntN(100); {
	case x < 70:
		if len(w.net) > 0 {
			i := w.rng.IntN(len(w.net))
			if w.slowly(w.net[i]) && w.rng.IntN(20) > 0 {
				return
			}
			w.deliver(i)
		}
	case x < 84:
		h := w.hosts[w.rng.IntN(len(w.hosts))]
		if len(h.flying) > 0 && w.rng.IntN(w.slow) == 0 {
			w.sync(h, 1+w.rng.IntN(len(h.flying)))
		}
	case x < 87:
		w.tick(w.rng.IntN(1 + len(w.clients)))
	case x < 88:
		w.fault()
	default:
		w.call(w.clients[w.rng.IntN(len(w.clients))])
	}
}

// slowly says whether a message goes over a slow connection. That some are, for long, makes clients meet different majorities.
func (w *world) slowly(m Message) bool {
	link := [2]Node{m.From, m.To}
	slow, known := w.drag[link]
	if !known {
		slow = w.rng.IntN(4) < w.dragged
		w.drag[link] = slow
	}
	return slow
}

func (w *world) tick(i int) {
	for range 1 + w.rng.IntN(2)*w.rng.IntN(4) { // clocks jump
		if i == len(w.clients) {
			if w.seq != nil {
				w.do(w.seq.Tick(), nil, nil)
			}
		} else if i < len(w.clients) {
			w.do(w.clients[i].machine.Tick(), nil, w.clients[i])
		}
	}
}

func (w *world) fault() {
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	switch w.rng.IntN(12) {
	case 0, 1, 2, 3:
		if h.up {
			w.crash(h)
		} else {
			w.start(h)
			w.note("start %d", h.member.Node)
		}
	case 4, 5, 6:
		if !h.up {
			w.start(h)
			w.note("start %d", h.member.Node)
		}
	case 7:
		if w.spare > 0 && w.rng.IntN(3) == 0 && !h.wiped {
			w.spare--
			w.note("%d comes back with an empty disk", h.member.Node)
			h.disk, h.flying, h.wiped = nil, nil, true
			h.member.Disk += 5
			w.start(h)
		}
	case 8:
		if w.rng.IntN(4) == 0 {
			cfg := w.cfg
			cfg.Incarnation++
			w.note("the sequencer's process starts again")
			w.seq = w.newSequencer(cfg)
		}
	case 9:
		i := w.rng.IntN(len(w.clients))
		w.note("client %d is gone", w.clients[i].node)
		w.clients[i] = w.newClient()
	case 10:
		// Some processes cannot reach some others; often not the other way round.
		all := []Node{sequencerNode}
		for _, h := range w.hosts {
			all = append(all, h.member.Node)
		}
		for _, c := range w.clients {
			all = append(all, c.node)
		}
		side := w.rng.Uint64()
		both := w.rng.IntN(2) == 0
		for i, a := range all {
			for j, b := range all {
				if side>>i&1 == 1 && side>>j&1 == 0 {
					w.cut[[2]Node{a, b}] = true
					w.cut[[2]Node{b, a}] = both
				}
			}
		}
		w.note("partition %b, both ways %v", side, both)
	default:
		clear(w.cut)
		w.note("the network is whole")
	}
}

// call begins a call of a client.
func (w *world) call(c *simClient) {
	if len(c.calls) >= 3 {
		if w.rng.IntN(20) == 0 {
			for _, id := range sortedKeys(c.calls) {
				w.note("client %d cancels %d", c.node, id)
				c.machine.Cancel(id)
				delete(c.calls, id)
				c.install = 0
				break
			}
		}
		return
	}
	switch x := w.rng.IntN(40); {
	case x < 20:
		if w.rng.IntN(4) >= w.few {
			w.append(c)
		}
	case x < 26:
		w.begin(c, &simCall{kind: "tail"})
	case x < 29:
		w.begin(c, &simCall{kind: "wait", from: c.tail + vlog.Position(w.rng.IntN(3))})
	case x < 35:
		if c.tail > 1 {
			from := 1 + vlog.Position(w.rng.IntN(int(c.tail-1)))
			w.begin(c, &simCall{kind: "read", from: from, to: c.tail})
		}
	case x < 37:
		if w.rng.IntN(4) == 0 && c.tail > 1 {
			w.begin(c, &simCall{kind: "trim", from: 1 + vlog.Position(w.rng.IntN(int(c.tail)))})
		}
	case w.now > w.quiet && w.rng.IntN(4) < w.eager && c.install == 0:
		if w.rng.IntN(3) == 0 {
			w.begin(c, &simCall{kind: "seal"})
			return
		}
		c.install = 1
		w.begin(c, &simCall{kind: "install-seal"})
	}
}

func (w *world) append(c *simClient) {
	call := &simCall{kind: "append"}
	for range 1 + w.rng.IntN(3)*w.rng.IntN(2) {
		w.values++
		call.values = append(call.values, fmt.Sprint("v", w.values))
	}
	w.begin(c, call)
}

func (w *world) begin(c *simClient, call *simCall) {
	call.began = w.now
	w.sealing = w.sealing || strings.HasSuffix(call.kind, "seal")
	w.check.begins(call)
	var id uint64
	var out Output
	switch call.kind {
	case "append":
		var body [][]byte
		for _, v := range call.values {
			body = append(body, []byte(v))
		}
		id, out = c.machine.Append(body)
	case "tail", "install-tail":
		id, out = c.machine.CheckTail()
	case "wait":
		id, out = c.machine.WaitTail(call.from)
	case "seal", "install-seal":
		id, out = c.machine.Seal()
	case "read":
		id, out = c.machine.Read(call.from, call.to, w.rng.IntN(12))
	case "trim":
		id, out = c.machine.Trim(call.from)
	}
	w.note("client %d begins %d: %s %v %d %d", c.node, id, call.kind, call.values, call.from, call.to)
	c.calls[id] = call
	w.do(out, nil, c)
}

func (w *world) result(c *simClient, r Result) {
	call := c.calls[r.Call]
	if call == nil {
		w.check.fail("a result of no call: %+v", r)
		return
	}
	delete(c.calls, r.Call)
	w.note("client %d ends %d: %s status %d first %d tail %v %q trimmed %d", c.node, r.Call, call.kind, r.Status, r.First, r.Tail, r.Entries, r.Trimmed)
	w.check.ended(call, r)
	switch call.kind {
	case "tail", "wait":
		c.tail = max(c.tail, r.Tail.Next)
	case "install-seal":
		w.begin(c, &simCall{kind: "install-tail"})
	case "install-tail":
		c.install = 0
		c.tail = max(c.tail, r.Tail.Next)
		w.check.install(r.Tail)
	}
}

// heal ends all faults and lets every process do what it can until nothing is left to do, or rounds are over.
func (w *world) heal(rounds int, done func() bool) bool {
	for range rounds {
		if done() {
			return true
		}
		w.now++
		for range len(w.net) {
			w.deliver(w.rng.IntN(len(w.net)))
			if len(w.net) == 0 {
				break
			}
		}
		for _, h := range w.hosts {
			if h.up && len(h.flying) > 0 {
				w.sync(h, len(h.flying))
			}
		}
		for i := range len(w.clients) + 1 {
			w.tick(i)
		}
	}
	return done()
}

// run runs a seed to its end and returns what is wrong.
func (w *world) run() error {
	if w.duel {
		return w.runDuel()
	}
	for w.now < w.steps && w.check.err == nil {
		w.step()
	}
	w.note("healing")
	w.healing = true
	clear(w.cut)
	for _, h := range w.hosts {
		if !h.up {
			w.start(h)
		}
	}
	// As long as nobody has sealed the log, and its sequencer lives, it works: calls end, also those of somebody who comes only now.
	if w.seq.cfg.Incarnation == w.cfg.Incarnation && !w.sealing {
		if w.rng.IntN(3) == 0 { // the power fails, and all clients are others
			if w.rng.IntN(2) == 0 {
				w.heal(30, func() bool { return false })
			}
			w.note("power failure")
			for _, h := range w.hosts {
				w.crash(h)
				w.start(h)
			}
			w.clients, w.net = nil, nil
		}
		fresh := w.newClient()
		w.clients = append(w.clients, fresh)
		if w.rng.IntN(2) == 0 {
			w.append(fresh)
		}
		w.begin(fresh, &simCall{kind: "tail"})
		if !w.heal(300, func() bool { return w.onlyWaits() || w.check.err != nil }) {
			w.check.fail("calls do not end although everything works and nothing is sealed: %s", w.hanging())
		}
		if w.check.err != nil {
			return w.check.err
		}
	}
	// A client that nobody knows ends the log, and everything under way must end with it.
	last := w.newClient()
	w.clients = append(w.clients, last)
	last.install = 1
	w.begin(last, &simCall{kind: "install-seal"})
	if !w.heal(300, func() bool { return w.idle() || w.check.err != nil }) {
		w.check.fail("calls do not end although everything works: %s", w.hanging())
	}
	if w.check.err != nil {
		return w.check.err
	}
	// Another one, with one server less if a majority can be had without, reads everything.
	if out := w.rng.IntN(w.servers); w.spare > 0 {
		w.hosts[out].up = false
	}
	reader := w.newClient()
	w.clients = append(w.clients, reader)
	w.begin(reader, &simCall{kind: "tail"})
	if !w.heal(300, func() bool { return len(reader.calls) == 0 || w.check.err != nil }) {
		w.check.fail("no tail with a majority")
	}
	for from := max(1, reader.machine.Trimmed()); from < w.check.end && w.check.err == nil; {
		w.begin(reader, &simCall{kind: "read", from: from, to: w.check.end})
		if !w.heal(300, func() bool { return len(reader.calls) == 0 || w.check.err != nil }) {
			w.check.fail("position %d below the end cannot be read", from)
		}
		if from < reader.machine.Trimmed() {
			from = reader.machine.Trimmed()
			continue
		}
		from = w.check.read
	}
	w.check.finish()
	return w.check.err
}

func (w *world) idle() bool {
	return !slices.ContainsFunc(w.clients, func(c *simClient) bool { return len(c.calls) > 0 })
}

// onlyWaits: what is under way waits for entries that may never come.
func (w *world) onlyWaits() bool {
	for _, c := range w.clients {
		for _, call := range c.calls {
			if call.kind != "wait" {
				return false
			}
		}
	}
	return true
}

func (w *world) hanging() string {
	var b strings.Builder
	for _, c := range w.clients {
		for _, id := range sortedKeys(c.calls) {
			o := c.machine.calls[slices.IndexFunc(c.machine.calls, func(o *op) bool { return o.id == id })]
			fmt.Fprintf(&b, "client %d: %s in phase %d; ", c.node, c.calls[id].kind, o.phase)
		}
	}
	return b.String()
}

func sortedKeys(m map[uint64]*simCall) []uint64 {
	var out []uint64
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
