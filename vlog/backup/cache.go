package backup

import (
	"container/list"
	"sync"
)

// cache keeps what was read last, checked, up to a number of bytes.
type cache struct {
	limit int

	mu    sync.Mutex
	size  int
	items map[cacheKey]*list.Element
	order list.List // most recently used first
}

// cacheKey names a block of an object, or with block -1 its index. The key of the object holds its content's hash, so it is the same for
// every loglet.
type cacheKey struct {
	object string
	block  int
}

type cacheItem struct {
	key   cacheKey
	value any
	size  int
}

func newCache(limit int) *cache { return &cache{limit: limit, items: map[cacheKey]*list.Element{}} }

func (c *cache) get(k cacheKey) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cacheItem).value, true
}

func (c *cache) put(k cacheKey, value any, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[k]; ok || size > c.limit/2 {
		return
	}
	c.items[k] = c.order.PushFront(&cacheItem{k, value, size})
	for c.size += size; c.size > c.limit; {
		last := c.order.Remove(c.order.Back()).(*cacheItem)
		delete(c.items, last.key)
		c.size -= last.size
	}
}
