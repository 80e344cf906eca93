package rest

import "net/http"

// bodyStep is how much is taken at once for a body. One of up to this size takes nothing: there
// the number of connections is the bound.
const bodyStep = 64 << 10

// smallRead is the JSON up to which a response takes nothing.
const smallRead = 1 << 20

// nodeFactor is how much more memory a node takes than its JSON, about: measured on records of a
// text and a number.
const nodeFactor = 6

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
	if !q.reads.Resize(&q.reading, need) {
		return &apiError{status: http.StatusServiceUnavailable, msg: msgBusyReading, header: http.Header{"Retry-After": {"1"}}}
	}
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
