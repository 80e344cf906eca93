package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Warning is a part of a document that is accepted, and that is most likely not
// what was meant.
type Warning struct {
	Line, Column int
	Msg          string
}

// Warnings tells what in the document has no effect, or another than it seems to
// have, in the order of the text.
func (r *Rules) Warnings() []Warning {
	if r == nil {
		return nil
	}
	var l linter
	if !r.root.hasRules() {
		l.add(1, 1, "These rules have no .read and no .write: nobody but administrators can do anything")
	}
	l.everyone(r.root.read, "reads")
	l.everyone(r.root.write, "writes")
	l.node(r.root, above{})
	slices.SortStableFunc(l.list, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return l.list
}

type linter struct{ list []Warning }

func (l *linter) add(line, column int, format string, args ...any) {
	l.list = append(l.list, Warning{line, column, fmt.Sprintf(format, args...)})
}

// above is what stands above a node on its path, nearest last.
type above struct {
	read, write []*rule // without those that are always false
	barred      *rule   // a .validate that is always false
}

func (l *linter) node(n *node, up above) {
	l.cascade(n.read, up.read, "readable")
	l.cascade(n.write, up.write, "writable")
	l.validate(n, up)
	l.queries(n.write)
	l.queries(n.validate)
	l.nulls(n.read)
	l.nulls(n.write)
	if n.wild != nil && n.wild.empty() {
		l.add(n.wild.line, n.wild.column, "%s has nothing below it: it only keeps rules of other keys from being found missing", n.wild.key)
	}
	if strings.HasPrefix(n.key, "$") {
		l.unused(n)
	}
	if n.read != nil && !n.read.always(false) {
		up.read = append(slices.Clip(up.read), n.read)
	}
	if n.write != nil && !n.write.always(false) {
		up.write = append(slices.Clip(up.write), n.write)
	}
	if n.validate != nil && n.validate.always(false) && up.barred == nil {
		up.barred = n.validate
	}
	for _, key := range n.keys {
		l.node(n.children[key], up)
	}
	if n.wild != nil {
		l.node(n.wild, up)
	}
}

// cascade looks at a rule that stands below others of its kind: what is granted
// above is granted, whatever stands below.
func (l *linter) cascade(r *rule, up []*rule, granted string) {
	if r == nil {
		return
	}
	for _, u := range up {
		where := fmt.Sprintf("the %s at line %d (%s)", u.kind, u.line, u.place)
		switch {
		case u.always(true):
			l.add(r.line, r.column, "This %s has no effect: everything here is %s already by %s", r.kind, granted, where)
		case r.always(false):
			l.add(r.line, r.column, "This %s takes nothing back: what is granted by %s holds here too", r.kind, where)
		case r.text == u.text && !u.root.local():
			l.add(r.line, r.column, "This %s has no effect: it asks the same as %s", r.kind, where)
		default:
			continue
		}
		return
	}
}

// validate looks for rules that no write ever reaches.
func (l *linter) validate(n *node, up above) {
	r := n.validate
	if r == nil {
		return
	}
	if up.barred != nil {
		l.add(r.line, r.column, "This .validate is never asked: the one at line %d (%s) lets nothing be written here", up.barred.line, up.barred.place)
		return
	}
	if len(up.write) == 0 && !n.grants() {
		l.add(r.line, r.column, "This .validate is asked of nobody: there is no .write here, above or below that could be true")
	}
}

// queries looks for a query where there is none.
func (l *linter) queries(r *rule) {
	if r == nil {
		return
	}
	if e := r.root.find(func(e *expr) bool { return e.op == opQueryOf }); e != nil {
		l.add(r.line, r.column, "%s has no value in a %s: the rule fails where it is asked", r.slice(e), r.kind)
	}
}

// nulls looks for a comparison of auth with a node that may not be there, in a rule
// that asks nothing else of auth: null equals null, and so it grants to nobody's visitors.
func (l *linter) nulls(r *rule) {
	if r == nil {
		return
	}
	asked := 0
	var found *expr
	r.root.find(func(e *expr) bool {
		if e.op == opAuth {
			asked++
		}
		if e.op == opEqual && (e.args[0].ofAuth() && e.args[1].isVal() || e.args[0].isVal() && e.args[1].ofAuth()) {
			found = e
		}
		return false
	})
	if found != nil && asked == 1 {
		l.add(r.line, r.column, "%s is true also where nothing is there and nobody is signed in, because null equals null: ask auth != null, too", r.slice(found))
	}
}

// ofAuth reports whether e is a property of auth, or of one of its properties.
func (e *expr) ofAuth() bool {
	return (e.op == opProperty || e.op == opIndex) && (e.args[0].op == opAuth || e.args[0].ofAuth())
}

// isVal reports whether e is the value of a node.
func (e *expr) isVal() bool { return e.op == opMethod && methodID(e.id) == mVal }

// everyone looks for a database that is open as a whole.
func (l *linter) everyone(r *rule, verb string) {
	switch {
	case r == nil:
	case r.always(true):
		l.add(r.line, r.column, "Everyone %s the whole database, without signing in", verb)
	case r.text == "auth != null" || r.text == "auth !== null" || r.text == "auth.uid != null" || r.text == "auth.uid !== null":
		l.add(r.line, r.column, "Everyone who is signed in %s the whole database", verb)
	}
}

// unused looks for rules that ask who is signed in but not whether it is that one's node.
func (l *linter) unused(n *node) {
	name := strings.ToLower(strings.Trim(n.key[1:], "_"))
	if name != "uid" && !strings.HasPrefix(name, "user") {
		return
	}
	asks, names := false, false
	n.each(func(r *rule) {
		r.root.find(func(e *expr) bool {
			asks = asks || e.op == opAuth && r.kind != ".validate"
			names = names || e.op == opWildcard && e.name == n.key
			return false
		})
	})
	if asks && !names {
		l.add(n.line, n.column, "No rule below %s asks for it, so all who are signed in have the same rights at each: compare it with auth.uid", n.key)
	}
}

// always reports whether a rule is the constant b.
func (r *rule) always(b bool) bool { return r.root.op == opLiteral && r.root.val.bool() == b }

// find returns the first part of e that f holds for, nil if there is none.
func (e *expr) find(f func(*expr) bool) *expr {
	if f(e) {
		return e
	}
	for _, a := range e.args {
		if found := a.find(f); found != nil {
			return found
		}
	}
	return nil
}

// local reports whether e depends on where its rule stands, other than by its wildcards.
func (e *expr) local() bool {
	return e.find(func(e *expr) bool { return e.op == opData || e.op == opNewData }) != nil
}

// each calls f for every rule at n and below.
func (n *node) each(f func(*rule)) {
	for _, r := range []*rule{n.read, n.write, n.validate} {
		if r != nil {
			f(r)
		}
	}
	for _, key := range n.keys {
		n.children[key].each(f)
	}
	if n.wild != nil {
		n.wild.each(f)
	}
}

// grants reports whether a .write at n or below can be true.
func (n *node) grants() (can bool) {
	n.each(func(r *rule) { can = can || r.kind == ".write" && !r.always(false) })
	return can
}

// hasRules reports whether a .read or .write is anywhere.
func (n *node) hasRules() (has bool) {
	n.each(func(r *rule) { has = has || r.kind != ".validate" })
	return has
}

// empty reports that nothing is said at n or below.
func (n *node) empty() bool {
	has := n.below
	n.each(func(*rule) { has = true })
	return !has
}
