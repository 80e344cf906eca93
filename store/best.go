package store

import (
	"slices"

	"rebase/query"
)

// best keeps the first entries, in the scan's direction, of those in range
// that are offered in any order.
type best struct {
	c    *scan
	kept []query.Entry
}

func (c *scan) best() *best { return &best{c: c} }

// bestSlack is how many entries beyond the limit are gathered before the
// surplus is sorted away.
const bestSlack = 256

func (b *best) offer(e query.Entry) {
	if b.c.before(e) || b.c.past(e) || !b.c.beyondFrom(e) {
		return
	}
	if b.kept = append(b.kept, e); len(b.kept)-b.c.limit >= b.c.limit && len(b.kept)-b.c.limit >= bestSlack {
		b.sorted()
	}
}

func (b *best) sorted() []query.Entry {
	slices.SortFunc(b.kept, b.c.compare)
	if len(b.kept) > b.c.limit {
		clear(b.kept[b.c.limit:])
		b.kept = b.kept[:b.c.limit]
	}
	return b.kept
}
