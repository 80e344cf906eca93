package register

import (
	"slices"

	"rebase/elle/history"
)

// version is a value that a key has had, as a dense number. Every key has the version
// that it began with, nil, once somebody has read it.
type version = uint32

// none stands for no version and for no operation.
const none = ^uint32(0)

// access is a read or a write of a version by a transaction.
type access struct {
	v   version
	mop uint32 // place in the transaction
}

// index is a history taken apart: who wrote which version, and who read it.
type index struct {
	h *history.History

	// Of versions.
	key     []history.Key
	val     []history.Value
	writer  []uint32 // operation; none for an initial version, or for one that nobody wrote
	wmop    []uint32 // place of the write in it
	between []bool   // the writer has replaced it itself
	doubled []bool   // written more than once: nobody can tell by whom
	byKey   [][]version
	initial []version // by key; none if nobody read it
	place   map[uint64]version

	// Of transactions: external reads and writes, the former only of those that are ok.
	reads, writes        []access
	readsAt, writesAt    []uint32 // by operation; one more at the end
	readers              []uint32 // operations that read a version from outside
	readersAt            []uint32 // by version; one more at the end
	seen                 []bool   // by operation: in doubt, but others read what it wrote
	internal, futurities []inside

	objects []history.Key // of the problem that was stated last
}

// inside is a read that disagrees with its own transaction.
type inside struct {
	op, read, earlier uint32 // earlier: the place of what it disagrees with; for a future read the later write
}

func pair(k history.Key, v history.Value) uint64 { return uint64(k)<<32 | uint64(v) }

// version returns the number of a value of a key.
func (x *index) version(k history.Key, v history.Value) version {
	at, ok := x.place[pair(k, v)]
	if !ok {
		at = version(len(x.key))
		x.place[pair(k, v)] = at
		x.key, x.val = append(x.key, k), append(x.val, v)
		x.writer, x.wmop = append(x.writer, none), append(x.wmop, 0)
		x.between, x.doubled = append(x.between, false), append(x.doubled, false)
		x.byKey[k] = append(x.byKey[k], at)
		if v == history.None {
			x.initial[k] = at
		}
	}
	return at
}

func newIndex(h *history.History) *index {
	x := &index{h: h, place: make(map[uint64]version, h.MopCount()/2), byKey: make([][]version, h.Keys()),
		initial: make([]version, h.Keys()), seen: make([]bool, len(h.Ops))}
	for k := range x.initial {
		x.initial[k] = none
	}
	for op := range h.Ops {
		x.addWrites(uint32(op))
	}
	x.writesAt = append(x.writesAt, uint32(len(x.writes)))
	for op := range h.Ops {
		x.addReads(uint32(op))
	}
	x.readsAt = append(x.readsAt, uint32(len(x.reads)))
	x.invert()
	return x
}

// addWrites takes the writes of every operation, whatever has become of it.
func (x *index) addWrites(op uint32) {
	x.writesAt = append(x.writesAt, uint32(len(x.writes)))
	first := len(x.writes)
	for i, m := range x.h.Mops(int(op)) {
		if m.Kind != history.Write {
			continue
		}
		v := x.version(m.Key, m.Val)
		if x.writer[v] != none || m.Val == history.None {
			x.doubled[v] = true // nil is also what was there before
		}
		x.writer[v], x.wmop[v] = op, uint32(i)
		again := slices.IndexFunc(x.writes[first:], func(a access) bool { return x.key[a.v] == m.Key })
		if again < 0 {
			x.writes = append(x.writes, access{v, uint32(i)})
			continue
		}
		earlier := &x.writes[first+again]
		x.between[earlier.v] = earlier.v != v
		*earlier = access{v, uint32(i)}
	}
}

// addReads takes the reads of an operation that is ok.
func (x *index) addReads(op uint32) {
	x.readsAt = append(x.readsAt, uint32(len(x.reads)))
	if x.h.Ops[op].Type != history.OK {
		return
	}
	mops := x.h.Mops(int(op))
	var last map[history.Key]int // place of the last step on a key, where there are many
	if len(mops) > 32 {
		last = make(map[history.Key]int, len(mops))
	}
	for i, m := range mops {
		earlier := -1
		if last != nil {
			if at, ok := last[m.Key]; ok {
				earlier = at
			}
			last[m.Key] = i
		} else {
			for j := i - 1; j >= 0 && earlier < 0; j-- {
				if mops[j].Key == m.Key {
					earlier = j
				}
			}
		}
		if m.Kind != history.Read {
			continue
		}
		if earlier >= 0 {
			if mops[earlier].Val != m.Val {
				x.internal = append(x.internal, inside{op, uint32(i), uint32(earlier)})
			}
			continue
		}
		v := x.version(m.Key, m.Val)
		if x.writer[v] == op && !x.doubled[v] {
			x.futurities = append(x.futurities, inside{op, uint32(i), x.wmop[v]})
		}
		x.reads = append(x.reads, access{v, uint32(i)})
	}
}

// invert finds the readers of each version.
func (x *index) invert() {
	x.readersAt = make([]uint32, len(x.key)+1)
	for _, a := range x.reads {
		x.readersAt[a.v+1]++
	}
	for v := range x.key {
		x.readersAt[v+1] += x.readersAt[v]
	}
	x.readers = make([]uint32, len(x.reads))
	next := slices.Clone(x.readersAt)
	for op := range x.h.Ops {
		for _, a := range x.readsOf(uint32(op)) {
			x.readers[next[a.v]] = uint32(op)
			next[a.v]++
			if w := x.writer[a.v]; w != none && w != uint32(op) && !x.doubled[a.v] && x.h.Ops[w].Type == history.Info {
				x.seen[w] = true
			}
		}
	}
}

func (x *index) readsOf(op uint32) []access  { return x.reads[x.readsAt[op]:x.readsAt[op+1]] }
func (x *index) writesOf(op uint32) []access { return x.writes[x.writesAt[op]:x.writesAt[op+1]] }
func (x *index) readersOf(v version) []uint32 {
	return x.readers[x.readersAt[v]:x.readersAt[v+1]]
}

// happened tells whether an operation has certainly taken effect.
func (x *index) happened(op uint32) bool {
	return x.h.Ops[op].Type == history.OK || x.seen[op]
}

// committed returns who made a version: an operation that has happened and that alone can have.
func (x *index) committed(v version) (op uint32, ok bool) {
	op = x.writer[v]
	return op, op != none && !x.doubled[v] && x.happened(op)
}

// readOf and writeOf find an operation's external access to a key.
func (x *index) readOf(op uint32, k history.Key) (access, bool) {
	return x.find(x.readsOf(op), k)
}

func (x *index) writeOf(op uint32, k history.Key) (access, bool) {
	return x.find(x.writesOf(op), k)
}

func (x *index) find(list []access, k history.Key) (access, bool) {
	for _, a := range list {
		if x.key[a.v] == k {
			return a, true
		}
	}
	return access{}, false
}
