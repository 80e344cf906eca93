package users

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"rebase/tree"
)

type leafNode = *tree.Node

const (
	sweepEvery = 10 * time.Minute
	maxSwept   = 1000 // in one change
)

// sweep removes what is over, from time to time.
func (s *Store) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("what is over was not removed", "err", err)
		}
	}
}

// Sweep removes codes that have expired, and notes of revocations that no token is old enough to be touched by.
func (s *Store) Sweep(ctx context.Context) error {
	var names []string
	err := s.db.Store().Children(Namespace, "projects", "", func(key string, _ bool, _ leafNode) bool {
		names = append(names, unescape(key))
		return true
	})
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	old := s.o.Now().Add(-2 * TokenLifetime).Unix()
	for _, name := range names {
		where := at(name)
		for {
			t := newTxn(name)
			if err := s.expired(t, where); err != nil {
				return err
			}
			err := s.db.Store().Children(Namespace, where.revocations(), "", func(key string, _ bool, leaf leafNode) bool {
				if since, err := strconv.ParseInt(leaf.Str(), 10, 64); err != nil || since < old {
					t.remove(where.revocations().Child(key))
				}
				return len(t.updates) < maxSwept
			})
			if err != nil {
				return fmt.Errorf("users: %w", err)
			}
			n := len(t.updates)
			if err := s.commit(ctx, t); err != nil {
				return err
			}
			if n < maxSwept {
				break
			}
		}
	}
	return nil
}
