package store

import (
	"encoding/binary"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"rebase/tree"
)

// An index entry is a key without a value:
//
//	'i' namespace 0x00  id (4 bytes)  node  0xFF  index value  child key
//
// The id comes first so that a dropped index is one range, and so that one
// declared anew, under a new id, cannot meet remains of the old.

const entrySeparator = 0xFF // above every component: a node's own entries follow those of nodes below

// The first byte of an encoded index value.
const (
	valueNull byte = iota + 1
	valueFalse
	valueTrue
	valueNumber
	valueString
	valueObject
)

// maxIndexedString is the number of bytes of a string value that an entry
// holds. Of a longer string the entry has the beginning and says so; to order
// it among those that begin alike, the string is read from the data.
const maxIndexedString = 256

// How an encoded string ends. A zero byte within it is followed by 0xFF.
const (
	stringEnds byte = 0x01
	stringCut  byte = 0x02
)

// appendIndexValue appends the encoding of an index value. Encodings sort as
// tree.CompareIndex does, and none is a prefix of another; strings that are cut
// alike are equal.
func appendIndexValue(dst []byte, v *tree.Node) []byte {
	switch v.Kind() {
	case tree.Null:
		return append(dst, valueNull)
	case tree.Bool:
		if v.Bool() {
			return append(dst, valueTrue)
		}
		return append(dst, valueFalse)
	case tree.Int:
		return appendInt(append(dst, valueNumber), v.Int())
	case tree.Float:
		return appendFloat(append(dst, valueNumber), v.Float(), 0)
	case tree.String:
		return appendIndexString(append(dst, valueString), v.Str())
	default:
		return append(dst, valueObject)
	}
}

// appendInt writes an integer as the next lower or equal double, and what is
// missing: 64-bit integers and doubles have one order, and a double cannot hold
// every such integer.
func appendInt(dst []byte, i int64) []byte {
	f := float64(i)
	if f >= 1<<63 || int64(f) > i {
		f = math.Nextafter(f, math.Inf(-1))
	}
	return appendFloat(dst, f, uint16(i-int64(f)))
}

func appendFloat(dst []byte, f float64, rest uint16) []byte {
	bits := math.Float64bits(f)
	if bits>>63 == 0 {
		bits |= 1 << 63
	} else {
		bits = ^bits
	}
	dst = binary.BigEndian.AppendUint64(dst, bits)
	return binary.BigEndian.AppendUint16(dst, rest)
}

func appendIndexString(dst []byte, s string) []byte {
	end := stringEnds
	if len(s) > maxIndexedString {
		s, end = s[:maxIndexedString], stringCut
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == 0:
			dst = append(dst, 0, 0xFF)
			continue
		case c >= leadEE && c <= leadEF:
			c += movedLeadEE - leadEE
		}
		dst = append(dst, c)
	}
	return append(dst, 0, end)
}

// objectValue stands for any object as the value of an entry.
var objectValue = tree.NewSortedObject([]tree.Child{{Key: "object", Node: tree.NewBool(true)}})

// decodeIndexValue decodes the index value that b begins with. cut says that it
// is only the beginning of a string.
func decodeIndexValue(b []byte) (v *tree.Node, cut bool, rest []byte, err error) {
	if len(b) == 0 {
		return nil, false, nil, errCorruptKey
	}
	kind, b := b[0], b[1:]
	switch kind {
	case valueNull:
		return nil, false, b, nil
	case valueFalse, valueTrue:
		return tree.NewBool(kind == valueTrue), false, b, nil
	case valueObject:
		return objectValue, false, b, nil
	case valueNumber:
		if len(b) < 10 {
			return nil, false, nil, errCorruptKey
		}
		v, err := decodeNumber(binary.BigEndian.Uint64(b), binary.BigEndian.Uint16(b[8:]))
		return v, false, b[10:], err
	case valueString:
		return decodeIndexString(b)
	}
	return nil, false, nil, errCorruptKey
}

func decodeNumber(bits uint64, rest uint16) (*tree.Node, error) {
	if bits>>63 == 1 {
		bits &^= 1 << 63
	} else {
		bits = ^bits
	}
	f := math.Float64frombits(bits)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errCorruptKey
	}
	if rest == 0 {
		return tree.NewFloat(f), nil
	}
	if f != math.Trunc(f) || f < -1<<63 || f >= 1<<63 {
		return nil, errCorruptKey
	}
	i := int64(f)
	if i > math.MaxInt64-int64(rest) {
		return nil, errCorruptKey
	}
	return tree.NewInt(i + int64(rest)), nil
}

func decodeIndexString(b []byte) (v *tree.Node, cut bool, rest []byte, err error) {
	var text []byte
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c != 0 {
			if c == movedLeadEE || c == movedLead {
				c -= movedLeadEE - leadEE
			}
			text = append(text, c)
			continue
		}
		if i++; i == len(b) {
			break
		}
		switch b[i] {
		case 0xFF:
			text = append(text, 0)
		case stringEnds, stringCut:
			return tree.NewString(string(text)), b[i] == stringCut, b[i+1:], nil
		default:
			return nil, false, nil, errCorruptKey
		}
	}
	return nil, false, nil, errCorruptKey
}

// appendIndexNode appends what the entries of one node begin with. dataRoot is
// the length of the namespace's root in dataKey, the key of the node.
func appendIndexNode(dst, dataKey []byte, dataRoot int, id uint32) []byte {
	dst = append(dst, spaceIndex)
	dst = append(dst, dataKey[1:dataRoot]...)
	dst = binary.BigEndian.AppendUint32(dst, id)
	dst = append(dst, dataKey[dataRoot:]...)
	return append(dst, entrySeparator)
}

// indexIDRange returns the bounds of all entries of an index.
func indexIDRange(ns string, id uint32) (lower, upper []byte) {
	lower = binary.BigEndian.AppendUint32(appendRoot(nil, spaceIndex, ns), id)
	upper = binary.BigEndian.AppendUint32(appendRoot(nil, spaceIndex, ns), id+1)
	return lower, upper
}

// entry returns the entry of the child whose data key is e.key, and whose
// parent's is the first parent bytes of it.
func (e *edit) entry(root, parent int, def *indexDef, value *tree.Node) []byte {
	e.ix = appendIndexNode(e.ix[:0], e.key[:parent], root, def.id)
	e.ix = appendIndexValue(e.ix, value)
	e.ix = append(e.ix, e.key[parent:]...)
	return e.ix
}

// How a replacement changes the indexes: the entries that the old subtree gave
// are noted as obsolete, those that the new one gives are taken off the note
// or, if they are not on it, written. What remains is deleted.

func (e *edit) dropEntry(entry []byte) {
	if e.obsolete == nil {
		e.obsolete = map[string]struct{}{}
	}
	e.obsolete[string(entry)] = struct{}{}
}

func (b *Batch) keepEntry(entry []byte) error {
	if len(b.edit.obsolete) > 0 {
		if _, same := b.edit.obsolete[string(entry)]; same {
			delete(b.edit.obsolete, string(entry))
			return nil
		}
	}
	return b.writer().Set(entry, nil, nil)
}

func (b *Batch) deleteObsolete() error {
	for entry := range b.edit.obsolete {
		if err := b.writer().Delete([]byte(entry), nil); err != nil {
			return err
		}
	}
	clear(b.edit.obsolete)
	return nil
}

// parentEntry returns the entry of the place's ancestor at depth, as a child.
func (b *Batch) parentEntry(depth int, def *indexDef, value *tree.Node) []byte {
	pl, e := &b.place, &b.edit
	e.key = append(e.key[:0], pl.node(depth)...)
	return e.entry(pl.ends[0], pl.ends[depth-1], def, value)
}

func (b *Batch) dropPriority(old *tree.Node) {
	if d := b.place.depth(); old != nil && d > 0 {
		b.edit.dropEntry(b.parentEntry(d, priorityIndex, old))
	}
}

func (b *Batch) keepPriority(neu *tree.Node) error {
	if d := b.place.depth(); !neu.IsNull() && d > 0 {
		return b.keepEntry(b.parentEntry(d, priorityIndex, neu))
	}
	return nil
}

// dropEntries notes or deletes the entries that the old subtree at the top of
// the edit gave, and writes those that the new one gives its parents. Those of
// the children within the new subtree are written with it.
func (b *Batch) dropEntries(it *pebble.Iterator, defs *nsDefinitions, neu *tree.Node) error {
	pl, e := &b.place, &b.edit
	top := pl.keys[:e.top]
	if e.top > 0 {
		oldPriority := e.prio
		if !e.big {
			oldPriority = e.node.Priority()
		}
		if oldPriority != nil {
			e.dropEntry(b.parentEntry(e.top, priorityIndex, oldPriority))
		}
		if prio := neu.Priority(); prio != nil {
			if err := b.keepEntry(b.parentEntry(e.top, priorityIndex, prio)); err != nil {
				return err
			}
		}
		if defs != nil {
			for _, def := range defs.defs {
				if err := b.parentEntries(it, def, top, neu); err != nil {
					return err
				}
			}
		}
	}
	if !e.big {
		e.key = append(e.key[:0], pl.node(e.top)...)
		e.dropSubtree(pl.ends[0], e.node, defs.below(top), e.top)
		return nil
	}
	for _, def := range append(defs.below(top), priorityIndex) {
		lower := appendIndexNode(nil, pl.node(e.top), pl.ends[0], def.id)
		upper := append(append([]byte{}, lower...), 0xFF)
		lower = lower[:len(lower)-1]
		if def == priorityIndex {
			// Few trees have priorities; a tombstone is not worth it then.
			if !it.SeekGE(lower) || string(it.Key()) >= string(upper) {
				if err := it.Error(); err != nil {
					return err
				}
				continue
			}
		}
		if err := b.writer().DeleteRange(lower, upper, nil); err != nil {
			return err
		}
	}
	return nil
}

// parentEntries changes the entry that an ancestor of the top has in def,
// whether as the top itself or because the index's field leads through it.
func (b *Batch) parentEntries(it *pebble.Iterator, def *indexDef, top []string, neu *tree.Node) error {
	e := &b.edit
	field, ok := def.fieldOf(top)
	if !ok {
		return nil
	}
	depth := len(def.pattern) + 1
	isChild := depth == len(top)
	existed := e.big || e.node != nil
	if existed || !isChild {
		old := childAt(e.node, field)
		if e.big {
			var err error
			if old, err = b.bigChildAt(it, field); err != nil {
				return err
			}
		}
		e.dropEntry(b.parentEntry(depth, def, old))
	}
	if !neu.IsNull() || !isChild {
		return b.keepEntry(b.parentEntry(depth, def, childAt(neu, field)))
	}
	return nil
}

func childAt(n *tree.Node, field []string) *tree.Node {
	for _, key := range field {
		n = n.Child(key)
	}
	return n
}

// bigChildAt is childAt for an old subtree that was not read.
func (b *Batch) bigChildAt(it *pebble.Iterator, field []string) (*tree.Node, error) {
	if len(field) == 0 {
		return objectValue, nil
	}
	key := append([]byte{}, b.place.node(b.edit.top)...)
	for _, k := range field {
		key = appendComponent(key, k)
	}
	return indexedNode(it, key)
}

// indexedNode returns the node at key as far as an index can tell it from
// another. The iterator's bounds must include the node.
func indexedNode(it *pebble.Iterator, key []byte) (*tree.Node, error) {
	if !it.SeekGE(key) || len(it.Key()) < len(key) || string(it.Key()[:len(key)]) != string(key) {
		return nil, it.Error()
	}
	if len(it.Key()) > len(key) {
		return objectValue, nil
	}
	v, err := decodeValue(it.Value())
	if err != nil {
		return nil, corrupt(key, err)
	}
	return v, nil
}

// dropSubtree notes the entries of the children within n, the key of which is
// in e.key.
func (e *edit) dropSubtree(root int, n *tree.Node, active []*indexDef, depth int) {
	end := len(e.key)
	for _, c := range n.Children() {
		e.key = appendComponent(e.key, c.Key)
		if prio := c.Node.Priority(); prio != nil {
			e.dropEntry(e.entry(root, end, priorityIndex, prio))
		}
		for _, def := range active {
			if len(def.pattern) == depth {
				e.dropEntry(e.entry(root, end, def, def.valueOf(c.Node)))
			}
		}
		if c.Node.IsObject() {
			e.dropSubtree(root, c.Node, descend(active, depth, c.Key), depth+1)
		}
		e.key = e.key[:end]
	}
}
