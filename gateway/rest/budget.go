package rest

import "sync/atomic"

// budget bounds the memory that the bodies of all requests take together: one body is bounded
// already, but many clients may send large ones at once. It is taken step by step as the bytes
// arrive, so that a client that only announces much, or sends slowly, holds no more than it has
// sent; and a request that does not get the next step is refused instead of waiting, since
// requests that wait for each other's memory would wait for ever.
type budget struct {
	left atomic.Int64
}

// budgetStep is how much is taken at once. A body of up to this size takes nothing: there the
// number of connections is the bound.
const budgetStep = 1 << 20

// take reports whether n more bytes may be held.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }
