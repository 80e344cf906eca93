package tree

import (
	"encoding/binary"
	"strconv"
	"unsafe"
)

// AppendExport appends n in the export format: objects, never arrays; a leaf with a priority as
// {".value":…,".priority":…}, an object's priority as its first member ".priority". ParseJSON reads back an equal node. It does
// not allocate beyond dst.
func AppendExport(dst []byte, n *Node) []byte {
	if n == nil {
		return append(dst, "null"...)
	}
	if n.kind != Object {
		if n.prio == nil {
			return AppendLeafJSON(dst, n)
		}
		dst = AppendLeafJSON(append(dst, `{".value":`...), n)
		return append(AppendLeafJSON(append(dst, `,".priority":`...), n.prio), '}')
	}
	dst = append(dst, '{')
	if n.prio != nil {
		dst = append(AppendLeafJSON(append(dst, `".priority":`...), n.prio), ',')
	}
	for i, c := range n.Children() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendJSONString(dst, c.Key), ':')
		dst = AppendExport(dst, c.Node)
	}
	return append(dst, '}')
}

// AppendValue appends n as val() gives it and REST answers: without priorities, and with an array for an object whose keys
// are all canonical non-negative integers of which the greatest is less than twice their number. It does not allocate beyond
// dst.
func AppendValue(dst []byte, n *Node) []byte {
	if n == nil {
		return append(dst, "null"...)
	}
	if n.kind != Object {
		return AppendLeafJSON(dst, n)
	}
	children := n.Children()
	if isArray(children) {
		dst = append(dst, '[')
		at := 0
		for i, c := range children {
			index, _ := parseInt32(c.Key)
			for ; at < int(index); at++ {
				dst = append(dst, "null,"...)
			}
			dst = AppendValue(dst, c.Node)
			if at++; i+1 < len(children) {
				dst = append(dst, ',')
			}
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, c := range children {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendJSONString(dst, c.Key), ':')
		dst = AppendValue(dst, c.Node)
	}
	return append(dst, '}')
}

// isArray says whether children are shown as an array. They are in key order, so that the last key, if it is an integer, is
// the greatest, and all are integers if it is.
func isArray(children []Child) bool {
	last, ok := parseInt32(children[len(children)-1].Key)
	if !ok || last >= 2*int64(len(children)) {
		return false
	}
	for _, c := range children {
		if k := c.Key; k[0] == '-' || k[0] == '0' && len(k) > 1 {
			return false
		}
	}
	return true
}

// AppendLeafJSON appends the value of a leaf, without its priority; null for nil. A server value appears as it is written.
func AppendLeafJSON(dst []byte, leaf *Node) []byte {
	switch leaf.Kind() {
	case Bool:
		return strconv.AppendBool(dst, leaf.num != 0)
	case Int, Float:
		return appendNumber(dst, leaf)
	case String:
		return AppendJSONString(dst, leaf.Str())
	case ServerValue:
		if delta, ok := leaf.increment(); ok {
			return append(AppendLeafJSON(append(dst, `{".sv":{"increment":`...), delta), "}}"...)
		}
		return append(dst, `{".sv":"timestamp"}`...)
	case Object:
		panic("tree: AppendLeafJSON of an object")
	}
	return append(dst, "null"...)
}

// AppendJSONString appends s in quotes. s must be valid UTF-8; only what JSON demands is escaped.
func AppendJSONString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := plain(s, 0); i < len(s); i = plain(s, i+1) {
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// plain returns the index of the first byte of s from i on that must be escaped, len(s) if there is none. Eight bytes are
// tested at once, as in the scanner.
func plain(s string, i int) int {
	const lows, highs = 0x0101010101010101, 0x8080808080808080
	b8 := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(b8[i:])
		q, b := w^lows*'"', w^lows*'\\'
		if ((w-lows*0x20)&^w|(q-lows)&^q|(b-lows)&^b)&highs != 0 {
			break
		}
	}
	for i < len(s) && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' {
		i++
	}
	return i
}

// SizeBytes returns about the number of bytes of AppendExport: escapes in strings are not counted. It is O(n).
func (n *Node) SizeBytes() int {
	if n == nil {
		return 4
	}
	size := 0
	if n.prio != nil {
		size = len(`".priority":,`) + n.prio.SizeBytes()
		if n.kind != Object {
			size += len(`{".value":}`)
		}
	}
	switch n.kind {
	case Bool:
		return size + 5 - int(n.num)
	case String:
		return size + 2 + int(n.num)
	case Object:
		size++ // n-1 commas and two braces
		for _, c := range n.Children() {
			size += len(c.Key) + len(`"":,`) + c.Node.SizeBytes()
		}
		return size
	}
	var buf [64]byte
	return size + len(AppendLeafJSON(buf[:0], n))
}
