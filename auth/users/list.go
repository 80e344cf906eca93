package users

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"rebase/tree"
)

// List returns up to max accounts of a project in the order of their ids, beginning behind a page token, and the token of the next page; "" if
// there are no more.
func (s *Store) List(project, pageToken string, max int) (list []*User, next string, err error) {
	after := ""
	if pageToken != "" {
		key, err := base64.RawURLEncoding.DecodeString(pageToken)
		if err != nil || len(key) == 0 || tree.CheckKey(string(key)) != nil {
			return nil, "", fail(InvalidPageSelection)
		}
		after = string(key)
	}
	var last string
	more := false
	var damaged error
	err = s.db.Store().Children(Namespace, at(project).users(), after, func(key string, _ bool, leaf *tree.Node) bool {
		if len(list) == max {
			more = true
			return false
		}
		u := &User{}
		if damaged = json.Unmarshal([]byte(leaf.Str()), u); damaged != nil {
			return false
		}
		list, last = append(list, u), key
		return true
	})
	if err = errors.Join(err, damaged); err != nil {
		return nil, "", fmt.Errorf("users: %w", err)
	}
	if more {
		next = base64.RawURLEncoding.EncodeToString([]byte(last))
	}
	return list, next, nil
}

// Count returns how many accounts a project has.
func (s *Store) Count(project string) (n int, err error) {
	err = s.db.Store().Children(Namespace, at(project).users(), "", func(string, bool, *tree.Node) bool { n++; return true })
	return n, err
}

// Clear deletes all accounts of a project with all that belongs to them.
func (s *Store) Clear(ctx context.Context, c Caller) error {
	for {
		list, next, err := s.List(c.Project, "", maxSwept)
		if err != nil {
			return err
		}
		for _, u := range list {
			if err := s.Delete(ctx, c, u.UID); err != nil && !errors.Is(err, fail(UserNotFound)) {
				return err
			}
		}
		if next == "" {
			return nil
		}
	}
}
