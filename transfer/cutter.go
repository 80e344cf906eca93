package transfer

import "rebase/tree"

// cutter turns the leaves of a document into batches.
//
// The priority of an object is set by an update only if the object exists, so it
// must travel in the same update as a leaf of the object. Where the document has
// it before the object's children, it waits here for the first of them. Where it
// comes later, the leaf before it in the document is one of the object's, and is
// still in the batch: a batch is only handed over when the next leaf is there.
// Updates can therefore be sent in any order.
type cutter struct {
	size int                // of a batch, in bytes
	skip int64              // leaves to pass over, with their priorities: they are on the server already
	emit func(*batch) error // takes a complete batch

	cur   *batch
	early []item // priorities that wait for a leaf of their object
	last  *tree.Path
	seen  int64
}

func (c *cutter) leaf(p tree.Path, n *tree.Node) error {
	c.seen++
	if c.seen <= c.skip {
		c.early = c.early[:0]
		c.last = &p
		return nil
	}
	if c.cur != nil && c.cur.size >= c.size {
		c.cur.after = &p
		if err := c.emit(c.cur); err != nil {
			return err
		}
		c.cur = nil
	}
	if c.cur == nil {
		c.cur = &batch{before: c.last}
	}
	for _, it := range c.early {
		if it.path.Contains(p) { // else the object turned out to be empty, and does not exist
			c.cur.add(it)
		}
	}
	c.early = c.early[:0]
	c.cur.add(item{path: p, node: n})
	c.cur.upTo = c.seen
	c.last = &p
	return nil
}

func (c *cutter) priority(p tree.Path, n *tree.Node) error {
	it := item{path: p, node: n, priority: true}
	switch {
	case c.last == nil || !p.Contains(*c.last):
		c.early = append(c.early, it)
	case c.seen > c.skip:
		c.cur.add(it)
	}
	return nil
}

// finish hands over what is left.
func (c *cutter) finish() error {
	if c.cur == nil {
		return nil
	}
	b := c.cur
	c.cur = nil
	return c.emit(b)
}
