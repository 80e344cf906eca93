package rules

import (
	"fmt"
	"strings"

	"rebase/tree"
)

// A Trace explains a verdict.
type Trace struct {
	// Steps are the rules that were evaluated, in their order. What follows the
	// rule that decided was not evaluated.
	Steps []Step

	// Decided is the step that decided; -1 if no rule applied.
	Decided int

	// Fix is, for a denial, the first thing to look at for somebody who thinks
	// that it should have been allowed.
	Fix string
}

// A Step is one rule that was evaluated.
type Step struct {
	Kind         string    // ".read", ".write" or ".validate"
	Place        string    // where the rule stands, as "/users/$uid"
	Path         tree.Path // the node it was evaluated at
	Line, Column int       // of the expression in the document
	Text         string    // the expression
	Result       bool
	Failed       string // why it could not be evaluated, which makes it false
	Values       []Seen // what it looked at, in order

	// Culprit is the part of the expression that made it false, "" if it was true.
	Culprit string
}

// Seen is a part of an expression and its value.
type Seen struct{ Expr, Value string }

// String says it all in a few lines.
func (t *Trace) String() string {
	var b strings.Builder
	for i, s := range t.Steps {
		mark := ""
		if i == t.Decided {
			mark = "  <- decided"
		}
		fmt.Fprintf(&b, "/%s: %s at line %d, column %d (%s): %v%s\n    %s\n", s.Path, s.Kind, s.Line, s.Column, s.Place, s.Result, mark, s.Text)
		for _, v := range s.Values {
			fmt.Fprintf(&b, "      %s = %s\n", v.Expr, v.Value)
		}
		if s.Failed != "" {
			fmt.Fprintf(&b, "      failed: %s\n", s.Failed)
		}
	}
	if t.Fix != "" {
		fmt.Fprintf(&b, "%s\n", t.Fix)
	}
	return b.String()
}

// tracer collects a trace.
type tracer struct {
	trace  Trace
	kind   string    // of the operation
	target tree.Path // the node that it is about at present
	values map[*expr]val
	order  []*expr
}

func newTracer(req *Request, kind string) *tracer {
	return &tracer{kind: kind, target: req.Path, trace: Trace{Decided: -1}}
}

// maxSeen bounds what a step remembers of a rule that looks at very much.
const maxSeen = 1000

func (t *tracer) see(e *expr, v val) {
	if len(t.order) >= maxSeen {
		return
	}
	if _, seen := t.values[e]; !seen {
		t.order = append(t.order, e)
	}
	t.values[e] = v
}

func (t *tracer) judge(ev *env, r *rule, p tree.Path) bool {
	t.values, t.order = map[*expr]val{}, nil
	ok := ev.run(r, p)
	s := Step{Kind: r.kind, Place: r.place, Path: p, Line: r.line, Column: r.column, Text: r.text, Result: ok}
	shown := map[string]bool{}
	for _, e := range t.order {
		switch e.op {
		case opAuth, opNow, opWildcard, opProperty, opIndex, opMethod, opLength, opQueryOf:
			text := r.slice(e)
			if e.typ != tSnapshot && !shown[text] {
				shown[text] = true
				s.Values = append(s.Values, Seen{text, t.values[e].describe()})
			}
		}
	}
	s.Values = telling(s.Values)
	if ev.fault != nil {
		s.Failed = r.slice(ev.fault) + ": " + ev.why
		s.Culprit = r.slice(ev.fault)
	} else if !ok {
		s.Culprit = r.slice(t.culprit(r.root))
	}
	t.trace.Steps = append(t.trace.Steps, s)
	return ok
}

// telling leaves out what the other values tell already: auth and auth.token where
// auth.token.email is there; and that, where auth is null.
func telling(values []Seen) []Seen {
	kept := values[:0:0]
	for _, v := range values {
		told := false
		for _, other := range values {
			told = told || v.partOf(other) && other.Value == "null" || other.partOf(v) && v.Value != "null"
		}
		if !told {
			kept = append(kept, v)
		}
	}
	return kept
}

// partOf reports whether v is a property of auth, or of one of its properties, that other is.
func (v Seen) partOf(other Seen) bool {
	rest, ok := strings.CutPrefix(v.Expr, other.Expr)
	return ok && strings.HasPrefix(other.Expr, "auth") && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

func (r *rule) slice(e *expr) string { return r.text[e.from:e.to] }

// culprit is the smallest part of e to blame for its being false: of operands
// joined by && the one that was.
func (t *tracer) culprit(e *expr) *expr {
	switch e.op {
	case opAnd:
		for _, a := range e.args {
			if v, seen := t.values[a]; seen && !v.bool() {
				return t.culprit(a)
			}
		}
	case opChoice:
		for _, a := range e.args[1:] {
			if v, seen := t.values[a]; seen && !v.bool() {
				return t.culprit(a)
			}
		}
	}
	return e
}

// finish says what decided.
func (t *tracer) finish(allowed bool) *Trace {
	steps := t.trace.Steps
	if allowed {
		// Each node that is written has its own; the last is as good as any.
		for i, s := range steps {
			if s.Kind == t.kind && s.Result {
				t.trace.Decided = i
			}
		}
		return &t.trace
	}
	if n := len(steps) - 1; n >= 0 && steps[n].Kind == ".validate" && !steps[n].Result {
		t.trace.Decided = n
		t.trace.Fix = steps[n].blame()
		return &t.trace
	}
	// No .read or .write was true. One that failed is more likely a mistake than
	// one that was false, and the nearest is most likely meant for the node.
	best := -1
	for i, s := range steps {
		if s.Kind == t.kind && !s.Result && s.appliesTo(t.target) && (best < 0 || s.Failed != "" || steps[best].Failed == "") {
			best = i
		}
	}
	if best < 0 {
		t.trace.Fix = fmt.Sprintf("No rule has a %s for /%s: without one there or above, nothing is allowed.", t.kind, t.target)
		return &t.trace
	}
	t.trace.Decided = best
	t.trace.Fix = steps[best].blame()
	return &t.trace
}

func (s *Step) appliesTo(p tree.Path) bool { return s.Path.Contains(p) }

func (s *Step) blame() string {
	where := fmt.Sprintf("The %s at line %d, column %d", s.Kind, s.Line, s.Column)
	switch {
	case s.Failed != "":
		return fmt.Sprintf("%s could not be evaluated: %s.", where, s.Failed)
	case s.Culprit == s.Text:
		return fmt.Sprintf("%s is false: %s.%s", where, s.Text, s.seen())
	}
	return fmt.Sprintf("%s is false because of %s.%s", where, s.Culprit, s.seen())
}

// seen lists the values of the culprit's parts.
func (s *Step) seen() string {
	var list []string
	for _, v := range s.Values {
		if strings.Contains(s.Culprit, v.Expr) && v.Expr != s.Culprit {
			list = append(list, v.Expr+" is "+v.Value)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " Here " + strings.Join(list, ", ") + "."
}
