package rules

import (
	"rebase/query"
	"rebase/tree"
)

// A Request is an operation that rules decide on. Whoever may do everything (an
// administrator) is the caller's business and needs no decision.
type Request struct {
	Auth *Auth // who asks; nil: nobody is signed in
	Now  int64 // milliseconds since 1970; in a write, what its timestamps become
	Path tree.Path

	// Query is that of a read, nil for none.
	Query *query.Query

	// State is the database before the operation. New is what it would be after
	// a write, server values resolved; not used by a read.
	State, New State

	// Updates are the nodes that a write of several writes, as seen from Path;
	// nil means that it writes the node at Path.
	Updates []tree.Path

	// Trace asks for an explanation, which costs more than the decision.
	Trace bool
}

// A Verdict is the decision.
type Verdict struct {
	Allowed bool
	Err     error  // of a State: nothing is decided, and Allowed is false
	Trace   *Trace // if it was asked for
}

// Read decides whether the node at the request's path may be read: if a .read
// from the root down to it is true. What is below does not count, nor does what
// a query would select. It is safe for concurrent use, if the states are.
func (r *Rules) Read(req *Request) Verdict {
	ev := newEnv(req, false)
	defer ev.release()
	if req.Trace {
		ev.trace = newTracer(req, ".read")
	}
	allowed := r.grants(ev, req.Path, false)
	return ev.verdict(allowed)
}

// Write decides whether a write may happen: for each node that it writes, if a
// .write from the root down to it is true, and if then every .validate is true
// from the root down to it and on all that is below it, where anything is left
// after the write. All of a write's nodes are judged by the one state that
// results from them together, and one that is refused refuses all.
func (r *Rules) Write(req *Request) Verdict {
	ev := newEnv(req, true)
	defer ev.release()
	if req.Trace {
		ev.trace = newTracer(req, ".write")
	}
	if req.Updates == nil {
		return ev.verdict(r.writes(ev, req.Path))
	}
	for _, u := range req.Updates {
		if !r.writes(ev, req.Path.Join(u)) {
			return ev.verdict(false)
		}
	}
	return ev.verdict(true)
}

func (ev *env) verdict(allowed bool) Verdict {
	v := Verdict{Allowed: allowed && ev.err == nil, Err: ev.err}
	if ev.trace != nil {
		v.Trace = ev.trace.finish(v.Allowed)
	}
	return v
}

// judge runs a rule and notes what came of it.
func (ev *env) judge(r *rule, p tree.Path) bool {
	if ev.trace != nil {
		return ev.trace.judge(ev, r, p)
	}
	return ev.run(r, p)
}

// walk calls f with the rules' node of each location from the root to p, as far
// as there are any, until f returns false. It returns the last one's, nil if the
// rules end above p.
func (r *Rules) walk(p tree.Path, f func(n *node, at tree.Path) bool) *node {
	if r == nil {
		return nil
	}
	n, rest := r.root, p
	for n != nil {
		at := p[:len(p)-len(rest)]
		if rest != "" && at != "" {
			at = at[:len(at)-1] // the slash
		}
		if !f(n, at) || rest == "" {
			return n
		}
		var key string
		key, rest = rest.Front()
		n = n.child(key)
	}
	return nil
}

// grants reports whether a .read or .write from the root to p is true.
func (r *Rules) grants(ev *env, p tree.Path, write bool) bool {
	granted := false
	if ev.trace != nil {
		ev.trace.target = p
	}
	r.walk(p, func(n *node, at tree.Path) bool {
		rule := n.read
		if write {
			rule = n.write
		}
		granted = rule != nil && ev.judge(rule, at)
		return !granted && ev.err == nil
	})
	return granted
}

// writes decides on one node of a write.
func (r *Rules) writes(ev *env, p tree.Path) bool {
	if !r.grants(ev, p, true) {
		return false
	}
	valid := true
	last := r.walk(p, func(n *node, at tree.Path) bool {
		if n.validate == nil {
			return n.validates // else there is none below either
		}
		there, ok := ev.exists(at)
		valid = ok && (!there || ev.judge(n.validate, at))
		return valid
	})
	if !valid || ev.err != nil || last == nil || !last.validates {
		return valid && ev.err == nil
	}
	return ev.validBelow(last, p)
}

// exists reports whether there is anything at p after the write.
func (ev *env) exists(p tree.Path) (there, ok bool) {
	m, ok := ev.ask(ofAfter, p)
	return m.leaf != nil || m.object, ok
}

// validBelow runs every .validate below p, where something is there.
func (ev *env) validBelow(n *node, p tree.Path) bool {
	for _, key := range n.keys {
		child := n.children[key]
		if !child.validates {
			continue
		}
		at := p.Child(key)
		there, ok := ev.exists(at)
		if !ok || there && !ev.valid(child, at) {
			return false
		}
	}
	if n.wild == nil || !n.wild.validates {
		return true
	}
	valid := true
	err := ev.req.New.Children(p, func(key string) bool {
		if _, literal := n.children[key]; !literal {
			valid = ev.valid(n.wild, p.Child(key))
		}
		return valid
	})
	if err != nil {
		ev.err = err
	}
	return valid && ev.err == nil
}

func (ev *env) valid(n *node, p tree.Path) bool {
	if n.validate != nil && !ev.judge(n.validate, p) {
		return false
	}
	return ev.err == nil && ev.validBelow(n, p)
}
