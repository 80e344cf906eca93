package vlog_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// The simulation runs whole clusters from one seed: real Logs in several client processes, log servers with disks, sequencers, a network, and a register for
// the chain. Everything that these exchange goes through the scheduler, which does one thing at a time, chosen at random, and then waits until all
// goroutines have come to rest (testing/synctest): it delivers some message, loses or doubles one, lets a disk finish some of what it was given, lets the register
// apply or answer something, ticks a process, lets time pass, crashes, pauses or cuts off a process, begins a call. With one thread the same seed does the same.
//
// What calls return is judged by simCheck as it comes. In the end everything heals, and then all calls have to end.

// simSettings are what a seed varies beyond its choices; the zero value of a field means that the seed chooses.
type simSettings struct {
	servers  int
	steps    int
	mistakes vlog.Mistakes
	trace    bool
}

// simProc is a process: a log server, or a client with its Log.
type simProc struct {
	id      int
	up      bool
	paused  bool
	disk    *simDisk
	machine []ticking // sequencers and handles in it
	rng     *rand.Rand
	serial  uint64 // of addresses and incarnations
	gone    chan struct{}

	log       *vlog.Log // nil until it is open
	appending bool
	calls     int
	tail      vlog.Position // the furthest it was given
	stream    int           // of its appends in single flight
	quick     bool          // it rolls forward at once
	loose     bool          // it has several appends under way
}

// ticking is a machine that is ticked.
type ticking interface {
	tick()
	over() bool
}

// simDisk is a log server and its disk.
type simDisk struct {
	identity uint64
	node     core.Node
	machine  *core.Host
	durable  []core.Record
	flying   []core.Record
	given    uint64
	entries  map[core.Key]map[vlog.Position][]byte
}

type flight struct {
	core.Message
	from *simProc
}

type endpoint struct {
	proc   *simProc
	handle func(core.Message)
}

type sim struct {
	simSettings
	rng  *rand.Rand
	wg   sync.WaitGroup // goroutines of the simulation
	meta *simMeta

	mu        sync.Mutex // of all that follows, and of all machines
	now       int
	procs     []*simProc
	hosts     []*simProc
	clients   []*simProc // alive
	ends      map[core.Node]*endpoint
	net       []flight
	cut       map[[2]int]bool
	wakes     []func() // of goroutines, one after the other
	arranged  int      // so many messages of net are in an order that repeats
	wishes    int
	durations int
	made      map[string]*simMade // by config
	cold      map[string]*coldStore
	spare     int // disks that may still be lost
	loss      int
	double    int
	slow      int
	restless  int
	healing   bool
	closing   bool
	operator  *simProc // when all has healed: looks after dead sequencers
	moving    *simCall
	moves     int
	check     simCheck
	sum       interface {
		Write([]byte) (int, error)
		Sum64() uint64
	}
	lines []string
}

// simMade is a loglet that some process has made.
type simMade struct {
	cfg       core.Config
	config    string
	wish      int
	by        *simProc
	sequencer *simSequencer
	named     bool // by the chain in the register
	discarded bool
	removed   bool
}

func newSim(seed uint64, s simSettings) *sim {
	w := &sim{simSettings: s, rng: rand.New(rand.NewPCG(seed, 3)), ends: map[core.Node]*endpoint{}, cut: map[[2]int]bool{}, made: map[string]*simMade{}, cold: map[string]*coldStore{}, sum: fnv.New64a()}
	if w.servers == 0 {
		w.servers = 3 + 2*w.rng.IntN(2)
	}
	if w.steps == 0 {
		w.steps = 300 + w.rng.IntN(1200)
	}
	w.loss, w.double, w.slow, w.restless = w.rng.IntN(3)*w.rng.IntN(12), w.rng.IntN(2)*w.rng.IntN(15), 1+w.rng.IntN(5), 1+w.rng.IntN(4)
	w.check.init()
	w.spare = (w.servers - 1) / 2
	w.meta = &simMeta{w: w, trouble: w.rng.IntN(3) * w.rng.IntN(20)}
	for i := range w.servers + w.rng.IntN(3) {
		p := w.newProc()
		p.disk = &simDisk{identity: uint64(100 + i), node: core.Node(i + 1)}
		w.hosts = append(w.hosts, p)
		w.startHost(p)
	}
	return w
}

func (w *sim) newProc() *simProc {
	p := &simProc{id: len(w.procs) + 1, up: true, gone: make(chan struct{}), tail: 1}
	p.rng = rand.New(rand.NewPCG(w.rng.Uint64(), 5))
	w.procs = append(w.procs, p)
	return p
}

// note adds to the trace, of which the hash tells whether two runs were the same. Caller holds mu.
func (w *sim) note(format string, args ...any) {
	if w.closing {
		return
	}
	line := fmt.Sprintf("%4d ", w.now) + fmt.Sprintf(format, args...)
	w.sum.Write([]byte(line))
	if w.trace {
		w.lines = append(w.lines, line)
	}
}

// attach makes an endpoint. Caller holds mu.
func (w *sim) attach(n core.Node, p *simProc, handle func(core.Message)) {
	w.ends[n] = &endpoint{p, handle}
}

// number draws an address or an incarnation.
func (p *simProc) number() uint64 {
	p.serial++
	return uint64(p.id)*1000 + p.serial
}

// settle waits until all goroutines have come to rest. What several processes have done at the same moment is put into one order then, lest it
// depend on the order in which the goroutines woke.
func (w *sim) settle() {
	for {
		synctest.Wait()
		w.mu.Lock()
		if len(w.wakes) == 0 {
			break
		}
		wake := w.wakes[0]
		w.wakes = w.wakes[1:]
		w.mu.Unlock()
		wake()
	}
	defer w.mu.Unlock()
	w.arranged = min(w.arranged, len(w.net))
	slices.SortStableFunc(w.net[w.arranged:], func(a, b flight) int { // and several calls of one, which a context that ends wakes in no order
		return cmp.Or(cmp.Compare(a.from.id, b.from.id), cmp.Compare(a.From, b.From), cmp.Compare(a.Ref, b.Ref))
	})
	w.arranged = len(w.net)
	slices.SortStableFunc(w.meta.open, func(a, b *metaOp) int { return cmp.Compare(a.proc.id, b.proc.id) })
	slices.SortStableFunc(w.check.open, func(a, b *simCall) int { return cmp.Compare(a.proc.id, b.proc.id) })
}

func (w *sim) send(p *simProc, messages []core.Message) {
	if !p.up {
		return
	}
	for _, m := range messages {
		if len(w.net) > 300 && !w.healing {
			return // no network queues for ever
		}
		w.net = append(w.net, flight{m, p})
	}
}

func (w *sim) startHost(p *simProc) {
	d := p.disk
	p.up, p.paused = true, false
	d.machine, d.given, d.flying = core.NewHost(d.identity), 0, nil
	d.entries = map[core.Key]map[vlog.Position][]byte{}
	for _, r := range d.durable {
		d.machine.Replay(r)
		d.apply(r)
	}
	d.machine.Ready()
	w.attach(d.node, p, func(m core.Message) { w.hostDid(p, d.machine.Step(m)) })
}

func (d *simDisk) apply(r core.Record) {
	switch r.Kind {
	case core.RecordEntry:
		if d.entries[r.Key] == nil {
			d.entries[r.Key] = map[vlog.Position][]byte{}
		}
		d.entries[r.Key][r.Pos] = r.Payload
	case core.RecordTrim:
		for p := range d.entries[r.Key] {
			if p < r.Pos {
				delete(d.entries[r.Key], p)
			}
		}
	case core.RecordDrop:
		delete(d.entries, r.Key)
	case core.RecordLow:
		for k := range d.entries {
			if r.Covers(k) {
				delete(d.entries, k)
			}
		}
	}
}

func (w *sim) hostDid(p *simProc, out core.Output) {
	d := p.disk
	w.send(p, out.Messages)
	d.flying = append(d.flying, out.Records...)
	for _, l := range out.Loads {
		size := 0
		entries := d.entries[core.Key{Loglet: l.Reply.Loglet, Incarnation: l.Reply.Incarnation}]
		for pos := l.Reply.First; pos < l.Reply.Next; pos++ {
			e, ok := entries[pos]
			if size += len(e); !ok || size > l.MaxBytes && len(l.Reply.Entries) > 0 {
				break
			}
			l.Reply.Entries = append(l.Reply.Entries, e)
		}
		w.send(p, []core.Message{l.Reply})
	}
}

func (w *sim) sync(p *simProc, n int) {
	d := p.disk
	for _, r := range d.flying[:n] {
		d.apply(r)
		w.check.durable(r)
	}
	d.durable = append(d.durable, d.flying[:n]...)
	d.flying = d.flying[n:]
	d.given += uint64(n)
	w.note("disk %d finishes %d", p.id, n)
	w.hostDid(p, d.machine.Synced(d.given))
}

// crash ends a process. Of what a disk was given, a part survives.
func (w *sim) crash(p *simProc) {
	if !p.up {
		return
	}
	for _, m := range p.machine {
		if s, ok := m.(*simSequencer); ok {
			s.stopped = true
		}
	}
	p.up, p.paused, p.machine = false, false, nil
	if d := p.disk; d != nil {
		kept := w.rng.IntN(len(d.flying) + 1)
		w.note("crash %d, %d of %d records survive", p.id, kept, len(d.flying))
		for _, r := range d.flying[:kept] {
			w.check.durable(r)
		}
		d.durable, d.flying = append(d.durable, d.flying[:kept]...), nil
	} else {
		w.note("crash %d", p.id)
		close(p.gone)
		for i, c := range w.clients {
			if c == p {
				w.clients = append(w.clients[:i:i], w.clients[i+1:]...)
				break
			}
		}
		if l := p.log; l != nil {
			w.wg.Go(func() { l.Close() })
		}
	}
	for n, e := range w.ends {
		if e.proc == p {
			delete(w.ends, n)
		}
	}
}

// deliver delivers or loses a message under way. Caller holds mu.
func (w *sim) deliver(i int) {
	f := w.net[i]
	if f.from.paused {
		return
	}
	e := w.ends[f.To]
	if e != nil && e.proc.paused {
		return
	}
	if !(!w.healing && w.rng.IntN(100) < w.double) {
		w.net[i] = w.net[len(w.net)-1]
		w.net = w.net[:len(w.net)-1]
	}
	if e == nil || w.cut[[2]int{f.from.id, e.proc.id}] || !w.healing && w.rng.IntN(100) < w.loss {
		return
	}
	w.note("%d>%d kind %d loglet %d/%d ref %d known %d bit %v status %d first %d next %d tail %d trimmed %d %q", f.From, f.To, f.Kind, f.Loglet, f.Incarnation, f.Ref,
		f.Known, f.Bit, f.Status, f.First, f.Next, f.Tail, f.Trimmed, f.Entries)
	e.handle(f.Message)
}

// step does one thing.
func (w *sim) step() {
	w.mu.Lock()
	w.now++
	var pass time.Duration
	switch x := w.rng.IntN(100); {
	case x < 57:
		if len(w.net) > 0 {
			w.deliver(w.rng.IntN(len(w.net)))
		}
	case x < 69:
		if p := w.hosts[w.rng.IntN(len(w.hosts))]; p.up && !p.paused && len(p.disk.flying) > 0 && w.rng.IntN(w.slow) == 0 {
			w.sync(p, 1+w.rng.IntN(len(p.disk.flying)))
		}
	case x < 75:
		w.tick(w.procs[w.rng.IntN(len(w.procs))], 1+w.rng.IntN(2)*w.rng.IntN(4)) // clocks jump
	case x < 84:
		w.meta.step()
	case x < 88:
		pass = time.Duration(1+w.rng.IntN(20)) * time.Millisecond
		switch w.rng.IntN(30) {
		case 0:
			pass *= 300
		case 1, 2, 3:
			pass *= 12
		}
		w.note("%v pass", pass)
	case x < 89:
		w.fault()
	default:
		w.begin()
	}
	w.mu.Unlock()
	if pass > 0 {
		time.Sleep(pass)
	}
	w.settle()
}

func (w *sim) tick(p *simProc, n int) {
	if p.paused || !p.up {
		return
	}
	kept := p.machine[:0]
	for _, m := range p.machine {
		if !m.over() {
			kept = append(kept, m)
		}
	}
	p.machine = kept
	for range n {
		for _, m := range append([]ticking(nil), p.machine...) {
			m.tick()
		}
	}
}

func (w *sim) fault() {
	h := w.hosts[w.rng.IntN(len(w.hosts))]
	switch w.rng.IntN(16) {
	case 0, 1, 2:
		if h.up {
			w.crash(h)
			return
		}
		fallthrough
	case 3, 4, 5:
		for _, h := range w.hosts {
			if !h.up && w.rng.IntN(2) == 0 {
				w.note("start %d", h.id)
				w.startHost(h)
			}
		}
	case 6, 7:
		if c := w.clients[w.rng.IntN(len(w.clients))]; w.rng.IntN(3) > 0 {
			w.crash(c)
			w.newClient()
		}
	case 8:
		p := w.procs[w.rng.IntN(len(w.procs))]
		p.paused = p.up && !p.paused
		w.note("pause %d: %v", p.id, p.paused)
	case 9:
		for _, p := range w.procs {
			p.paused = false
		}
		w.note("all go on")
	case 14:
		if w.spare > 0 && w.rng.IntN(2) == 0 {
			w.spare--
			w.crash(h)
			h.disk.durable, h.disk.flying = nil, nil
			h.disk.identity += 1000
			w.startHost(h)
			w.note("%d comes back with an empty disk", h.id)
		}
	case 15:
		for _, p := range w.procs {
			for _, m := range p.machine {
				if s, ok := m.(*simSequencer); ok && !s.stopped && w.rng.IntN(4) == 0 {
					w.note("a sequencer in %d dies", p.id)
					s.stopped = true
					delete(w.ends, s.node)
				}
			}
		}
	case 10, 11:
		side := w.rng.Uint64()
		both := w.rng.IntN(2) == 0
		for i, a := range w.procs {
			for j, b := range w.procs {
				if side>>(i%64)&1 == 1 && side>>(j%64)&1 == 0 {
					w.cut[[2]int{a.id, b.id}], w.cut[[2]int{b.id, a.id}] = true, both
				}
			}
		}
		w.note("partition, both ways %v", both)
	default:
		clear(w.cut)
		w.note("the network is whole")
	}
}

// newClient starts a client process, which opens the log. Caller holds mu.
func (w *sim) newClient() *simProc {
	p := w.newProc()
	w.check.streams++
	p.stream, p.quick, p.loose = w.check.streams, w.rng.IntN(4) == 0, w.rng.IntN(2) == 0
	w.clients = append(w.clients, p)
	w.note("client %d starts", p.id)
	o := vlog.Options{
		Meta: clientMeta{w.meta, p}, Providers: map[string]vlog.Provider{"sim": w.provider(p), "cold": w.coldProvider},
		Initial: vlog.Segment{Kind: "sim", Config: []byte(w.wish(p))},
	}.WithMistakes(w.mistakes)
	if p.quick {
		o.RollForwardAfter = time.Millisecond
	}
	follow := w.rng.IntN(3) > 0
	ctx, cancel := context.WithCancel(context.Background())
	w.wg.Go(func() { <-p.gone; cancel() })
	w.wg.Go(func() {
		for {
			l, err := vlog.Open(ctx, o)
			w.mu.Lock()
			up := p.up
			if err == nil && up {
				p.log = l
				w.note("client %d has opened the log", p.id)
			}
			w.mu.Unlock()
			switch {
			case err == nil && !up:
				l.Close()
				return
			case err == nil:
				if follow {
					w.follow(p)
				}
				return
			case !up:
				return
			case errors.Is(err, vlog.ErrMissing):
				w.mu.Lock()
				w.check.fail("client %d cannot open the log: %v", p.id, err)
				w.mu.Unlock()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	return p
}

// wish is what a loglet of random servers is asked for by. Caller holds mu.
func (w *sim) wish(p *simProc) string {
	w.wishes++
	servers := w.rng.Perm(len(w.hosts))[:w.servers]
	at := p
	if w.rng.IntN(3) == 0 {
		at = w.hosts[w.rng.IntN(len(w.hosts))]
	}
	return fmt.Sprintf("wish %d: %v %d", w.wishes, servers, at.id)
}

// run runs a seed to its end and returns what is wrong.
func (w *sim) run() error {
	w.mu.Lock()
	for range 3 {
		w.newClient()
	}
	w.mu.Unlock()
	w.settle()
	for w.now < w.steps && w.check.err == nil {
		w.step()
	}
	if w.check.err == nil {
		w.finish()
	}
	w.mu.Lock()
	w.healing, w.closing = true, true
	for _, p := range w.clients {
		if l := p.log; l != nil {
			w.wg.Go(func() { l.Close() })
		}
		p.up = false
		close(p.gone)
	}
	w.mu.Unlock()
	w.wg.Wait()
	return w.check.err
}

// round lets every process do what it can.
func (w *sim) round() {
	w.mu.Lock()
	w.now++
	for range len(w.net) {
		if len(w.net) == 0 {
			break
		}
		w.deliver(w.rng.IntN(len(w.net)))
	}
	for _, p := range w.hosts {
		if len(p.disk.flying) > 0 {
			w.sync(p, len(p.disk.flying))
		}
	}
	for len(w.meta.open) > 0 {
		w.meta.step()
	}
	for _, p := range w.procs {
		w.tick(p, 1)
	}
	w.mu.Unlock()
	time.Sleep(5 * time.Millisecond)
	w.settle()
}

// until lets everything work until done says so.
func (w *sim) until(what string, done func() bool) bool {
	for range 3000 {
		w.mu.Lock()
		ok, failed := done(), w.check.err != nil
		w.mu.Unlock()
		if failed {
			return false
		}
		if ok {
			return true
		}
		w.round()
		// A sequencer that has died with its process is replaced by whoever watches. Everything else has to mend itself.
		w.mu.Lock()
		if w.operator != nil && (w.moving == nil || w.moving.ended) && w.sequencerIsDead() {
			w.moving = w.reconfigure(w.operator)
			if w.moves++; w.moves > 10 {
				w.check.fail("the log has no sequencer after %d reconfigurations", w.moves)
			}
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.check.fail("%s does not end although everything works: %s", what, w.hanging())
	return false
}

func (w *sim) hanging() string {
	var b strings.Builder
	for _, c := range w.check.open {
		fmt.Fprintf(&b, "client %d: %s %d; ", c.proc.id, c.kind, c.from)
	}
	return b.String()
}

// finish heals everything; then all calls have to end, and what was acknowledged has to be there.
func (w *sim) finish() {
	w.mu.Lock()
	w.note("healing")
	w.healing, w.meta.trouble = true, 0
	clear(w.cut)
	for _, p := range w.procs {
		p.paused = false
	}
	for _, h := range w.hosts {
		if !h.up {
			w.startHost(h)
		}
	}
	operator := w.newClient()
	w.mu.Unlock()
	if !w.until("opening the log", func() bool {
		for _, p := range w.clients {
			if p.log == nil {
				return false
			}
		}
		return true
	}) {
		return
	}
	w.operator = operator
	w.mu.Lock()
	last := w.append(operator, simEnd, 0)
	w.mu.Unlock()
	if !w.until("the last append", func() bool { return last.ended }) || !w.until("some call", func() bool { return len(w.check.open) == 0 }) {
		return
	}
	// Somebody new reads everything, without one of the servers if a majority is left.
	w.mu.Lock()
	reader := w.newClient()
	w.mu.Unlock()
	if !w.until("opening the log", func() bool { return reader.log != nil }) {
		return
	}
	done := false
	w.wg.Go(func() {
		w.readAll(reader)
		w.mu.Lock()
		done = true
		w.mu.Unlock()
	})
	if w.until("reading the log", func() bool { return done }) && w.until("some call", func() bool { return len(w.check.open) == 0 }) {
		w.check.finish()
	}
}

// sequencerIsDead: nobody will ever append to the active loglet, as long as it is not sealed.
func (w *sim) sequencerIsDead() bool {
	chain, err := vlog.DecodeChain(w.meta.value)
	if err != nil {
		return false
	}
	m := w.made[string(chain.Active().Config)]
	return m == nil || m.sequencer.stopped
}
