package server

import (
	"context"
	"log/slog"
	"time"

	"rebase/store"
	"rebase/vlog"
)

// checkpointer flushes the store now and then, and trims the log behind it.
//
// The store has no log of its own: after a crash it is brought forward from the
// shared log, from the position up to which it was flushed. What lies before that
// position is needed by nobody here. The newest part of it is kept all the
// same, LogRetain bytes, for whoever follows the log from outside.
//
// The log can be trimmed at a position and is bounded in bytes. The two are tied
// together by marks: pairs of a position and the number of bytes that this
// process had added to the log by then. What was in the log at the start counts
// as written before the first mark, so a restart keeps up to twice the bound
// until it has written as much again.
type checkpointer struct {
	log      trimmer
	chain    func() vlog.Chain // nil: nothing is forgotten, however long it grows
	store    *store.Store
	retain   int64
	appended func() int64
	logger   *slog.Logger
	observe  func(took time.Duration)

	marks   []mark // rising
	flushed uint64 // position of the last checkpoint
}

// trimmer is what the checkpointer needs of a log.
type trimmer interface {
	Tail(context.Context) (vlog.Tail, error)
	Trim(context.Context, vlog.Position) (vlog.Position, error)
}

type mark struct {
	pos   vlog.Position // first position not yet written when the mark was made
	bytes int64
}

// maxMarks bounds the list; marks that lie close together are thinned out.
const maxMarks = 64

func (c *checkpointer) run(ctx context.Context, every time.Duration) {
	c.mark(ctx)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := c.checkpoint(ctx); err != nil && ctx.Err() == nil {
			c.logger.Error("checkpoint failed; it will be tried again", "err", err)
		}
	}
}

// checkpoint flushes and trims, if there is anything new.
func (c *checkpointer) checkpoint(ctx context.Context) error {
	applied := c.store.Applied()
	if applied == c.flushed {
		return nil
	}
	start := time.Now()
	if err := c.store.Flush(); err != nil {
		return err
	}
	c.flushed = applied
	c.mark(ctx)
	before, ok := c.trimBefore()
	if p := min(c.uncrowded(), vlog.Position(c.store.Durable())+1); p > before {
		before, ok = p, true
	}
	if ok {
		first, err := c.log.Trim(ctx, before)
		if err != nil {
			return err
		}
		c.logger.Debug("trimmed the log", "before", before, "first", first)
	}
	took := time.Since(start)
	c.observe(took)
	c.logger.Debug("checkpoint", "position", applied, "took", took)
	return nil
}

// maxSegments is how many segments the log may have, however little is in them: one that changes its place day after day, because of a network that comes
// and goes, must not come to have a chain for which the register has no room.
const maxSegments = 256

// uncrowded returns the position from which on the log has maxSegments segments; 0 if it has no more than that.
func (c *checkpointer) uncrowded() vlog.Position {
	if c.chain == nil {
		return 0
	}
	segments := c.chain().Segments
	if n := len(segments) - maxSegments; n > 0 {
		return segments[n].Start
	}
	return 0
}

// mark notes where the log is now. The bytes are read before the position:
// entries that come in between make the log appear smaller than it is behind
// the mark, never larger, so at worst more of it is kept.
func (c *checkpointer) mark(ctx context.Context) {
	bytes := c.appended()
	tail, err := c.log.Tail(ctx)
	if err != nil {
		return // the next one will do, and a dead log is reported elsewhere
	}
	if n := len(c.marks); n > 0 && bytes-c.marks[n-1].bytes < c.retain/maxMarks {
		return
	}
	c.marks = append(c.marks, mark{tail.Next, bytes})
}

// trimBefore returns the newest position with at least retain bytes behind it,
// and forgets the marks before. The store must have reached it.
func (c *checkpointer) trimBefore() (vlog.Position, bool) {
	now := c.appended()
	durable := vlog.Position(c.store.Durable())
	n := 0
	for n < len(c.marks) && now-c.marks[n].bytes >= c.retain && c.marks[n].pos <= durable+1 {
		n++
	}
	if n == 0 {
		return 0, false
	}
	pos := c.marks[n-1].pos
	c.marks = c.marks[n:]
	return pos, true
}
