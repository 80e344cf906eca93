package rules

import (
	"bytes"
	"unicode/utf8"

	"rebase/tree"
)

// base is the snapshot of a variable.
func (ev *env) base(e *expr) (val, bool) {
	switch e.op {
	case opRoot:
		return val{kind: vSnapshot, num: ofBefore}, true
	case opData:
		return val{kind: vSnapshot, num: ofBefore, str: string(ev.path)}, true
	}
	return val{kind: vSnapshot, num: ofAfter, str: string(ev.path)}, true
}

// locate finds which node the snapshot e is: the state, and the path, which it
// appends to the buffer. The path is not checked: child() may be given anything.
func (ev *env) locate(e *expr) (state uint64, ok bool) {
	mark := len(ev.buf)
	id := methodID(e.id)
	if e.op != opMethod {
		v, ok := ev.eval(e)
		ev.buf = append(ev.buf, v.str...)
		return v.num, ok
	}
	if !ev.spend(e, 1) {
		return 0, false
	}
	if state, ok = ev.locate(e.args[0]); !ok {
		return 0, false
	}
	if id == mParent {
		if state == ofNothing || len(ev.buf) == mark {
			ev.fail(e, "the root has no parent")
			return 0, false
		}
		slash := bytes.LastIndexByte(ev.buf[mark:], '/')
		ev.buf = ev.buf[:mark+max(0, slash)]
		return state, true
	}
	// mChild is the only other method that gives a snapshot.
	if there, ok := ev.descend(e.args[1], mark); !ok || !there {
		return ofNothing, ok
	}
	return state, true
}

// descend goes on from the path that begins at mark of the buffer to the one that
// arg names below it. The empty path names nothing.
func (ev *env) descend(arg *expr, mark int) (there, ok bool) {
	from := len(ev.buf)
	if arg.op == opAdd && arg.typ == tString {
		if !ev.join(arg) {
			return false, false
		}
	} else {
		v, ok := ev.eval(arg)
		if !ok {
			return false, false
		}
		if v.kind != vString {
			ev.fail(arg, "the path is not a string")
			return false, false
		}
		if !ev.spend(arg, len(v.str)) {
			return false, false
		}
		ev.buf = append(ev.buf, v.str...)
	}
	if len(ev.buf) == from {
		return false, true
	}
	if !clean(ev.buf[from:]) {
		ev.buf = ev.buf[:from+collapse(ev.buf[from:])]
	}
	if from > mark && len(ev.buf) > from {
		ev.buf = append(ev.buf, 0)
		copy(ev.buf[from+1:], ev.buf[from:])
		ev.buf[from] = '/'
	}
	return true, true
}

// collapse takes out the slashes of p that mean nothing and returns what is left.
func collapse(p []byte) (n int) {
	for _, c := range p {
		if c != '/' || n > 0 && p[n-1] != '/' {
			p[n] = c
			n++
		}
	}
	if n > 0 && p[n-1] == '/' {
		n--
	}
	return n
}

// clean reports that no slash of p is first, last or doubled.
func clean(p []byte) bool {
	for i, c := range p {
		if c == '/' && (i == 0 || i == len(p)-1 || p[i-1] == '/') {
			return false
		}
	}
	return true
}

// validPath reports whether there can be a node at path. It says what
// tree.ParsePath says, without an error to allocate.
func validPath(path []byte) bool {
	if len(path) == 0 {
		return true
	}
	depth, start := 1, 0
	for i, c := range path {
		switch {
		case c == '/':
			if n := i - start; n == 0 || n > tree.MaxKeyBytes {
				return false
			}
			depth++
			start = i + 1
		case c < 0x20 || c == 0x7F || c == '.' || c == '$' || c == '#' || c == '[' || c == ']':
			return false
		}
	}
	n := len(path) - start
	return n > 0 && n <= tree.MaxKeyBytes && depth <= tree.MaxDepth && utf8.Valid(path)
}

// look tells what is at a node.
func (ev *env) look(e *expr, state uint64, path []byte) (m memo, ok bool) {
	if state == ofNothing {
		return memo{}, true
	}
	for i := range ev.memo {
		if ev.memo[i].state == state && ev.memo[i].path == tree.Path(path) {
			return ev.memo[i], true
		}
	}
	p := ev.path
	if tree.Path(path) != p {
		if !validPath(path) {
			return memo{}, true
		}
		p = tree.Path(path)
	}
	if !ev.spend(e, lookupWork) {
		return memo{}, false
	}
	if m, ok = ev.ask(state, p); !ok {
		ev.fail(e, "the database cannot be read")
	}
	return m, ok
}

// ask asks a state and remembers the answer.
func (ev *env) ask(state uint64, p tree.Path) (m memo, ok bool) {
	s := ev.req.State
	if state == ofAfter {
		s = ev.req.New
	}
	m.state, m.path = state, p
	var err error
	if m.leaf, m.object, err = s.Leaf(p); err != nil {
		ev.err = err
		return memo{}, false
	}
	ev.memo[ev.next] = m
	ev.next = (ev.next + 1) % len(ev.memo)
	return m, true
}

func (ev *env) snapshotMethod(e *expr) (val, bool) {
	mark := len(ev.buf)
	v, ok := ev.ofSnapshot(e, mark)
	ev.buf = ev.buf[:mark]
	return v, ok
}

// ofSnapshot uses the buffer from mark on.
func (ev *env) ofSnapshot(e *expr, mark int) (val, bool) {
	id := methodID(e.id)
	if id == mChild || id == mParent {
		state, ok := ev.locate(e)
		if !ok {
			return val{}, false
		}
		return val{kind: vSnapshot, num: state, str: string(ev.buf[mark:])}, true
	}
	state, ok := ev.locate(e.args[0])
	if !ok {
		return val{}, false
	}
	switch id {
	case mHasChild:
		there, ok := ev.hasChild(e, e.args[1], state, mark)
		return boolVal(there), ok
	case mHasChildren:
		if len(e.args) == 1 {
			m, ok := ev.look(e, state, ev.buf[mark:])
			return boolVal(m.object), ok
		}
		end := len(ev.buf)
		for _, a := range e.args[1].args {
			if there, ok := ev.hasChild(e, a, state, mark); !ok || !there {
				return boolVal(false), ok
			}
			ev.buf = ev.buf[:end]
		}
		return boolVal(true), true
	case mGetPriority:
		return ev.priority(e, state, ev.buf[mark:])
	}
	m, ok := ev.look(e, state, ev.buf[mark:])
	if !ok {
		return val{}, false
	}
	switch id {
	case mVal:
		if m.object {
			return val{kind: vObject}, true
		}
		return leafVal(m.leaf), true
	case mExists:
		return boolVal(m.object || m.leaf != nil), true
	case mIsString:
		return boolVal(m.leaf.Kind() == tree.String), true
	case mIsNumber:
		return boolVal(m.leaf.Kind() == tree.Int || m.leaf.Kind() == tree.Float), true
	}
	return boolVal(m.leaf.Kind() == tree.Bool), true // mIsBoolean
}

// hasChild reports whether something is at the path arg below the node whose path
// begins at mark of the buffer.
func (ev *env) hasChild(e, arg *expr, state uint64, mark int) (there, ok bool) {
	if there, ok = ev.descend(arg, mark); !ok || !there {
		return false, ok
	}
	m, ok := ev.look(e, state, ev.buf[mark:])
	return m.object || m.leaf != nil, ok
}

func (ev *env) priority(e *expr, state uint64, path []byte) (val, bool) {
	if state == ofNothing || !validPath(path) {
		return val{}, true
	}
	if !ev.spend(e, lookupWork) {
		return val{}, false
	}
	s := ev.req.State
	if state == ofAfter {
		s = ev.req.New
	}
	prio, err := s.Priority(tree.Path(path))
	if err != nil {
		ev.err = err
		return ev.fail(e, "the database cannot be read")
	}
	return leafVal(prio), true
}
