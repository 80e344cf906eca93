package tree

import (
	"math"
	"unsafe"
)

// An allocator makes the nodes of one tree that is being read. The zero value is ready.
//
// Nodes and short strings come from small blocks, which saves about a third of the time of a parse. The price is that one leaf
// that is kept holds its block, with the strings of its neighbours: hence blocks start small, stay small, and serve one
// parse only. What is read together is mostly dropped together.
type allocator struct {
	nodes []Node
	bytes []byte
	next  int // how many nodes the next block has, 0 for one
}

const (
	maxBlockNodes = 16
	maxBlockBytes = 512
	maxSharedText = 64 // longer strings stand alone
)

func (a *allocator) node() *Node {
	if len(a.nodes) == 0 {
		size := max(1, a.next)
		a.nodes = make([]Node, size)
		a.next = min(2*size, maxBlockNodes)
	}
	n := &a.nodes[0]
	a.nodes = a.nodes[1:]
	return n
}

func (a *allocator) int(v int64) *Node {
	if uint64(v) < uint64(len(smallInts)) {
		return &smallInts[v]
	}
	n := a.node()
	n.kind, n.leaves, n.num = Int, 1, uint64(v)
	return n
}

func (a *allocator) float(v float64) *Node {
	if i, ok := integral(v); ok {
		return a.int(i)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	n := a.node()
	n.kind, n.leaves, n.num = Float, 1, math.Float64bits(v)
	return n
}

func (a *allocator) string(text []byte) *Node {
	if len(text) == 0 {
		return emptyStr
	}
	n := a.node()
	n.kind, n.leaves, n.num = String, 1, uint64(len(text))
	n.ptr = unsafe.Pointer(unsafe.SliceData(a.copy(text)))
	return n
}

// text returns a copy of text as a string.
func (a *allocator) text(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	return unsafe.String(unsafe.SliceData(a.copy(text)), len(text))
}

func (a *allocator) copy(text []byte) []byte {
	// The first block is as long as the first string, so that a lone leaf wastes nothing.
	if len(text) > maxSharedText || a.next <= 2 {
		return append(make([]byte, 0, len(text)), text...)
	}
	if len(text) > len(a.bytes) {
		a.bytes = make([]byte, min(32*a.next, maxBlockBytes))
	}
	b := a.bytes[:len(text):len(text)]
	copy(b, text)
	a.bytes = a.bytes[len(text):]
	return b
}
