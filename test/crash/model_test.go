package crash

import (
	"encoding/json"
	"fmt"
	"maps"
	"sort"
	"strconv"
	"strings"
)

// state is what one worker has made of its part of the database: no other worker
// writes there.
type state struct {
	leaves map[string]string // path -> JSON of a leaf
	queued []change          // what happens when the session ends
	shared int               // increments of the counter that all share
}

// change is one part of a write.
type change struct {
	path   string
	leaves map[string]string // below path ("" is path itself); none: the node is deleted
	add    int64             // instead of leaves: an increment
}

func (s *state) clone() *state {
	return &state{maps.Clone(s.leaves), append([]change(nil), s.queued...), s.shared}
}

func (s *state) apply(changes []change) {
	for _, c := range changes {
		if c.add != 0 {
			n, _ := strconv.ParseInt(s.leaves[c.path], 10, 64)
			s.leaves[c.path] = strconv.FormatInt(n+c.add, 10)
			continue
		}
		for p := range s.leaves {
			if p == c.path || strings.HasPrefix(p, c.path+"/") {
				delete(s.leaves, p)
			}
		}
		for rel, v := range c.leaves {
			p := c.path
			if rel != "" {
				p += "/" + rel
			}
			s.leaves[p] = v
		}
	}
}

// endSession is what the server does when the client is gone.
func (s *state) endSession() {
	s.apply(s.queued)
	s.queued = nil
}

// op is an operation of a worker.
type op struct {
	n       int
	action  string // "" for REST
	body    []byte
	resend  bool     // an SDK would send it again
	again   bool     // it is sent again
	changes []change // of its own part
	queues  []change // onDisconnect
	shared  int      // increments of the shared counter
	txn     bool     // a transaction on the shared node: it may be refused as stale
	got     func(data json.RawMessage)
	request int64
}

func (o *op) applyTo(s *state) {
	s.apply(o.changes)
	s.queued = append(s.queued, o.queues...)
	s.shared += o.shared
}

// cut finds how many of the pending operations have been applied, given what is
// there after the session's end. The state after them is returned.
func cut(confirmed *state, pending []*op, observed map[string]string) (n int, s *state, err error) {
	s = confirmed.clone()
	for n = 0; ; n++ {
		ended := s.clone()
		ended.endSession()
		if maps.Equal(ended.leaves, observed) {
			return n, ended, nil
		}
		if n == len(pending) {
			break
		}
		pending[n].applyTo(s)
	}
	acked := confirmed.clone()
	acked.endSession()
	s.endSession()
	return 0, nil, fmt.Errorf("what is there is neither what was acknowledged nor that with the first few of the %d operations under way;\nagainst acknowledged: %s\nagainst all: %s",
		len(pending), difference(acked.leaves, observed), difference(s.leaves, observed))
}

// difference lists a few paths at which two sets of leaves differ.
func difference(want, got map[string]string) string {
	all := maps.Clone(want)
	maps.Copy(all, got)
	var lines []string
	for p := range all {
		if want[p] != got[p] {
			lines = append(lines, fmt.Sprintf("%s: want %.60q, got %.60q", p, want[p], got[p]))
		}
	}
	sort.Strings(lines)
	if len(lines) > 8 {
		lines = append(lines[:8], fmt.Sprintf("… and %d more", len(lines)-8))
	}
	return strings.Join(lines, "\n\t")
}

// flatten turns JSON into leaves.
func flatten(text []byte) (map[string]string, error) {
	var root any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		return nil, err
	}
	leaves := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, child := range v {
				walk(strings.TrimPrefix(path+"/"+key, "/"), child)
			}
		case nil:
		default:
			text, _ := json.Marshal(v)
			leaves[path] = string(text)
		}
	}
	walk("", root)
	return leaves, nil
}
