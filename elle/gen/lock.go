package gen

// lockStore locks what it writes until the end, so that it has no dirty writes, and reads
// without locks. Waiting is "wait-die": an older transaction waits, a younger one aborts.
type lockStore struct {
	s     *sim
	dirty bool // reads see what is not committed
}

func (l *lockStore) settle() {}

func (l *lockStore) step(t *txn) {
	if t.pc == len(t.ops) {
		if t.doomed {
			l.abort(t)
		} else {
			l.commit(t)
		}
		return
	}
	op := &t.ops[t.pc]
	k := op.k
	if op.Kind == Read {
		l.read(t, op, k)
		t.pc++
		return
	}
	switch {
	case k.lock == nil:
		k.lock = t
	case k.lock == t:
	case t.id < k.lock.id:
		return // waits
	default:
		l.abort(t)
		return
	}
	k.elems = append(k.elems, op.Val)
	t.pc++
}

func (l *lockStore) read(t *txn, op *Op, k *key) {
	n := k.committed
	switch {
	case k.lock == t || l.dirty:
		n = len(k.elems)
	case !t.fresh && l.s.rng.chance(0.1):
		for older := l.s.rng.intn(3); older > 0 && n > 0; older-- {
			n = k.commits[n-1] // what was there before the commit that made it so long
		}
	}
	op.Known, op.Set = true, n > 0
	if n > 0 {
		op.Val = k.elems[n-1]
	}
	op.List = k.elems[:n:n]
	if n > k.committed && k.lock != t && l.s.o.Workload == ListAppend {
		op.List = append([]int64(nil), op.List...) // may be taken back
	}
}

func (l *lockStore) commit(t *txn) {
	for i := range t.ops {
		if k := t.ops[i].k; k.lock == t {
			if l.s.o.Workload == Register { // the values in between were never committed
				k.elems = append(k.elems[:k.committed], k.elems[len(k.elems)-1])
			}
			for len(k.commits) < len(k.elems) {
				k.commits = append(k.commits, k.committed)
			}
			k.committed = len(k.elems)
			k.lock = nil
		}
	}
	t.status = committed
}

func (l *lockStore) abort(t *txn) {
	for i := range t.ops {
		if k := t.ops[i].k; k.lock == t {
			k.elems = k.elems[:k.committed]
			k.lock = nil
		}
	}
	t.status = aborted
}
