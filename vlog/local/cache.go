package local

import (
	"sort"

	"rebase/vlog"
)

// cachedBlock is the part of a written block that holds its records. The bytes are immutable.
type cachedBlock struct {
	first vlog.Position
	count uint32
	body  []byte
}

// cachedOverhead is what a block costs beyond its bytes.
const cachedOverhead = 48

func (b *cachedBlock) next() vlog.Position { return b.first + vlog.Position(b.count) }

// cache holds the latest blocks, without a gap up to the tail. It is a queue: the oldest leave when limit is exceeded.
// Guarded by Loglet.mu.
type cache struct {
	limit  int
	size   int
	blocks []cachedBlock // blocks[head:] are in the cache
	head   int
}

func (c *cache) add(first vlog.Position, count uint32, body []byte) {
	c.blocks = append(c.blocks, cachedBlock{first, count, body})
	c.size += len(body) + cachedOverhead
	for c.size > c.limit && c.head < len(c.blocks) {
		old := &c.blocks[c.head]
		c.size -= len(old.body) + cachedOverhead
		*old = cachedBlock{} // let go of the bytes
		c.head++
	}
	if c.head > len(c.blocks)/2 {
		n := copy(c.blocks, c.blocks[c.head:])
		clear(c.blocks[n:])
		c.blocks, c.head = c.blocks[:n], 0
	}
}

// find appends to dst the blocks that hold [from, to), no more of them than cover maxBytes. It returns none if from is
// not in the cache.
func (c *cache) find(dst []cachedBlock, from, to vlog.Position, maxBytes int) []cachedBlock {
	live := c.blocks[c.head:]
	if len(live) == 0 || from < live[0].first {
		return dst
	}
	i := sort.Search(len(live), func(i int) bool { return live[i].next() > from })
	for ; i < len(live) && live[i].first < to; i++ {
		dst = append(dst, live[i])
		// The first block may hold anything from one record of ours to all of it, so it does not count.
		if len(dst) > 1 {
			if maxBytes -= len(live[i].body); maxBytes <= 0 {
				break
			}
		}
	}
	return dst
}
