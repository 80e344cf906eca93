package gen

// lateStore is one set, or one counter. Every operation is one step; late reads see an older state.
type lateStore struct {
	s    *sim
	late bool
	sums []int64 // of a counter, after each addition; of a set the elements are the key's
}

func (l *lateStore) settle() {}

func (l *lateStore) abort(t *txn) { t.status = aborted }

func (l *lateStore) step(t *txn) {
	op := &t.ops[0]
	switch {
	case t.doomed:
		t.status = aborted
		return
	case op.Kind == Add && l.s.o.Workload == Set:
		op.k.elems = append(op.k.elems, op.Val)
	case op.Kind == Add:
		sum := op.Val
		if n := len(l.sums); n > 0 {
			sum += l.sums[n-1]
		}
		l.sums = append(l.sums, sum)
	default:
		n := max(len(op.k.elems), len(l.sums))
		if l.late && !t.fresh && l.s.rng.chance(0.2) {
			n -= min(n, l.s.rng.intn(l.s.o.Lag+1))
		}
		op.Known, op.Set, op.Val = true, true, 0
		if l.s.o.Workload == Set {
			op.List = op.k.elems[:n:n]
		} else if n > 0 {
			op.Val = l.sums[n-1]
		}
	}
	t.status = committed
}

// inflict damages the object in one of the ways that Anomalies names. It says whether there was anything to damage.
func (l *lateStore) inflict(damage string) bool {
	k := l.s.keys.keys[0]
	switch n := len(k.elems); damage {
	case lostElement:
		if n == 0 {
			return false
		}
		for range min(n, 3) { // one of them was acknowledged
			i := l.s.rng.intn(len(k.elems))
			k.elems = append(append([]int64(nil), k.elems[:i]...), k.elems[i+1:]...)
		}
	case garbageElement:
		k.elems = append(k.elems, -1)
	case outOfBounds:
		const much = 1 << 40
		for i := range l.sums {
			l.sums[i] += much
		}
		if len(l.sums) == 0 {
			l.sums = append(l.sums, much)
		}
	}
	return true
}
