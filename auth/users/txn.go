package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"rebase/db"
	"rebase/tree"
)

// txn is a change of several records that happens as a whole, if what it rests on is still so, or not at all.
type txn struct {
	project string
	updates map[tree.Path]string // "" deletes
	conds   map[tree.Path]string
}

func newTxn(project string) *txn {
	return &txn{project: project, updates: map[tree.Path]string{}, conds: map[tree.Path]string{}}
}

// rests makes the change depend on a record being as it was read.
func (t *txn) rests(r record) { t.conds[r.path] = r.hash }

func (t *txn) set(p tree.Path, text string) { t.updates[p] = text }

func (t *txn) remove(p tree.Path) { t.updates[p] = "" }

// commit writes the change. errAgain says that it did not happen because what it rests on has changed.
func (s *Store) commit(ctx context.Context, t *txn) error {
	if len(t.updates) == 0 {
		return nil
	}
	op := &db.Op{Kind: db.OpMerge, NS: Namespace}
	for p, text := range t.updates {
		u := db.Update{Path: p}
		if text != "" {
			u.Value = tree.NewString(text)
		}
		op.Updates = append(op.Updates, u)
	}
	for p, hash := range t.conds {
		op.If = append(op.If, db.Condition{Path: p, Hash: hash})
	}
	err := s.db.Do(ctx, op).Err
	if errors.Is(err, db.ErrStale) {
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	return nil
}

// put writes an account that was old, or none if old is nil, together with its look-up records. It fails if somebody else has what must be unique.
func (s *Store) put(t *txn, old, u *User) error {
	text, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	where := at(t.project)
	t.set(where.user(u.UID), string(text))
	if old == nil {
		old = &User{}
	}
	if err := s.move(t, where.email, old.Email, u.Email, u.UID, EmailExists); err != nil {
		return err
	}
	if err := s.move(t, where.phone, old.Phone, u.Phone, u.UID, PhoneExists); err != nil {
		return err
	}
	for _, p := range old.Providers {
		if now := u.provider(p.ID); now == nil || now.RawID != p.RawID {
			t.remove(where.provider(p.ID, p.RawID))
		}
	}
	for _, p := range u.Providers {
		if was := old.provider(p.ID); was == nil || was.RawID != p.RawID {
			if err := s.claim(t, where.provider(p.ID, p.RawID), u.UID, FederatedLinked); err != nil {
				return err
			}
		}
	}
	return nil
}

// move replaces one look-up record by another.
func (s *Store) move(t *txn, where func(string) tree.Path, from, to, uid string, taken Code) error {
	if from == to {
		return nil
	}
	if from != "" {
		t.remove(where(from))
	}
	if to == "" {
		return nil
	}
	return s.claim(t, where(to), uid, taken)
}

// claim writes a look-up record that nobody else may have.
func (s *Store) claim(t *txn, p tree.Path, uid string, taken Code) error {
	r, err := s.record(p)
	if err != nil {
		return err
	}
	if r.text != "" && r.text != uid {
		return fail(taken)
	}
	t.rests(r)
	t.set(p, uid)
	return nil
}

// update changes an account. f gets a copy that it may change, and may add to the change; it may be called again.
func (s *Store) update(ctx context.Context, project, uid string, f func(t *txn, u *User) error) (*User, error) {
	var out *User
	err := s.again(ctx, func() error {
		old, r, err := s.user(project, uid)
		if err != nil {
			return err
		}
		if old == nil {
			return fail(UserNotFound)
		}
		t := newTxn(project)
		t.rests(r)
		u := *old
		u.Providers = append([]Provider(nil), old.Providers...)
		if err := f(t, &u); err != nil {
			return err
		}
		if err := s.put(t, old, &u); err != nil {
			return err
		}
		if err := s.commit(ctx, t); err != nil {
			return err
		}
		out = &u
		return nil
	})
	return out, err
}

// endSessions makes all refresh tokens and ID tokens of the account worthless. ID tokens know when they began in seconds; the next
// second is taken, and who signs in before it has begun gets a token that says it had (see begin).
func (s *Store) endSessions(t *txn, u *User) {
	now := ceilSeconds(s.millis())
	// Twice within a second: the one after that. Verifiers allow clocks to be a minute ahead, so there is an end to it.
	u.ValidSince = max(now, min(u.ValidSince+1, now+30))
	u.Epoch++
	s.tellEnd(t, u)
}

// tellEnd makes every replica look at the live connections of the account anew.
func (s *Store) tellEnd(t *txn, u *User) {
	t.set(at(t.project).revocation(u.UID), strconv.FormatInt(ceilSeconds(s.millis()), 10))
}

func ceilSeconds(millis int64) int64 { return (millis + 999) / 1000 }
