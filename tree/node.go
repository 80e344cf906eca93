package tree

import (
	"math"
	"slices"
	"unsafe"
)

// A Kind says what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Null        Kind = iota // the nil *Node and nothing else
	Bool                    // a leaf
	Int                     // a leaf: any integer in the range of int64
	Float                   // a leaf: any other finite number
	String                  // a leaf
	Object                  // has at least one child
	ServerValue             // a leaf that stands for what Resolve will put there
)

var kindNames = [...]string{"null", "bool", "int", "float", "string", "object", "server value"}

func (k Kind) String() string { return kindNames[k] }

// A Node is an immutable tree. The nil *Node is the empty node; all methods accept it.
//
// Nodes are the bulk of the memory of a server, and most are small leaves: hence 32 bytes, with one pointer that serves as
// the string's bytes, the children or the increment's amount, according to the kind. The methods here are the only ones that
// read it.
type Node struct {
	kind   Kind
	server bool   // there is a ServerValue here or below, priorities included
	depth  uint16 // of the deepest leaf, 0 for a leaf
	leaves uint32
	num    uint64         // Bool: 0 or 1. Int, Float: the bits. String: length. Object: number of children. ServerValue: which
	ptr    unsafe.Pointer // String: *byte. Object: *Child. ServerValue: the *Node that an increment adds
	prio   *Node
}

// A Child is a node and the key under which it is found.
type Child struct {
	Key  string
	Node *Node
}

// Which server value a node is, in num.
const (
	svTimestamp = iota
	svIncrement
)

var (
	falseNode = &Node{kind: Bool, leaves: 1}
	trueNode  = &Node{kind: Bool, leaves: 1, num: 1}
	emptyStr  = &Node{kind: String, leaves: 1}
	timestamp = &Node{kind: ServerValue, leaves: 1, num: svTimestamp, server: true}

	// smallInts spares an allocation for the integers that are counters, flags and marks.
	smallInts = func() (t [256]Node) {
		for i := range t {
			t[i] = Node{kind: Int, leaves: 1, num: uint64(i)}
		}
		return t
	}()
)

// NewBool returns a boolean leaf.
func NewBool(v bool) *Node {
	if v {
		return trueNode
	}
	return falseNode
}

// NewInt returns an integer leaf.
func NewInt(v int64) *Node {
	if uint64(v) < uint64(len(smallInts)) {
		return &smallInts[v]
	}
	return &Node{kind: Int, leaves: 1, num: uint64(v)}
}

// integral returns v as an integer if it is one and is in int64's range. -0 becomes 0.
func integral(v float64) (int64, bool) {
	// Both bounds are powers of two and exact.
	if v >= -(1<<63) && v < 1<<63 {
		if i := int64(v); float64(i) == v {
			return i, true
		}
	}
	return 0, false
}

// NewFloat returns a number leaf: an Int if v is integral and in int64's range (-0 becomes 0), nil if v is not finite.
func NewFloat(v float64) *Node {
	if i, ok := integral(v); ok {
		return NewInt(i)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &Node{kind: Float, leaves: 1, num: math.Float64bits(v)}
}

// NewString returns a string leaf. v must be valid UTF-8.
func NewString(v string) *Node {
	if v == "" {
		return emptyStr
	}
	return &Node{kind: String, leaves: 1, num: uint64(len(v)), ptr: unsafe.Pointer(unsafe.StringData(v))}
}

// NewTimestamp returns the server value that becomes the time of the write.
func NewTimestamp() *Node { return timestamp }

// NewIncrement returns the server value that adds delta, an Int or a Float, to the number that is there.
func NewIncrement(delta *Node) *Node {
	return &Node{kind: ServerValue, leaves: 1, num: svIncrement, ptr: unsafe.Pointer(delta), server: true}
}

// NewObject returns the object with these children, nil if there are none. It takes ownership of the slice: it sorts by
// CompareKeys, drops nil children, and of children with equal keys keeps the last.
func NewObject(children []Child) *Node {
	sorted := true
	for i := range children {
		if children[i].Node == nil || i > 0 && CompareKeys(children[i-1].Key, children[i].Key) >= 0 {
			sorted = false
			break
		}
	}
	if !sorted {
		slices.SortStableFunc(children, func(a, b Child) int { return CompareKeys(a.Key, b.Key) })
		kept := children[:0]
		for i := range children {
			if i+1 < len(children) && children[i+1].Key == children[i].Key {
				continue
			}
			if children[i].Node != nil {
				kept = append(kept, children[i])
			}
		}
		clear(children[len(kept):])
		children = kept
	}
	return NewSortedObject(children)
}

// NewSortedObject is NewObject for children that are sorted by CompareKeys, unique and not nil. It takes ownership.
func NewSortedObject(children []Child) *Node {
	if len(children) == 0 {
		return nil
	}
	n := &Node{}
	n.setChildren(children)
	return n
}

func (n *Node) setChildren(children []Child) {
	n.kind = Object
	n.num = uint64(len(children))
	n.ptr = unsafe.Pointer(unsafe.SliceData(children))
	n.server = n.prio.HasServerValues()
	n.leaves, n.depth = 0, 0
	for i := range children {
		c := children[i].Node
		n.leaves += c.leaves
		n.depth = max(n.depth, c.depth+1)
		n.server = n.server || c.server
	}
}

// WithPriority returns n with the priority p, which must be nil or a leaf without a priority of its own. The empty node
// has no priority.
func (n *Node) WithPriority(p *Node) *Node {
	if n == nil || n.prio == p || n.prio != nil && p != nil && Equal(n.prio, p) {
		return n
	}
	m := *n
	m.prio = p
	switch m.kind {
	case Object:
		m.server = p.HasServerValues()
		for _, c := range n.Children() {
			m.server = m.server || c.Node.server
		}
	default:
		m.server = m.kind == ServerValue || p.HasServerValues()
	}
	return &m
}

// Kind says what n is.
func (n *Node) Kind() Kind {
	if n == nil {
		return Null
	}
	return n.kind
}

// IsNull reports whether n is the empty node.
func (n *Node) IsNull() bool { return n == nil }

// IsLeaf reports whether n is a leaf, server values included.
func (n *Node) IsLeaf() bool { return n != nil && n.kind != Object }

// IsObject reports whether n has children.
func (n *Node) IsObject() bool { return n != nil && n.kind == Object }

// Bool returns the value of a Bool, false for all else.
func (n *Node) Bool() bool { return n != nil && n.kind == Bool && n.num != 0 }

// Int returns the value of an Int, 0 for all else.
func (n *Node) Int() int64 {
	if n == nil || n.kind != Int {
		return 0
	}
	return int64(n.num)
}

// Float returns the value of a Float, that of an Int as the nearest double, and 0 for all else.
func (n *Node) Float() float64 {
	switch n.Kind() {
	case Int:
		return float64(int64(n.num))
	case Float:
		return math.Float64frombits(n.num)
	}
	return 0
}

// Str returns the value of a String, "" for all else.
func (n *Node) Str() string {
	if n == nil || n.kind != String {
		return ""
	}
	return unsafe.String((*byte)(n.ptr), int(n.num))
}

// increment returns the amount to add if n is an increment.
func (n *Node) increment() (delta *Node, ok bool) {
	if n == nil || n.kind != ServerValue || n.num != svIncrement {
		return nil, false
	}
	return (*Node)(n.ptr), true
}

// Priority returns n's priority, nil if there is none.
func (n *Node) Priority() *Node {
	if n == nil {
		return nil
	}
	return n.prio
}

// Children returns the children in key order. The slice must not be changed.
func (n *Node) Children() []Child {
	if n == nil || n.kind != Object {
		return nil
	}
	return unsafe.Slice((*Child)(n.ptr), int(n.num))
}

// NumChildren returns the number of children, 0 for a leaf.
func (n *Node) NumChildren() int {
	if n == nil || n.kind != Object {
		return 0
	}
	return int(n.num)
}

// search returns where key is or belongs among children.
func search(children []Child, key string) (int, bool) {
	return slices.BinarySearchFunc(children, key, func(c Child, key string) int { return CompareKeys(c.Key, key) })
}

// Child returns the child with that key, nil if there is none.
func (n *Node) Child(key string) *Node {
	children := n.Children()
	if i, ok := search(children, key); ok {
		return children[i].Node
	}
	return nil
}

// At returns the node at p, nil if there is none.
func (n *Node) At(p Path) *Node {
	for p != "" && n != nil {
		var key string
		key, p = p.Front()
		n = n.Child(key)
	}
	return n
}

// HasServerValues reports whether there is a server value in n, priorities included. It is O(1).
func (n *Node) HasServerValues() bool { return n != nil && n.server }

// CountLeaves returns the number of leaves, priorities not counted. It is O(1).
func (n *Node) CountLeaves() int {
	if n == nil {
		return 0
	}
	return int(n.leaves)
}

// Depth returns the number of components in the path of the deepest leaf: 0 for a leaf and the empty node. It is O(1).
func (n *Node) Depth() int {
	if n == nil {
		return 0
	}
	return int(n.depth)
}

// Equal reports whether a and b are the same tree, priorities included.
func Equal(a, b *Node) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.kind != b.kind || a.num != b.num || a.leaves != b.leaves || !Equal(a.prio, b.prio) {
		return false
	}
	switch a.kind {
	case String:
		return a.Str() == b.Str()
	case ServerValue:
		return Equal((*Node)(a.ptr), (*Node)(b.ptr))
	case Object:
		x, y := a.Children(), b.Children()
		for i := range x {
			if x[i].Key != y[i].Key || !Equal(x[i].Node, y[i].Node) {
				return false
			}
		}
	}
	return true
}
