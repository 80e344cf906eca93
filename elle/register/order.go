package register

import (
	"slices"

	"rebase/elle/history"
)

// reason is why one version of a key comes before another.
type reason uint8

const (
	byInitial  reason = iota // nothing was written before the first write
	byOrder                  // the caller gave the order of commits
	byWFR                    // one transaction read the first and wrote the second
	bySequence               // a process touched them in this order
	byRealtime               // so did any two transactions, one after the other
	reasons
)

// names are those of the sources in reports.
var names = [reasons]string{"initial-state", "transaction-order", "wfr-keys", "sequential-keys", "linearizable-keys"}

// link says that version a comes before version b. t1 and t2 are the transactions that show it, where there are any.
type link struct {
	a, b   version
	t1, t2 uint32
	why    reason
}

// cyclic is a key whose versions would precede themselves.
type cyclic struct {
	key      history.Key
	sources  []string
	versions []version // that precede each other
}

// orders are the version orders of all keys.
type orders struct {
	links  []link // sorted by a, but for those by initial state, which are left out
	at     []uint32
	cyclic []cyclic
}

// from returns the links that leave a version.
func (o *orders) from(v version) []link { return o.links[o.at[v]:o.at[v+1]] }

// orderVersions merges what each source says into an order for each key. A source that contradicts what is
// known of a key already says nothing about that key, and is reported.
func (x *index) orderVersions(o Options) *orders {
	out := &orders{at: make([]uint32, len(x.key)+1)}
	perKey := make([][]link, x.h.Keys())
	used := make([][]string, x.h.Keys())
	for k := range used {
		if x.initial[k] != none {
			used[k] = []string{names[byInitial]}
		}
	}
	merge := func(enabled bool, why reason, links func() []link) {
		if !enabled {
			return
		}
		found := make([][]link, x.h.Keys())
		for _, l := range links() {
			if l.a != l.b && !x.doubled[l.a] && !x.doubled[l.b] {
				l.why = why
				found[x.key[l.a]] = append(found[x.key[l.a]], l)
			}
		}
		for k, list := range found {
			if len(list) == 0 {
				continue
			}
			with := slices.Concat(perKey[k], list)
			sources := append(slices.Clone(used[k]), names[why])
			if loop := x.loop(history.Key(k), with); loop != nil {
				out.cyclic = append(out.cyclic, cyclic{history.Key(k), sources, loop})
				continue
			}
			perKey[k], used[k] = with, sources
		}
	}
	merge(o.Order != nil, byOrder, func() []link { return x.linksByOrder(o.Order) })
	merge(o.WFRKeys, byWFR, x.linksByWFR)
	merge(o.SequentialKeys, bySequence, x.linksBySequence)
	merge(o.LinearizableKeys, byRealtime, x.linksByRealtime)
	for _, list := range perKey {
		out.links = append(out.links, list...)
	}
	slices.SortStableFunc(out.links, func(a, b link) int {
		if a.a != b.a {
			return int(a.a) - int(b.a)
		}
		return int(a.b) - int(b.b)
	})
	out.links = slices.CompactFunc(out.links, func(a, b link) bool { return a.a == b.a && a.b == b.b })
	for _, l := range out.links {
		out.at[l.a+1]++
	}
	for v := range x.key {
		out.at[v+1] += out.at[v]
	}
	return out
}

// loop returns versions of a key that precede each other by these links or by the initial
// state: a strongly connected component. It returns nil if there is none.
func (x *index) loop(k history.Key, links []link) []version {
	local := map[version]int{}
	var versions []version
	number := func(v version) int {
		n, ok := local[v]
		if !ok {
			n = len(versions)
			local[v] = n
			versions = append(versions, v)
		}
		return n
	}
	type arc struct{ from, to int }
	var arcs []arc
	for _, l := range links {
		arcs = append(arcs, arc{number(l.a), number(l.b)})
	}
	if first := x.initial[k]; first != none {
		if n, ok := local[first]; ok {
			for v := range versions {
				if v != n {
					arcs = append(arcs, arc{n, v})
				}
			}
		}
	}
	next := make([][]int, len(versions))
	in := make([]int, len(versions))
	for _, a := range arcs {
		next[a.from] = append(next[a.from], a.to)
		in[a.to]++
	}
	// What can be taken away from the front is on no loop.
	var ready []int
	for v, n := range in {
		if n == 0 {
			ready = append(ready, v)
		}
	}
	left := len(versions)
	for len(ready) > 0 {
		v := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		left--
		for _, w := range next[v] {
			if in[w]--; in[w] == 0 {
				ready = append(ready, w)
			}
		}
	}
	if left == 0 {
		return nil
	}
	return shortestLoop(next, in, versions)
}

// shortestLoop finds, among the vertices with in > 0, one of the shortest loops through the first that lies on one.
func shortestLoop(next [][]int, in []int, versions []version) []version {
	for start := range next {
		if in[start] == 0 {
			continue
		}
		before := map[int]int{start: -1}
		queue := []int{start}
		for len(queue) > 0 {
			v := queue[0]
			queue = queue[1:]
			for _, w := range next[v] {
				if w == start {
					var list []version
					for at := v; at >= 0; at = before[at] {
						list = append(list, versions[at])
					}
					slices.Reverse(list)
					return list
				}
				if _, ok := before[w]; !ok && in[w] > 0 {
					before[w] = v
					queue = append(queue, w)
				}
			}
		}
	}
	return nil
}

// touch is a transaction's contact with one key.
type touch struct {
	op          uint32
	first, last version // what it read or else wrote; what it wrote or else read
}

// touches calls f for every key that a transaction touched for certain.
func (x *index) touches(op uint32, f func(history.Key, touch)) {
	if !x.happened(op) {
		return
	}
	for _, w := range x.writesOf(op) {
		t := touch{op, w.v, w.v}
		if r, ok := x.readOf(op, x.key[w.v]); ok {
			t.first = r.v
		}
		f(x.key[w.v], t)
	}
	for _, r := range x.readsOf(op) {
		if _, ok := x.writeOf(op, x.key[r.v]); !ok {
			f(x.key[r.v], touch{op, r.v, r.v})
		}
	}
}

func (x *index) linksByOrder(order func(int) (int64, bool)) []link {
	type commit struct {
		at int64
		op uint32
	}
	var commits []commit
	for op := range x.h.Ops {
		if at, ok := order(op); ok && x.happened(uint32(op)) {
			commits = append(commits, commit{at, uint32(op)})
		}
	}
	slices.SortStableFunc(commits, func(a, b commit) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	var links []link
	last := map[history.Key]version{}
	for _, c := range commits {
		for _, w := range x.writesOf(c.op) {
			k := x.key[w.v]
			if v, ok := last[k]; ok {
				links = append(links, link{a: v, b: w.v, t1: x.writer[v], t2: c.op})
			}
			last[k] = w.v
		}
	}
	return links
}

func (x *index) linksByWFR() []link {
	var links []link
	for op := range x.h.Ops {
		for _, r := range x.readsOf(uint32(op)) {
			if w, ok := x.writeOf(uint32(op), x.key[r.v]); ok {
				links = append(links, link{a: r.v, b: w.v, t1: uint32(op), t2: uint32(op)})
			}
		}
	}
	return links
}

func (x *index) linksBySequence() []link {
	type place struct {
		process int32
		k       history.Key
	}
	var links []link
	last := map[place]touch{}
	for op := range x.h.Ops {
		p := x.h.Ops[op].Process
		if p == history.NoProcess {
			continue
		}
		x.touches(uint32(op), func(k history.Key, t touch) {
			if before, ok := last[place{p, k}]; ok {
				links = append(links, link{a: before.last, b: t.first, t1: before.op, t2: t.op})
			}
			last[place{p, k}] = t
		})
	}
	return links
}

// linksByRealtime links, key by key, each transaction to those that end last before it begins: those of which none
// ended before another began.
func (x *index) linksByRealtime() []link {
	var links []link
	open := make([][]touch, x.h.Keys()) // ended, and not yet known to precede another that has
	began := make([]int32, len(x.h.Ops))
	for op := range x.h.Ops {
		began[op] = x.h.Ops[op].Invoke
	}
	for _, e := range x.h.Events() {
		op := e >> 1
		if e&1 == 0 {
			x.touches(op, func(k history.Key, t touch) {
				for _, before := range open[k] {
					links = append(links, link{a: before.last, b: t.first, t1: before.op, t2: t.op})
				}
			})
			continue
		}
		if x.h.Ops[op].Type != history.OK || began[op] == history.NoEvent {
			continue
		}
		x.touches(op, func(k history.Key, t touch) {
			kept := open[k][:0]
			for _, before := range open[k] {
				if x.h.Ops[before.op].Complete > began[op] {
					kept = append(kept, before)
				}
			}
			open[k] = append(kept, t)
		})
	}
	return links
}
