package db

import (
	"sync"
	"time"

	"rebase/store"
	"rebase/tree"
)

// That a client has received its answers is known to the state only when it is in the log. It
// travels with the session's next entry; but a session may have no next entry before the server
// dies, and then the client's first write to the next server would be held against writes of
// which it has had the answers. If it equals the last of them (one more increment by one) it
// would be lost. So what idle sessions have confirmed is logged for all of them together.

// confirmPause is how long a session is idle before its confirmation gets an entry.
const confirmPause = 2 * time.Second

// confirmGroup bounds how many sessions one entry speaks of: apply stands still for it.
const confirmGroup = 100

// confirmer knows the sessions whose confirmations are not in the log.
type confirmer struct {
	mu     sync.Mutex
	due    map[*Session]uint64 // with the number of their last proposal
	closed bool
	timer  *time.Timer // running while due is not empty
}

// note is called with the session's mu held.
func (d *DB) noteConfirmation(s *Session) {
	c := &d.confirms
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.due == nil {
		c.due = map[*Session]uint64{}
	}
	if len(c.due) == 0 {
		c.timer = time.AfterFunc(confirmPause, d.logConfirmations)
	}
	c.due[s] = s.seq
}

// logConfirmations proposes what the idle among the noted sessions have confirmed. The others
// have proposed something since, which says it, or will be noted again.
func (d *DB) logConfirmations() {
	c := &d.confirms
	c.mu.Lock()
	due := c.due
	c.due = nil
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return
	}
	var updates []Update
	for s, seq := range due {
		if confirmed, ok := s.takeConfirmation(seq); ok {
			updates = append(updates, Update{Path: tree.Path(s.id.String()), Value: tree.NewInt(int64(confirmed))})
		}
		if len(updates) == confirmGroup {
			d.proposeConfirmations(updates)
			updates = nil
		}
	}
	if len(updates) > 0 {
		d.proposeConfirmations(updates)
	}
}

func (d *DB) proposeConfirmations(updates []Update) {
	d.asServer(&Op{Kind: opConfirm, Updates: updates}, nil, func(Result) {})
}

// takeConfirmation returns what the session has confirmed, if it has been idle since proposal
// number seq and the log does not know.
func (s *Session) takeConfirmation(seq uint64) (confirmed uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.seq != seq || s.confirmed <= s.logged {
		return 0, false
	}
	s.logged = s.confirmed
	return s.confirmed, true
}

func (c *confirmer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// confirm applies the confirmations of other sessions.
func (m *machine) confirm(b *store.Batch, updates []Update) error {
	for _, u := range updates {
		id, err := ParseSessionID(string(u.Path))
		if err != nil {
			return err
		}
		s, ok, err := m.peek(id)
		if err != nil {
			return err
		}
		if !ok || s.endedAt != 0 || s.lastSeq == 0 {
			continue
		}
		s.confirmed = max(s.confirmed, uint64(u.Value.Int()))
		if err := m.save(b, s); err != nil {
			return err
		}
	}
	return nil
}
