package local

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"rebase/vlog"
)

// Group commit
//
// The obvious log writes and syncs each entry by itself, and is then as fast as the disk's sync: some thousand entries a
// second, however many appenders there are. Here an appender copies its entries into the group that is gathering, and
// one of them, the committer, writes a whole group as one block with one write and one fdatasync. While the disk works,
// the next group gathers behind it in the same buffer.
//
// Who is the committer? An appender that finds nobody committing is: it commits its own group on its own goroutine, which
// saves a lone appender two switches of goroutine, about a tenth of its time. When it is through and more has gathered,
// it hands the role to the commit goroutine rather than serve others before returning; that goroutine stays the
// committer until nothing is left.
//
// Invariants:
//
//   - Positions are given out in the order in which entries enter the groups, and groups are written in order, one at a
//     time: the block behind is only written after the sync of the one before has returned. So on the disk at most one
//     block, the last, is in doubt.
//   - Nothing is published, to appender or reader, before the sync has returned.
//   - After a failure nothing is written any more: the gathered groups fail too. Their positions were never published.
//
// All appenders of a group wait on one channel, closed once: waking 256 of them costs one operation and not 256. The
// buffers are arenas of which blocks are consecutive parts; a written block stays where it is and is at once the tail
// cache's copy, so an entry is copied exactly once on its way in, and not at all on its way out.

const (
	// arenaBytes is the size of the buffers in which groups gather. What Read returned keeps one of them alive.
	arenaBytes = 256 << 10
	// maxGroupBytes is when a group is full. It bounds what a commit writes at once, and so its latency.
	maxGroupBytes = 4 << 20
)

// group is what is committed as one block.
type group struct {
	buf   []byte // the block: header, to be filled in by the committer, and records
	first vlog.Position
	count uint32
	seal  bool
	trim  vlog.Position
	close bool // the mark that Close, and prove, leave

	err  error         // set before done is closed
	done chan struct{} // closed when the group is durable or has failed
}

func newGroup(buf []byte, first vlog.Position) *group {
	return &group{buf: buf, first: first, done: make(chan struct{})}
}

func (g *group) wait(ctx context.Context) error {
	if ctx.Done() == nil {
		<-g.done
		return g.err
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Append implements vlog.Loglet. If ctx ends while the entries wait for the disk, it returns early and they will most
// likely be in the log.
func (l *Loglet) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	if size > vlog.MaxEntryBytes {
		return 0, vlog.ErrTooLarge
	}
	l.mu.Lock()
	if err := l.enter(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	defer l.calls.Done()
	switch {
	case l.poison != nil:
		defer l.mu.Unlock()
		return 0, l.poison
	case l.sealGroup != nil || l.durable().Sealed:
		l.mu.Unlock()
		return 0, vlog.ErrSealed
	case len(payloads) == 0:
		l.mu.Unlock()
		return l.durable().Next, nil
	}
	g := l.lastGroup(size + recordHeaderSize*len(payloads))
	first := l.next
	for _, p := range payloads {
		g.buf = appendRecord(g.buf, p)
	}
	l.arena = l.arena[:len(l.arena)+size+recordHeaderSize*len(payloads)]
	g.count += uint32(len(payloads))
	l.next += vlog.Position(len(payloads))
	if err := l.finish(ctx, g); err != nil {
		return 0, err
	}
	return first, nil
}

// lastGroup returns the group that gathers, with room for size more bytes in its buffer. Caller holds mu.
func (l *Loglet) lastGroup(size int) *group {
	var g *group
	if n := len(l.queue); n > 0 && len(l.queue[n-1].buf)+size <= max(maxGroupBytes, len(l.queue[n-1].buf)) {
		g = l.queue[n-1]
	}
	have := 0
	if g != nil {
		have = len(g.buf)
	}
	if need := size + blockHeaderSize; cap(l.arena)-len(l.arena) < need {
		// What the group has gathered moves along: a block is one piece. Growing by doubling keeps that cheap.
		l.arena = make([]byte, have, max(arenaBytes, 2*have, have+need))
		if g != nil {
			copy(l.arena, g.buf)
			g.buf = l.arena[:have]
		}
	}
	if g == nil {
		at := len(l.arena)
		l.arena = l.arena[:at+blockHeaderSize]
		clear(l.arena[at:])
		g = newGroup(l.arena[at:], l.next)
		l.queue = append(l.queue, g)
	}
	return g
}

// finish sees to it that g is committed, and waits for it. Caller holds mu, which finish releases.
func (l *Loglet) finish(ctx context.Context, g *group) error {
	if l.committing {
		l.mu.Unlock()
		return g.wait(ctx)
	}
	l.committing = true
	l.mu.Unlock()
	// The queue was empty, so the first group is g.
	if l.commitNext() {
		l.work <- struct{}{} // never blocks: there is one role to hand over
	}
	return g.err
}

// commitLoop is the commit goroutine: it takes the committer's role when it is handed over.
func (l *Loglet) commitLoop() {
	defer l.done.Done()
	idle := time.NewTimer(l.opts.proveAfter)
	idle.Stop()
	defer idle.Stop()
	armed := false
	for stopping := false; !stopping; {
		select {
		case <-l.work:
		case <-l.dirty:
			if !armed {
				idle.Reset(l.opts.proveAfter)
				armed = true
			}
			continue
		case <-idle.C:
			armed = false
			if !l.prove() {
				continue
			}
		case <-l.stop:
			// Callers that did not wait for their group may have left some work.
			stopping = true
			select {
			case <-l.work:
			default:
				return
			}
		}
		for more := true; more; {
			// Let those that the last commit has woken bring their next entries into this one: with many appenders
			// that nearly doubles the size of a group.
			runtime.Gosched()
			more = l.commitNext()
		}
	}
}

// commitNext commits the oldest group. It reports whether there is another one; if not, the role of committer is free.
func (l *Loglet) commitNext() (more bool) {
	l.mu.Lock()
	g := l.queue[0]
	copy(l.queue, l.queue[1:])
	l.queue = l.queue[:len(l.queue)-1]
	l.mu.Unlock()

	l.commit(g)
	return l.leave()
}

// leave is the end of a committer's turn. It reports whether another group waits; if not, the role of committer is free.
func (l *Loglet) leave() (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poison != nil {
		for _, g := range l.queue {
			g.err = l.poison
			close(g.done)
		}
		l.queue = nil
	}
	l.committing = len(l.queue) > 0
	return l.committing
}

// commit writes and syncs g, publishes it and wakes those who wait for it. Only the committer calls it.
func (l *Loglet) commit(g *group) {
	if active := l.activeSegment(); !active.started() && active.end+int64(len(g.buf)) > active.size && len(g.buf) > blockHeaderSize {
		// The log's very first append is larger than its first segment. A segment that is passed over would look to
		// recovery like one that lost its first block, so it gets an empty one.
		empty := newGroup(make([]byte, blockHeaderSize), g.first)
		if l.commit(empty); empty.err != nil {
			g.err = empty.err
			close(g.done)
			return
		}
	}
	h := blockHeader{seq: l.seq, first: g.first, count: g.count, length: uint64(len(g.buf) - blockHeaderSize)}
	active := l.activeSegment()
	l.mu.Lock()
	sealed := l.durable().Sealed || g.seal
	h.trim = max(l.trimmed, g.trim)
	l.mu.Unlock()
	if sealed {
		h.flags |= flagSealed
	}
	if g.close {
		h.flags |= flagClosed
	}
	h.synced = uint64(active.end)
	var stats Commit
	var err error
	if active.started() && active.end+int64(len(g.buf)) > active.size {
		active, err = l.roll(active, int64(len(g.buf)))
	}
	if err == nil {
		if !active.started() {
			h.flags |= flagFirst
			if active.id == 1 {
				h.synced = 0
			}
		}
		h.salt, h.segment = active.salt, active.id
		h.put(g.buf)
		stats, err = l.writeBlock(active, g)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", vlog.ErrPoisoned, err)
		l.opts.Logger.Error("log write failed", "dir", l.dir, "err", err)
	}

	l.mu.Lock()
	if err != nil {
		l.poison, g.err = err, err
		l.signal()
	} else {
		off := active.end
		if !active.started() {
			active.first = h.first
		}
		active.note(h.first, off)
		active.end += int64(len(g.buf))
		active.size = max(active.size, active.end) // a file that was cut short grows
		l.seq++
		if l.proven = g.close; !g.close {
			wake(l.dirty)
		}
		if g.count > 0 {
			l.cache.add(g.first, g.count, g.buf[blockHeaderSize:])
		}
		if h.trim > l.trimmed {
			l.trimmed = h.trim
			l.collect()
		}
		l.publish(h.next(), sealed)
	}
	close(g.done)
	l.mu.Unlock()
	if l.opts.OnCommit != nil {
		stats.Entries, stats.Bytes, stats.Err = int(g.count), len(g.buf), err
		l.opts.OnCommit(stats)
	}
}

// prove writes an empty block behind the last one if nothing was committed for a while, which is the proof that the last
// one was synced: from then on damage to it is told from a torn write. It takes the committer's role for that, and keeps
// it (true) if groups have gathered meanwhile.
func (l *Loglet) prove() (more bool) {
	l.mu.Lock()
	active := l.segs[len(l.segs)-1]
	switch {
	case l.poison != nil || l.proven || active.end+blockHeaderSize > active.size:
		l.mu.Unlock()
		return false
	case l.committing || l.seq != l.idleSeq:
		l.idleSeq = l.seq
		l.mu.Unlock()
		wake(l.dirty)
		return false
	}
	l.committing = true
	g := l.proof()
	l.mu.Unlock()
	l.commit(g)
	return l.leave()
}

// proof is a group without records. Caller holds mu; nothing is queued.
func (l *Loglet) proof() *group {
	g := newGroup(make([]byte, blockHeaderSize), l.next)
	g.close = true
	return g
}

// activeSegment is the segment that the committer writes to.
func (l *Loglet) activeSegment() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segs[len(l.segs)-1]
}

// writeBlock brings a finished block to the disk.
func (l *Loglet) writeBlock(s *segment, g *group) (stats Commit, err error) {
	timed := l.opts.OnCommit != nil
	var t0, t1 time.Time
	if timed {
		t0 = time.Now()
	}
	if _, err = s.file.WriteAt(g.buf, s.end); err != nil {
		return stats, fmt.Errorf("write %s at %d: %w", s.path, s.end, err)
	}
	if timed {
		t1 = time.Now()
		stats.Write = t1.Sub(t0)
	}
	if err = s.file.SyncData(); err != nil {
		return stats, fmt.Errorf("sync %s: %w", s.path, err)
	}
	if timed {
		stats.Sync = time.Since(t1)
	}
	return stats, nil
}

// collect moves the segments that lie wholly below the trim point to the garbage. Caller holds mu.
func (l *Loglet) collect() {
	n := 0
	for n < len(l.segs)-1 && l.segs[n+1].started() && l.segs[n+1].first <= l.trimmed {
		n++
	}
	if n > 0 {
		l.garbage = append(l.garbage, l.segs[:n]...)
		l.segs = append([]*segment(nil), l.segs[n:]...)
		wake(l.prep)
	}
}
