package rest

import (
	"net/http"
	"sync/atomic"
)

// budget bounds the memory that all requests take together, for their bodies or for their
// responses: each is bounded already, but many clients may ask for much at once. It is taken step
// by step as the bytes arrive, so that a client that only announces much, or sends slowly, holds no
// more than it has sent; and a request that does not get the next step is refused instead of
// waiting, since requests that wait for each other's memory would wait for ever.
type budget struct {
	left atomic.Int64
}

// bodyStep is how much is taken at once for a body. One of up to this size takes nothing: there
// the number of connections is the bound.
const bodyStep = 64 << 10

// smallRead is the JSON up to which a response takes nothing.
const smallRead = 1 << 20

// nodeFactor is how much more memory a node takes than its JSON, about: measured on records of a
// text and a number.
const nodeFactor = 6

// take reports whether n more bytes may be held.
func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }

// needRead makes the request hold what a response of size bytes of JSON needs: as a node, as
// its text, or both. Called again it takes or gives back the difference.
func (q *request) needRead(size int, asNode bool, texts int) error {
	if q.method != http.MethodGet && q.method != http.MethodHead {
		// The answer to a write, which has taken place: it is of the body's size, and that is held.
		return nil
	}
	need := int64(0)
	if size > smallRead {
		need = int64(size) * int64(texts)
		if asNode {
			need += int64(size) * nodeFactor
		}
	}
	if more := need - q.reading; more > 0 {
		if !q.reads.take(more) {
			return &apiError{status: http.StatusServiceUnavailable, msg: msgBusyReading, header: http.Header{"Retry-After": {"1"}}}
		}
	} else {
		q.reads.give(-more)
	}
	q.reading = need
	return nil
}

// growing is needRead for what is still being built; it looks at the budget once in smallRead
// bytes.
func (q *request) growing(size int, asNode bool) error {
	if size < q.grown+smallRead {
		return nil
	}
	q.grown = size
	return q.needRead(size, asNode, 1)
}
