package gen

import "slices"

// status is how far a transaction has come.
type status uint8

const (
	running status = iota
	committed
	aborted
)

// txn is an operation under way.
type txn struct {
	id     int64 // in order of invocation: the older waits for the younger, never the other way round
	ops    []Op
	status status
	doomed bool  // will abort of its own accord
	fresh  bool  // must see all that is committed
	quit   int   // the client gives up after so many of its turns; below 0 never
	pc     int   // next step, in stores that run step by step
	begun  bool  // in the others: has its snapshot
	snap   int64 // the snapshot: commits up to here are seen
	site   int
	seen   int64 // what the session has seen before
}

// client is a place for a process: when an operation's outcome is unknown, a new process takes it.
type client struct {
	process int64
	t       *txn
	site    int
	seen    int64 // commits up to here are known to the session
}

// store is a simulated database. Step advances a transaction; it may leave it as it is, where
// the transaction waits for a lock. abort ends it without effect.
type store interface {
	step(t *txn)
	abort(t *txn)
	settle() // lets everything arrive everywhere
}

// Run generates a history and hands every entry to emit, whose error ends it.
// The entry and all that it refers to are good until emit returns.
func Run(o Options, emit func(*Event) error) error {
	if err := o.defaults(); err != nil {
		return err
	}
	s := &sim{o: o, emit: emit}
	s.rng.state = o.Seed*0x9e3779b97f4a7c15 + 1
	for _, name := range o.Inject {
		in, err := newInjection(o.Workload, name)
		if err != nil {
			return err
		}
		in.at = int64(s.rng.intn(max(o.Txns, 1)))
		s.injections = append(s.injections, in)
	}
	slices.SortStableFunc(s.injections, func(a, b *injection) int { return int(a.at - b.at) })
	s.keys = newPool(&s.o, &s.rng)
	switch {
	case o.Workload == Set || o.Workload == Counter:
		s.store = &lateStore{s: s, late: o.Level < StrongSnapshotIsolation || o.Level == Serializable || o.Level == StrongSessionSerializable}
	case o.Level <= ReadCommitted:
		s.store = &lockStore{s: s, dirty: o.Level == ReadUncommitted}
	case o.Level <= ParallelSnapshotIsolation:
		s.store = newReplicaStore(s)
	default:
		s.store = &snapshotStore{s: s}
	}
	return s.run()
}

// sim is a run.
type sim struct {
	o       Options
	rng     rng
	emit    func(*Event) error
	event   Event
	keys    *pool
	store   store
	clients []*client
	strays  []*txn // whose clients have given up
	free    []*txn

	invoked, index, now int64
	nextProcess         int64

	injections []*injection // to come, by their place
	injecting  []*injection
}

// maxStrays bounds how many operations without a client may still take effect.
const maxStrays = 100

func (s *sim) run() error {
	for i := range s.o.Processes {
		s.clients = append(s.clients, &client{process: int64(i), site: i % sites})
	}
	s.nextProcess = int64(s.o.Processes)
	for len(s.clients) > 0 || len(s.injecting) > 0 || len(s.injections) > 0 {
		for len(s.injections) > 0 && (s.injections[0].at <= s.invoked || len(s.clients) == 0) {
			in := s.injections[0]
			in.start(s)
			s.injecting, s.injections = append(s.injecting, in), s.injections[1:]
		}
		i := s.rng.intn(len(s.clients) + len(s.strays) + len(s.injecting))
		if i < len(s.clients) {
			if err := s.turn(i); err != nil {
				return err
			}
			continue
		}
		if i -= len(s.clients); i < len(s.strays) {
			t := s.strays[i]
			if s.store.step(t); t.status != running {
				s.strays = swapRemove(s.strays, i)
				s.release(t)
			}
			continue
		}
		i -= len(s.strays)
		done, err := s.injecting[i].turn(s)
		if err != nil {
			return err
		}
		if done {
			s.injecting = swapRemove(s.injecting, i)
		}
	}
	return s.finish()
}

// turn lets a client do its next thing.
func (s *sim) turn(i int) error {
	c := s.clients[i]
	t := c.t
	switch {
	case t == nil:
		if s.invoked >= int64(s.o.Txns) {
			s.clients = swapRemove(s.clients, i)
			return nil
		}
		c.t = s.begin(c)
		return s.put(Invoke, c.process, c.t.ops)
	case t.quit == 0:
		process := c.process
		c.t, c.process, c.seen, s.nextProcess = nil, s.nextProcess, 0, s.nextProcess+1
		err := s.put(Info, process, t.ops)
		switch {
		case t.status != running:
			s.release(t)
		case len(s.strays) >= maxStrays || s.rng.chance(0.3): // the request was lost
			s.store.abort(t)
			s.release(t)
		default:
			s.strays = append(s.strays, t)
		}
		return err
	case t.status == running:
		t.quit = max(t.quit-1, -1)
		s.store.step(t)
		return nil
	case t.quit > 0:
		t.quit--
		return nil
	}
	c.t, c.seen = nil, max(c.seen, t.seen)
	result := OK
	if t.status == aborted {
		result = Fail
	}
	err := s.put(result, c.process, t.ops)
	s.release(t)
	return err
}

func swapRemove[T any](list []T, i int) []T {
	last := len(list) - 1
	list[i] = list[last]
	var zero T
	list[last] = zero
	return list[:last]
}

// begin makes an operation.
func (s *sim) begin(c *client) *txn {
	var t *txn
	if n := len(s.free); n > 0 {
		t, s.free = s.free[n-1], s.free[:n-1]
		*t = txn{ops: t.ops[:0]}
	} else {
		t = new(txn)
	}
	s.invoked++
	t.id, t.site, t.seen, t.quit = s.invoked, c.site, c.seen, -1
	if s.rng.chance(s.o.Fail) {
		t.doomed = true
	} else if s.o.Fail < 1 && s.rng.chance(s.o.Info/(1-s.o.Fail)) {
		t.quit = s.rng.intn(s.o.MaxOps + 3)
	}
	t.ops = s.keys.ops(t.ops)
	return t
}

func (s *sim) release(t *txn) {
	clear(t.ops) // the keys
	s.free = append(s.free, t)
}

// put emits an entry.
func (s *sim) put(typ Type, process int64, ops []Op) error {
	s.now += int64(1000 + s.rng.intn(100_000))
	e := &s.event
	*e = Event{Index: s.index, Time: s.now, Process: process, Type: typ, F: "txn", Ops: ops, list: s.o.Workload == ListAppend}
	s.index++
	if s.o.Workload == Set || s.o.Workload == Counter {
		e.F, e.list = "add", s.o.Workload == Set
		if ops[0].Kind == Read {
			e.F = "read"
		}
	}
	if typ == Fail || typ == Info {
		for i := range ops {
			ops[i].Known = false
		}
	}
	return s.emit(e)
}

// finish reads at the end what is in use, when nothing else runs any more.
func (s *sim) finish() error {
	for _, t := range s.strays {
		s.store.abort(t)
	}
	s.strays = nil
	s.store.settle()
	if !s.o.FinalRead {
		return nil
	}
	c := &client{process: s.nextProcess}
	for _, k := range s.keys.keys {
		t := &txn{id: s.invoked + 1, quit: -1, fresh: true, ops: []Op{{Kind: Read, Key: k.id, k: k}}}
		if err := s.put(Invoke, c.process, t.ops); err != nil {
			return err
		}
		for t.status == running {
			s.store.step(t)
		}
		result := OK
		if t.status == aborted {
			result = Fail
		}
		if err := s.put(result, c.process, t.ops); err != nil {
			return err
		}
	}
	return nil
}
