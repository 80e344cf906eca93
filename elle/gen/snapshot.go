package gen

// snapshotStore reads from a prefix of the commits and decides when committing what has
// changed since.
type snapshotStore struct {
	s   *sim
	seq int64 // the last commit
}

func (m *snapshotStore) settle() {}

func (m *snapshotStore) abort(t *txn) { t.status = aborted }

func (m *snapshotStore) step(t *txn) {
	if !t.begun {
		m.begin(t)
		return
	}
	if t.doomed || m.conflict(t) {
		t.status = aborted
		return
	}
	writes := false
	for i := range t.ops {
		op := &t.ops[i]
		if op.Kind == Read {
			continue
		}
		if !writes {
			m.seq++
			writes = true
		}
		k := op.k
		if n := len(k.seqs); m.s.o.Workload == Register && n > 0 && k.seqs[n-1] == m.seq {
			k.elems[n-1] = op.Val
			continue
		}
		k.elems, k.seqs = append(k.elems, op.Val), append(k.seqs, m.seq)
	}
	t.status, t.seen = committed, max(t.seen, t.snap)
	if writes {
		t.seen = m.seq
	}
}

// begin takes the snapshot and reads all that the transaction is going to read.
func (m *snapshotStore) begin(t *txn) {
	t.begun, t.snap = true, m.seq
	if !t.fresh && m.s.rng.chance(0.3) {
		late := max(0, m.seq-int64(m.s.rng.intn(m.s.o.Lag+1)))
		switch m.s.o.Level {
		case Prefix, SnapshotIsolation, Serializable:
			t.snap = late
		case StrongSessionSnapshotIsolation, StrongSessionSerializable:
			t.snap = max(late, min(t.seen, m.seq))
		}
	}
	for i := range t.ops {
		op := &t.ops[i]
		if op.Kind != Read {
			continue
		}
		n := op.k.before(t.snap)
		readBehind(t.ops[:i], op, op.k.elems[:n:n])
	}
}

// before returns how many of a key's versions a snapshot has.
func (k *key) before(snap int64) int {
	n := len(k.seqs)
	for n > 0 && k.seqs[n-1] > snap {
		n--
	}
	return n
}

// readBehind is a read of the versions seen, behind the transaction's own earlier steps.
func readBehind(earlier []Op, op *Op, versions []int64) {
	op.Known, op.Set = true, len(versions) > 0
	if op.Set {
		op.Val = versions[len(versions)-1]
	}
	op.List = versions
	for i := range earlier {
		if e := &earlier[i]; e.Kind != Read && e.k == op.k {
			op.Val, op.Set = e.Val, true
			if e.Kind == Append {
				op.List = append(op.List, e.Val) // capacity is cut: a copy
			}
		}
	}
}

// conflict says that what the level guards has changed since the snapshot.
func (m *snapshotStore) conflict(t *txn) bool {
	level := m.s.o.Level
	if level >= Serializable {
		update := false
		for i := range t.ops {
			update = update || t.ops[i].Kind != Read
		}
		if !update {
			return false // takes its place right behind its snapshot
		}
	}
	for i := range t.ops {
		op := &t.ops[i]
		if op.Kind == Read && level < Serializable {
			continue
		}
		if op.Kind == Write && (level >= Serializable || level == Prefix) {
			continue // blind, or not guarded
		}
		if op.k.before(t.snap) < len(op.k.seqs) {
			return true
		}
	}
	return false
}
