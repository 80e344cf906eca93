package core

import (
	"slices"

	"rebase/vlog"
)

// ClientOptions say how a Client behaves. The zero value is ready for use.
type ClientOptions struct {
	// Near is the index of the server that is read from first: the one on the same machine, if there is one.
	Near int
	// Away says of a server, by its index, that it will probably not answer, so that reads go to the others first. Nil: nobody knows.
	Away func(server int) bool
	// Retry is the number of ticks after which an unanswered question is repeated. Zero means 20.
	Retry int
}

// Client is one user of a loglet. It makes calls, each of which ends with a Result, unless it is cancelled.
type Client struct {
	cfg     Config
	opts    ClientOptions
	self    Node
	known   vlog.Position
	sealed  bool // some server is sealed; how far the seal has come is each call's business
	trimmed vlog.Position
	near    int // the server that is read from first
	ref     uint64
	calls   []*op // in the order in which they began

	mistakes mistakes
}

// Result is the end of a call.
type Result struct {
	Call uint64
	// Status is OK or, for an append, Sealed if it will never be acknowledged, or Refused if nobody knows any more what became of it; or,
	// of all but seals, Over: the loglet was dropped, and there is nothing more to know of it. Of a tail, Tail tells that it is sealed.
	Status Status
	// First is an append's first position, or the effective position of a trim.
	First vlog.Position
	// Tail is the answer to CheckTail and WaitTail.
	Tail vlog.Tail
	// Entries is the answer to Read, from the position asked for on. If it is empty, the log begins at Trimmed, which is beyond that.
	Entries [][]byte
	Trimmed vlog.Position
}

// phase is what a call waits for.
type phase uint8

const (
	appending  phase = iota
	sealing          // a majority's bits; then the call is done
	asking           // a majority's Info
	waiting          // Known to reach what a majority holds
	collecting       // entries for a repair
	repairing        // the servers that lacked them
	reading
	trimming
)

// op is a call under way.
type op struct {
	id    uint64
	phase phase
	tail  bool          // wants a tail, not only a seal
	from  vlog.Position // of Read and Trim; the WaitTail's position; the tail to wait for
	to    vlog.Position
	limit int
	ref   uint64 // of the questions that are open
	age   int    // ticks since they were asked
	tries int    // how often something was repeated
	body  [][]byte

	infos  []Message // asking: the last Info of every server that has answered, as it is to be judged
	probed uint64    // appending: servers that said sealed, as bits
	server int       // reading: whom
	around bool      // reading: all have been asked; begin again at the next repetition

	// Repair of [cursor, end) on the servers in members, whose tails were behind.
	members []int
	cursor  vlog.Position
	end     vlog.Position
	found   map[vlog.Position][]byte
	heard   uint64 // members that have answered this round
}

// NewClient returns a client of the loglet whose address is self. Addresses of clients must never be used twice, across restarts too: what
// arrives late for an old one must not be taken for an answer to the new one.
func NewClient(cfg Config, self Node, o ClientOptions) *Client {
	if o.Retry <= 0 {
		o.Retry = 20
	}
	return &Client{cfg: cfg, opts: o, self: self, known: 1, trimmed: 1, near: o.Near % len(cfg.Servers)}
}

// Append begins an append at consecutive positions. The payloads must not be changed until it ends.
func (c *Client) Append(payloads [][]byte) (call uint64, out Output) {
	return c.begin(&op{phase: appending, body: payloads})
}

// CheckTail begins to ask for the tail (section 4.2.1). If any server is found sealed it completes the seal, so it can be told either that the log
// is open, or where it ends.
func (c *Client) CheckTail() (call uint64, out Output) {
	return c.begin(&op{phase: asking, tail: true})
}

// WaitTail begins to wait until the tail is at least p, or the log is sealed.
func (c *Client) WaitTail(p vlog.Position) (call uint64, out Output) {
	return c.begin(&op{phase: waiting, tail: true, from: p})
}

// Seal begins to seal the log.
func (c *Client) Seal() (call uint64, out Output) { return c.begin(&op{phase: sealing}) }

// Read begins to read from position from on, at most up to to, which must not be beyond a tail that this client has been given, at most limit
// bytes of payload but at least one entry. from must be below to.
func (c *Client) Read(from, to vlog.Position, limit int) (call uint64, out Output) {
	return c.begin(&op{phase: reading, from: from, to: to, limit: limit, server: c.near})
}

// Trim begins to trim what is below p, or below the tail as far as this client knows it.
func (c *Client) Trim(p vlog.Position) (call uint64, out Output) {
	return c.begin(&op{phase: trimming, from: min(p, c.known)})
}

// Cancel ends a call without a Result. What it has set in motion goes on.
func (c *Client) Cancel(call uint64) {
	c.calls = slices.DeleteFunc(c.calls, func(o *op) bool { return o.id == call })
}

// Known is a lower bound of the tail; whether the log is sealed there it does not say.
func (c *Client) Known() vlog.Position { return c.known }

// Sealed says that some server is known to be sealed.
func (c *Client) Sealed() bool { return c.sealed }

// Trimmed is the position below which this client knows the log to be trimmed.
func (c *Client) Trimmed() vlog.Position { return c.trimmed }

// Calls is the number of calls under way.
func (c *Client) Calls() int { return len(c.calls) }

func (c *Client) begin(o *op) (uint64, Output) {
	var out Output
	c.ref++
	o.id = c.ref
	c.calls = append(c.calls, o)
	c.ask(o, &out)
	return o.id, out
}

// done ends o.
func (c *Client) done(o *op, out *Output, r Result) {
	r.Call = o.id
	out.Results = append(out.Results, r)
	c.Cancel(o.id)
}

// Tick repeats questions that were not answered.
func (c *Client) Tick() (out Output) {
	for _, o := range slices.Clone(c.calls) {
		if o.age++; o.age < c.patience(o) {
			continue
		}
		o.tries++
		switch o.phase {
		case sealing, asking, trimming:
			// The same question under the same Ref, so that the answer to an earlier one counts, however slow a disk is.
			o.age = 0
			for i := range c.cfg.Servers {
				c.to(o, i, c.question(o), &out)
			}
			continue
		case reading:
			if !o.around {
				c.elsewhere(o)
				c.near = o.server // later calls need not find out again that one does not answer
			}
			o.around = false
		case collecting, repairing:
			c.restart(o) // a member may be gone: find another majority
		}
		c.ask(o, &out)
	}
	return out
}

// patience is the number of ticks after which a question is repeated. It grows where a repetition makes earlier answers void, for who repeats
// faster than the servers answer would never come to an end.
func (c *Client) patience(o *op) int {
	switch o.phase {
	case appending, waiting:
		return c.opts.Retry
	case collecting, repairing:
		return c.opts.Retry << min(o.tries, 6)
	}
	return c.opts.Retry << min(o.tries, 3)
}

// question is what a call that seals, trims or asks for a tail asks every server.
func (c *Client) question(o *op) Message {
	m := c.message(Ask)
	switch {
	case o.phase == sealing, o.phase == asking && o.heard&(1<<63) != 0:
		m.Kind = Seal
	case o.phase == trimming:
		m.Kind, m.First = Trim, o.from
	}
	return m
}

// restart makes o ask for everything anew.
func (c *Client) restart(o *op) {
	o.phase, o.infos, o.found, o.members = asking, nil, nil, nil
}

// elsewhere chooses the next server to read from, and passes over those that are away.
func (c *Client) elsewhere(o *op) {
	for range c.cfg.Servers {
		o.server = (o.server + 1) % len(c.cfg.Servers)
		if o.server == c.near || c.opts.Away == nil || !c.opts.Away(o.server) {
			return
		}
	}
}

// ask sends the questions of o's phase, with a Ref that no earlier answer has.
func (c *Client) ask(o *op, out *Output) {
	o.age = 0
	if o.phase == appending {
		// The Ref of an append is its own for ever, so that the sequencer knows it again.
		again := o.ref == o.id
		if again {
			c.probe(o, out)
		}
		o.ref = o.id
		m := c.message(Append)
		m.To, m.Ref, m.Oldest, m.Entries, m.Again = c.cfg.Sequencer, o.id, c.oldest(false), o.body, again
		out.send(m)
		return
	}
	if c.ref++; o.phase == waiting && !c.sealed {
		o.ref = o.id // always the same, so that a server has one Wait for a call however often it is repeated
	} else {
		o.ref = c.ref
	}
	o.heard = 0
	m := c.question(o)
	switch o.phase {
	case waiting:
		if c.sealed && c.mistakes&mistakeLeaveSeal == 0 {
			c.restart(o)
			break
		}
		if c.known >= o.from {
			c.done(o, out, Result{Tail: vlog.Tail{Next: c.known}})
			return
		}
		m.Kind, m.First, m.Oldest = Wait, o.from, c.oldest(true)
	case collecting:
		m.Kind, m.First, m.Next, m.MaxBytes = Fetch, o.cursor, o.end, repairBytes
	case reading:
		m.Kind, m.First, m.Next, m.MaxBytes = Fetch, o.from, o.to, o.limit
		if o.from < c.trimmed {
			c.done(o, out, Result{Trimmed: c.trimmed})
			return
		}
		c.to(o, o.server, m, out)
		return
	}
	if o.phase == waiting {
		// A server that has started again does not know how far the log is committed, and the sequencer has no reason to tell it twice.
		q := c.message(Ask)
		q.To, q.Ref = c.cfg.Sequencer, o.ref
		out.send(q)
	}
	for i := range c.cfg.Servers {
		if (o.phase == collecting || o.phase == repairing) && !slices.Contains(o.members, i) {
			continue
		}
		if o.phase == repairing {
			m.Kind, m.First, m.Entries = Repair, o.cursor, o.take()
		}
		c.to(o, i, m, out)
	}
}

func (c *Client) to(o *op, server int, m Message, out *Output) {
	m.To, m.Disk, m.Ref = c.cfg.Servers[server].Node, c.cfg.Servers[server].Disk, o.ref
	out.send(m)
}

func (c *Client) message(k Kind) Message {
	return Message{Kind: k, From: c.self, Loglet: c.cfg.Loglet, Incarnation: c.cfg.Incarnation, Known: c.known, Bit: c.sealed}
}

// oldest is the lowest Ref of an append, or of a call for a tail, under way.
func (c *Client) oldest(tail bool) uint64 {
	for _, o := range c.calls {
		if tail && o.tail || !tail && o.phase == appending {
			return o.id
		}
	}
	return c.ref
}

// probe asks the servers whether the log is sealed: the sequencer may be dead, or cut off, and an append should not wait for it for ever when
// others have gone on.
func (c *Client) probe(o *op, out *Output) {
	m := c.message(Ask)
	for i := range c.cfg.Servers {
		m.To, m.Disk, m.Ref = c.cfg.Servers[i].Node, c.cfg.Servers[i].Disk, o.id
		out.send(m)
	}
}

// Step handles a message.
func (c *Client) Step(m Message) (out Output) {
	if m.Loglet != c.cfg.Loglet || m.Incarnation != c.cfg.Incarnation && c.mistakes&mistakeAnySequencer == 0 {
		return out
	}
	c.known = max(c.known, m.Known)
	c.sealed = c.sealed || m.Bit
	if c.cfg.index(m.From) >= 0 && m.Status != Over {
		c.trimmed = max(c.trimmed, m.Trimmed)
	}
	// Every call may be moved by a Known; the one that has asked gets the answer.
	for _, o := range slices.Clone(c.calls) {
		switch {
		case o.phase == appending && o.id == m.Ref:
			c.answered(o, m, &out)
		case o.phase == waiting:
			c.waited(o, &out)
		case o.phase == reading && m.Kind == Fetched && m.First == o.from && len(m.Entries) > 0 && c.cfg.index(m.From) >= 0:
			c.arrived(o, m, &out) // whoever was asked, and when: a position has one value
		case o.ref == m.Ref && c.cfg.index(m.From) >= 0:
			c.heard(o, m, &out)
		}
	}
	return out
}

// answered moves an append.
func (c *Client) answered(o *op, m Message, out *Output) {
	if m.Kind == Appended {
		c.done(o, out, Result{Status: m.Status, First: m.First})
		return
	}
	if i := c.cfg.index(m.From); i >= 0 && m.Kind == Info && m.Bit {
		if o.probed |= 1 << i; popcount(o.probed) >= c.cfg.majority() {
			c.done(o, out, Result{Status: Sealed})
		}
	}
}

// enough is how many servers it takes to end the log: so many that they meet every majority, by which entries are committed.
func (c *Client) enough() int {
	if c.mistakes&mistakeSmallSeal != 0 {
		return len(c.cfg.Servers) - c.cfg.majority()
	}
	return c.cfg.majority()
}

// heard moves a call with a server's answer.
func (c *Client) heard(o *op, m Message, out *Output) {
	i := c.cfg.index(m.From)
	bit := uint64(1) << i
	if m.Status == Over && (m.Kind == Info || m.Kind == Fetched) {
		// The chain has left this loglet behind, or never had it. What there is to know of it is that it is sealed.
		switch o.phase {
		case asking, collecting, repairing:
			c.done(o, out, Result{Status: Over, Tail: vlog.Tail{Next: max(c.known, o.end), Sealed: true}})
			return
		case trimming, reading:
			c.done(o, out, Result{Status: Over})
			return
		}
	}
	switch o.phase {
	case sealing:
		if m.Kind == Info && m.Bit {
			if o.heard |= bit; popcount(o.heard) >= c.enough() {
				c.done(o, out, Result{})
			}
		}
	case asking:
		if m.Kind == Info {
			c.asked(o, m, out)
		}
	case collecting:
		if m.Kind == Fetched && slices.Contains(o.members, i) {
			o.heard |= bit
			c.collected(o, m, out)
		}
	case repairing:
		if m.Kind == Info && slices.Contains(o.members, i) && m.Tail >= o.cursor+vlog.Position(len(o.take())) {
			if o.heard |= bit; popcount(o.heard) == len(o.members) {
				c.repaired(o, out)
			}
		}
	case reading:
		if m.Kind == Fetched {
			c.read(o, m, out)
		}
	case trimming:
		if m.Kind == Info && m.Trimmed >= o.from {
			if o.heard |= bit; popcount(o.heard) >= c.cfg.majority() {
				c.done(o, out, Result{First: c.trimmed})
			}
		}
	}
}

// arrived ends a read with entries from its position on, of which there may be more than it wants if another has asked for them.
func (c *Client) arrived(o *op, m Message, out *Output) {
	if o.from < c.trimmed {
		c.done(o, out, Result{Trimmed: c.trimmed})
		return
	}
	n, size := 0, 0
	for n < len(m.Entries) && o.from+vlog.Position(n) < o.to {
		if size += len(m.Entries[n]); n > 0 && size > o.limit {
			break
		}
		n++
	}
	c.done(o, out, Result{Entries: m.Entries[:n:n]})
}

func (c *Client) read(o *op, m Message, out *Output) {
	switch {
	case o.from < c.trimmed:
		c.done(o, out, Result{Trimmed: c.trimmed})
	case o.server == c.cfg.index(m.From):
		// It lacks the entry. Ask the next one, but go round no faster than the ticks.
		c.elsewhere(o)
		if o.around = o.server == c.near; !o.around {
			c.ask(o, out)
		}
	}
}
