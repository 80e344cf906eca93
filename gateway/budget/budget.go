// Package budget bounds the memory that many clients take together, where what
// one of them takes is bounded already.
//
// Memory is taken step by step as the bytes arrive, so that a client that only announces much, or
// sends slowly, holds no more than it has sent. Who does not get the next step is refused instead
// of made to wait: those who wait for each other's memory would wait for ever. What was taken must
// be given back; the package keeps no account of who has what.
package budget

import "sync/atomic"

// Budget is a number of bytes that may be held. It is safe for concurrent use; the zero value
// allows nothing.
type Budget struct {
	left atomic.Int64
}

// Set makes n bytes available. It is called before the first use.
func (b *Budget) Set(n int64) { b.left.Store(n) }

// Left is how many bytes are available.
func (b *Budget) Left() int64 { return b.left.Load() }

// Take reports whether n more bytes may be held.
func (b *Budget) Take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// Give takes n bytes back.
func (b *Budget) Give(n int64) { b.left.Add(n) }

// Resize makes a holder of *held bytes one of n, and reports whether it may be. Less is always
// allowed.
func (b *Budget) Resize(held *int64, n int64) bool {
	if n > *held && !b.Take(n-*held) {
		return false
	}
	if n < *held {
		b.Give(*held - n)
	}
	*held = n
	return true
}
