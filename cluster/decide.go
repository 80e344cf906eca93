package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What to do about the log is decided by a function of what is known, without clocks and goroutines, so that thousands of cluster lives can be simulated.
//
// All database nodes decide, each from what it hears itself; the chain's conditional write settles who was first, and the loser has
// wasted an empty loglet. To make that rare, a node waits a little longer the higher its number stands among those alive (plan.after).

// view is what a driver knows at one moment.
type view struct {
	self    NodeID
	members []seen
	active  active
	layout  Layout
	want    int // log servers, where layout does not say
	// replaceAfter is how long a log server is given to come back.
	replaceAfter time.Duration
}

// seen is a member in the eyes of a driver.
type seen struct {
	id        NodeID
	database  bool // may carry a sequencer
	logServer bool // has a disk for the log
	state     State
	heard     bool          // it is not silent. Who is heard is left alone
	alive     bool          // it is trusted: heard, and not silent a moment ago. Only to those is anything moved
	steady    time.Duration // for how long it has been alive, or not
	// disputed says that others hear it: this node has moved the log off it, because it was silent, and they have moved it back. It is the way between
	// the two that is cut, then. So its disk is left alone, and a sequencer on it goes to a third node, if there is one, with which both can live.
	disputed   bool
	metaLeader bool // of the embedded etcd: with the sequencer elsewhere, one death does not cost both
}

// active is the loglet that takes appends. A native one has one part, a striped one of native ones has as many as stripes.
type active struct {
	segment uint64
	parts   []part // none: it is of a kind that drivers keep their hands off
}

type part struct {
	servers   []NodeID
	sequencer NodeID
	lost      bool // the sequencer's process has ended; that a new one runs on the same node is no help
	// incarnation is the sequencer's.
	incarnation uint64
}

// plan is what to do.
type plan struct {
	why        string // "": nothing
	servers    []NodeID
	sequencers []NodeID      // of each part
	after      time.Duration // how long the plan has to stand before it is carried out
	blocked    string        // why nothing can be done although something should be
	urgent     bool          // nothing can be appended before it is done
}

const (
	// urgentStep and calmStep are what each place in the order of database nodes adds to the wait.
	urgentStep = 40 * time.Millisecond
	calmStep   = time.Second
	// settled is how long a node has to be alive before anything is moved to it without need.
	settled = time.Second
)

// decide returns what this node should do now.
func decide(v view) plan {
	if len(v.active.parts) == 0 {
		return plan{}
	}
	by := map[NodeID]*seen{}
	for i := range v.members {
		by[v.members[i].id] = &v.members[i]
	}
	rank, ok := v.rank()
	if !ok {
		return plan{}
	}
	var reasons []string
	urgent := false
	say := func(u bool, format string, args ...any) {
		reasons, urgent = append(reasons, fmt.Sprintf(format, args...)), urgent || u
	}

	for _, p := range v.active.parts {
		if s := by[p.sequencer]; p.lost {
			say(true, "the sequencer on %s has ended", p.sequencer)
		} else if s == nil || !s.heard {
			say(true, "the sequencer's node %s is silent", p.sequencer)
		}
	}
	p := plan{servers: v.chooseServers(by, urgent, say)}
	for i := range v.active.parts {
		p.sequencers = append(p.sequencers, v.chooseSequencer(by, i, p, say))
	}
	if len(reasons) == 0 {
		return plan{}
	}
	p.why, p.urgent = strings.Join(slices.Compact(reasons), "; "), urgent
	p.after = time.Duration(rank) * calmStep
	if urgent {
		p.after = time.Duration(rank) * urgentStep
	}
	if p.blocked = v.blocked(by, p); p.blocked != "" {
		return plan{blocked: p.why + ", but " + p.blocked, urgent: urgent}
	}
	return p
}

// rank is this node's place among those who decide, which are the database nodes that are alive.
func (v view) rank() (int, bool) {
	rank, found := 0, false
	for _, m := range v.members {
		switch {
		case m.id == v.self:
			found = m.database && m.state != Left
		case m.database && m.alive && m.state != Left && m.id < v.self:
			rank++
		}
	}
	return rank, found
}

// current is the log servers of all parts.
func (v view) current() []NodeID {
	var all []NodeID
	for _, p := range v.active.parts {
		all = append(all, p.servers...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// chooseServers returns the log servers there should be.
func (v view) chooseServers(by map[NodeID]*seen, urgent bool, say func(bool, string, ...any)) []NodeID {
	current := v.current()
	base := current
	free := len(v.layout.Servers) == 0
	if !free {
		base = nil
		for _, id := range v.layout.Servers {
			if m := by[id]; m != nil && m.state != Left && m.logServer {
				base = append(base, id)
			}
		}
		free = len(base) < len(v.layout.Servers) // what was wished for cannot be had any more
		if len(base) == 0 {
			base = current
		}
	}
	// Spares, the best first: those that are already in use, then by number.
	var spares []NodeID
	for _, m := range v.members {
		if m.logServer && m.alive && m.state == Up && !slices.Contains(base, m.id) && (m.steady >= settled || slices.Contains(current, m.id)) {
			spares = append(spares, m.id)
		}
	}
	slices.SortFunc(spares, func(a, b NodeID) int {
		if c := -cmp.Compare(b2i(slices.Contains(current, a)), b2i(slices.Contains(current, b))); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	spare := func() (id NodeID, ok bool) {
		if len(spares) == 0 {
			return 0, false
		}
		id, spares = spares[0], spares[1:]
		return id, true
	}
	var out []NodeID
	for _, id := range base {
		m := by[id]
		switch {
		case m == nil || m.state == Left || !m.logServer:
			if s, ok := spare(); ok {
				out = append(out, s)
			}
		case m.state == Draining, !m.heard && !m.disputed && (m.steady >= v.replaceAfter || urgent):
			// Without a spare it stays: the others are a majority, and it counts again when it comes back.
			if s, ok := spare(); ok {
				out = append(out, s)
			} else {
				out = append(out, id)
			}
		case !slices.Contains(current, id) && (!m.alive || m.steady < settled):
			// Wished for by the operator, but not there yet.
			if s, ok := spare(); ok && len(out) < len(base) {
				out = append(out, s)
			}
		default:
			out = append(out, id)
		}
	}
	if free {
		target := max(v.want, len(v.layout.Servers))
		if v.layout.Count > 0 {
			target = v.layout.Count
			for len(out) > target { // an operator wanted fewer; the dead go first
				i := slices.IndexFunc(out, func(id NodeID) bool { return !by[id].heard })
				if i < 0 {
					i = len(out) - 1
				}
				out = slices.Delete(out, i, i+1)
			}
		}
		n := min(target, len(out)+len(spares))
		if n%2 == 0 && n != target {
			n-- // an even number costs a disk and survives nothing more
		}
		for len(out) < n {
			s, _ := spare()
			out = append(out, s)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) == 0 {
		return current
	}
	if !slices.Equal(out, current) {
		gone, come := difference(current, out), difference(out, current)
		switch {
		case len(gone) == 0:
			say(false, "there are log servers to spare: %v", come)
		case len(come) == 0:
			say(false, "the log leaves %v", gone)
		default:
			say(false, "the log moves from %v to %v", gone, come)
		}
	}
	return out
}

// chooseSequencer returns the node for the sequencer of a part; 0 if there is none.
func (v view) chooseSequencer(by map[NodeID]*seen, i int, p plan, say func(bool, string, ...any)) NodeID {
	now := v.active.parts[i]
	able := func(id NodeID) bool { m := by[id]; return m != nil && m.database && m.alive && m.state == Up }
	m := by[now.sequencer]
	here := m != nil && m.heard && !now.lost
	current := here && m.state == Up
	if id := v.layout.Sequencer; id != 0 && len(v.active.parts) == 1 && id != now.sequencer && able(id) && (by[id].steady >= settled || !current) {
		say(false, "the sequencer belongs on %s", id)
		return id
	}
	if current && m.metaLeader && v.layout.Sequencer != now.sequencer && !slices.Equal(p.servers, v.current()) {
		// The log is moved in any case: then also to where one death does not cost both the sequencer and etcd's leader.
		current = !slices.ContainsFunc(v.members, func(m seen) bool { return able(m.id) && !m.metaLeader && m.steady >= settled })
	}
	if current {
		return now.sequencer
	}
	best, found := NodeID(0), false
	score := func(id NodeID) int {
		s := 0
		for j, other := range v.active.parts { // stripes on one process gain nothing
			if j < i {
				s += 8 * b2i(p.sequencers[j] == id)
			} else if j > i {
				s += 8 * b2i(other.sequencer == id)
			}
		}
		return s + 16*len(v.active.parts)*b2i(id == v.self && m != nil && m.disputed) + 4*b2i(by[id].metaLeader) + 2*b2i(!slices.Contains(p.servers, id)) + b2i(id == now.sequencer)
	}
	for _, m := range v.members {
		if able(m.id) && (!found || score(m.id) < score(best)) {
			best, found = m.id, true
		}
	}
	if here {
		if !found {
			return now.sequencer // a draining one is better than none
		}
		if best != now.sequencer {
			say(false, "the sequencer leaves %s", now.sequencer)
		}
	}
	return best
}

// blocked says why p cannot be carried out: a seal and a new loglet both need majorities.
func (v view) blocked(by map[NodeID]*seen, p plan) string {
	majority := func(servers []NodeID) bool {
		n := 0
		for _, id := range servers {
			n += b2i(by[id] != nil && by[id].heard)
		}
		return n > len(servers)/2
	}
	for _, part := range v.active.parts {
		if !majority(part.servers) {
			return fmt.Sprintf("no majority of its log servers %v is heard", part.servers)
		}
	}
	if !majority(p.servers) {
		return fmt.Sprintf("no majority of %v is heard", p.servers)
	}
	if slices.Contains(p.sequencers, 0) {
		return "no node is there for a sequencer"
	}
	return ""
}

func difference(a, b []NodeID) []NodeID {
	var out []NodeID
	for _, id := range a {
		if !slices.Contains(b, id) {
			out = append(out, id)
		}
	}
	return out
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
