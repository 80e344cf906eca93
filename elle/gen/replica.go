package gen

// sites is the number of replicas.
const sites = 3

// place is a key at one replica: the version that it shows.
type place struct {
	stamp int64 // 0 means none
	val   int64
	n     int // of lists: how many elements
}

// update is a commit on its way to the other replicas.
type update struct {
	stamp  int64
	origin int
	deps   [sites]int64 // what the origin had applied, of each origin
	writes []replicaWrite
}

type replicaWrite struct {
	k   *key
	val int64
	n   int
}

// replicaStore is a store of several replicas. A transaction runs at its client's, on what has arrived there, and the others
// hear of it later: at read-atomic in any order, from causal on not before what it may depend on. The
// last writer wins, by a stamp that is larger than those of all that the transaction saw.
// From parallel-snapshot-isolation on, and for lists always, a commit fails unless it saw the last
// version, anywhere, of what it writes.
type replicaStore struct {
	s       *sim
	stamp   int64
	applied [sites][sites]int64     // [at][of]
	queues  [sites][sites][]*update // [at][of]
}

func newReplicaStore(s *sim) *replicaStore { return &replicaStore{s: s} }

func (r *replicaStore) abort(t *txn) { t.status = aborted }

func (r *replicaStore) step(t *txn) {
	if !t.begun {
		r.deliver()
		r.begin(t)
		return
	}
	if t.doomed || r.conflict(t) {
		t.status = aborted
		return
	}
	r.commit(t)
}

func (r *replicaStore) begin(t *txn) {
	t.begun, t.snap = true, r.stamp
	for i := range t.ops {
		op := &t.ops[i]
		p := &op.k.at[t.site]
		op.seen = p.stamp
		if op.Kind != Read {
			continue
		}
		if r.s.o.Workload == ListAppend {
			readBehind(t.ops[:i], op, op.k.elems[:p.n:p.n])
			continue
		}
		if p.stamp == 0 {
			readBehind(t.ops[:i], op, nil)
		} else {
			readBehind(t.ops[:i], op, []int64{p.val})
		}
	}
}

func (r *replicaStore) conflict(t *txn) bool {
	for i := range t.ops {
		op := &t.ops[i]
		guarded := op.Kind == Append || op.Kind == Write && r.s.o.Level >= ParallelSnapshotIsolation
		if guarded && op.seen != op.k.last {
			return true
		}
	}
	return false
}

func (r *replicaStore) commit(t *txn) {
	t.status = committed
	var u *update
	for i := range t.ops {
		op := &t.ops[i]
		if op.Kind == Read {
			continue
		}
		if u == nil {
			r.stamp++
			u = &update{stamp: r.stamp, origin: t.site}
		}
		w := replicaWrite{k: op.k, val: op.Val}
		if op.Kind == Append {
			op.k.elems = append(op.k.elems, op.Val)
			w.n = len(op.k.elems)
		}
		op.k.last = u.stamp
		u.writes = append(u.writes, w)
	}
	if u == nil {
		return
	}
	u.deps = r.applied[t.site]
	r.apply(t.site, u)
	for at := range sites {
		if at != t.site {
			r.queues[at][t.site] = append(r.queues[at][t.site], u)
		}
	}
}

func (r *replicaStore) apply(at int, u *update) {
	r.applied[at][u.origin]++
	for _, w := range u.writes {
		if p := &w.k.at[at]; p.stamp <= u.stamp {
			*p = place{stamp: u.stamp, val: w.val, n: w.n}
		}
	}
}

// deliver lets some updates arrive.
func (r *replicaStore) deliver() {
	n := sites
	if r.s.o.Level < ParallelSnapshotIsolation && r.s.o.Workload == Register {
		n = 1 // slowly, where nothing fails for it
	}
	for range n {
		r.arrive(r.s.rng.intn(sites), r.s.rng.intn(sites))
	}
	for at := range sites {
		for of := range sites {
			if len(r.queues[at][of]) > r.s.o.Lag {
				r.catchUp(at, r.s.o.Lag/2)
			}
		}
	}
}

func (r *replicaStore) arrive(at, of int) bool {
	q := r.queues[at][of]
	if len(q) == 0 {
		return false
	}
	i := 0
	if r.s.o.Level == ReadAtomic {
		i = r.s.rng.intn(len(q))
	} else {
		for o, n := range q[0].deps {
			if o != of && r.applied[at][o] < n {
				return false
			}
		}
	}
	u := q[i]
	copy(q[i:], q[i+1:])
	q[len(q)-1] = nil
	r.queues[at][of] = q[:len(q)-1]
	r.apply(at, u)
	return true
}

// catchUp lets updates arrive at a replica until at most n of each origin are under way. What others
// depend on has been committed before them, so there is always one that may arrive.
func (r *replicaStore) catchUp(at, n int) {
	for again := true; again; {
		again = false
		for of := range sites {
			for len(r.queues[at][of]) > n && r.arrive(at, of) {
				again = true
			}
		}
		if !again {
			for of := range sites {
				if len(r.queues[at][of]) > n && n > 0 {
					n, again = 0, true
				}
			}
		}
	}
}

func (r *replicaStore) settle() {
	for at := range sites {
		r.catchUp(at, 0)
	}
}
