package tree

import (
	"io"
	"sync"
)

// PushIDs makes the keys that POST and push() give: 20 characters whose order is that of time, so that children appear in
// the order in which they were added. It is safe for concurrent use.
type PushIDs struct {
	entropy io.Reader
	mu      sync.Mutex
	last    int64
	random  [12]byte // 6 bits each
}

// pushAlphabet is in the order of ASCII.
const pushAlphabet = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// NewPushIDs returns a source of push ids. entropy must not fail, as crypto/rand.Reader does not.
func NewPushIDs(entropy io.Reader) *PushIDs { return &PushIDs{entropy: entropy, last: -1} }

// Next returns an id for a time in milliseconds since 1970: 8 characters of time and 12 of randomness. Within the
// millisecond of the id before, the random part is that one plus one, so that such ids are in order too.
func (g *PushIDs) Next(nowMillis int64) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if nowMillis != g.last || !g.increment() {
		g.last = nowMillis
		if _, err := io.ReadFull(g.entropy, g.random[:]); err != nil {
			panic("tree: no entropy for push ids: " + err.Error())
		}
		for i := range g.random {
			g.random[i] &= 63
		}
	}
	var id [20]byte
	for i, t := 7, nowMillis; i >= 0; i, t = i-1, t>>6 {
		id[i] = pushAlphabet[t&63]
	}
	for i, r := range g.random {
		id[8+i] = pushAlphabet[r]
	}
	return string(id[:])
}

// increment adds one to the random part; false if it is all ones already.
func (g *PushIDs) increment() bool {
	for i := len(g.random) - 1; i >= 0; i-- {
		if g.random[i] < 63 {
			g.random[i]++
			clear(g.random[i+1:])
			return true
		}
	}
	return false
}
