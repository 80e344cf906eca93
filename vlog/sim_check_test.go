package vlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// simEnd is the value appended last.
const simEnd = "the end"

// simCheck judges what calls return, in the order in which they do, which is real time.
type simCheck struct {
	err     error
	open    []*simCall
	values  map[vlog.Position]string // as anybody has seen them
	acked   map[vlog.Position]string
	begun   map[string]bool
	top     vlog.Position // the highest acknowledged
	tail    vlog.Position // the furthest that any call has returned
	trimmed vlog.Position // the furthest trim asked for
	streams int
	serial  int
	ends    map[string]vlog.Position // of loglets, in their own positions, where a stored chain has ended them
	reached map[string]vlog.Position // the furthest that was said to be in an open loglet
	wishes  map[int]bool             // that some stored chain fulfils
	refused map[int]bool             // that callers believe to be unfulfilled
	stats   struct{ acks, reads, tails, chains, won, overtaken, trims, archived int }
}

// simCall is a call of a client.
type simCall struct {
	proc   *simProc
	kind   string
	values []string
	from   vlog.Position
	to     vlog.Position
	top    vlog.Position // acknowledged before it began
	tail   vlog.Position // returned before it began
	wish   int
	ended  bool
}

func (c *simCheck) init() {
	c.values, c.acked, c.begun = map[vlog.Position]string{}, map[vlog.Position]string{}, map[string]bool{}
	c.ends, c.reached = map[string]vlog.Position{}, map[string]vlog.Position{}
	c.wishes, c.refused = map[int]bool{}, map[int]bool{}
	c.tail, c.trimmed = 1, 1
}

func (c *simCheck) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// durable looks at what reaches a disk.
func (c *simCheck) durable(r core.Record) {
	if r.Kind == core.RecordEntry && !c.begun[string(r.Payload)] {
		c.fail("%q is stored, which nobody has appended", r.Payload)
	}
}

// see: a position has one value, whoever looks.
func (c *simCheck) see(p vlog.Position, v, where string) {
	if old, ok := c.values[p]; ok && old != v {
		c.fail("position %d is %s and, %s, %s", p, old, where, v)
	}
	if !c.begun[v] {
		c.fail("position %d holds %q, which nobody has appended", p, v)
	}
	c.values[p] = v
}

// inLoglet: what a loglet vouched for while it was open lies below the end that the chain gives it.
func (c *simCheck) inLoglet(config string, next vlog.Position, what string) {
	c.reached[config] = max(c.reached[config], next)
	if end, ok := c.ends[config]; ok && next > end {
		c.fail("%s: up to %d, %s, but the chain has ended it at %d", config, next, what, end)
	}
}

// chain judges a chain that takes the place of another.
func (c *simCheck) chain(w *sim, old, value []byte) {
	now, err := vlog.DecodeChain(value)
	if err != nil {
		c.fail("a chain that cannot be read: %v", err)
		return
	}
	c.stats.chains++
	for _, m := range w.made {
		m.named = false
	}
	for _, s := range now.Segments {
		m := w.made[string(s.Config)]
		if m == nil && s.Kind == "cold" && s.Sealed && w.cold[string(s.Config)] != nil {
			continue
		}
		if m == nil {
			c.fail("the chain names a loglet that was never made: %q", s.Config)
			return
		}
		c.wishes[m.wish] = true
		if m.named = true; m.discarded {
			c.fail("the chain names %s, which was discarded", m.config)
		}
		if !s.Sealed {
			continue
		}
		end := s.End - s.Start + 1
		if was, ok := c.ends[m.config]; ok && was != end {
			c.fail("%s was ended at %d and now at %d", m.config, was, end)
		}
		c.ends[m.config] = end
		if c.reached[m.config] > end {
			c.fail("%s is ended at %d; up to %d was acknowledged, or said to be its tail", m.config, end, c.reached[m.config])
		}
	}
	if len(old) == 0 {
		return
	}
	before, err := vlog.DecodeChain(old)
	if err != nil {
		c.fail("%v", err)
		return
	}
	for _, s := range before.Segments {
		i := slices.IndexFunc(now.Segments, func(n vlog.Segment) bool { return n.ID == s.ID })
		switch {
		case i < 0 && s.ID >= now.Lowest, i < 0 && !s.Sealed:
			c.fail("the chain has lost loglet %d", s.ID)
		case i < 0 && s.End > c.trimmed:
			c.fail("the chain has dropped loglet %d, which ends at %d; the furthest trim asked for is %d", s.ID, s.End, c.trimmed)
		case i >= 0 && (string(now.Segments[i].Config) != string(s.Config) && (now.Segments[i].Kind != "cold" || !s.Sealed) || now.Segments[i].Start != s.Start || s.Sealed && now.Segments[i].End != s.End):
			c.fail("the chain has another loglet %d: %q and %q", s.ID, s.Config, now.Segments[i].Config)
		}
	}
}

// begins and ends are called with mu held.
func (w *sim) begins(call *simCall) *simCall {
	c := &w.check
	call.top, call.tail = c.top, c.tail
	for _, v := range call.values {
		c.begun[v] = true
	}
	if call.kind == "trim" {
		c.trimmed = max(c.trimmed, call.from)
	}
	c.open = append(c.open, call)
	w.note("client %d begins %s %v %d %d wish %d", call.proc.id, call.kind, call.values, call.from, call.to, call.wish)
	call.proc.calls++
	return call
}

func (w *sim) ended(call *simCall, err error) bool {
	call.ended = true
	call.proc.calls--
	w.check.open = slices.DeleteFunc(w.check.open, func(c *simCall) bool { return c == call })
	w.note("client %d ends %s %v %d: %v", call.proc.id, call.kind, call.values, call.from, err)
	if err == nil || !call.proc.up || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errNoAnswer) {
		return err == nil
	}
	if call.kind == "archive" && (errors.Is(err, vlog.ErrOvertaken) || errors.Is(err, vlog.ErrTrimmed)) {
		return false
	}
	if call.kind == "reconfigure" && (errors.Is(err, vlog.ErrOvertaken) || errors.Is(err, errCannotStart)) ||
		(call.kind == "read" || call.kind == "follow") && errors.Is(err, vlog.ErrTrimmed) {
		return false
	}
	w.check.fail("client %d: %s %v %d: %v", call.proc.id, call.kind, call.values, call.from, err)
	return false
}

// patience is how long a call may take; none for most.
func (w *sim) patience(of int) time.Duration {
	if w.healing || w.rng.IntN(of) > 0 {
		return 0
	}
	return w.unlike(time.Duration(1+w.rng.IntN(400)) * time.Millisecond)
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), d)
}

// unlike makes a duration different from all others, so that no two calls lose patience at the same moment.
func (w *sim) unlike(d time.Duration) time.Duration {
	w.durations++
	return d + time.Duration(w.durations)
}

// begin begins a call of some client.
func (w *sim) begin() {
	p := w.clients[w.rng.IntN(len(w.clients))]
	if p.log == nil || p.paused || p.calls > 6 {
		return
	}
	switch x := w.rng.IntN(40); {
	case x < 17:
		if !p.appending {
			p.appending = true
			w.append(p, "", w.patience(6))
		}
	case x < 20:
		if p.loose {
			w.append(p, "loose", w.patience(3))
		}
	case x < 26:
		w.tails(p, 0, w.patience(6))
	case x < 28:
		w.tails(p, p.tail+vlog.Position(w.rng.IntN(3)), w.unlike(time.Second))
	case x < 31:
		if p.tail > 1 {
			w.read(p, 1+vlog.Position(w.rng.IntN(int(p.tail-1))))
		}
	case x < 33:
		if w.rng.IntN(3) == 0 {
			w.trim(p, 1+vlog.Position(w.rng.IntN(int(p.tail))))
		}
	case x < 34:
		w.status(p)
	case x < 36:
		w.archive(p)
	default:
		if w.rng.IntN(4) < w.restless {
			w.reconfigure(p)
		}
	}
}

func (w *sim) append(p *simProc, kind string, patience time.Duration) *simCall {
	call := &simCall{proc: p, kind: "append"}
	w.check.serial++
	stream := kind
	if kind == "" {
		stream = fmt.Sprint("s", p.stream)
		if p.loose { // there are others under way, so what it gives up may come behind what follows
			stream = fmt.Sprint("m", p.stream)
		}
	}
	for i := range 1 + w.rng.IntN(3)*w.rng.IntN(2) {
		call.values = append(call.values, fmt.Sprintf("%s.%d.%d", stream, w.check.serial, i))
	}
	if kind == simEnd {
		call.values = []string{simEnd}
	}
	w.begins(call)
	w.wg.Go(func() {
		ctx, cancel := within(patience)
		defer cancel()
		var body [][]byte
		for _, v := range call.values {
			body = append(body, []byte(v))
		}
		first, err := p.log.Append(ctx, body...)
		w.mu.Lock()
		defer w.mu.Unlock()
		if kind == "" {
			p.appending = false
		}
		if !w.ended(call, err) {
			return
		}
		c := &w.check
		if first <= call.top {
			c.fail("%s acknowledged at %d, begun when %d was", call.values[0], first, call.top)
		}
		for i, v := range call.values {
			pos := first + vlog.Position(i)
			if old, twice := c.acked[pos]; twice {
				c.fail("position %d was acknowledged for %s and for %s", pos, old, v)
			}
			c.see(pos, v, "acknowledged")
			c.acked[pos] = v
			c.top = max(c.top, pos)
			c.stats.acks++
		}
	})
	return call
}

func (w *sim) tails(p *simProc, atLeast vlog.Position, patience time.Duration) *simCall {
	call := w.begins(&simCall{proc: p, kind: "tail", from: atLeast})
	w.wg.Go(func() {
		ctx, cancel := within(patience)
		defer cancel()
		w.tailed(call, ctx)
	})
	return call
}

func (w *sim) tailed(call *simCall, ctx context.Context) (vlog.Position, bool) {
	t, err := call.proc.log.WaitTail(ctx, call.from)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended(call, err) {
		return 0, false
	}
	c := &w.check
	if t.Sealed {
		c.fail("the log as a whole is said to be sealed, at %d", t.Next)
	}
	if t.Next < call.from {
		c.fail("the wait for %d ended at %d", call.from, t.Next)
	}
	if floor := max(call.tail, call.top+1); t.Next < floor && call.from == 0 {
		c.fail("tail %d, but %d had been seen before it was asked for", t.Next, floor)
	}
	if call.from == 0 {
		c.tail = max(c.tail, t.Next)
	}
	call.proc.tail = max(call.proc.tail, t.Next)
	c.stats.tails++
	return t.Next, true
}

func (w *sim) read(p *simProc, from vlog.Position) {
	call := w.begins(&simCall{proc: p, kind: "read", from: from, to: p.tail})
	limit := w.rng.IntN(30)
	patience := w.patience(6)
	w.wg.Go(func() {
		ctx, cancel := within(patience)
		defer cancel()
		w.readOnce(call, ctx, limit)
	})
}

// readOnce reads and judges; it returns where to go on, 0 after an error.
func (w *sim) readOnce(call *simCall, ctx context.Context, limit int) (next vlog.Position, last bool) {
	es, err := call.proc.log.Read(ctx, call.from, call.to, limit)
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &w.check
	var trimmed *vlog.TrimmedError
	if errors.As(err, &trimmed) {
		if trimmed.First > c.trimmed || trimmed.First <= call.from {
			c.fail("%d is trimmed, the log begins at %d; the furthest trim asked for is %d", call.from, trimmed.First, c.trimmed)
		}
		w.ended(call, err)
		return trimmed.First, false
	}
	if !w.ended(call, err) {
		return 0, false
	}
	c.stats.reads++
	if len(es) == 0 {
		c.fail("nothing is read in [%d,%d), below a tail", call.from, call.to)
	}
	next = call.from
	for _, e := range es {
		if e.Pos != next || next >= call.to {
			c.fail("read [%d,%d) gives %d where %d was due", call.from, call.to, e.Pos, next)
		}
		c.see(e.Pos, string(e.Payload), fmt.Sprintf("read by client %d,", call.proc.id))
		next++
		last = last || string(e.Payload) == simEnd
	}
	return next, last
}

// follow reads the log from its beginning to its end, as the apply loop of a replica does.
func (w *sim) follow(p *simProc) {
	ctx := context.Background()
	for at := vlog.Position(1); ; {
		w.mu.Lock()
		if !p.up {
			w.mu.Unlock()
			return
		}
		call := w.begins(&simCall{proc: p, kind: "tail", from: at + 1})
		w.mu.Unlock()
		tail, ok := w.tailed(call, ctx)
		if !ok {
			return
		}
		for at < tail {
			w.mu.Lock()
			call := w.begins(&simCall{proc: p, kind: "follow", from: at, to: tail})
			w.mu.Unlock()
			next, last := w.readOnce(call, ctx, 40)
			if next == 0 || last {
				return
			}
			at = next
		}
	}
}

// readAll reads everything once.
func (w *sim) readAll(p *simProc) {
	w.mu.Lock()
	call := w.begins(&simCall{proc: p, kind: "tail"})
	w.mu.Unlock()
	tail, ok := w.tailed(call, context.Background())
	for at := vlog.Position(1); ok && at < tail; {
		w.mu.Lock()
		call := w.begins(&simCall{proc: p, kind: "follow", from: at, to: tail})
		w.mu.Unlock()
		if at, _ = w.readOnce(call, context.Background(), 1000); at == 0 {
			return
		}
	}
}

func (w *sim) trim(p *simProc, before vlog.Position) {
	call := w.begins(&simCall{proc: p, kind: "trim", from: before})
	w.check.stats.trims++
	patience := w.patience(4)
	w.wg.Go(func() {
		ctx, cancel := within(patience)
		defer cancel()
		got, err := p.log.Trim(ctx, before)
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.ended(call, err) && got > w.check.trimmed {
			w.check.fail("trim(%d) = %d; the furthest asked for is %d", before, got, w.check.trimmed)
		}
	})
}

func (w *sim) status(p *simProc) {
	call := w.begins(&simCall{proc: p, kind: "status"})
	patience := w.unlike(time.Duration(1+w.rng.IntN(300)) * time.Millisecond)
	w.wg.Go(func() {
		ctx, cancel := within(patience)
		defer cancel()
		st := p.log.Status(ctx)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended(call, nil)
		for _, s := range st.Segments {
			if m := w.made[string(s.Config)]; s.Err == nil && s.Sealed && (!s.Tail.Sealed || s.Tail.Next < s.End) && (m == nil || !m.removed) {
				w.check.fail("loglet %d is said to end at %+v, the chain says %d", s.ID, s.Tail, s.End)
			}
		}
	})
}

func (w *sim) reconfigure(p *simProc) *simCall {
	next := vlog.Segment{Kind: "sim", Config: []byte(w.wish(p))}
	call := w.begins(&simCall{proc: p, kind: "reconfigure", wish: w.wishes})
	patience := w.patience(3)
	w.wg.Go(func() {
		ctx, cancel := within(patience)
		defer cancel()
		err := p.log.Reconfigure(ctx, next)
		w.mu.Lock()
		defer w.mu.Unlock()
		c := &w.check
		if w.ended(call, err) {
			c.stats.won++
			if !c.wishes[call.wish] {
				c.fail("client %d was told that wish %d is fulfilled; no chain says so", p.id, call.wish)
			}
		} else if errors.Is(err, vlog.ErrOvertaken) {
			c.stats.overtaken++
			c.refused[call.wish] = true
		}
	})
	return call
}

// finish looks at the whole log after it was read.
func (c *simCheck) finish() {
	if c.err != nil {
		return
	}
	for wish := range c.refused {
		if c.wishes[wish] {
			c.fail("somebody was told that wish %d is not fulfilled, and it was", wish)
		}
	}
	// What one client appends, one after the other, stands in that order, however often. A batch stands together, but an end may cut it.
	type place struct{ call, value int }
	last := map[string]place{}
	for p := c.first(); p < c.tail; p++ {
		v, ok := c.values[p]
		if !ok {
			c.fail("nothing at %d below the tail %d", p, c.tail)
			return
		}
		parts := strings.Split(v, ".")
		if len(parts) != 3 || parts[0][0] != 's' {
			continue
		}
		var now place
		fmt.Sscan(parts[1], &now.call)
		fmt.Sscan(parts[2], &now.value)
		was, known := last[parts[0]]
		if known && (now.call < was.call || now.value != 0 && now != (place{was.call, was.value + 1})) {
			c.fail("%s is at %d, behind value %d of call %d", v, p, was.value, was.call)
		}
		last[parts[0]] = now
	}
}

// first is the first position that must be there.
func (c *simCheck) first() vlog.Position { return c.trimmed }
