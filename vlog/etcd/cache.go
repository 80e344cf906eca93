package etcd

import (
	"slices"

	"rebase/vlog"
)

const (
	cacheBytes   = 16 << 20
	cacheBatches = 1024
)

// cache keeps batches that were read or written lately: who follows the tail reads what this process has just appended, and
// a batch is read in several calls where the caller wants less than all of it. Its owner's lock guards it.
type cache struct {
	batches []*batch // ascending
	bytes   int
	clock   uint64
}

// add puts a batch in; nil is none.
func (c *cache) add(b *batch) {
	if b == nil || b.bytes > cacheBytes/4 {
		return
	}
	i, found := c.search(b.first)
	if found {
		return
	}
	c.clock++
	b.used = c.clock
	c.batches = slices.Insert(c.batches, i, b)
	c.bytes += b.bytes
	for c.bytes > cacheBytes || len(c.batches) > cacheBatches {
		oldest := 0
		for i, b := range c.batches {
			if b.used < c.batches[oldest].used {
				oldest = i
			}
		}
		c.bytes -= c.batches[oldest].bytes
		c.batches = slices.Delete(c.batches, oldest, oldest+1)
	}
}

func (c *cache) search(first vlog.Position) (int, bool) {
	return slices.BinarySearchFunc(c.batches, first, func(b *batch, p vlog.Position) int {
		switch {
		case b.first < p:
			return -1
		case b.first > p:
			return 1
		}
		return 0
	})
}

// find returns the batch that holds a position, or nil.
func (c *cache) find(p vlog.Position) *batch {
	i, found := c.search(p)
	if !found {
		i--
	}
	if i < 0 || c.batches[i].end() <= p {
		return nil
	}
	c.clock++
	c.batches[i].used = c.clock
	return c.batches[i]
}

// drop forgets the batches below a position.
func (c *cache) drop(before vlog.Position) {
	i, _ := c.search(before)
	for _, b := range c.batches[:i] {
		c.bytes -= b.bytes
	}
	c.batches = slices.Delete(c.batches, 0, i)
}
