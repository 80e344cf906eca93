package rtdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"rebase/auth"
	"rebase/db"
	"rebase/gateway/limit"
	"rebase/live"
	"rebase/query"
	"rebase/store"
	"rebase/tree"
)

// transport moves a client's messages.
type transport interface {
	// ready says that the client's outbox has something to send. It is called with the client's lock held, once until take
	// has emptied the outbox. It must neither block nor call the client.
	ready()
	// finish closes the connection when everything queued has been sent. It is called with the client's lock held.
	finish(code ws.StatusCode, reason string)
	// abort closes the connection at once. It must not block.
	abort()
	name() string
}

// client is one session: the machine, and what carries out what it asks for.
type client struct {
	srv  *Server
	ns   string
	sess *db.Session
	kind string // of the first transport

	// work is held while a request is carried out or the listens are resynchronised.
	work    sync.Mutex
	listens listens

	access access // in whose name it acts
	limits *limit.Client
	remote string // where it connected from

	// mu guards the rest. It is taken under the database's barrier, so nothing is called with it held that takes that.
	mu       sync.Mutex
	m        machine
	via      transport     // where output goes
	other    transport     // the second connection, during an upgrade
	queued   bool          // via.ready has been called
	progress chan struct{} // closed when something was sent, answered, or ended; nil if nobody waits
	results  uint64        // proposals whose results have come
	proving  bool          // a timer will call prove
	revoking int           // revocations that wait for work
	giveUp   func()        // ends what work waits for; nil if it waits for nothing
	host     string        // what the client called the server
	moved    bool          // it has been told to connect again
	ended    bool
	timed    timed
}

var _ live.Subscriber = (*client)(nil)

// resumeWait bounds how long a new connection waits for the log. Until then a client has given up, or will.
const resumeWait = 20 * time.Second

// newClient begins a session. It fails if the log stands still.
func (s *Server) newClient(ns, previous, kind string) (*client, error) {
	ctx, cancel := context.WithTimeout(s.ctx, resumeWait)
	defer cancel()
	sess, err := s.o.DB.ResumeSession(ctx, ns, previous, s.anonymous)
	if err != nil {
		return nil, err
	}
	c := &client{srv: s, ns: ns, kind: kind, sess: sess}
	c.m.ns = ns
	c.m.out.epoch = 1
	c.m.live.heard = s.wheel.elapsed()
	c.m.live.sent = c.m.live.heard - probePause // the first answer need not wait
	c.timed.ticker = c
	return c, nil
}

// begin greets the client. host is what the client called the server: clients keep it and use it for later
// connections, so it must be an address that works for them. It reports whether the server still takes clients; if not, nothing of
// the session is left.
func (c *client) begin(via transport, host string) bool {
	c.via, c.host = via, host
	c.m.out.control(controlFrame("h", helloText(c.srv.o.Now().UnixMilli(), host, c.sess.ID())))
	if !c.srv.add(c) {
		c.sess.End()
		return false
	}
	c.mu.Lock()
	if to := c.srv.redirect.Load(); to != nil {
		if to := (*to)(); to != "" {
			c.move(to)
		}
	}
	c.kick()
	c.mu.Unlock()
	c.sess.OnEnded(c.abort)
	c.srv.wheel.schedule(&c.timed, c.srv.wheel.elapsed()+pingAfter)
	c.srv.o.Metrics.ConnOpened(c.kind)
	return true
}

// abort cuts the connection; the client will come back and send again what was not answered.
func (c *client) abort() {
	c.mu.Lock()
	via := c.via
	c.mu.Unlock()
	if via != nil {
		via.abort()
	}
}

// await waits for something on behalf of a request; the end of the session ends it.
func (c *client) await(f func(context.Context) error) error {
	ctx, cancel := context.WithCancel(c.srv.ctx)
	defer cancel()
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return errEnded
	}
	c.giveUp = cancel
	c.mu.Unlock()
	err := f(ctx)
	c.mu.Lock()
	c.giveUp = nil
	c.mu.Unlock()
	return err
}

// kick tells the transport that there is output. The caller holds mu.
func (c *client) kick() {
	if !c.queued && !c.m.out.empty() {
		c.queued = true
		c.via.ready()
	}
}

// take hands output to the transport. The caller holds mu. The transport clears queued when there is no more.
func (c *client) take(dst []item, limit int) []item {
	dst = c.m.out.take(dst, limit)
	c.progressed()
	return dst
}

// maxQueuedRest is how many bytes of answers and of full data may wait before the next request is read.
const maxQueuedRest = 1 << 20

// progressed wakes those who wait for the state of the queue to change. The caller holds mu.
func (c *client) progressed() {
	if c.progress != nil {
		close(c.progress)
		c.progress = nil
	}
}

// waitUntil returns when cond, which is called with mu held, holds or the session has ended.
func (c *client) waitUntil(cond func() bool) {
	for {
		c.mu.Lock()
		if c.ended || cond() {
			c.mu.Unlock()
			return
		}
		if c.progress == nil {
			c.progress = make(chan struct{})
		}
		progress := c.progress
		c.mu.Unlock()
		<-progress
	}
}

// hasRoom says that the results of another request can be held. The caller holds mu.
func (c *client) hasRoom() bool {
	return c.m.answers.outstanding() < c.srv.o.MaxPipelined && c.m.out.restBytes <= maxQueuedRest
}

// heard notes that the client is alive.
func (c *client) heard() {
	now := c.srv.wheel.elapsed()
	c.mu.Lock()
	c.m.live.heard = now
	c.mu.Unlock()
}

// lost is called by a transport whose connection is gone.
func (c *client) lost(t transport) {
	c.mu.Lock()
	over := c.via == t
	if c.other == t {
		c.other = nil
		over = c.m.secondaryLost()
	}
	c.progressed()
	c.mu.Unlock()
	if over {
		c.end()
	}
}

// receive carries out one message. It returns when the next one may be looked at; an error ends the session.
func (c *client) receive(from transport, text []byte) error {
	until, err := c.charge(1, 0) // its bytes have been counted as they came
	if err != nil {
		return err
	}
	c.work.Lock()
	err = c.step(from, text)
	c.work.Unlock()
	if err == nil {
		c.pause(until)
		c.waitUntil(c.hasRoom)
	}
	return err
}

func (c *client) step(from transport, text []byte) error {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return errEnded
	}
	if c.moved { // it has been told that this will not be answered, and sends it again
		c.mu.Unlock()
		return nil
	}
	var on line
	switch from {
	case c.via:
		on = primary
	case c.other:
		on = secondary
	default: // it was switched away from
		c.mu.Unlock()
		return nil
	}
	e, err := c.m.receive(on, text)
	if err != nil {
		c.mu.Unlock()
		return err
	}
	switch e.kind {
	case answer:
		c.m.fill(e.slot, e.status, e.payload, 0)
	case endPrimary:
		c.switchOver()
	}
	c.kick()
	c.mu.Unlock()

	switch e.kind {
	case propose:
		c.propose(e)
	case listen:
		c.listen(e)
	case unlisten:
		c.unlisten(e)
	case get:
		c.get(e)
	case authenticate:
		c.authenticate(e)
	case forget:
		if err := c.become(auth.Identity{}); err != nil {
			c.refuse(e.slot, err)
			break
		}
		c.answer(e.slot, "ok", []byte(`"unauthenticated"`))
	case checkApp:
		c.checkApp(e)
	case forgetApp:
		c.forgetApp(e)
	case say:
		from.(*wsTransport).say(e.reply)
	case awaitOld:
		return errAwaitOld
	}
	return nil
}

// oversized refuses a message that was too long to be kept; only its ends are known.
func (c *client) oversized(from transport, head, tail []byte) error {
	c.work.Lock()
	c.mu.Lock()
	on := secondary
	if c.via == from {
		on = primary
	}
	e, err := c.m.oversized(on, head, tail)
	if err == nil {
		c.m.fill(e.slot, e.status, e.payload, 0)
		c.kick()
	}
	c.mu.Unlock()
	c.work.Unlock()
	if err == nil {
		c.waitUntil(c.hasRoom)
	}
	return err
}

// switchOver ends long polling and goes on over the second connection. The caller holds mu.
func (c *client) switchOver() {
	c.via.(*lpTransport).endTransmission(c.take(nil, math.MaxInt))
	t := c.other.(*wsTransport)
	t.conn.SetReadDeadline(time.Time{})
	c.via, c.other = t, nil
	c.m.live.heard = c.srv.wheel.elapsed()
	c.drained() // the old transport would have said so
}

var (
	errEnded = errors.New("the session has ended")
	// errAwaitOld is how step tells the reader of a second connection to wait for the end of the first one.
	errAwaitOld = errors.New("the first connection has not ended")
)

// answer answers a request.
func (c *client) answer(slot uint64, status string, payload []byte) {
	c.mu.Lock()
	id := c.m.answers.id(slot)
	c.mu.Unlock()
	f := answerFrame(id, status, payload) // long perhaps, and changes of the database wait for mu
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.answers.fill(slot, f, 0, c.m.out.answer)
	c.progressed()
	c.kick()
}

func (c *client) refuse(slot uint64, err error) {
	status, reason := statusOf(err)
	c.answer(slot, status, tree.AppendJSONString(nil, reason))
}

func (c *client) propose(e effect) {
	if err := c.admitted(); err != nil {
		c.refuse(e.slot, err)
		return
	}
	audited := c.audited(e.op)
	c.sess.Propose(e.op, func(r db.Result) {
		c.result(e.slot, r)
		if audited != nil {
			audited(r)
		}
	})
}

// result answers a write. It runs on the apply goroutine, after the pushes of the write.
func (c *client) result(slot uint64, r db.Result) {
	if errors.Is(r.Err, db.ErrClosed) || errors.Is(r.Err, db.ErrSessionEnded) {
		// Not answering is the answer: the client will send the write again when it has reconnected.
		c.abort()
		return
	}
	if r.Replayed {
		c.srv.o.Metrics.Replay()
	}
	status, payload := "ok", emptyText
	if r.Err != nil {
		var reason string
		status, reason = statusOf(r.Err)
		payload = tree.AppendJSONString(nil, reason)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var seq uint64
	if r.Pos != 0 {
		c.results++
		seq = c.results
	}
	c.m.fill(slot, status, payload, seq)
	c.prove()
	c.progressed()
	c.kick()
}

// prove sees to it that the client proves the receipt of its answers. The caller holds mu.
func (c *client) prove() {
	l, answered := &c.m.live, c.m.out.answered
	if answered <= l.confirmed || l.waiting || c.ended || c.via.name() != "ws" {
		return // a pong leads here again; polls prove by themselves
	}
	now := c.srv.wheel.elapsed()
	switch {
	case l.mute:
		c.srv.wheel.schedule(&c.timed, max(l.proofDue(), now+probePause))
	case l.prove(now, answered):
		c.m.out.control(appendFrame(nil, ws.OpPing, pingPayload(answered)))
	case !c.proving:
		// The wheel is too coarse for this, and there is at most one such timer for each ping.
		c.proving = true
		time.AfterFunc(l.proofDue()-now, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.proving = false
			c.prove()
			c.kick()
		})
	}
}

// listen sends the data, answers, and lets the changes follow.
func (c *client) listen(e effect) {
	if err := c.admitted(); err != nil {
		c.refuse(e.slot, err)
		return
	}
	if err := c.await(c.sess.Wait); err != nil {
		c.refuse(e.slot, err)
		return
	}
	c.drop(e.path, e.query.ID()) // a second listen for the same thing replaces the first
	if len(c.listens.all) >= c.srv.o.MaxListens {
		c.refuse(e.slot, &refusal{"too_many_listens", "The client listens to too many locations and queries at the same time."})
		return
	}
	l, err := c.srv.o.Hub.Listen(c.ns, e.path, e.query, c.caller(), c)
	if err != nil {
		c.refuse(e.slot, err)
		return
	}
	ls := &listening{l: l, tag: e.tag, id: e.query.ID()}
	l.Data = ls
	data, _, indexed, err := l.Initial(c.srv.o.MaxReadBytes)
	if err != nil {
		l.Close()
		c.refuse(e.slot, readError(err))
		return
	}
	c.listens.add(ls)
	payload := emptyObj
	if !indexed && needsIndex(&e.query) {
		payload = []byte(`{"w":["no_index"]}`)
	}
	f := initialFrame(&e, data)
	c.limits.Debit(len(f))
	c.mu.Lock()
	if f == nil {
		ls.epoch = c.m.out.join()
	} else {
		ls.epoch = c.m.out.bulk(f)
	}
	c.m.fill(e.slot, "ok", payload, 0)
	c.kick()
	c.mu.Unlock()
	l.Start()
}

// initialFrame is what a client that listens has to be sent first; nil if what it has in its cache is right.
func initialFrame(e *effect, data *tree.Node) frame {
	if e.hash != nil {
		// A client without a cache says so by an empty hash, which only nothing has: no need to compute one.
		if *e.hash == "" && data.IsNull() || *e.hash != "" && *e.hash == tree.Hash(data) {
			return nil
		}
	}
	if e.comp != nil {
		if ranges := e.comp.missing(data); len(ranges) > 0 {
			return rangePush(e.path, ranges).frame(e.tag)
		}
		// The compound hashes say that nothing differs, the plain hash says that something does: believe the latter.
	}
	return putPush(e.path, false, data).frame(e.tag)
}

// needsIndex says that the order is one for which the rules have to declare an index.
func needsIndex(q *query.Query) bool {
	return !q.IsDefault() && (q.Index.Kind == query.ByChild || q.Index.Kind == query.ByValue)
}

func readError(err error) error {
	if errors.Is(err, store.ErrTooBig) {
		return &refusal{"too_big", "The data requested exceeds the maximum size that can be accessed with a single request."}
	}
	return err
}

// drop ends a listen, if there is one.
func (c *client) drop(p tree.Path, id string) {
	if ls := c.listens.remove(p, id); ls != nil {
		ls.l.Close()
	}
}

func (c *client) unlisten(e effect) {
	c.drop(e.path, e.query.ID())
	c.answer(e.slot, "ok", emptyText)
}

// get reads once, and sees everything that was acknowledged before, by whatever node. Clients do not filter the answer themselves.
func (c *client) get(e effect) {
	if err := c.admitted(); err != nil {
		c.refuse(e.slot, err)
		return
	}
	err := c.await(func(ctx context.Context) error {
		if err := c.sess.Wait(ctx); err != nil {
			return err
		}
		return c.srv.o.DB.Sync(ctx)
	})
	if err != nil {
		c.abort() // what it does not know another server may know
		return
	}
	data, err := c.read(&e)
	if err != nil {
		c.refuse(e.slot, readError(err))
		return
	}
	text := tree.AppendExport(nil, data)
	c.limits.Debit(len(text))
	c.answer(e.slot, "ok", text)
}

func (c *client) read(e *effect) (*tree.Node, error) {
	snap := c.srv.o.DB.View(c.ns)
	defer snap.Close()
	if err := c.mayRead(snap, e.path, &e.query); err != nil {
		return nil, err
	}
	if e.query.IsDefault() {
		return snap.GetLimit(c.ns, e.path, c.srv.o.MaxReadBytes)
	}
	if needsIndex(&e.query) {
		_, indexed, err := snap.Source(c.ns, e.path, &e.query)
		if err != nil {
			return nil, err
		}
		if !indexed {
			return nil, &refusal{"failure", fmt.Sprintf("Index not defined, add \".indexOn\": %q, for path %q, to the rules", e.query.Index.String(), "/"+e.path)}
		}
	}
	return live.ReadQuery(snap, c.ns, e.path, &e.query, c.srv.o.MaxReadBytes)
}

// Deliver implements live.Subscriber: it runs under the database's barrier.
func (c *client) Deliver(ev *live.Event, l *live.Listener) {
	ls := l.Data.(*listening)
	var f frame
	switch ev.Kind {
	case live.Put, live.Merge:
		f = ev.Memo(live.MemoWS, encodeEvent).(*push).frame(ls.tag)
	case live.Revoked:
		var q []byte
		if !l.Query().IsDefault() {
			q = l.Query().WireJSON()
		}
		f = revokedFrame(l.Path(), q)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || ls.gone {
		return
	}
	switch ev.Kind {
	case live.Put, live.Merge:
		if c.m.out.push(f, ls.epoch, c.srv.o.MaxQueuedPushBytes) {
			c.stale()
		}
	case live.Lost:
		if ls.epoch == c.m.out.epoch {
			c.m.out.drop()
			c.stale()
		}
	case live.Revoked:
		ls.gone = true
		c.m.out.control(f)
	}
	c.kick()
}

// stale is called when the outbox has dropped pushes. The caller holds mu.
func (c *client) stale() {
	c.srv.o.Metrics.Resync()
	if c.m.out.needsResync() && !c.queued {
		go c.resync() // nothing is being sent, so no transport will notice
	}
}

// drained is called by a transport that has sent all it was given and found no more. The caller holds mu.
func (c *client) drained() {
	c.queued = false
	if c.m.out.needsResync() && !c.ended {
		go c.resync()
	}
}

// resync sends the full data of all listens after pushes were dropped; see outbox.
func (c *client) resync() {
	c.work.Lock()
	defer c.work.Unlock()
	c.mu.Lock()
	if c.ended || !c.m.out.needsResync() {
		c.mu.Unlock()
		return
	}
	c.m.out.beginResync()
	c.mu.Unlock()

	resynced := make([]*listening, 0, len(c.listens.all))
	for _, ls := range c.listens.all {
		data, err := ls.l.Resync()
		c.mu.Lock()
		if c.ended {
			c.mu.Unlock()
			return
		}
		if ls.gone || errors.Is(err, live.ErrListenerClosed) {
			c.mu.Unlock()
			continue
		}
		if err != nil {
			via := c.via
			c.mu.Unlock()
			c.srv.o.Logger.Error("a slow client cannot be resynchronised", "ns", c.ns, "path", ls.l.Path(), "err", err)
			via.abort()
			return
		}
		c.mu.Unlock()
		f := putPush(ls.l.Path(), false, data).frame(ls.tag)
		c.mu.Lock()
		ls.epoch = c.m.out.bulk(f)
		c.kick()
		c.mu.Unlock()
		resynced = append(resynced, ls)
		// The full data of many listens must not be in memory at once.
		c.waitUntil(func() bool { return c.revoking > 0 || c.m.out.queuedBytes() <= maxQueuedRest })
		c.mu.Lock()
		if c.revoking > 0 {
			// It must not have to wait for a client that takes its data as slowly as it likes, and fresh data each time.
			via := c.via
			c.mu.Unlock()
			via.abort()
			return
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	c.m.out.resynced()
	c.kick()
	c.mu.Unlock()
	for _, ls := range resynced {
		ls.l.Start()
	}
	c.mu.Lock()
	c.m.out.caughtUp()
	c.prove()
	c.progressed()
	c.kick()
	again := c.m.out.needsResync() && !c.queued && !c.ended
	c.mu.Unlock()
	if again {
		go c.resync()
	}
}

// pong takes the answer to a ping.
func (c *client) pong(payload []byte) {
	c.mu.Lock()
	seq, ok := c.m.live.pong(payload)
	c.prove() // more may have been answered since the ping
	c.kick()
	c.mu.Unlock()
	if ok {
		c.sess.Confirm(seq)
	}
}

// tick runs on the wheel.
func (c *client) tick(now time.Duration) time.Duration {
	c.mu.Lock()
	if c.ended || c.via == nil {
		c.mu.Unlock()
		return 0
	}
	if lp, ok := c.via.(*lpTransport); ok {
		defer c.mu.Unlock()
		return lp.tick(now)
	}
	w := c.via.(*wsTransport)
	if w.busy.Load() {
		// What the client says is not read, perhaps until it has taken what it asked for. If it takes nothing, writing fails.
		c.m.live.heard = now
	}
	answered := c.m.out.answered
	t := c.m.live.tick(now, answered)
	if t.giveUp {
		c.srv.o.Logger.Info("a client is silent; its connection is closed", "ns", c.ns, "session", c.sess.ID(), "after", giveUpAfter)
		c.via.abort()
		c.mu.Unlock()
		return 0
	}
	if t.ping {
		c.m.out.control(appendFrame(nil, ws.OpPing, pingPayload(t.payload)))
		c.kick()
	}
	arrived := false
	if t.probe && !c.queued && w.delivered() {
		c.m.live.delivered(answered)
		t.next = c.m.live.due(now, answered)
		arrived = true
	}
	if next := w.tickIdle(now, c.m.live.heard); next > 0 {
		t.next = min(t.next, next)
	}
	c.mu.Unlock()
	if arrived {
		go c.sess.Confirm(answered) // it may have to wait for the database, the wheel must not
	}
	return t.next
}

// end ends the session: its listens stop and its onDisconnect operations run.
func (c *client) end() {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	c.access.stop()
	c.progressed()
	if c.giveUp != nil {
		c.giveUp()
	}
	via, other := c.via, c.other
	c.mu.Unlock()
	via.abort()
	if other != nil {
		other.abort()
	}

	c.work.Lock() // a request may still be under way
	for _, ls := range c.listens.all {
		ls.l.Close()
	}
	c.listens = listens{}
	c.work.Unlock()
	c.mu.Lock()
	c.m.out.abandon() // the wheel knows the client for a while yet
	c.mu.Unlock()
	c.sess.End()
	c.limits.Release()
	c.srv.remove(c)
	c.srv.o.Metrics.ConnClosed(c.kind)
}
