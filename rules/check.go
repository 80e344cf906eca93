package rules

import (
	"strconv"
	"strings"
)

// checker gives every expression its type and resolves its names. What it lets
// pass can only fail at run time where a type is not known before.
type checker struct {
	wildcard func(name string) (component int, ok bool)
	write    bool // newData is there
}

func (c *checker) fail(e *expr, format string, args ...any) error {
	return failAt(int(e.from), format, args...)
}

// rule checks a whole rule.
func (c *checker) rule(e *expr) error {
	if err := c.check(e); err != nil {
		return err
	}
	if e.typ != tBool {
		return c.fail(e, "A rule must be true or false, but this is a %s: compare it with something", e.typ)
	}
	return nil
}

func (c *checker) check(e *expr) error {
	switch e.op {
	case opCall:
		return c.call(e)
	case opName:
		return c.variable(e)
	}
	for _, a := range e.args {
		if err := c.check(a); err != nil {
			return err
		}
	}
	switch e.op {
	case opProperty:
		return c.property(e)
	case opIndex:
		return c.index(e)
	case opArray:
		e.typ = tArray
	case opNot, opAnd, opOr:
		e.typ = tBool
		return c.booleans(e)
	case opNegate:
		e.typ = tNumber
		if !e.args[0].typ.maybe(tNumber) {
			return c.fail(e.args[0], "The operand of - must be a number, but is a %s", e.args[0].typ)
		}
	case opAdd, opSubtract, opMultiply, opDivide, opModulo:
		return c.arithmetic(e)
	case opEqual, opNotEqual:
		e.typ = tBool
		for _, a := range e.args {
			switch a.typ {
			case tNull, tBool, tNumber, tString, tPrimitive, tAny:
			case tSnapshot:
				return c.fail(a, "A RuleDataSnapshot cannot be compared: compare its val(), or ask whether it exists()")
			default:
				return c.fail(a, "A %s cannot be compared", a.typ)
			}
		}
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return c.order(e)
	case opChoice:
		return c.choice(e)
	}
	return nil
}

func (c *checker) variable(e *expr) error {
	if strings.HasPrefix(e.name, "$") {
		if i, ok := c.wildcard(e.name); ok {
			e.op, e.typ, e.id = opWildcard, tString, uint8(i)
			return nil
		}
		return c.fail(e, "Unknown variable '%s': no key above is called so", e.name)
	}
	for i := range variables {
		v := &variables[i]
		if v.name != e.name {
			continue
		}
		if v.op == opNewData && !c.write {
			return c.fail(e, "Unknown variable 'newData': there is none in a .read rule")
		}
		e.op, e.typ = v.op, v.typ
		return nil
	}
	return c.fail(e, "Unknown variable '%s'", e.name)
}

// holder is the type whose methods and properties x has.
func holder(x *expr) typ {
	if x.typ == tPrimitive {
		return tString // the only leaves that have any
	}
	return x.typ
}

func (c *checker) noSuch(e *expr, name string) error {
	return c.fail(e, "No such method/property '%s' of a %s", name, holder(e.args[0]))
}

// property is x.name where it is not called.
func (c *checker) property(e *expr) error {
	of := holder(e.args[0])
	if of == tAny {
		e.typ = tAny
		return nil
	}
	if p := findProperty(of, e.name); p != nil {
		e.typ, e.id = p.typ, uint8(p.id)
		e.op = opLength
		if of == tQuery {
			e.op = opQueryOf
		}
		return nil
	}
	if findMethod(of, e.name) != nil {
		return c.fail(e, "'%s' is a method: write %s()", e.name, e.name)
	}
	return c.noSuch(e, e.name)
}

// index is x[y] where it is not called.
func (c *checker) index(e *expr) error {
	x, y := e.args[0], e.args[1]
	if x.typ == tAny {
		if !y.typ.maybe(tString) && !y.typ.maybe(tNumber) {
			return c.fail(y, "The name of a property must be a string, but is a %s", y.typ)
		}
		e.typ = tAny
		return nil
	}
	if y.op != opLiteral || y.typ != tString {
		return c.fail(y, "Invalid property access: only of auth may the name of a property be computed")
	}
	e.op, e.name, e.args = opProperty, y.val.str, e.args[:1]
	return c.property(e)
}

// call is x.name(…) or x["name"](…).
func (c *checker) call(e *expr) error {
	callee, args := e.args[0], e.args[1:]
	name := callee.name
	switch callee.op {
	case opProperty:
		if err := c.check(callee.args[0]); err != nil {
			return err
		}
	case opIndex:
		if err := c.check(callee.args[0]); err != nil {
			return err
		}
		y := callee.args[1]
		if y.op != opLiteral || y.typ != tString {
			return c.fail(y, "Invalid property access: the name of a method cannot be computed")
		}
		name = y.val.str
	default:
		return c.fail(callee, "There are no functions, only methods: this cannot be called")
	}
	x := callee.args[0]
	of := holder(x)
	if of == tAny {
		of = tString
	}
	m := findMethod(of, name)
	if m == nil {
		return c.fail(callee, "No such method/property '%s' of a %s", name, of)
	}
	for _, a := range args {
		if err := c.check(a); err != nil {
			return err
		}
	}
	if m.id == mHasChildren {
		if err := c.hasChildren(e, args); err != nil {
			return err
		}
	} else if len(args) != len(m.params) {
		return c.fail(e, "%s() takes %s, but here are %d", name, count(len(m.params), "argument"), len(args))
	}
	for i, a := range args {
		if want := m.params[i]; !a.typ.maybe(want) || want == tRegexp && a.op != opRegexp {
			hint := ""
			if want == tRegexp {
				hint = ", written /like this/"
			}
			return c.fail(a, "%s() takes a %s%s, but here is a %s", name, want, hint, a.typ)
		}
	}
	e.op, e.typ, e.id = opMethod, m.result, uint8(m.id)
	e.args = append([]*expr{x}, args...)
	return nil
}

func (c *checker) hasChildren(e *expr, args []*expr) error {
	switch {
	case len(args) == 0:
		return nil
	case len(args) > 1 || args[0].op != opArray:
		return c.fail(args[0], "hasChildren() takes an array of strings, written ['a', 'b']")
	case len(args[0].args) == 0:
		return c.fail(args[0], "hasChildren() takes an array with at least one string")
	}
	for _, a := range args[0].args {
		if !a.typ.maybe(tString) {
			return c.fail(a, "hasChildren() takes an array of strings, but here is a %s", a.typ)
		}
	}
	return nil
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "one " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func (c *checker) booleans(e *expr) error {
	sign := map[op]string{opNot: "!", opAnd: "&&", opOr: "||"}[e.op]
	for i, a := range e.args {
		if a.typ == tBool {
			continue
		}
		side := "operand"
		if e.op != opNot {
			side = "right operand"
			if i == 0 {
				side = "left operand"
			}
		}
		return c.fail(a, "The %s of %s must be true or false, but is a %s: compare it with something", side, sign, a.typ)
	}
	return nil
}

func (c *checker) arithmetic(e *expr) error {
	left, right := e.args[0].typ, e.args[1].typ
	sign := signOf(e.op)
	if e.op == opAdd {
		for _, a := range e.args {
			if !a.typ.maybe(tNumber) && !a.typ.maybe(tString) {
				return c.fail(a, "The operands of + must be numbers or strings, but here is a %s", a.typ)
			}
		}
		switch {
		case left == tString || right == tString:
			e.typ = tString
		case left == tNumber && right == tNumber:
			e.typ = tNumber
		default:
			e.typ = tPrimitive
		}
		return nil
	}
	e.typ = tNumber
	for _, a := range e.args {
		if !a.typ.maybe(tNumber) {
			return c.fail(a, "The operands of %s must be numbers, but here is a %s", sign, a.typ)
		}
	}
	return nil
}

func (c *checker) order(e *expr) error {
	e.typ = tBool
	sign := signOf(e.op)
	for _, a := range e.args {
		switch a.typ {
		case tNull, tNumber, tString, tPrimitive, tAny:
		default:
			return c.fail(a, "The operands of %s must be numbers or strings, but here is a %s", sign, a.typ)
		}
	}
	if l, r := e.args[0].typ, e.args[1].typ; l != r && !l.fuzzy() && !r.fuzzy() {
		return c.fail(e, "The operands of %s must have one type, but are a %s and a %s", sign, l, r)
	}
	return nil
}

func (c *checker) choice(e *expr) error {
	test, yes, no := e.args[0], e.args[1], e.args[2]
	if test.typ != tBool {
		return c.fail(test, "What stands before ? must be true or false, but is a %s: compare it with something", test.typ)
	}
	for _, a := range e.args[1:] {
		if a.typ == tArray || a.typ == tRegexp {
			return c.fail(a, "An %s cannot be chosen with ?:", a.typ)
		}
	}
	leaf := func(t typ) bool { return t <= tPrimitive }
	switch {
	case yes.typ == no.typ:
		e.typ = yes.typ
	case leaf(yes.typ) && leaf(no.typ):
		e.typ = tPrimitive
	case yes.typ == tSnapshot || no.typ == tSnapshot || yes.typ == tQuery || no.typ == tQuery:
		return c.fail(e, "Both sides of : must have one type, but are a %s and a %s", yes.typ, no.typ)
	default:
		e.typ = tAny
	}
	return nil
}

func signOf(o op) string {
	for i := range operators {
		if operators[i].op == o {
			return operators[i].text
		}
	}
	return "?"
}
