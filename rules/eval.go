package rules

import (
	"strings"
	"sync"

	"rebase/tree"
)

const (
	// maxWork bounds what evaluating one rule may cost, in steps of the
	// expression and bytes of strings that are read or made. Rules that join or
	// replace strings over and over, or match large patterns in large strings,
	// fail instead of keeping everyone waiting. The same rule on the same data
	// always fails alike.
	maxWork = 64 << 20

	// lookupWork is what it counts to look at a node.
	lookupWork = 64
)

// Which state a snapshot is of, in num.
const (
	ofNothing = iota // a node that cannot exist
	ofBefore
	ofAfter
)

// env is what one decision needs while it runs rules. One is used
// again and again, so that it costs no allocation.
type env struct {
	req   *Request
	write bool
	path  tree.Path // of the node that holds the rule
	work  int
	fault *expr  // what failed
	why   string // and the reason
	err   error  // of a State: the decision cannot be made
	trace *tracer

	// buf is where paths and strings are put together: each piece begins where
	// what encloses it ends, and is taken out again when it is complete.
	buf []byte

	// The last nodes that were looked at: rules tend to ask for the same few.
	memo [4]memo
	next int
}

type memo struct {
	state  uint64 // ofNothing: not used
	path   tree.Path
	leaf   *tree.Node
	object bool
}

// envs keeps what decisions needed for the next ones.
var envs = sync.Pool{New: func() any { return new(env) }}

// keepBuffer is the largest buffer that is kept.
const keepBuffer = 64 << 10

func newEnv(req *Request, write bool) *env {
	ev := envs.Get().(*env)
	ev.req, ev.write = req, write
	return ev
}

func (ev *env) release() {
	buf := ev.buf[:0]
	if cap(buf) > keepBuffer {
		buf = nil
	}
	*ev = env{buf: buf} // nothing of the request is held on to
	envs.Put(ev)
}

// run evaluates a rule at p. A rule that fails is false.
func (ev *env) run(r *rule, p tree.Path) bool {
	ev.path, ev.work, ev.fault, ev.buf = p, maxWork, nil, ev.buf[:0]
	v, ok := ev.eval(r.root)
	return ok && v.bool()
}

// fail ends the rule: nothing around what failed can make it true again.
func (ev *env) fail(e *expr, why string) (val, bool) {
	if ev.fault == nil {
		ev.fault, ev.why = e, why
	}
	return val{}, false
}

// spend reports whether there is work left.
func (ev *env) spend(e *expr, work int) bool {
	ev.work -= work
	if ev.work < 0 {
		ev.fail(e, "it takes too much work")
		return false
	}
	return true
}

// eval returns the value of e, or false if the rule fails.
func (ev *env) eval(e *expr) (val, bool) {
	v, ok := ev.value(e)
	if ev.trace != nil && ok {
		ev.trace.see(e, v)
	}
	return v, ok
}

func (ev *env) value(e *expr) (val, bool) {
	if !ev.spend(e, 1) {
		return val{}, false
	}
	switch e.op {
	case opLiteral:
		return e.val, true
	case opAuth:
		return ev.req.Auth.val(), true
	case opNow:
		return intVal(ev.req.Now), true
	case opQuery:
		if ev.write {
			return ev.fail(e, "query has no value in a write")
		}
		return val{kind: vQuery}, true
	case opRoot, opData, opNewData:
		v, ok := ev.base(e)
		return v, ok
	case opWildcard:
		return stringVal(component(ev.path, int(e.id))), true
	case opProperty:
		x, ok := ev.eval(e.args[0])
		if !ok {
			return val{}, false
		}
		return ev.property(e, x, e.name)
	case opIndex:
		return ev.index(e)
	case opLength:
		return ev.length(e)
	case opQueryOf:
		if _, ok := ev.eval(e.args[0]); !ok {
			return val{}, false
		}
		return queryValue(ev.req.Query, queryProperty(e.id)), true
	case opMethod:
		if e.args[0].typ == tSnapshot {
			return ev.snapshotMethod(e)
		}
		return ev.stringMethod(e)
	case opNot:
		x, ok := ev.eval(e.args[0])
		return boolVal(!x.bool()), ok
	case opAnd, opOr:
		for _, a := range e.args {
			x, ok := ev.eval(a)
			if !ok {
				return val{}, false
			}
			if x.bool() == (e.op == opOr) {
				return x, true
			}
		}
		return boolVal(e.op == opAnd), true
	case opChoice:
		x, ok := ev.eval(e.args[0])
		if !ok {
			return val{}, false
		}
		if x.bool() {
			return ev.eval(e.args[1])
		}
		return ev.eval(e.args[2])
	case opNegate:
		x, ok := ev.eval(e.args[0])
		if ok && !x.isNumber() {
			return ev.fail(e, "the operand of - is not a number")
		}
		return negate(x), ok
	case opAdd:
		return ev.add(e)
	}
	return ev.binary(e)
}

func (ev *env) binary(e *expr) (val, bool) {
	x, ok := ev.eval(e.args[0])
	if !ok {
		return val{}, false
	}
	y, ok := ev.eval(e.args[1])
	if !ok {
		return val{}, false
	}
	switch e.op {
	case opEqual, opNotEqual:
		if x.kind == vString && y.kind == vString && !ev.spend(e, min(len(x.str), len(y.str))) {
			return val{}, false
		}
		return boolVal(equal(x, y) == (e.op == opEqual)), true
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return ev.order(e, x, y)
	}
	if !x.isNumber() || !y.isNumber() {
		return ev.fail(e, "an operand of "+signOf(e.op)+" is not a number")
	}
	return arith(e.op, x, y), true
}

func (ev *env) order(e *expr, x, y val) (val, bool) {
	var c int
	switch {
	case x.isNumber() && y.isNumber():
		var ordered bool
		if c, ordered = compareNumbers(x, y); !ordered {
			return boolVal(false), true
		}
	case x.kind == vString && y.kind == vString:
		if !ev.spend(e, min(len(x.str), len(y.str))) {
			return val{}, false
		}
		c = tree.CompareStrings(x.str, y.str)
	case x.kind == vNull && y.kind == vNull:
	default:
		return ev.fail(e, "the operands of "+signOf(e.op)+" are neither two numbers nor two strings")
	}
	switch e.op {
	case opLess:
		return boolVal(c < 0), true
	case opLessEqual:
		return boolVal(c <= 0), true
	case opGreater:
		return boolVal(c > 0), true
	}
	return boolVal(c >= 0), true
}

// add is +. Where it is certain that strings are joined, the whole chain is
// written into one buffer.
func (ev *env) add(e *expr) (val, bool) {
	mark := len(ev.buf)
	if e.typ == tString {
		ok := ev.join(e)
		return ev.joined(mark, ok)
	}
	x, ok := ev.eval(e.args[0])
	if !ok {
		return val{}, false
	}
	y, ok := ev.eval(e.args[1])
	if !ok {
		return val{}, false
	}
	if x.isNumber() && y.isNumber() {
		return arith(opAdd, x, y), true
	}
	ok = ev.appendOperand(e, x) && ev.appendOperand(e, y)
	return ev.joined(mark, ok)
}

// joined takes what was written since mark out of the buffer.
func (ev *env) joined(mark int, ok bool) (val, bool) {
	if !ok {
		return val{}, false
	}
	v := stringVal(string(ev.buf[mark:]))
	ev.buf = ev.buf[:mark]
	return v, true
}

// join appends the string that e is to the buffer.
func (ev *env) join(e *expr) bool {
	if e.op == opAdd && e.typ == tString {
		return ev.spend(e, 1) && ev.join(e.args[0]) && ev.join(e.args[1])
	}
	v, ok := ev.eval(e)
	return ok && ev.appendOperand(e, v)
}

func (ev *env) appendOperand(e *expr, v val) (ok bool) {
	if !ev.spend(e, len(v.str)) {
		return false
	}
	if len(ev.buf)+len(v.str) > tree.MaxStringBytes {
		ev.fail(e, "the string grows too long")
		return false
	}
	if ev.buf, ok = v.appendText(ev.buf); !ok {
		ev.fail(e, "an operand of + is neither a string nor a number")
	}
	return ok
}

// property is x.name of a part of auth, which may be a string too.
func (ev *env) property(e *expr, x val, name string) (val, bool) {
	switch x.kind {
	case vAuth:
		return x.auth.get(name).val(), true
	case vString:
		if name == "length" {
			return ev.lengthOf(e, x)
		}
	}
	return val{}, true
}

func (ev *env) index(e *expr) (val, bool) {
	x, ok := ev.eval(e.args[0])
	if !ok {
		return val{}, false
	}
	y, ok := ev.eval(e.args[1])
	if !ok {
		return val{}, false
	}
	switch y.kind {
	case vString:
		return ev.property(e, x, y.str)
	case vInt, vFloat:
		var arr [32]byte
		name, _ := y.appendText(arr[:0])
		return ev.property(e, x, string(name))
	}
	return ev.fail(e.args[1], "the name of the property is not a string")
}

func (ev *env) length(e *expr) (val, bool) {
	x, ok := ev.eval(e.args[0])
	if !ok {
		return val{}, false
	}
	if x.kind == vString {
		return ev.lengthOf(e, x)
	}
	return val{}, true // null, as of any property that is not there
}

func (ev *env) lengthOf(e *expr, x val) (val, bool) {
	if !ev.spend(e, len(x.str)) {
		return val{}, false
	}
	return intVal(utf16Len(x.str)), true
}

// component is the i-th key of p.
func component(p tree.Path, i int) string {
	var key string
	for ; i >= 0; i-- {
		key, p = p.Front()
	}
	return key
}

func (ev *env) stringMethod(e *expr) (val, bool) {
	x, ok := ev.eval(e.args[0])
	if !ok {
		return val{}, false
	}
	id := methodID(e.id)
	var args [2]val
	for i, a := range e.args[1:] {
		if id == mMatches {
			break
		}
		if args[i], ok = ev.eval(a); !ok {
			return val{}, false
		}
		if args[i].kind != vString {
			return ev.fail(a, "the argument is not a string")
		}
	}
	if x.kind != vString {
		return ev.fail(e, "the method of a string is called on something else")
	}
	s, a := x.str, args[0].str
	if !ev.spend(e, len(s)+len(a)) {
		return val{}, false
	}
	switch id {
	case mContains:
		return boolVal(strings.Contains(s, a)), true
	case mBeginsWith:
		return boolVal(strings.HasPrefix(s, a)), true
	case mEndsWith:
		return boolVal(strings.HasSuffix(s, a)), true
	case mToLowerCase:
		return stringVal(strings.ToLower(s)), true
	case mToUpperCase:
		return stringVal(strings.ToUpper(s)), true
	case mReplace:
		by := args[1].str
		n := strings.Count(s, a)
		size := len(s) + n*(len(by)-len(a))
		if size > tree.MaxStringBytes {
			return ev.fail(e, "the string grows too long")
		}
		if !ev.spend(e, size+n) {
			return val{}, false
		}
		return stringVal(strings.ReplaceAll(s, a, by)), true
	}
	re := e.args[1].re
	if !ev.spend(e, int(min(int64(len(s))*int64(re.size/4), maxWork+1))) {
		return val{}, false
	}
	return boolVal(re.re.MatchString(s)), true
}
