package listappend

import (
	"fmt"
	"slices"

	"rebase/elle/anomaly"
	"rebase/elle/graph"
	"rebase/elle/history"
	"rebase/elle/model"
)

// Options bound what is reported.
type Options struct {
	// Witnesses is how many anomalies of a type are kept; 0 is all. All are counted.
	Witnesses int
}

// Check finds the anomalies of a history that are no cycles, and the dependencies between
// its transactions.
func Check(h *history.History, o Options) *anomaly.Analysis {
	c := &checker{h: h, o: o, refs: group(h),
		out: &anomaly.Analysis{Build: graph.NewBuilder(len(h.Ops))}}
	c.out.Complete = true
	s := &source{h: h, refs: c.refs, keys: map[history.Key]*versions{}}
	c.out.Source, c.out.Weak = s, s.weak
	committed := false
	for op := range h.Ops {
		if h.Ops[op].Type == history.OK && len(h.Mops(op)) > 0 {
			committed = true
			break
		}
	}
	if !committed {
		c.out.Unknown = append(c.out.Unknown, model.EmptyGraph)
	}
	c.internal()
	for k := range history.Key(h.Keys()) {
		c.key(k)
	}
	return c.out
}

type checker struct {
	h    *history.History
	o    Options
	refs *refs
	out  *anomaly.Analysis

	writer table // by value: index into appends

	// Of the key that is being looked at.
	k        history.Key
	appends  []write
	reads    []read
	longest  []history.Value // the longest list that was read
	order    []history.Value // the same without repetition: the versions
	at       []int32         // by index into order: index into appends, or -1
	straight bool            // every read is a prefix of the longest, which has no repetition
	scratch  scratch
}

// write is an append.
type write struct {
	ref
	val      history.Value
	typ      history.Type
	final    bool  // the transaction appends nothing more to the key
	place    int32 // in order, or -1 if nobody has read it
	observed bool  // somebody has read it, be it in a list that disagrees
}

// read is what a committed transaction has read.
type read struct {
	ref
	m history.Mop
}

type scratch struct {
	readers, targets []uint32
	first            []int32 // of carriers
	updates          []int32 // of lost
}

func (c *checker) list(r *read) []history.Value { return c.h.List(r.m) }

// key looks at everything that was done to one key.
func (c *checker) key(k history.Key) {
	c.k = k
	c.collect()
	if len(c.appends) == 0 && len(c.reads) == 0 {
		return
	}
	if !c.unique() {
		return
	}
	c.versions()
	c.place()
	if !c.straight {
		c.disagreements()
	}
	c.reversed()
	c.garbage()
	c.aborted()
	c.intermediate()
	c.futures()
	c.lost()
	c.edges()
}

// collect gathers the appends and reads of the key.
func (c *checker) collect() {
	c.appends, c.reads = c.appends[:0], c.reads[:0]
	low, high := ^history.Value(0), history.Value(0)
	for _, r := range c.refs.of(c.k) {
		m := c.h.Mops(int(r.op))[r.mop]
		typ := c.h.Ops[r.op].Type
		switch {
		case m.Kind == history.Append:
			low, high = min(low, m.Val), max(high, m.Val)
			if n := len(c.appends); n > 0 && c.appends[n-1].op == r.op {
				c.appends[n-1].final = false
			}
			c.appends = append(c.appends, write{ref: r, val: m.Val, typ: typ, final: true, place: -1})
		case typ != history.OK:
			// A transaction that did not commit may have read what never was, its own appends
			// among it.
		case m.Kind == history.ReadList:
			c.reads = append(c.reads, read{r, m})
		case m.Kind == history.Read && m.Val == history.None:
			m.Kind = history.ReadList // nothing is the empty list
			c.reads = append(c.reads, read{r, m})
		}
	}
	c.writer.reset(low, high, len(c.appends))
}

// unique indexes the appends by value. What was appended twice cannot be told apart, so
// nothing follows from the key; where all but one of them failed, it is the one that did
// not.
func (c *checker) unique() bool {
	for i := range c.appends {
		w := &c.appends[i]
		other := c.writer.get(w.val)
		if other >= 0 {
			o := &c.appends[other]
			switch {
			case w.typ == history.Fail:
				continue
			case o.typ != history.Fail:
				c.out.Complete = false
				if !slices.Contains(c.out.Unknown, model.DuplicateWrites) {
					c.out.Unknown = append(c.out.Unknown, model.DuplicateWrites)
				}
				c.add(model.DuplicateWrites, func() anomaly.Anomaly {
					return anomaly.Anomaly{Ops: []int{int(o.op), int(w.op)}, Facts: c.facts("element", w.val),
						Text: fmt.Sprintf("%s was appended twice to key %s: nobody can tell which of them was read, so nothing is inferred from this key", c.datum(w.val), c.h.KeyDatum(c.k))}
				})
				return false
			}
		}
		c.writer.set(w.val, int32(i))
	}
	return true
}

// versions finds the order of versions: the longest list that was read, without
// repetitions.
func (c *checker) versions() {
	var longest []history.Value
	c.straight = true
	for i := range c.reads {
		r := &c.reads[i]
		if !c.h.OnSpine(r.m) && r.m.Len > 0 {
			c.straight = false
		}
		if int(r.m.Len) > len(longest) {
			longest = c.list(r)
		}
	}
	c.order, c.longest = longest, longest
	// Whether an element repeats, the table of writers tells if each has one; garbage has
	// none, and is rare.
	for i := range c.appends {
		c.appends[i].place, c.appends[i].observed = -1, false
	}
	repeats := false
	var garbage map[history.Value]bool
	for i, v := range longest {
		n := c.writer.get(v)
		if n < 0 {
			repeats = repeats || garbage[v]
			if garbage == nil {
				garbage = map[history.Value]bool{}
			}
			garbage[v] = true
			continue
		}
		w := &c.appends[n]
		repeats = repeats || w.place >= 0
		w.place = int32(i)
	}
	if repeats {
		c.straight = false
		c.order = nil
		seen := map[history.Value]bool{}
		for _, v := range longest {
			if !seen[v] {
				seen[v] = true
				c.order = append(c.order, v)
			}
		}
	}
}

// place notes where in the order each append is, and which are read at all.
func (c *checker) place() {
	c.at = c.at[:0]
	for i, v := range c.order {
		n := c.writer.get(v)
		if n >= 0 {
			c.appends[n].place, c.appends[n].observed = int32(i), true
		}
		c.at = append(c.at, n)
	}
	if c.straight {
		return
	}
	for i := range c.reads {
		for _, v := range c.list(&c.reads[i]) {
			if n := c.writer.get(v); n >= 0 {
				c.appends[n].observed = true
			}
		}
	}
}

// carriers gives, by index into the order, the first read that has the version at
// that index, as an index into reads, or -1. Lists that do not fit are left out.
func (c *checker) carriers() []int32 {
	first := slices.Grow(c.scratch.first[:0], len(c.order)+1)[:len(c.order)+1]
	for i := range first {
		first[i] = -1
	}
	for i := len(c.reads) - 1; i >= 0; i-- {
		if r := &c.reads[i]; c.fits(r) {
			first[r.m.Len] = int32(i)
		}
	}
	// first[l] is now the first read of length l; make it that of length l or more, and
	// move it to the index of the version.
	best := int32(-1)
	for l := len(c.order); l > 0; l-- {
		if f := first[l]; f >= 0 && (best < 0 || f < best) {
			best = f
		}
		first[l] = best
	}
	c.scratch.first = first
	return first[1:]
}

// fits tells whether a list is a prefix of the order.
func (c *checker) fits(r *read) bool {
	if c.straight {
		return true
	}
	list := c.list(r)
	return len(list) <= len(c.order) && slices.Equal(list, c.order[:len(list)])
}

func (c *checker) datum(v history.Value) history.Datum { return c.h.Datum(v) }

// facts are the key and, as name says, a value.
func (c *checker) facts(name string, v history.Value) []anomaly.Fact {
	return []anomaly.Fact{{Name: "key", Value: c.h.KeyDatum(c.k)}, {Name: name, Value: c.datum(v)}}
}

func (c *checker) add(t model.Anomaly, makes func() anomaly.Anomaly) {
	c.out.Add(t, c.o.Witnesses, makes)
}
