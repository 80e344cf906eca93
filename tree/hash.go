package tree

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"math"
	"slices"
)

// Hash returns the hash (version 1) by which clients name a node in listens and transactions: base64 of SHA-1 over a text in
// which an object is made of its children's hashes; "" for the empty node. Children are taken in the order of their
// priorities, then keys; priorities count. Integers are hashed as the nearest double, as in JavaScript.
func Hash(n *Node) string {
	if n == nil {
		return ""
	}
	h := hasher{buf: make([]byte, 0, 512)}
	sum := h.node(n)
	return string(sum[:])
}

// A hasher keeps the texts that are being built one behind the other in one buffer.
type hasher struct{ buf []byte }

type hash64 [28]byte // a SHA-1 in base64

func sum64(text []byte) (b hash64) {
	sum := sha1.Sum(text)
	base64.StdEncoding.Encode(b[:], sum[:])
	return b
}

func (h *hasher) node(n *Node) hash64 {
	base := len(h.buf)
	if n.prio != nil {
		h.buf = append(h.buf, "priority:"...)
		h.leaf(n.prio)
		h.buf = append(h.buf, ':')
	}
	if n.kind != Object {
		h.leaf(n)
	} else {
		for _, c := range byPriority(n.Children()) {
			h.buf = append(h.buf, ':')
			h.buf = append(h.buf, c.Key...)
			h.buf = append(h.buf, ':')
			sum := h.node(c.Node)
			h.buf = append(h.buf, sum[:]...)
		}
	}
	sum := sum64(h.buf[base:])
	h.buf = h.buf[:base]
	return sum
}

// leaf appends a leaf's type and value, without its priority.
func (h *hasher) leaf(n *Node) {
	switch n.kind {
	case Bool:
		h.buf = append(h.buf, "boolean:"...)
		h.buf = AppendLeafJSON(h.buf, n)
	case Int, Float:
		h.buf = appendHashNumber(h.buf, n)
	case String:
		h.buf = append(h.buf, "string:"...)
		h.buf = append(h.buf, n.Str()...)
	case ServerValue:
		// Never stored, hence never compared with a client's hash; a distinct text keeps Hash total.
		h.buf = append(h.buf, "object:"...)
		h.buf = AppendLeafJSON(h.buf, n)
	}
}

// appendHashNumber appends the type and the big-endian bits of the double in hexadecimal.
func appendHashNumber(dst []byte, n *Node) []byte {
	bits := math.Float64bits(n.Float())
	var b [8]byte
	for i := range b {
		b[i] = byte(bits >> (56 - 8*i))
	}
	return hex.AppendEncode(append(dst, "number:"...), b[:])
}

// byPriority returns children in the order of priorities, then keys.
func byPriority(children []Child) []Child {
	if !slices.ContainsFunc(children, func(c Child) bool { return c.Node.prio != nil }) {
		return children
	}
	sorted := slices.Clone(children)
	slices.SortStableFunc(sorted, func(a, b Child) int { return CompareIndex(a.Node.prio, b.Node.prio) })
	return sorted
}
