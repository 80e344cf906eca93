package rtdb

import (
	"rebase/live"
	"rebase/tree"
)

// listening is a listen of a client.
type listening struct {
	l     *live.Listener
	tag   *int64
	id    string // of the query
	epoch uint32 // of the outbox; guarded by client.mu
	gone  bool   // revoked; guarded by client.mu
}

// listens are those of a client. Most clients have a few, so there is an index only for those that have many.
type listens struct {
	all   []*listening
	index map[listenKey]int // nil, or into all
}

type listenKey struct {
	path tree.Path
	id   string
}

// indexFrom is how many listens are searched one by one.
const indexFrom = 32

func (s *listens) key(ls *listening) listenKey { return listenKey{ls.l.Path(), ls.id} }

// add adds a listen whose place is free.
func (s *listens) add(ls *listening) {
	s.all = append(s.all, ls)
	switch {
	case s.index != nil:
		s.index[s.key(ls)] = len(s.all) - 1
	case len(s.all) > indexFrom:
		s.index = make(map[listenKey]int, 2*len(s.all))
		for i, ls := range s.all {
			s.index[s.key(ls)] = i
		}
	}
}

// remove takes out the listen for a query at a path; nil if there is none.
func (s *listens) remove(p tree.Path, id string) *listening {
	i := s.find(listenKey{p, id})
	if i < 0 {
		return nil
	}
	ls, last := s.all[i], len(s.all)-1
	if s.index != nil {
		s.index[s.key(s.all[last])] = i
		delete(s.index, s.key(ls))
	}
	s.all[i], s.all[last] = s.all[last], nil
	if s.all = s.all[:last]; last == 0 {
		*s = listens{} // an idle connection keeps nothing
	}
	return ls
}

func (s *listens) find(k listenKey) int {
	if s.index != nil {
		if i, ok := s.index[k]; ok {
			return i
		}
		return -1
	}
	for i, ls := range s.all {
		if ls.id == k.id && ls.l.Path() == k.path {
			return i
		}
	}
	return -1
}
