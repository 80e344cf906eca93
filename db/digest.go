package db

import (
	"context"
	"errors"
)

// Replicas that have applied the same entries have the same state, to the byte. Whether that is so is checked by an entry at which every
// replica takes the digest of its state; somebody compares them.

// digestShare is the part of one processor that a digest takes.
const digestShare = 0.2

// ProposeDigest has every replica compute the digest of the state at one position, in the background, and report it to
// its OnDigest. It returns when the entry that says so is applied here. A replica that is still at the last one when the next comes
// leaves that out, and so does one that replays the log at its start.
func (d *DB) ProposeDigest(ctx context.Context) error {
	ch := make(chan error, 1)
	go d.asServer(&Op{Kind: opDigest}, nil, func(r Result) { ch <- r.Err })
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// takeDigest is called on the apply goroutine, right after the entry at pos: nothing else writes, so that a snapshot taken now is
// the state there.
func (d *DB) takeDigest(pos uint64) {
	if d.onDigest == nil || d.run == nil || !d.digesting.CompareAndSwap(false, true) {
		return
	}
	snap := d.store.Snapshot()
	d.done.Add(1)
	go func() {
		defer d.done.Done()
		defer d.digesting.Store(false)
		defer snap.Close()
		sum, err := snap.Digest(d.run, digestShare)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				d.log.Error("the digest of the state could not be computed", "position", pos, "err", err)
			}
			return
		}
		d.onDigest(pos, sum)
	}()
}
