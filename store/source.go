package store

import (
	"rebase/query"
	"rebase/tree"
)

func (v view) Source(ns string, p tree.Path, q *query.Query) (query.Source, bool, error) {
	return nil, false, nil
}
