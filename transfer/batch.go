package transfer

import (
	"rebase/tree"
)

// item is one thing to write: a leaf, or the priority of an object.
type item struct {
	path     tree.Path // relative to the target
	node     *tree.Node
	priority bool
}

// batch is a run of items of the file, written by one request.
type batch struct {
	items  []item
	size   int   // estimate of the request's body, in bytes
	leaves int64 // items that are leaves
	upTo   int64 // leaves of the file up to the batch's end, those skipped included
	offset int64 // bytes of the file read when the batch was complete

	// The leaves next to the batch in the file; nil at the file's ends. They
	// tell which nodes lie in this batch with all that is below them.
	before, after *tree.Path
}

const batchItemOverhead = 8 // quotes, colon, comma

func (b *batch) add(it item) {
	b.items = append(b.items, it)
	b.size += len(it.path) + leafSize(it.node) + batchItemOverhead
	if !it.priority {
		b.leaves++
	}
}

func leafSize(n *tree.Node) int {
	if n.Kind() == tree.String {
		return len(n.Str())
	}
	return 8
}

// encodeMerge encodes the batch as an update that names every leaf, so that what
// is there beside them stays.
func (b *batch) encodeMerge(dst []byte) []byte {
	dst = append(dst, '{')
	for i, it := range b.items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMember(dst, it, it.path)
	}
	return append(dst, '}')
}

// appendMember appends `"path":value`, where path is it's relative to the object
// that the member is of.
func appendMember(dst []byte, it item, path tree.Path) []byte {
	key := string(path)
	if it.priority {
		if path.IsRoot() {
			key = ".priority"
		} else {
			key += "/.priority"
		}
	}
	dst = tree.AppendJSONString(dst, key)
	dst = append(dst, ':')
	return tree.AppendExport(dst, it.node)
}

// encodeReplace encodes the batch for a target that holds nothing but what this
// import has written: whole subtrees where the batch has all of one, single
// leaves at the batch's ends. That is a quarter of the work for the server.
//
// A node may be written whole if neither the leaf before the batch nor the one
// behind it lies below the node; since the items below any node adjoin in the
// file, those two decide for all others.
func (b *batch) encodeReplace(dst []byte) []byte {
	dst = append(dst, '{')
	var (
		group   tree.Path // the node now being written, as a member of the update
		nested  bool      // it is an object that is open
		open    tree.Path // the object that is open, relative to group
		started bool      // something has been written
		comma   bool      // the open object has a member
	)
	closeGroup := func() {
		if nested {
			for d := open.Depth(); d >= 0; d-- {
				dst = append(dst, '}')
			}
		}
		nested = false
	}
	for _, it := range b.items {
		depth := it.path.Depth()
		cut := 1 + max(b.shared(b.before, it), b.shared(b.after, it))
		// A priority is a member of its object, not a node: the object itself must
		// be one that is written whole, or the priority is named by its path.
		whole := cut < depth || it.priority && cut <= depth && depth > 0
		if !whole {
			closeGroup()
			if started {
				dst = append(dst, ',')
			}
			started = true
			dst = appendMember(dst, it, it.path)
			continue
		}
		top := prefix(it.path, cut)
		rel := it.path.Rel(top)
		holder := rel // the object that the item is a member of
		if !it.priority {
			holder = rel.Parent()
		}
		if !nested || group != top {
			closeGroup()
			if started {
				dst = append(dst, ',')
			}
			started = true
			dst = tree.AppendJSONString(dst, string(top))
			dst = append(dst, ':', '{')
			group, nested, open, comma = top, true, "", false
		}
		for !open.Contains(holder) {
			dst = append(dst, '}')
			open, comma = open.Parent(), true
		}
		for open != holder {
			if comma {
				dst = append(dst, ',')
			}
			name, _ := holder.Rel(open).Front()
			dst = tree.AppendJSONString(dst, name)
			dst = append(dst, ':', '{')
			open, comma = open.Child(name), false
		}
		if comma {
			dst = append(dst, ',')
		}
		comma = true
		if it.priority {
			dst = appendMember(dst, it, "")
		} else {
			dst = appendMember(dst, it, tree.Path(rel.Base()))
		}
	}
	closeGroup()
	return append(dst, '}')
}

// shared returns how many leading components it has in common with the path of
// a neighbouring leaf.
func (b *batch) shared(neighbour *tree.Path, it item) int {
	if neighbour == nil {
		return 0 // the root: the target itself is never written whole, for an update needs a member
	}
	return sharedDepth(*neighbour, it.path)
}

func sharedDepth(a, b tree.Path) int {
	n := 0
	for !a.IsRoot() && !b.IsRoot() {
		var x, y string
		x, a = a.Front()
		y, b = b.Front()
		if x != y {
			break
		}
		n++
	}
	return n
}

// prefix returns the first n components of p.
func prefix(p tree.Path, n int) tree.Path {
	for i := 0; i < len(p); i++ {
		if p[i] == '/' {
			if n--; n == 0 {
				return p[:i]
			}
		}
	}
	return p
}
