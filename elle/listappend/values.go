package listappend

import (
	"fmt"
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/history"
	"rebase/elle/model"
)

// The anomalies in what single reads returned.

// disagreements reports lists that are no prefix of the longest one, and lists that have an
// element twice.
func (c *checker) disagreements() {
	var longest *read
	for i := range c.reads {
		if r := &c.reads[i]; int(r.m.Len) == len(c.longest) {
			longest = r
			break
		}
	}
	seen := map[history.Value]bool{}
	for i := range c.reads {
		r := &c.reads[i]
		list := c.list(r)
		if !slices.Equal(list, c.longest[:len(list)]) {
			c.add(model.IncompatibleOrder, func() anomaly.Anomaly {
				at := 0
				for list[at] == c.longest[at] {
					at++
				}
				return anomaly.Anomaly{
					Ops: []int{int(longest.op), int(r.op)},
					Facts: []anomaly.Fact{{Name: "key", Value: c.h.KeyDatum(c.k)},
						{Name: "values", Value: []history.Datum{c.data(c.longest), c.data(list)}}},
					Text: fmt.Sprintf("key %s was read as %s and as %s: they differ at position %d, so neither can be a past of the other",
						c.h.KeyDatum(c.k), clip(c.data(c.longest)), clip(c.data(list)), at+1),
				}
			})
		}
		clear(seen)
		for _, v := range list {
			if !seen[v] {
				seen[v] = true
				continue
			}
			c.add(model.Duplicates, func() anomaly.Anomaly {
				return c.oneRead(r, v, "was appended once, and is in the list more than once")
			})
			break
		}
	}
}

// oneRead is an anomaly of a read because of an element of its list.
func (c *checker) oneRead(r *read, v history.Value, why string, others ...int) anomaly.Anomaly {
	micro := c.h.Micro(r.m)
	return anomaly.Anomaly{
		Ops: append([]int{int(r.op)}, others...),
		Facts: append(c.facts("element", v),
			anomaly.Fact{Name: "mop-index", Value: r.mop},
			anomaly.Fact{Name: "value", Value: c.data(c.list(r))}),
		Text: fmt.Sprintf("%s returned element %s, which %s", clip(micro), c.datum(v), why),
	}
}

// garbage reports elements that nobody appended.
func (c *checker) garbage() {
	c.eachRead(func(n int32) bool { return n < 0 }, func(r *read, v history.Value, _ int32) {
		c.add(model.GarbageRead, func() anomaly.Anomaly {
			return c.oneRead(r, v, "no transaction ever appended to this key")
		})
	})
}

// aborted reports elements of transactions that failed: committed ones that read them, and
// committed ones that appended behind them.
func (c *checker) aborted() {
	failed := func(n int32) bool { return n >= 0 && c.appends[n].typ == history.Fail }
	c.eachRead(failed, func(r *read, v history.Value, n int32) {
		c.add(model.G1a, func() anomaly.Anomaly {
			return c.oneRead(r, v, "was appended by a transaction that failed", int(c.appends[n].op))
		})
	})
	bad := int32(-1)
	for i, n := range c.at {
		switch {
		case failed(n):
			bad = int32(i)
		case bad >= 0 && n >= 0 && c.appends[n].typ == history.OK:
			from, to := &c.appends[c.at[bad]], &c.appends[n]
			c.add(model.DirtyUpdate, func() anomaly.Anomaly {
				return anomaly.Anomaly{
					Ops: []int{int(from.op), int(to.op)},
					Facts: []anomaly.Fact{{Name: "key", Value: c.h.KeyDatum(c.k)},
						{Name: "values", Value: []history.Datum{c.datum(from.val), c.datum(to.val)}}},
					Text: fmt.Sprintf("on key %s, %s was appended behind %s, by a transaction that failed: its state was built upon",
						c.h.KeyDatum(c.k), c.datum(to.val), c.datum(from.val)),
				}
			})
			bad = -1
		}
	}
}

// eachRead calls f for each version that is bad, with the first read that has it;
// n is the index of its append, or -1. Of lists that do not fit, each is looked at.
func (c *checker) eachRead(bad func(n int32) bool, f func(r *read, v history.Value, n int32)) {
	var carriers []int32
	for i, n := range c.at {
		if !bad(n) {
			continue
		}
		if carriers == nil {
			carriers = c.carriers()
		}
		if r := carriers[i]; r >= 0 {
			f(&c.reads[r], c.order[i], n)
		}
	}
	if c.straight {
		return
	}
	for i := range c.reads {
		r := &c.reads[i]
		if c.fits(r) {
			continue
		}
		for _, v := range c.list(r) {
			if n := c.writer.get(v); bad(n) {
				f(r, v, n)
			}
		}
	}
}

// intermediate reports lists that end in an element behind which its own transaction went
// on to append.
func (c *checker) intermediate() {
	for i := range c.reads {
		r := &c.reads[i]
		if r.m.Len == 0 {
			continue
		}
		list := c.list(r)
		v := list[len(list)-1]
		n := c.writer.get(v)
		if n < 0 || c.appends[n].final || c.appends[n].op == r.op || c.appends[n].typ == history.Fail {
			continue
		}
		c.add(model.G1b, func() anomaly.Anomaly {
			return c.oneRead(r, v, "is not the last one that its transaction appended: the state in between was seen", int(c.appends[n].op))
		})
	}
}

// futures reports reads of what the same transaction appends only afterwards.
func (c *checker) futures() {
	j := 0
	for i := range c.reads {
		r := &c.reads[i]
		for j < len(c.appends) && c.appends[j].op < r.op {
			j++
		}
		for k := j; k < len(c.appends) && c.appends[k].op == r.op; k++ {
			w := &c.appends[k]
			if w.mop < r.mop || !w.observed || !c.contains(r, w) {
				continue
			}
			c.add(model.FutureRead, func() anomaly.Anomaly {
				return c.oneRead(r, w.val, "the same transaction appends only afterwards")
			})
		}
	}
}

func (c *checker) contains(r *read, w *write) bool {
	if c.fits(r) {
		return w.place >= 0 && uint32(w.place) < r.m.Len
	}
	return slices.Contains(c.list(r), w.val)
}

// reversed reports appends of one transaction that took effect in another order than they
// were made, or of which the later one was read and the earlier one never: the order in the
// transaction and the order of versions contradict each other. No cycle shows it, since a
// transaction does not precede itself.
func (c *checker) reversed() {
	for i := 1; i < len(c.appends); i++ {
		a, b := &c.appends[i-1], &c.appends[i]
		if a.op != b.op || a.typ == history.Fail || b.place < 0 || a.observed && a.place < b.place {
			continue
		}
		c.add(model.CyclicVersions, func() anomaly.Anomaly {
			text := fmt.Sprintf("to key %s, T1 appended %s and then %s, but ", c.h.KeyDatum(c.k), c.datum(a.val), c.datum(b.val))
			if a.place < 0 {
				text += fmt.Sprintf("lists have %s without %s", c.datum(b.val), c.datum(a.val))
			} else {
				text += fmt.Sprintf("in the list %s comes first", c.datum(b.val))
			}
			return anomaly.Anomaly{Ops: []int{int(a.op)}, Text: text,
				Facts: []anomaly.Fact{{Name: "key", Value: c.h.KeyDatum(c.k)},
					{Name: "scc", Value: []history.Datum{c.datum(a.val), c.datum(b.val)}},
					{Name: "sources", Value: []string{"transaction", "reads"}}}}
		})
	}
}

// lost reports committed transactions that first read the same version of the key and then
// each appended to it: at most one of them can have appended to what it had read.
func (c *checker) lost() {
	updates := slices.Grow(c.scratch.updates[:0], len(c.order)+1)[:len(c.order)+1]
	clear(updates)
	c.scratch.updates = updates
	var more map[uint32][]int // by length: operations after the first
	j := 0
	for i := range c.reads {
		r := &c.reads[i]
		if i > 0 && c.reads[i-1].op == r.op || !c.fits(r) {
			continue
		}
		for j < len(c.appends) && c.appends[j].op < r.op {
			j++
		}
		if j == len(c.appends) || c.appends[j].op != r.op || c.appends[j].mop < r.mop {
			continue
		}
		n := r.m.Len
		if updates[n] == 0 {
			updates[n] = int32(r.op) + 1
			continue
		}
		if more == nil {
			more = map[uint32][]int{}
		}
		more[n] = append(more[n], int(r.op))
	}
	if more == nil {
		return
	}
	for n := range updates {
		others := more[uint32(n)]
		if others == nil {
			continue
		}
		c.add(model.LostUpdate, func() anomaly.Anomaly {
			version := c.data(c.order[:n])
			return anomaly.Anomaly{
				Ops:   append([]int{int(updates[n] - 1)}, others...),
				Facts: []anomaly.Fact{{Name: "key", Value: c.h.KeyDatum(c.k)}, {Name: "value", Value: version}},
				Text: fmt.Sprintf("%d committed transactions read key %s as %s and then appended to it: at most one of them can have appended to what it had read",
					len(others)+1, c.h.KeyDatum(c.k), clip(version)),
			}
		})
	}
}

// data is a list as a datum.
func (c *checker) data(list []history.Value) history.Datum { return data(c.h, list) }

func data(h *history.History, list []history.Value) history.Datum {
	items := make([]history.Datum, len(list))
	for i, v := range list {
		items[i] = h.Datum(v)
	}
	return history.ListDatum(items...)
}

// clip shortens what is long and of which the end tells most.
func clip(s fmt.Stringer) string {
	text := s.String()
	if len(text) > 200 {
		return text[:60] + " … " + text[len(text)-120:]
	}
	return text
}
