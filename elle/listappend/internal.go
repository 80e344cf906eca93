package listappend

import (
	"fmt"
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
)

// internal reports committed transactions that do not see what they have done themselves:
// a read must return what the previous read of the key returned and behind it what the
// transaction has appended since; the first read must end in what was appended before it.
func (c *checker) internal() {
	// last is the previous micro-operation of a key in this transaction, plus 1.
	last := make([]int32, c.h.Keys())
	var prev []int32 // by micro-operation: the previous one of its key, or -1
	for op := range c.h.Ops {
		mops := c.h.Mops(op)
		if c.h.Ops[op].Type != history.OK || len(mops) < 2 {
			continue
		}
		prev = prev[:0]
		again := false
		for i, m := range mops {
			p := last[m.Key] - 1
			prev = append(prev, p)
			last[m.Key] = int32(i + 1)
			again = again || p >= 0 && m.Kind.IsRead()
		}
		for _, m := range mops {
			last[m.Key] = 0
		}
		for i := 0; again && i < len(mops); i++ {
			if mops[i].Kind.IsRead() && prev[i] >= 0 {
				c.internalRead(op, mops, prev, i)
			}
		}
	}
}

// internalRead looks at the i-th micro-operation, a read.
func (c *checker) internalRead(op int, mops []history.Mop, prev []int32, i int) {
	var own []history.Value // appended since, the last first
	p := prev[i]
	for p >= 0 && mops[p].Kind == history.Append {
		own = append(own, mops[p].Val)
		p = prev[p]
	}
	slices.Reverse(own)
	list := c.h.List(mops[i])
	n := len(list) - len(own)
	agrees := n >= 0 && slices.Equal(list[max(n, 0):], own)
	if p < 0 {
		if !agrees {
			c.addInternal(op, mops, i, "does not end in "+c.data(own).String()+", which the same transaction has appended before")
		}
		return
	}
	before := c.h.List(mops[p])
	if agrees && n == len(before) && slices.Equal(list[:n], before) {
		return
	}
	why := fmt.Sprintf("the same transaction has read %s before", clip(c.data(before)))
	if len(own) > 0 {
		why += fmt.Sprintf(", and appended %s since", c.data(own))
	}
	c.addInternal(op, mops, i, why)
}

func (c *checker) addInternal(op int, mops []history.Mop, i int, why string) {
	c.add(model.Internal, func() anomaly.Anomaly {
		return anomaly.Anomaly{
			Ops: []int{op},
			Facts: []anomaly.Fact{{Name: "key", Value: c.h.KeyDatum(mops[i].Key)},
				{Name: "mop-index", Value: i}, {Name: "value", Value: c.data(c.h.List(mops[i]))}},
			Text: fmt.Sprintf("%s: %s", clip(c.h.Micro(mops[i])), why),
		}
	})
}
