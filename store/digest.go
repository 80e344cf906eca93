package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Digest returns SHA-256 over the content: the leaves and priorities of all namespaces in the order of a walk, and then the caller's
// records. Stores that hold the same have the same digest, whatever they have gone through. Indexes, and how far they are built, are
// not part of it, nor is the position.
//
// It takes the given share of one processor, between 0 and 1, by sleeping in between; 0 and 1 mean all of it. If ctx ends it returns
// its error.
func (n *Snapshot) Digest(ctx context.Context, share float64) (sum [32]byte, err error) {
	// The leaves' encoding is canonical (docs/format/store.md), so the records themselves are hashed: to decode them would take
	// several times as long as to hash them.
	r, err := n.reader()
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	pace := pacer{share: share, since: time.Now()}
	buf := make([]byte, 0, digestChunk+4<<10)
	for _, space := range []byte{spaceData, spaceMeta} {
		it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{space}, UpperBound: []byte{space + 1}})
		if err != nil {
			return sum, err
		}
		for ok := it.First(); ok; ok = it.Next() {
			key, val := it.Key(), it.Value()
			// Lengths keep what adjoins apart.
			buf = binary.AppendUvarint(buf, uint64(len(key)))
			buf = append(buf, key...)
			buf = binary.AppendUvarint(buf, uint64(len(val)))
			buf = append(buf, val...)
			if len(buf) >= digestChunk {
				h.Write(buf)
				buf = buf[:0]
				if err := pace.wait(ctx); err != nil {
					it.Close()
					return sum, err
				}
			}
		}
		if err := it.Close(); err != nil {
			return sum, err
		}
	}
	h.Write(buf)
	h.Sum(sum[:0])
	return sum, ctx.Err()
}

// digestChunk is how much is hashed at once, and how often it is looked whether to go on.
const digestChunk = 64 << 10

// pacer keeps work that is done in small pieces to a share of the time.
type pacer struct {
	share float64
	since time.Time
}

// workPiece is how long is worked before a pause: short against what a client notices.
const workPiece = 2 * time.Millisecond

func (p *pacer) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	worked := time.Since(p.since)
	if p.share <= 0 || p.share >= 1 || worked < workPiece {
		return nil
	}
	pause := time.NewTimer(time.Duration(float64(worked) * (1 - p.share) / p.share))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.since = time.Now()
	return nil
}
