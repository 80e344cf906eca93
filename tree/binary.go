package tree

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// The tags of the binary form: docs/format/tree.md describes it.
const (
	tagNull      = 0x00
	tagFalse     = 0x01
	tagTrue      = 0x02
	tagInt       = 0x03 // zigzag varint
	tagFloat     = 0x04 // 8 bytes, little-endian
	tagString    = 0x05 // uvarint length, bytes
	tagObject    = 0x06 // uvarint number of children, then key and node of each
	tagTimestamp = 0x07
	tagIncrement = 0x08 // a number's node
	tagPriority  = 0x09 // the priority's node, then the node
	tagSmallInt  = 0x40 // to 0x7F: the integers 0 to 63
	tagShort     = 0x80 // to 0xFF: strings of 0 to 127 bytes
)

// AppendBinary appends n in a compact form that DecodeBinary reads back: equal nodes give equal bytes. It does not allocate
// beyond dst.
func AppendBinary(dst []byte, n *Node) []byte {
	if n == nil {
		return append(dst, tagNull)
	}
	if n.prio != nil {
		dst = AppendBinary(append(dst, tagPriority), n.prio)
	}
	switch n.kind {
	case Bool:
		return append(dst, tagFalse+byte(n.num))
	case Int:
		if n.num < 64 {
			return append(dst, tagSmallInt|byte(n.num))
		}
		return binary.AppendVarint(append(dst, tagInt), int64(n.num))
	case Float:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat), n.num)
	case String:
		if n.num < 128 {
			dst = append(dst, tagShort|byte(n.num))
		} else {
			dst = binary.AppendUvarint(append(dst, tagString), n.num)
		}
		return append(dst, n.Str()...)
	case Object:
		dst = binary.AppendUvarint(append(dst, tagObject), n.num)
		for _, c := range n.Children() {
			dst = binary.AppendUvarint(dst, uint64(len(c.Key)))
			dst = append(dst, c.Key...)
			dst = AppendBinary(dst, c.Node)
		}
		return dst
	}
	if delta, ok := n.increment(); ok {
		return AppendBinary(append(dst, tagIncrement), delta)
	}
	return append(dst, tagTimestamp)
}

// A BinaryError says why bytes are not a node.
type BinaryError struct {
	Offset int // into the bytes given to DecodeBinary
	Reason string
}

func (e *BinaryError) Error() string {
	return fmt.Sprintf("tree: invalid binary node at offset %d: %s", e.Offset, e.Reason)
}

// DecodeBinary reads a node at the start of b and returns what follows it. The node does not alias b. All that the
// constructors leave to their callers is checked, and memory is only allocated in proportion to b. The error is a
// *BinaryError.
func DecodeBinary(b []byte) (n *Node, rest []byte, err error) {
	d := decoder{data: b}
	n, ok := d.node(0)
	if !ok {
		return nil, nil, &BinaryError{Offset: d.pos, Reason: d.reason}
	}
	return n, b[d.pos:], nil
}

type decoder struct {
	alloc  allocator
	data   []byte
	pos    int
	reason string
}

func (d *decoder) fail(reason string) (*Node, bool) {
	if d.reason == "" {
		d.reason = reason
	}
	return nil, false
}

const truncated = "it is cut short"

func (d *decoder) uvarint() (uint64, bool) {
	if d.pos < len(d.data) && d.data[d.pos] < 0x80 {
		d.pos++
		return uint64(d.data[d.pos-1]), true
	}
	v, n := binary.Uvarint(d.data[d.pos:])
	if n <= 0 || n > 1 && d.data[d.pos+n-1] == 0 {
		d.fail("an integer is cut short or longer than it must be")
		return 0, false
	}
	d.pos += n
	return v, true
}

// bytes takes n bytes.
func (d *decoder) bytes(n uint64) ([]byte, bool) {
	if n > uint64(len(d.data)-d.pos) {
		d.fail(truncated)
		return nil, false
	}
	b := d.data[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return b, true
}

func (d *decoder) node(depth int) (*Node, bool) {
	if d.pos >= len(d.data) {
		return d.fail(truncated)
	}
	tag := d.data[d.pos]
	if tag == tagNull {
		d.pos++
		return nil, true
	}
	if tag != tagPriority {
		return d.plain(depth)
	}
	d.pos++
	prio, ok := d.plain(depth)
	if !ok {
		return nil, false
	}
	if CheckPriority(prio) != nil {
		return d.fail("a priority must be a number, a string or a server value")
	}
	n, ok := d.plain(depth)
	if !ok {
		return nil, false
	}
	return n.WithPriority(prio), true
}

// plain reads a node that is neither empty nor has a priority.
func (d *decoder) plain(depth int) (*Node, bool) {
	if d.pos >= len(d.data) {
		return d.fail(truncated)
	}
	tag := d.data[d.pos]
	d.pos++
	if tag >= tagShort {
		return d.string(uint64(tag &^ tagShort))
	}
	if tag >= tagSmallInt {
		return &smallInts[tag&^tagSmallInt], true
	}
	switch tag {
	case tagFalse, tagTrue:
		return NewBool(tag == tagTrue), true
	case tagInt:
		u, ok := d.uvarint()
		if !ok {
			return nil, false
		}
		v := int64(u>>1) ^ -int64(u&1)
		if v >= 0 && v < 64 {
			return d.fail("a small integer in the long form")
		}
		return d.alloc.int(v), true
	case tagFloat:
		b, ok := d.bytes(8)
		if !ok {
			return nil, false
		}
		n := d.alloc.float(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		if n.Kind() != Float {
			return d.fail("a double that is an integer or not finite")
		}
		return n, true
	case tagString:
		n, ok := d.uvarint()
		if !ok {
			return nil, false
		}
		if n < 128 {
			return d.fail("a short string in the long form")
		}
		return d.string(n)
	case tagTimestamp:
		return NewTimestamp(), true
	case tagIncrement:
		if d.pos < len(d.data) {
			// Looked at first, so that a row of increments is no deep recursion.
			if tag := d.data[d.pos]; tag != tagInt && tag != tagFloat && tag&^63 != tagSmallInt {
				return d.fail("an increment must be a number")
			}
		}
		delta, ok := d.plain(depth)
		if !ok {
			return nil, false
		}
		return NewIncrement(delta), true
	case tagObject:
		return d.object(depth)
	}
	d.pos--
	return d.fail("unknown tag")
}

func (d *decoder) string(length uint64) (*Node, bool) {
	b, ok := d.bytes(length)
	if !ok {
		return nil, false
	}
	if err := checkString(b); err != nil {
		return d.fail(err.Error())
	}
	return d.alloc.string(b), true
}

func (d *decoder) object(depth int) (*Node, bool) {
	count, ok := d.uvarint()
	if !ok {
		return nil, false
	}
	// A child takes three bytes at least: length and byte of the key, and the node.
	if count == 0 || count > uint64(len(d.data)-d.pos)/3 {
		return d.fail("an object without children, or cut short")
	}
	if depth >= MaxDepth {
		return d.fail("it is too deep")
	}
	children := make([]Child, count)
	for i := range children {
		length, ok := d.uvarint()
		if !ok {
			return nil, false
		}
		b, ok := d.bytes(length)
		if !ok {
			return nil, false
		}
		// Check before the copy is made.
		if err := CheckKey(unsafe.String(unsafe.SliceData(b), len(b))); err != nil {
			return d.fail("an invalid key")
		}
		key := d.alloc.text(b)
		if i > 0 && CompareKeys(children[i-1].Key, key) >= 0 {
			return d.fail("keys are not in order")
		}
		n, ok := d.node(depth + 1)
		if !ok {
			return nil, false
		}
		if n == nil {
			return d.fail("an empty child")
		}
		children[i] = Child{key, n}
	}
	n := d.alloc.node()
	n.setChildren(children)
	return n, true
}
