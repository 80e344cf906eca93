package gen

import "math"

// key is one object of the store, with all its versions.
type key struct {
	id     int64
	writes int64 // invoked so far; also the last value

	// elems are the values in the order of their versions, and seqs the commits
	// that made them. Elements that a reader may have seen are never changed in place,
	// so a list that was read is a part of them.
	elems, seqs []int64

	committed int   // lockStore: how many of elems are
	commits   []int // lockStore: of each of them, how many there were before its commit
	lock      *txn  // lockStore: who may write

	at   [sites]place // replicaStore
	last int64        // replicaStore: stamp of the last commit anywhere
}

// pool holds the keys in use and makes the operations on them.
type pool struct {
	o     *Options
	rng   *rng
	keys  []*key
	cum   []float64 // cumulative share of each place in keys
	next  int64
	reads float64
}

func newPool(o *Options, r *rng) *pool {
	p := &pool{o: o, rng: r, reads: max(o.Reads, 0)}
	n := o.Keys
	if o.Workload == Set || o.Workload == Counter {
		n = 1
	}
	total := 0.0
	for i := range n {
		p.keys = append(p.keys, p.fresh())
		total += math.Pow(o.KeyBase, -float64(i))
		p.cum = append(p.cum, total)
	}
	return p
}

func (p *pool) fresh() *key {
	k := &key{id: p.next}
	p.next++
	return k
}

func (p *pool) pick() int {
	u := float64(p.rng.next()>>11) / (1 << 53) * p.cum[len(p.cum)-1]
	for i, c := range p.cum {
		if u < c {
			return i
		}
	}
	return len(p.cum) - 1
}

// ops appends the steps of a new operation.
func (p *pool) ops(ops []Op) []Op {
	switch p.o.Workload {
	case Set, Counter:
		k := p.keys[0]
		if p.rng.chance(p.reads) {
			return append(ops, Op{Kind: Read, k: k})
		}
		k.writes++
		v := k.writes
		if p.o.Workload == Counter {
			v = int64(1 + p.rng.intn(5))
		}
		return append(ops, Op{Kind: Add, Val: v, k: k})
	}
	n := p.o.MinOps + p.rng.intn(p.o.MaxOps-p.o.MinOps+1)
	for range n {
		i := p.pick()
		k := p.keys[i]
		op := Op{Kind: Read, Key: k.id, k: k}
		if !p.rng.chance(p.reads) {
			op.Kind = Append
			if p.o.Workload == Register {
				op.Kind = Write
			}
			k.writes++
			op.Val = k.writes
			if k.writes >= int64(p.o.MaxWrites) {
				p.keys[i] = p.fresh()
			}
		}
		ops = append(ops, op)
	}
	return ops
}
