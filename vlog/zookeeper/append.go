package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"rebase/vlog"
)

// How an append works
//
// All calls that have gathered become one batch, which is one transaction:
//
//	check(seal, s)  setData(tail, version x)  [create(chunk)]  create(entries/<chunk>/<first>-<writer>-<number>)
//
// The tail that was read at version x says where the batch begins, so positions are dense, and of all transactions that begin
// from version x one succeeds. A seal changes the version of its node and thereby makes all later ones fail.
//
// What if the answer is lost? The very same transaction is sent again. Either it succeeds, and then no other copy of it can, since the tail's version has
// moved on; or it is refused because the tail has moved on (or the log is sealed), and then the batch's node, whose name no other attempt can have, tells
// whether a copy had succeeded before.
//
// Several batches may be under way, each of which begins where the one before it will end. ZooKeeper carries out the transactions of a session in their order. If one
// fails the next must not succeed, even though another writer may have brought the tail to the version it counts on: so it also
// checks that the node of the one before it is there.
//
// Several writers compete for the tail's version. Whoever loses takes the new tail, which it has asked for behind its transaction, and tries again;
// so all have the same chance, as long as nobody has a second transaction under way. A writer that has lost several times says so by changing the version
// of the seal node (not its meaning): then the transactions under way of everybody fail, and writers send one at a time for a while.

// maxAppendBytes is the limit of one Append: ZooKeeper keeps everything in memory.
const maxAppendBytes = 64 << 20

const (
	// While one is under way another is sent only if there is much to send: two small transactions are more work for the servers than one.
	flightBytes = 64 << 10
	// maxCalls bounds the calls in one batch.
	maxCalls = 4096
	// patience is how many races for the tail a writer loses before it asks the others to send one batch at a time, and courtesy is for how
	// many batches one does that.
	patience = 3
	courtesy = 64
)

// appendCall is one Append.
type appendCall struct {
	entries [][]byte
	size    int
	large   *large // the entries are in parts
	first   vlog.Position
	err     error
	done    chan struct{}
}

// large is an Append in parts.
type large struct {
	ref   reference
	count int
}

// batch is what goes into one transaction.
type batch struct {
	calls  []*appendCall
	number uint64
	count  int // of entries
	data   []byte
	large  *large
}

// attempt is a batch that has been sent from a certain end on.
type attempt struct {
	batch
	name   batchName
	from   end
	behind *batchName // the attempt that must have succeeded before
	seal   int32
	call   *call
	doubt  bool // a copy was sent of which it is not known what it has come to
	// Asked behind the transaction, when there is competition.
	conn       *conn
	tail, stop *call
}

// appender is the state of commit, and what it shares with Append.
type appender struct {
	mu      sync.Mutex
	queue   []*appendCall
	bytes   int
	kick    chan struct{}
	numbers uint64 // given to batches and to folders of parts

	// Of commit alone.
	flight  []*attempt
	from    end // where the next batch begins
	seal    int32
	ready   bool // from and seal are valid
	polite  int  // for so many batches, one at a time
	losses  int  // races lost in a row
	retries []batch
}

func (a *appender) init() { a.kick = make(chan struct{}, 1) }

func (a *appender) number() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.numbers++
	return a.numbers
}

// Append implements vlog.Loglet. Its limit is 64 MiB.
func (l *Loglet) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	if size > maxAppendBytes {
		return 0, fmt.Errorf("%w; that of a loglet on ZooKeeper is 64 MiB", vlog.ErrTooLarge)
	}
	if len(payloads) == 0 {
		t, err := l.Tail(ctx)
		if err == nil && t.Sealed {
			err = vlog.ErrSealed
		}
		return t.Next, err
	}
	if t, _ := l.tail(); t.Sealed {
		return 0, vlog.ErrSealed
	}
	c := &appendCall{size: sizeOfEntries(payloads), done: make(chan struct{})}
	if c.size > l.opts.MaxBatchBytes {
		var err error
		if c.large, err = l.sendParts(ctx, payloads); err != nil {
			return 0, l.failed(err)
		}
		c.size = 256
	} else {
		buf := make([]byte, 0, size) // it stays under way after a caller whose context has ended
		for _, p := range payloads {
			buf = append(buf, p...)
			c.entries = append(c.entries, buf[len(buf)-len(p):len(buf):len(buf)])
		}
	}
	a := &l.appends
	a.mu.Lock()
	a.queue = append(a.queue, c)
	a.bytes += c.size
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default:
	}
	select {
	case <-c.done:
		return c.first, c.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-l.ctx.Done():
		return 0, vlog.ErrClosed
	}
}

// sendParts writes what is too large for one transaction. Nobody sees it before the batch that refers to it.
func (l *Loglet) sendParts(ctx context.Context, payloads [][]byte) (*large, error) {
	ctx, cancel := l.bind(ctx)
	defer cancel()
	body := encodeEntries(make([]byte, 0, sizeOfEntries(payloads)), payloads)
	g := &large{ref: reference{folder: partsFolder(l.writer, l.appends.number()), size: len(body), sum: checksum(body)}, count: len(payloads)}
	if err := l.make(ctx, createNode{l.node(partsNode) + "/" + g.ref.folder, nil, l.opts.acl()}); err != nil {
		return nil, err
	}
	const together = 4
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	slots := make(chan struct{}, together)
	for part := range slices.Chunk(body, l.opts.MaxBatchBytes) {
		slots <- struct{}{}
		i := g.ref.parts
		g.ref.parts++
		wg.Go(func() {
			defer func() { <-slots }()
			if err := l.make(ctx, createNode{l.partPath(g.ref.folder, i), part, l.opts.acl()}); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
				cancel()
			}
		})
	}
	wg.Wait()
	return g, failed
}

// make creates a node whose name nobody else can use.
func (l *Loglet) make(ctx context.Context, n createNode) error {
	_, err := l.client.insist(ctx, n)
	if errors.Is(err, codeNodeExists) { // a copy of the request was faster
		return nil
	}
	return err
}

func (l *Loglet) partPath(folder string, i int) string {
	return fmt.Sprintf("%s%s/%s/%06d", l.path, partsNode, folder, i)
}

// commit is the one goroutine that sends batches.
func (l *Loglet) commit() {
	a := &l.appends
	for l.ctx.Err() == nil {
		l.fill()
		if len(a.flight) == 0 {
			select {
			case <-a.kick:
			case <-l.ctx.Done():
			}
			continue
		}
		head := a.flight[0]
		var kick chan struct{}
		if len(a.flight) < l.opts.MaxInFlight {
			kick = a.kick
		}
		select {
		case <-kick:
		case <-head.call.done:
			if err := head.outcome(); err != nil {
				l.settle()
				continue
			}
			l.succeeded(head)
			a.flight = append(a.flight[:0:0], a.flight[1:]...)
		case <-l.ctx.Done():
		}
	}
}

// outcome reads the answer to the transaction.
func (t *attempt) outcome() error {
	<-t.call.done
	if t.call.err != nil {
		return t.call.err
	}
	return decodeMulti(t.call.body)
}

// succeeded tells the callers.
func (l *Loglet) succeeded(t *attempt) {
	a := &l.appends
	a.losses = 0
	if a.polite > 0 {
		a.polite--
	}
	var entries [][]byte
	for _, c := range t.calls {
		entries = append(entries, c.entries...)
	}
	if t.large == nil {
		l.cache.put(t.name, entries) // it will be read soon
	}
	l.observe(t.from.follows(t.name, t.count), false)
	p := t.name.first
	for _, c := range t.calls {
		c.first = p
		if c.large != nil {
			p += vlog.Position(c.large.count)
		} else {
			p += vlog.Position(len(c.entries))
		}
		close(c.done)
	}
}

func (b *batch) fail(err error) {
	for _, c := range b.calls {
		c.err = err
		close(c.done)
	}
}

// fill sends batches as long as it is worth it.
func (l *Loglet) fill() {
	a := &l.appends
	for len(a.flight) < l.opts.MaxInFlight && l.ctx.Err() == nil {
		if len(a.flight) > 0 && (a.polite > 0 || !a.plenty(min(flightBytes, l.opts.MaxBatchBytes))) {
			return
		}
		b, ok := a.next(l.opts.MaxBatchBytes)
		if !ok {
			return
		}
		if !a.ready {
			if err := l.readEnd(); err != nil {
				b.fail(err)
				continue
			}
		}
		if a.from.version >= l.opts.MaxBatches {
			if len(a.flight) > 0 {
				a.retries = append(a.retries, b)
				return
			}
			if err := l.Seal(l.ctx); err != nil {
				b.fail(err)
				continue
			}
			b.fail(vlog.ErrSealed)
			continue
		}
		l.send(l.attempt(b))
	}
}

// readEnd finds out where the next batch begins.
func (l *Loglet) readEnd() error {
	a := &l.appends
	for {
		k, err := l.client.conn(l.ctx)
		if err != nil {
			return l.failed(err)
		}
		s, err := l.lookOn(l.ctx, k, nil, nil)
		switch {
		case errors.Is(err, errLost):
			continue
		case errors.Is(err, codeNoNode): // removed: the chain has left it
			return vlog.ErrSealed
		case err != nil:
			return l.failed(err)
		case s.sealed:
			return vlog.ErrSealed
		}
		a.from, a.seal, a.ready = s.end, s.sealVersion, true
		return nil
	}
}

// plenty tells whether there is enough to send another batch before the last is through.
func (a *appender) plenty(enough int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.retries) > 0 || a.bytes >= enough
}

// next takes a batch.
func (a *appender) next(limit int) (batch, bool) {
	if len(a.retries) > 0 {
		b := a.retries[0]
		a.retries = a.retries[1:]
		return b, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) == 0 {
		return batch{}, false
	}
	a.numbers++
	b := batch{number: a.numbers}
	size, n := 0, 0
	for _, c := range a.queue {
		if c.large != nil && n > 0 || n > 0 && size+c.size > limit || n == maxCalls {
			break
		}
		n++
		size += c.size
		if c.large != nil {
			b.large = c.large
			break
		}
	}
	b.calls = slices.Clone(a.queue[:n])
	a.queue = append(a.queue[:0:0], a.queue[n:]...)
	a.bytes -= size
	if b.large != nil {
		b.count, b.data = b.large.count, b.large.ref.encode()
		return b, true
	}
	var entries [][]byte
	for _, c := range b.calls {
		entries = append(entries, c.entries...)
	}
	b.count, b.data = len(entries), encodeInline(entries)
	return b, true
}

// attempt gives a batch its place behind all that is under way.
func (l *Loglet) attempt(b batch) *attempt {
	a := &l.appends
	t := &attempt{batch: b, name: batchName{a.from.next, l.writer, b.number}, from: a.from, seal: a.seal}
	if n := len(a.flight); n > 0 {
		t.behind = &a.flight[n-1].name
	}
	a.from = a.from.follows(t.name, b.count)
	a.flight = append(a.flight, t)
	return t
}

// transaction is the same every time.
func (l *Loglet) transaction(t *attempt) multi {
	acl := l.opts.acl()
	m := multi{
		check{l.node(sealNode), t.seal},
		setData{l.node(tailNode), t.from.follows(t.name, t.count).encode(), t.from.version},
	}
	if t.behind != nil {
		m = append(m, check{l.batchPath(*t.behind), 0})
	}
	if t.from.needsChunk() {
		m = append(m, createNode{l.chunkPath(chunkOf(t.name.first)), nil, acl})
	}
	m = append(m, createNode{l.batchPath(t.name), t.data, acl})
	if t.large != nil {
		m = append(m, createNode{l.largePath(t.name.first), []byte(t.large.ref.folder), acl})
	}
	return m
}

// send puts an attempt on its way.
func (l *Loglet) send(t *attempt) {
	k, err := l.client.conn(l.ctx)
	if err != nil { // the handle is closed
		t.call = &call{done: make(chan struct{}), err: errLost}
		close(t.call.done)
		return
	}
	t.conn = k
	t.call = k.send(l.transaction(t), nil)
	t.tail, t.stop = nil, nil
	if l.appends.polite > 0 {
		t.tail = k.send(getData{l.node(tailNode), false}, nil)
		t.stop = k.send(getData{l.node(sealNode), false}, nil)
	}
}

// settle finds out, after a failure, what has become of all that is under way, and prepares to send again what has not succeeded.
func (l *Loglet) settle() {
	a := &l.appends
	flight := a.flight
	a.flight = nil
	a.ready = false
	var again []batch
	lost := false
	for _, t := range flight {
		done, err := l.resolve(t)
		switch {
		case l.ctx.Err() != nil:
			return
		case err != nil:
			t.fail(err)
		case done:
			l.succeeded(t)
		default:
			again = append(again, t.batch)
			lost = true
		}
	}
	a.retries = append(again, a.retries...)
	if !lost {
		return
	}
	a.polite = courtesy
	if a.losses++; a.losses < patience {
		// The tail that was asked for behind the last transaction is as new as that one's failure.
		if t := flight[len(flight)-1]; t.tail != nil {
			if s, err := l.seen(l.ctx, t.conn, t.tail, t.stop); err == nil && !s.sealed {
				a.from, a.seal, a.ready = s.end, s.sealVersion, true
			}
		}
		return
	}
	l.interrupt()
}

// interrupt makes the transactions of all writers fail that are under way. The others then pause for a moment.
func (l *Loglet) interrupt() {
	a := &l.appends
	if l.readEnd() != nil {
		return // fill will meet the same
	}
	// Whatever its outcome: at worst somebody fails once more. The version must never come round to anyVersion.
	if a.seal >= 1<<30 {
		return
	}
	if _, err := l.client.ask(l.ctx, setData{l.node(sealNode), []byte(openState), a.seal}); err == nil {
		a.seal++
	}
	a.losses = 0
}

// resolve returns true if the batch is in the log, false if it is not and this attempt can never succeed, and an error if the callers must be told one.
// The attempts before it have been resolved.
func (l *Loglet) resolve(t *attempt) (bool, error) {
	for {
		err := t.outcome()
		if err == nil {
			return true, nil
		}
		if errors.Is(err, errLost) {
			t.doubt = true
			l.send(t)
			if l.ctx.Err() != nil {
				return false, vlog.ErrClosed
			}
			continue
		}
		var f *failure
		if !errors.As(err, &f) || f.code != codeBadVersion && f.code != codeNoNode && f.code != codeNodeExists {
			return false, l.failed(err)
		}
		if f.index == 0 && f.code == codeNoNode {
			return false, vlog.ErrSealed // removed
		}
		if t.doubt {
			if done, err := l.written(t); done || err != nil {
				return done, err
			}
		}
		if f.index != 0 {
			return false, nil
		}
		// Sealed, or another writer has asked for a turn.
		if err := l.look(l.ctx); err != nil {
			return false, l.failed(err)
		}
		if tail, _ := l.tail(); tail.Sealed {
			return false, vlog.ErrSealed
		}
		l.pause()
		return false, nil
	}
}

// written tells, after a copy of the transaction has failed, whether another has succeeded before. This session has seen the failure, and so everything
// that was before it.
func (l *Loglet) written(t *attempt) (bool, error) {
	_, err := l.client.insist(l.ctx, exists{l.batchPath(t.name)})
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, codeNoNode) {
		return false, l.failed(err)
	}
	trimmed, _, err := l.readTrim(l.ctx)
	if err == nil && trimmed > t.name.first {
		return false, fmt.Errorf("vlog/zookeeper: %s: position %d was trimmed while it was being appended: the outcome is unknown", l.path, t.name.first)
	}
	return false, l.failed(err)
}

// pause lets others go first.
func (l *Loglet) pause() {
	select {
	case <-time.After(time.Millisecond + rand.N(time.Millisecond)):
	case <-l.ctx.Done():
	}
}
