package users

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"rebase/auth"
	"rebase/db"
	"rebase/tree"
)

// revocation says that sessions that began before a time are over.
type revocation struct {
	project, uid string
	since        time.Time
}

// revocations carries revocations from the apply goroutine, which must not wait, to those who want to know.
type revocations struct {
	mu        sync.Mutex
	waiting   []revocation
	wake      chan struct{}
	listeners []func(project, uid string, since time.Time)
}

func (r *revocations) init() { r.wake = make(chan struct{}, 1) }

func (r *revocations) add(list []revocation) {
	r.mu.Lock()
	r.waiting = append(r.waiting, list...)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *revocations) run(ctx context.Context) {
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		list, listeners := r.waiting, r.listeners
		r.waiting = nil
		r.mu.Unlock()
		for _, v := range list {
			for _, f := range listeners {
				f(v.project, v.uid, v.since)
			}
		}
	}
}

// OnRevoke has f called when the sessions of an account have ended: every one that began before since ("auth_time" of its
// tokens). It is called on every replica, soon after the change has been applied there, by one goroutine, and may block it.
func (s *Store) OnRevoke(f func(project, uid string, since time.Time)) {
	s.revoked.mu.Lock()
	defer s.revoked.mu.Unlock()
	s.revoked.listeners = append(s.revoked.listeners[:len(s.revoked.listeners):len(s.revoked.listeners)], f)
}

// changed hears of changes of the system tree, on the apply goroutine.
func (s *Store) changed(c *db.Change) {
	var list []revocation
	for _, u := range c.Updates {
		parts := strings.Split(string(c.Base.Join(u.Path)), "/")
		if len(parts) != 4 || parts[0] != "projects" || parts[2] != "revoked" || u.Value.Kind() != tree.String {
			continue
		}
		if since, err := strconv.ParseInt(u.Value.Str(), 10, 64); err == nil {
			list = append(list, revocation{unescape(parts[1]), unescape(parts[3]), time.Unix(since, 0)})
		}
	}
	if list != nil {
		s.revoked.add(list)
	}
}

var _ auth.Users = (*Store)(nil)

// TokenValid implements auth.Users for the tokens that this store has issued.
func (s *Store) TokenValid(_ context.Context, project, uid string, authTime, _ time.Time) error {
	u, err := s.Get(project, uid)
	switch {
	case err != nil:
		return err
	case u == nil:
		return &auth.Error{Status: auth.StatusInvalidToken, Reason: "the user does not exist"}
	case u.Disabled:
		return &auth.Error{Status: auth.StatusInvalidToken, Reason: "the user is disabled"}
	case authTime.Unix() < u.ValidSince:
		return &auth.Error{Status: auth.StatusExpiredToken, Reason: "the user's sessions have been ended: it must sign in again"}
	}
	return nil
}
