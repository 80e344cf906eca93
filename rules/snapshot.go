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
// appends to buf. The path is not checked: child() may be given anything.
func (ev *env) locate(e *expr, buf []byte) (state uint64, path []byte, ok bool) {
	switch id := methodID(e.id); {
	case e.op != opMethod:
		v, ok := ev.eval(e)
		return v.num, append(buf, v.str...), ok
	case id == mParent:
		if !ev.spend(e, 1) {
			return 0, nil, false
		}
		state, buf, ok := ev.locate(e.args[0], buf)
		if !ok {
			return 0, nil, false
		}
		if state == ofNothing || len(buf) == 0 {
			ev.fail(e, "the root has no parent")
			return 0, nil, false
		}
		return state, buf[:max(0, bytes.LastIndexByte(buf, '/'))], true
	}
	// mChild is the only other method that gives a snapshot.
	if !ev.spend(e, 1) {
		return 0, nil, false
	}
	state, buf, ok = ev.locate(e.args[0], buf)
	if !ok {
		return 0, nil, false
	}
	before := len(buf)
	if buf, ok = ev.appendPath(e.args[1], buf); !ok {
		return 0, nil, false
	}
	if len(buf) == before {
		return ofNothing, buf, true // child('')
	}
	return state, collapse(buf, before), true
}

// appendPath appends an argument that is a path.
func (ev *env) appendPath(e *expr, buf []byte) ([]byte, bool) {
	if e.op == opAdd && e.typ == tString {
		return ev.join(e, buf)
	}
	v, ok := ev.eval(e)
	if !ok {
		return nil, false
	}
	if v.kind != vString {
		ev.fail(e, "the path is not a string")
		return nil, false
	}
	if !ev.spend(e, len(v.str)) {
		return nil, false
	}
	return append(buf, v.str...), true
}

// collapse puts a slash before what begins at from, and takes out slashes that
// mean nothing there.
func collapse(buf []byte, from int) []byte {
	out := from
	if !clean(buf[from:]) {
		for i := from; i < len(buf); i++ {
			if buf[i] == '/' && (out == from || buf[out-1] == '/') {
				continue
			}
			buf[out] = buf[i]
			out++
		}
		if out > from && buf[out-1] == '/' {
			out--
		}
		buf = buf[:out]
	}
	if from == 0 || len(buf) == from {
		return buf
	}
	buf = append(buf, 0)
	copy(buf[from+1:], buf[from:])
	buf[from] = '/'
	return buf
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
	var arr [192]byte
	id := methodID(e.id)
	switch id {
	case mChild, mParent:
		state, path, ok := ev.locate(e, arr[:0])
		if !ok {
			return val{}, false
		}
		return val{kind: vSnapshot, num: state, str: string(path)}, true
	}
	state, path, ok := ev.locate(e.args[0], arr[:0])
	if !ok {
		return val{}, false
	}
	switch id {
	case mHasChild:
		there, ok := ev.hasChild(e, e.args[1], state, path)
		return boolVal(there), ok
	case mHasChildren:
		if len(e.args) == 1 {
			m, ok := ev.look(e, state, path)
			return boolVal(m.object), ok
		}
		for _, a := range e.args[1].args {
			if there, ok := ev.hasChild(e, a, state, path); !ok || !there {
				return boolVal(false), ok
			}
		}
		return boolVal(true), true
	case mGetPriority:
		return ev.priority(e, state, path)
	}
	m, ok := ev.look(e, state, path)
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

// hasChild reports whether something is at the path arg below a node.
func (ev *env) hasChild(e, arg *expr, state uint64, path []byte) (there, ok bool) {
	before := len(path)
	if path, ok = ev.appendPath(arg, path); !ok {
		return false, false
	}
	if len(path) == before {
		return false, true
	}
	m, ok := ev.look(e, state, collapse(path, before))
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
