package db

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"rebase/rules"
	"rebase/store"
	"rebase/tree"
)

// machine is the deterministic core: it decides one entry after the other against the state
// in the store. It knows no log, goroutine or clock.
type machine struct {
	store    *store.Store
	sessions map[SessionID]*sessionState // those alive, as far as they have been met
	rules    map[string]*ruleset
	ended    int // how many e records there are
	scratch  []byte
}

type ruleset struct {
	text   []byte
	parsed *rules.Rules
}

// Change is what one entry did to a namespace.
type Change struct {
	NS      string
	Base    tree.Path
	Updates []Update // relative to Base and disjoint; values are as stored
	Merge   bool     // several nodes at once: one event for observers
	Pos     uint64
}

func newMachine(s *store.Store) (*machine, error) {
	m := &machine{store: s, sessions: map[SessionID]*sessionState{}, rules: map[string]*ruleset{}}
	var bad error
	err := s.ScanMeta([]byte{recRules}, func(key, val []byte) bool {
		text := append([]byte(nil), val...)
		parsed, err := rules.Parse(text)
		if err != nil {
			bad = fmt.Errorf("stored rules of namespace %s: %w", key[1:], err)
			return false
		}
		m.rules[string(key[1:])] = &ruleset{text, parsed}
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	for ns, r := range m.rules {
		if err := s.SetIndexes(ns, r.parsed); err != nil {
			return nil, err
		}
	}
	return m, s.ScanMeta([]byte{recEnded}, func(_, _ []byte) bool { m.ended++; return true })
}

// session returns the state of a session, from memory or from its records.
func (m *machine) session(id SessionID, ns string) (*sessionState, error) {
	if s, ok := m.sessions[id]; ok {
		return s, nil
	}
	s, ok, err := loadSession(m.store, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		s.ns = ns
	}
	if s.endedAt == 0 {
		m.sessions[id] = s // of one that has ended the records say all there is
	}
	return s, nil
}

// apply decides the entry at pos and commits its effects. An error means that the state can
// no longer be trusted to follow the log, and is final; a refusal is in the Result.
func (m *machine) apply(pos uint64, id SessionID, seq uint64, op *Op, o origin) (Result, *Change, error) {
	s, err := m.session(id, op.NS)
	if err != nil {
		return Result{}, nil, err
	}
	res := Result{Pos: pos, Time: o.now}
	if op.Kind == opResumeSession {
		return res, nil, m.resume(pos, s, o)
	}
	if seq <= s.lastSeq || s.endedAt != 0 {
		// The log holds the entry twice, as it may after a switch of its loglet.
		res.Replayed = true
		b := m.store.NewBatch()
		return res, nil, b.Commit(pos)
	}
	s.lastSeq = seq
	s.confirmed = max(s.confirmed, o.confirmed)

	b := m.store.NewBatch()
	var change *Change
	matched, replayed, err := m.isReplay(b, s, op, o)
	if err != nil {
		b.Discard()
		return res, nil, err
	}
	if op.Fingerprint != 0 && !matched {
		s.resumesNothing(b)
	}
	if replayed {
		res.Replayed = true
		res.Value, res.Updates = op.Value, op.Updates
	} else if change, err = m.decide(b, s, op, o, &res); err != nil {
		b.Discard()
		return res, nil, err
	}
	if op.Fingerprint != 0 {
		s.tail = append(s.tail, tailEntry{seq, op.Fingerprint, res.Err == nil})
	}
	if op.Kind == opEndSession {
		err = m.end(b, s, o.now)
	} else {
		err = m.save(b, s)
	}
	if err != nil {
		b.Discard()
		return res, nil, err
	}
	if err := b.Commit(pos); err != nil {
		return res, nil, err
	}
	if change != nil {
		change.Pos = pos
	}
	return res, change, m.afterCommit(op, &res)
}

// resume writes down that the session resumes another. The client will name this session when it
// comes back, also if the server does not live to see its first write.
func (m *machine) resume(pos uint64, s *sessionState, o origin) error {
	b := m.store.NewBatch()
	if !s.stored && s.endedAt == 0 && o.replayOf != nil {
		s.stored, s.previous = true, o.replayOf.session
		s.saveHead(b)
	}
	return b.Commit(pos)
}

// afterCommit switches what is kept outside the batch.
func (m *machine) afterCommit(op *Op, res *Result) error {
	if op.Kind != OpSetRules || res.Err != nil {
		return nil
	}
	return m.store.SetIndexes(op.NS, m.rules[op.NS].parsed)
}

// decide evaluates the operation on the state and adds its effects to b. Nothing is added
// when the operation is refused.
func (m *machine) decide(b *store.Batch, s *sessionState, op *Op, o origin, res *Result) (*Change, error) {
	switch op.Kind {
	case OpSet:
		return m.set(b, op, o.now, res)
	case OpMerge:
		return m.merge(b, op, o.now, res)
	case OpDisconnectSet:
		res.Err = s.journal.set(b, s.id, []Update{{op.Path, op.Priority, op.Value}})
		return nil, nil
	case OpDisconnectMerge:
		if len(op.Updates) > 0 {
			res.Err = s.journal.set(b, s.id, Prefixed(op.Path, op.Updates))
		}
		return nil, nil
	case OpDisconnectCancel:
		s.journal.cancel(b, s.id, op.Path, op.Priority)
		return nil, nil
	case OpSetRules:
		parsed, err := rules.Parse(op.Rules)
		if err != nil {
			res.Err = err
			return nil, nil
		}
		m.rules[op.NS] = &ruleset{op.Rules, parsed}
		b.SetMeta(rulesKey(op.NS), op.Rules)
		return nil, nil
	case opConfirm:
		return nil, m.confirm(b, op.Updates)
	case opEndSession:
		merge := &Op{NS: s.ns, Updates: s.journal.queue}
		s.ran, s.journal.queue = s.journal.queue, nil
		if len(merge.Updates) == 0 || s.ns == "" {
			return nil, nil
		}
		return m.merge(b, merge, o.now, res)
	}
	res.Err = invalidf("unknown kind %d", op.Kind)
	return nil, nil
}

// resumesNothing is called at the first write that repeats none: from here on, what the previous
// session did is answered for.
func (s *sessionState) resumesNothing(b *store.Batch) {
	if s.previous == (SessionID{}) {
		return
	}
	s.previous = SessionID{}
	s.saveHead(b)
}

func (m *machine) set(b *store.Batch, op *Op, now int64, res *Result) (change *Change, err error) {
	if op.Hash != nil {
		current, err := m.store.Get(op.NS, op.Path)
		if err != nil {
			return nil, err
		}
		if tree.Hash(current) != *op.Hash {
			res.Err, res.Current = ErrStale, current
			return nil, nil
		}
	}
	u := Update{Priority: op.Priority, Value: op.Value}
	if op.Priority {
		if exists, err := exists(m.store, op.NS, op.Path); err != nil {
			return nil, err
		} else if !exists {
			res.Err = ErrNoNode
			return nil, nil
		}
	}
	if err := m.resolve(op.NS, op.Path, &u, now); err != nil {
		return nil, err
	}
	if u.Priority {
		err = b.SetPriority(op.NS, op.Path, u.Value)
	} else {
		err = b.Set(op.NS, op.Path, u.Value)
	}
	if err != nil {
		return nil, err
	}
	res.Value = u.Value
	c := &struct { // one allocation for both
		Change
		one [1]Update
	}{one: [1]Update{u}}
	c.Change = Change{NS: op.NS, Base: op.Path, Updates: c.one[:]}
	return &c.Change, nil
}

func (m *machine) merge(b *store.Batch, op *Op, now int64, res *Result) (*Change, error) {
	updates := make([]Update, 0, len(op.Updates))
	for _, u := range op.Updates {
		if u.Priority {
			continue
		}
		if err := m.resolve(op.NS, op.Path.Join(u.Path), &u, now); err != nil {
			return nil, err
		}
		updates = append(updates, u)
	}
	for i := range updates {
		if err := b.Set(op.NS, op.Path.Join(updates[i].Path), updates[i].Value); err != nil {
			return nil, err
		}
	}
	// Priorities come last, since the same merge may create their nodes. The priority of a
	// node that is not there is no error here: somebody else may just have removed it.
	for _, u := range op.Updates {
		if !u.Priority {
			continue
		}
		p := op.Path.Join(u.Path)
		if exists, err := exists(b, op.NS, p); err != nil {
			return nil, err
		} else if !exists {
			continue
		}
		if err := m.resolve(op.NS, p, &u, now); err != nil {
			return nil, err
		}
		if err := b.SetPriority(op.NS, p, u.Value); err != nil {
			return nil, err
		}
		updates = append(updates, u)
	}
	res.Updates = updates
	if len(updates) == 0 {
		return nil, nil
	}
	return &Change{NS: op.NS, Base: op.Path, Updates: updates, Merge: true}, nil
}

func exists(r store.Reader, ns string, p tree.Path) (bool, error) {
	leaf, object, err := r.Leaf(ns, p)
	return leaf != nil || object, err
}

// resolve replaces the server values in u by what they mean at time now and on the state
// before the write.
func (m *machine) resolve(ns string, p tree.Path, u *Update, now int64) error {
	if !u.Value.HasServerValues() {
		return nil
	}
	var bad error
	u.Value = u.Value.Resolve(now, func(rel tree.Path) *tree.Node {
		existing, err := shallow(m.store, ns, p.Join(rel))
		if err != nil {
			bad = err
		}
		if u.Priority {
			return existing.Priority()
		}
		return existing
	})
	return bad
}

var errEnough = errors.New("enough")

// shallow returns the node at p with its priority, but only some object where there is one.
func shallow(r store.Reader, ns string, p tree.Path) (*tree.Node, error) {
	leaf, object, err := r.Leaf(ns, p)
	if err != nil || !object {
		return leaf, err
	}
	node := tree.NewObject([]tree.Child{{Key: "object", Node: tree.NewBool(true)}})
	// A walk comes to the priority of an object first.
	err = r.Walk(ns, p, func(tree.Path, *tree.Node) error { return errEnough }, func(rel tree.Path, prio *tree.Node) error {
		if rel.IsRoot() {
			node = node.WithPriority(prio)
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return node, err
}

// isReplay tells whether the entry is a write that the log had before, and whether it was
// applied then; it consumes the memory of that write.
func (m *machine) isReplay(b *store.Batch, s *sessionState, op *Op, o origin) (matched, applied bool, err error) {
	if o.replayOf == nil {
		return false, false, nil
	}
	old, ok, err := m.peek(o.replayOf.session)
	if err != nil || !ok || old.ns != s.ns {
		return false, false, err
	}
	for i, e := range old.tail {
		if e.seq != o.replayOf.seq || e.fingerprint != op.Fingerprint {
			continue
		}
		// Setting the fingerprint to 0 keeps the entry's place in its chunk.
		old.tail[i].fingerprint = 0
		rewriteChunk(b, old, e.seq/tailChunk)
		if e.applied {
			undone, err := m.undoneAtEnd(old.id, op)
			return true, !undone, err
		}
		return true, false, nil
	}
	return false, false, nil
}

// undoneAtEnd tells whether a write that its session made is to be made again when it comes again, because the
// end of that session wrote to the same place. Presence is made so: a client sets "online", has the server set "offline"
// when it is gone, and sets "online" again when it is back. Whether that is the first write sent again
// or a new one, it is right to make it. An increment is not: it counts each time.
func (m *machine) undoneAtEnd(id SessionID, op *Op) (bool, error) {
	if op.increments() {
		return false, nil
	}
	rec, err := m.store.Meta(recordKey(recRan, id))
	if err != nil || rec == nil {
		return false, err
	}
	in := reader{b: rec}
	for n := in.uvarint(); n > 0 && in.err == nil; n-- {
		if op.touches(tree.Path(in.string())) {
			return true, in.err
		}
	}
	return false, in.err
}

// save writes what deciding the entry s.lastSeq has changed of s.
func (m *machine) save(b *store.Batch, s *sessionState) error {
	var err error
	m.scratch, err = s.save(b, m.scratch[:0])
	return err
}

// rewriteChunk saves one chunk of a session's tail that has been changed in place.
func rewriteChunk(b *store.Batch, s *sessionState, chunk uint64) {
	lo, hi := 0, 0
	for i, e := range s.tail {
		if e.seq/tailChunk < chunk {
			lo = i + 1
		}
		if e.seq/tailChunk <= chunk {
			hi = i + 1
		}
	}
	b.SetMeta(tailKey(s.id, chunk), s.appendChunk(nil, s.tail[lo:hi]))
}

// end closes the session: what it queued has been written by decide.
func (m *machine) end(b *store.Batch, s *sessionState, now int64) error {
	delete(m.sessions, s.id)
	s.dropConfirmed()
	_, writes, err := m.collect(s, maxLinks)
	if err != nil {
		return err
	}
	s.endedAt = max(now, 1)
	if len(writes) == 0 {
		s.forget(b)
		s.previous = SessionID{}
		s.saveHead(b)
		b.SetMeta(endedKey(recDone, s.endedAt, s.id), []byte{})
		return m.expire(b, now)
	}
	if err := m.save(b, s); err != nil {
		return err
	}
	s.saveHead(b)
	s.journal.clear(b, s.id)
	s.saveRan(b)
	b.SetMeta(endedKey(recEnded, s.endedAt, s.id), []byte{})
	m.ended++
	return m.expire(b, now)
}

// expire forgets ended sessions that are too old or too many, a few at a time.
func (m *machine) expire(b *store.Batch, now int64) error {
	old, err := m.oldest(recEnded, func(at int64, n int) bool { return at <= now-endedTTL || m.ended-n > maxEnded })
	if err != nil {
		return err
	}
	for _, key := range old {
		s, _, err := loadSession(m.store, SessionID(key[9:]))
		if err != nil {
			return err
		}
		s.forget(b)
		m.ended--
	}
	done, err := m.oldest(recDone, func(at int64, _ int) bool { return at <= now-doneTTL })
	if err != nil {
		return err
	}
	for _, key := range append(old, done...) {
		b.SetMeta(recordKey(recSession, SessionID(key[9:])), nil)
		b.SetMeta(key, nil)
	}
	return nil
}

// oldest returns the keys of a few ended sessions, beginning with the oldest, as long as drop,
// which is given the time of the end and how many there are already, wants them.
func (m *machine) oldest(kind byte, drop func(at int64, n int) bool) (keys [][]byte, err error) {
	const atOnce = 4
	err = m.store.ScanMeta([]byte{kind}, func(key, _ []byte) bool {
		if !drop(int64(binary.BigEndian.Uint64(key[1:])), len(keys)) {
			return false
		}
		keys = append(keys, bytes.Clone(key))
		return len(keys) < atOnce
	})
	return keys, err
}

// peek returns the state of a session without keeping it in memory.
func (m *machine) peek(id SessionID) (s *sessionState, ok bool, err error) {
	if s, ok := m.sessions[id]; ok {
		return s, true, nil
	}
	return loadSession(m.store, id)
}

// maxLinks bounds how many sessions before the last one are looked at.
const maxLinks = 16

// resendable returns the writes, oldest first, that the client of a session may send again when
// it comes back to the namespace. from is the session to be named as resumed.
func (m *machine) resendable(id SessionID, ns string) (from SessionID, writes []resend, err error) {
	s, ok, err := m.peek(id)
	if err != nil || !ok || s.ns != ns {
		return id, nil, err
	}
	return m.collect(s, maxLinks)
}

// collect returns the writes of s and then those of the sessions that it resumes. What is not
// behind the last that has come again is known to have been answered.
func (m *machine) collect(s *sessionState, links int) (from SessionID, writes []resend, err error) {
	from = s.id
	if s.previous != (SessionID{}) && links > 0 {
		old, ok, err := m.peek(s.previous)
		if err != nil {
			return from, nil, err
		}
		if ok {
			before, rest, err := m.collect(old, links-1)
			if err != nil {
				return from, nil, err
			}
			writes = rest
			if len(s.tail) == 0 {
				from = before // s has nothing to say
			}
		}
	}
	own := make([]resend, 0, len(s.tail)+len(writes))
	for _, e := range s.tail {
		own = append(own, resend{writeRef{s.id, e.seq}, e.fingerprint})
	}
	writes = append(own, writes...)
	for i := len(writes) - 1; i >= 0; i-- {
		if writes[i].fingerprint == 0 {
			return from, writes[i+1:], nil
		}
	}
	return from, writes, nil
}
