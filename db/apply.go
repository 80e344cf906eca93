package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rebase/vlog"
)

// The apply loop reads ahead in pieces of readBytes, and lets those who wait for the barrier in
// after at most groupEntries or groupTime: a change told to thousands takes milliseconds.
const (
	readBytes    = 4 << 20
	groupEntries = 256
	groupTime    = 5 * time.Millisecond
)

func (d *DB) applyLoop(ctx context.Context) {
	defer d.done.Done()
	for {
		tail, err := d.vlog.WaitTail(ctx, d.applied+2)
		if err == nil {
			err = d.applyUpTo(ctx, tail.Next)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.fail(err)
			return
		}
	}
}

// applyUpTo applies the next entries below next, as many as one read gives.
func (d *DB) applyUpTo(ctx context.Context, next vlog.Position) error {
	entries, err := d.vlog.Read(ctx, d.applied+1, next, readBytes)
	if err != nil {
		var trimmed *vlog.TrimmedError
		if errors.As(err, &trimmed) {
			return &TooOldError{Applied: uint64(d.applied), First: uint64(trimmed.First)}
		}
		return err
	}
	if len(entries) == 0 && d.replicated {
		// Nothing is at these positions, and nothing will be.
		d.barrier.Lock()
		d.applied = next - 1
		d.barrier.Unlock()
		d.reached.set(next - 1)
	}
	for len(entries) > 0 {
		n, err := d.applyGroup(entries)
		if err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// applyGroup applies as many of the entries as the barrier may be held for, and returns how many.
func (d *DB) applyGroup(entries []vlog.Entry) (n int, err error) {
	d.barrier.Lock()
	defer d.barrier.Unlock()
	begin := time.Now() // it decides nothing but who waits how long
	for n < min(len(entries), groupEntries) {
		if err := d.applyEntry(entries[n]); err != nil {
			return n, fmt.Errorf("apply entry %d: %w", entries[n].Pos, err)
		}
		if n++; time.Since(begin) > groupTime {
			break
		}
	}
	if d.onApply != nil {
		d.onApply(n, time.Since(begin))
	}
	return n, nil
}

// applyEntry decides one entry, tells the observer, and answers the proposer.
func (d *DB) applyEntry(e vlog.Entry) error {
	if e.Pos <= d.applied || !d.replicated && e.Pos != d.applied+1 { // a cluster's log may leave out positions
		return fmt.Errorf("the log gave it after entry %d", d.applied)
	}
	h, body, err := vlog.DecodeEnvelope(e.Payload)
	if err != nil {
		return err
	}
	op, o, err := decodeOp(body)
	if err != nil {
		return err
	}
	id := SessionID(h.Session)
	res, change, err := d.machine.apply(uint64(e.Pos), id, h.Seq, op, o)
	if err != nil {
		return err
	}
	d.applied = e.Pos
	switch op.Kind {
	case opEndOther:
		d.hasEnded(o.replayOf.session)
	case opDigest:
		if !res.Replayed && res.Err == nil {
			d.takeDigest(uint64(e.Pos))
		}
	}
	d.stats.count(op, &res)
	if res.Replayed {
		d.log.Info("a write that was sent again was not applied again", "session", id, "seq", h.Seq, "path", "/"+string(op.Path), "namespace", op.NS)
	}
	if change != nil {
		for _, f := range d.watchers[change.NS] {
			f(change)
		}
		if d.observer != nil {
			d.observer.Applied(change)
		}
	}
	if w, ok := d.prop.answered(id, h.Seq); ok {
		w.answer(res)
	}
	d.reached.set(e.Pos)
	return nil
}
