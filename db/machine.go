package db

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"rebase/rules"
	"rebase/store"
	"rebase/tree"
)

// machine is the deterministic core: it decides one entry after the other against the state
// in the store. It knows no log, goroutine or clock.
type machine struct {
	store    *store.Store
	sessions map[SessionID]*sessionState // those alive, as far as they have been met
	rules    ruleTable
	looks    looks
	ended    int // how many e records there are
	fenced   int // how many x records there are
	scratch  []byte
}

// Change is what one entry did to a namespace.
type Change struct {
	NS      string
	Base    tree.Path
	Updates []Update // relative to Base and disjoint; values are as stored
	Merge   bool     // several nodes at once: one event for observers
	Rules   bool     // the rules have been replaced, and nothing else is changed
	Pos     uint64
}

func newMachine(s *store.Store) (*machine, error) {
	m := &machine{store: s, sessions: map[SessionID]*sessionState{}}
	var bad error
	var spaces []string
	err := s.ScanMeta([]byte{recRules}, func(key, val []byte) bool {
		text := append([]byte(nil), val...)
		parsed, err := rules.Parse(text)
		if err != nil {
			bad = fmt.Errorf("stored rules of namespace %s: %w", key[1:], err)
			return false
		}
		ns := string(key[1:])
		spaces = append(spaces, ns)
		m.rules.put(ns, &ruleset{text, parsed})
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	for _, ns := range spaces {
		if err := s.SetIndexes(ns, m.rules.get(ns).parsed); err != nil {
			return nil, err
		}
	}
	if err := s.ScanMeta([]byte{recFenced}, func(_, _ []byte) bool { m.fenced++; return true }); err != nil {
		return nil, err
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
		s.ns, s.caller = ns, nobody
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
	// An entry that does not begin its session, and finds none, comes so late that the end of the session is forgotten.
	late := o.owned && !o.begins && !s.stored
	if o.begins && !s.stored && s.endedAt == 0 {
		s.owner = o.owner
	}
	if op.Kind == opResumeSession {
		return res, nil, m.resume(pos, s, o)
	}
	if seq <= s.lastSeq || s.endedAt != 0 || late {
		if late {
			delete(m.sessions, id)
		}
		if o.owned && seq > s.lastSeq {
			res.Err = ErrSessionEnded // by another, or this would not come behind the end
		} else {
			// The log holds the entry twice, as it may after a switch of its loglet.
			res.Replayed = true
		}
		b := m.store.NewBatch()
		return res, nil, b.Commit(pos)
	}
	s.lastSeq = seq
	s.confirmed = max(s.confirmed, o.confirmed)

	b := m.store.NewBatch()
	if o.ofSession {
		s.caller = o.caller
		s.stored = false // save writes it down
	} else if !o.named {
		o.caller = s.caller
	}
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
		err = m.end(b, s, o.now, recDone)
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
		m.looks.changed(change)
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
	return m.store.SetIndexes(op.NS, m.rules.get(op.NS).parsed)
}

// decide evaluates the operation on the state and adds its effects to b. Nothing is added
// when the operation is refused.
func (m *machine) decide(b *store.Batch, s *sessionState, op *Op, o origin, res *Result) (*Change, error) {
	switch op.Kind {
	case OpSet:
		return m.set(b, op, o, res)
	case OpMerge:
		return m.merge(b, op, o, res)
	case OpDisconnectSet:
		return nil, m.queue(b, s, op, []Update{{Priority: op.Priority, Value: op.Value}}, o, res)
	case OpDisconnectMerge:
		return nil, m.queue(b, s, op, op.Updates, o, res)
	case OpDisconnectCancel:
		s.journal.cancel(b, s.id, op.Path, op.Priority)
		return nil, nil
	case OpSetRules:
		if !o.caller.Admin() {
			res.Err = ErrDenied
			return nil, nil
		}
		parsed, err := rules.Parse(op.Rules)
		if err != nil {
			res.Err = err
			return nil, nil
		}
		m.rules.put(op.NS, &ruleset{op.Rules, parsed})
		b.SetMeta(rulesKey(op.NS), op.Rules)
		return &Change{NS: op.NS, Rules: true}, nil
	case opConfirm:
		return nil, m.confirm(b, op.Updates)
	case opRefused:
		res.Err = ErrDenied
		return nil, nil
	case opEndSession:
		return m.runQueue(b, s, o, res)
	case opEndOther:
		return m.endOther(b, s, op, o, res)
	case opDigest:
		return nil, nil
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

// fulfilled tells whether the conditions of an operation hold; if not, res says so.
func (m *machine) fulfilled(op *Op, o origin, res *Result) (bool, error) {
	for _, c := range op.If {
		n, err := m.store.Get(op.NS, c.Path)
		if err != nil {
			return false, err
		}
		if tree.Hash(n) != c.Hash {
			res.Err = ErrStale
			return false, nil
		}
	}
	if op.Hash == nil {
		return true, nil
	}
	current, err := m.store.Get(op.NS, op.Path)
	if err != nil || tree.Hash(current) == *op.Hash {
		return err == nil, err
	}
	// What is there is told only to those who may know it. Before the rules have their say on the write: on a state that
	// the caller did not expect they would say no to what is right.
	readable, err := mayRead(m.rules.get(op.NS), m.present(op.NS), op.Path, nil, o.caller, o.now)
	if err != nil {
		return false, err
	}
	res.Err = ErrDenied
	if readable {
		res.Err, res.Current = ErrStale, current
	}
	return false, nil
}

func (m *machine) set(b *store.Batch, op *Op, o origin, res *Result) (change *Change, err error) {
	if ok, err := m.fulfilled(op, o, res); !ok {
		return nil, err
	}
	c := &struct { // one allocation for both
		Change
		one [1]Update
	}{one: [1]Update{{Priority: op.Priority, Value: op.Value}}}
	c.Change = Change{NS: op.NS, Base: op.Path, Updates: c.one[:]}
	u := &c.one[0]
	if err := m.resolve(op.NS, op.Path, u, o.now); err != nil {
		return nil, err
	}
	allowed, err := m.mayWrite(m.store, op.NS, op.Path, c.one[:], o.caller, o.now)
	if err != nil {
		return nil, err
	}
	if !allowed {
		res.Err = ErrDenied
		return nil, nil
	}
	if u.Priority {
		// Only those who may write there are told that nothing is there.
		if exists, err := exists(m.store, op.NS, op.Path); err != nil {
			return nil, err
		} else if !exists {
			res.Err = ErrNoNode
			return nil, nil
		}
		err = b.SetPriority(op.NS, op.Path, u.Value)
	} else {
		err = b.Set(op.NS, op.Path, u.Value)
	}
	if err != nil {
		return nil, err
	}
	res.Value = u.Value
	return &c.Change, nil
}

func (m *machine) merge(b *store.Batch, op *Op, o origin, res *Result) (*Change, error) {
	if ok, err := m.fulfilled(op, o, res); !ok {
		return nil, err
	}
	updates, err := m.resolved(op.NS, op.Path, op.Updates, o.now)
	if err != nil {
		return nil, err
	}
	allowed, err := m.mayWrite(m.store, op.NS, op.Path, updates, o.caller, o.now)
	if err != nil {
		return nil, err
	}
	if !allowed {
		res.Err = ErrDenied
		return nil, nil
	}
	if res.Updates, err = writeAll(b, op.NS, op.Path, updates); err != nil {
		return nil, err
	}
	return merged(op.NS, op.Path, res.Updates), nil
}

// resolved returns the updates with their server values resolved on the state before all of them.
func (m *machine) resolved(ns string, base tree.Path, updates []Update, now int64) ([]Update, error) {
	out := slices.Clone(updates)
	for i := range out {
		if err := m.resolve(ns, base.Join(out[i].Path), &out[i], now); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// writeAll makes the updates, which are resolved, and returns those that were made.
func writeAll(b *store.Batch, ns string, base tree.Path, updates []Update) (made []Update, err error) {
	made = make([]Update, 0, len(updates))
	for _, u := range updates {
		if u.Priority {
			continue
		}
		if err := b.Set(ns, base.Join(u.Path), u.Value); err != nil {
			return nil, err
		}
		made = append(made, u)
	}
	// Priorities come last, since the same merge may create their nodes. The priority of a
	// node that is not there is no error here: somebody else may just have removed it.
	for _, u := range updates {
		if !u.Priority {
			continue
		}
		p := base.Join(u.Path)
		if exists, err := exists(b, ns, p); err != nil {
			return nil, err
		} else if !exists {
			continue
		}
		if err := b.SetPriority(ns, p, u.Value); err != nil {
			return nil, err
		}
		made = append(made, u)
	}
	return made, nil
}

// merged is the change of several nodes at once; nil if there are none.
func merged(ns string, base tree.Path, updates []Update) *Change {
	if len(updates) == 0 {
		return nil
	}
	return &Change{NS: ns, Base: base, Updates: updates, Merge: true}
}

// queue queues updates, relative to the operation's path, for the end of the session. They have to be allowed as if they
// were made now.
func (m *machine) queue(b *store.Batch, s *sessionState, op *Op, updates []Update, o origin, res *Result) error {
	if len(updates) == 0 {
		return nil
	}
	now, err := m.resolved(op.NS, op.Path, updates, o.now)
	if err != nil {
		return err
	}
	allowed, err := m.mayWrite(m.store, op.NS, op.Path, now, o.caller, o.now)
	if err != nil {
		return err
	}
	if !allowed {
		res.Err = ErrDenied
		return nil
	}
	res.Err = s.journal.set(b, s.id, Prefixed(op.Path, updates))
	return nil
}

// runQueue makes the writes that a session has queued for its end, as one change. They are judged again. If
// the rules do not let all of them pass together, as many are made as pass one after the other.
func (m *machine) runQueue(b *store.Batch, s *sessionState, o origin, res *Result) (*Change, error) {
	queue := s.journal.queue
	s.journal.queue = nil
	if len(queue) == 0 || s.ns == "" {
		return nil, nil
	}
	updates, err := m.resolved(s.ns, "", queue, o.now)
	if err != nil {
		return nil, err
	}
	if res.Updates, err = m.writePermitted(b, m.store, s.ns, updates, o); err != nil {
		return nil, err
	}
	s.ran = res.Updates
	return merged(s.ns, "", res.Updates), nil
}

// writePermitted makes those of the updates that pass on the state r, on which all before them have been made. Halves are tried
// before single ones, since most often few do not pass.
func (m *machine) writePermitted(b *store.Batch, r store.Reader, ns string, updates []Update, o origin) (made []Update, err error) {
	allowed, err := m.mayWrite(r, ns, "", updates, o.caller, o.now)
	switch {
	case err != nil:
		return nil, err
	case allowed:
		return writeAll(b, ns, "", updates)
	case len(updates) == 1:
		return nil, nil
	}
	half := len(updates) / 2
	if made, err = m.writePermitted(b, r, ns, updates[:half], o); err != nil {
		return nil, err
	}
	rest, err := m.writePermitted(b, b, ns, updates[half:], o)
	return append(made, rest...), err
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

// shallow returns the node at p with its priority, but only some object where there is one.
func shallow(r store.Reader, ns string, p tree.Path) (*tree.Node, error) {
	leaf, object, err := r.Leaf(ns, p)
	if err != nil || !object {
		return leaf, err
	}
	prio, err := r.Priority(ns, p)
	node := tree.NewObject([]tree.Child{{Key: "object", Node: tree.NewBool(true)}})
	return node.WithPriority(prio), err
}

// isReplay tells whether the entry is a write that the log had before, and whether it was
// applied then; it consumes the memory of that write.
func (m *machine) isReplay(b *store.Batch, s *sessionState, op *Op, o origin) (matched, applied bool, err error) {
	if o.replayOf == nil || op.Kind == opEndOther {
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

// end closes the session: what it queued has been written by decide. done is the kind of record that remembers one of which there is nothing
// else to remember.
func (m *machine) end(b *store.Batch, s *sessionState, now int64, done byte) error {
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
		b.SetMeta(endedKey(done, s.endedAt, s.id), []byte{})
		if done == recFenced {
			m.fenced++
		}
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
	if m.fenced > 0 {
		fenced, err := m.oldest(recFenced, func(at int64, n int) bool { return at <= now-fencedTTL || m.fenced-n > maxFenced })
		if err != nil {
			return err
		}
		m.fenced -= len(fenced)
		done = append(done, fenced...)
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
