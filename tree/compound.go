package tree

import "strings"

// A LeafRange is the leaves after From, up to and including To, in the order in which a walk by keys meets them. An object's
// priority counts as a leaf at the child ".priority". Nil means open.
type LeafRange struct{ From, To *Path }

// Contains reports whether the leaf at p is in the range.
func (r LeafRange) Contains(p Path) bool {
	return (r.From == nil || ComparePaths(p, *r.From) > 0) && (r.To == nil || ComparePaths(p, *r.To) <= 0)
}

// ComparePaths is the order in which a walk by keys meets paths: by their components, a path before those below it.
func ComparePaths(a, b Path) int {
	for a != "" && b != "" {
		var x, y string
		x, a = a.Front()
		y, b = b.Front()
		if c := CompareKeys(x, y); c != 0 {
			return c
		}
	}
	switch {
	case a != "":
		return 1
	case b != "":
		return -1
	}
	return 0
}

// walkLeaves calls f for the leaves of n in order, an object's priority included as the leaf at ".priority". The stack of keys
// is only valid during the call.
func walkLeaves(n *Node, keys []string, f func(keys []string, leaf *Node)) {
	if n == nil {
		return
	}
	if n.kind != Object {
		f(keys, n)
		return
	}
	prio := n.prio
	for _, c := range n.Children() {
		if prio != nil && CompareKeys(PriorityKey, c.Key) < 0 {
			f(append(keys, PriorityKey), prio)
			prio = nil
		}
		walkLeaves(c.Node, append(keys, c.Key), f)
	}
	if prio != nil {
		f(append(keys, PriorityKey), prio)
	}
}

// CompoundHash returns the hashes (version 2) of the ranges into which the ascending paths posts cut n's leaves: before and
// at the first, …, after the last; len(posts)+1 hashes, "" for a range without leaves. Clients with large caches compare them
// with theirs in order to ask for the ranges that differ only.
//
// An object's priority is a member of its own. The Android SDK leaves it out of its hashes where no sibling's key sorts after
// ".priority"; such ranges then differ from what it sends and are sent again, which is never wrong.
func CompoundHash(n *Node, posts []Path) []string {
	b := compoundBuilder{posts: posts}
	walkLeaves(n, make([]string, 0, MaxDepth+1), b.leaf)
	b.end()
	for len(b.hashes) < len(posts)+1 {
		b.hashes = append(b.hashes, "")
	}
	return b.hashes
}

// A compoundBuilder writes the text of one range after the other: nested members as (…,"key":(…),…), each range starting
// from the root and closing all that is open at its end.
type compoundBuilder struct {
	posts  []Path
	hashes []string
	text   []byte
	open   []string // the keys of the members that are open
}

func (b *compoundBuilder) leaf(keys []string, leaf *Node) {
	for len(b.hashes) < len(b.posts) && compareKeysToPath(keys, b.posts[len(b.hashes)]) > 0 {
		b.end()
	}
	common := 0
	if len(b.text) == 0 {
		b.text = append(b.text, '(')
	} else {
		for common < len(keys) && common < len(b.open) && keys[common] == b.open[common] {
			common++
		}
		for range b.open[common:] {
			b.text = append(b.text, ')')
		}
		b.text = append(b.text, ',')
	}
	b.open = append(b.open[:common], keys[common:]...)
	for _, key := range keys[common:] {
		b.text = append(appendQuoted(b.text, key), ":("...)
	}
	if leaf.prio != nil {
		b.text = append(b.text, "priority:"...)
		b.text = append(appendLeafV2(b.text, leaf.prio), ':')
	}
	b.text = appendLeafV2(b.text, leaf)
}

// end closes the range.
func (b *compoundBuilder) end() {
	if len(b.text) == 0 {
		b.hashes = append(b.hashes, "")
		return
	}
	for range len(b.open) + 1 {
		b.text = append(b.text, ')')
	}
	sum := sum64(b.text)
	b.hashes = append(b.hashes, string(sum[:]))
	b.text, b.open = b.text[:0], b.open[:0]
}

func compareKeysToPath(keys []string, p Path) int {
	for _, key := range keys {
		if p == "" {
			return 1
		}
		var first string
		first, p = p.Front()
		if c := CompareKeys(key, first); c != 0 {
			return c
		}
	}
	if p != "" {
		return -1
	}
	return 0
}

func appendLeafV2(dst []byte, leaf *Node) []byte {
	switch leaf.kind {
	case Bool:
		return AppendLeafJSON(append(dst, "boolean:"...), leaf)
	case Int, Float:
		return appendHashNumber(dst, leaf)
	case String:
		return appendQuoted(append(dst, "string:"...), leaf.Str())
	}
	return AppendLeafJSON(append(dst, "object:"...), leaf)
}

// appendQuoted escapes what the hash's grammar demands, which is less than JSON does.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for {
		i := strings.IndexAny(s, `\"`)
		if i < 0 {
			return append(append(dst, s...), '"')
		}
		dst = append(append(append(dst, s[:i]...), '\\'), s[i])
		s = s[i+1:]
	}
}

// RangeMerge returns the leaves of n in (from, to] as a tree, for a client that replaces that range of its cache; nil bounds
// are open. An object's priority is in the range if its path, the object's with ".priority", is; but an object that has no
// child in the range cannot show its priority, so that a caller must send the whole node when a bound ends in ".priority".
func RangeMerge(n *Node, from, to *Path) *Node {
	return rangeMerge(n, nil, LeafRange{from, to})
}

func rangeMerge(n *Node, keys []string, r LeafRange) *Node {
	if n == nil {
		return nil
	}
	in := func(keys []string) bool {
		return (r.From == nil || compareKeysToPath(keys, *r.From) > 0) && (r.To == nil || compareKeysToPath(keys, *r.To) <= 0)
	}
	if n.kind != Object {
		if in(keys) {
			return n
		}
		return nil
	}
	var children []Child
	for _, c := range n.Children() {
		if child := rangeMerge(c.Node, append(keys, c.Key), r); child != nil {
			children = append(children, Child{c.Key, child})
		}
	}
	merged := NewSortedObject(children)
	if n.prio != nil && in(append(keys, PriorityKey)) {
		merged = merged.WithPriority(n.prio)
	}
	return merged
}
