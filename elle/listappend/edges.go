package listappend

import (
	"rebase/elle/graph"
	"rebase/elle/history"
)

// edges adds the dependencies that follow from the key.
func (c *checker) edges() {
	b := c.out.Build
	// ww: along the order, over those that can be in a dependency.
	last := int32(-1)
	for _, n := range c.at {
		if n < 0 || c.appends[n].typ == history.Fail {
			continue
		}
		if last >= 0 {
			b.Add(c.appends[last].op, c.appends[n].op, graph.WW)
		}
		last = n
	}
	// next[i] is the writer of the first version from the i-th on.
	readers := c.scratch.readers[:0]
	for i := range c.reads {
		r := &c.reads[i]
		list := c.list(r)
		if len(list) > 0 {
			if n := c.writer.get(list[len(list)-1]); n >= 0 && c.appends[n].typ != history.Fail {
				b.Add(c.appends[n].op, r.op, graph.WR)
			}
		}
		if !c.fits(r) {
			continue // what it has not seen is not certain
		}
		at := len(list)
		for at < len(c.at) && (c.at[at] < 0 || c.appends[c.at[at]].typ == history.Fail) {
			at++
		}
		if at < len(c.at) {
			b.Add(r.op, c.appends[c.at[at]].op, graph.RW)
		} else {
			readers = appendNew(readers, r.op)
		}
	}
	// What nobody has read comes after everything that was.
	targets := c.scratch.targets[:0]
	for i := range c.appends {
		if w := &c.appends[i]; !w.observed && w.typ != history.Fail {
			targets = appendNew(targets, w.op)
			if last >= 0 {
				b.Add(c.appends[last].op, w.op, graph.WW)
			}
		}
	}
	if len(targets) > 1 {
		c.out.Complete = false // their order may be forced by other keys: nobody tries
	}
	b.Reach(readers, targets, graph.RW)
	c.scratch.readers, c.scratch.targets = readers, targets
}

// appendNew appends op to a list in order of operations.
func appendNew(list []uint32, op uint32) []uint32 {
	if n := len(list); n > 0 && list[n-1] == op {
		return list
	}
	return append(list, op)
}
