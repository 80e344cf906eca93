package ruletest

import (
	"fmt"
	"strings"

	"rebase/rules"
	"rebase/tree"
)

// A Result is what came of a case.
type Result struct {
	Case    *Case
	Allowed bool
	Pass    bool

	// Trace is how the rules decided; nil for an administrator, whom they are not asked about.
	Trace *rules.Trace
	// Decided is the rule that decided, nil if none did.
	Decided *rules.Step
	// Why is the verdict in a sentence: for a denial, the first thing to look at
	// for somebody who thinks that it should have been allowed.
	Why string
	// Wrong is what is not as expected, "" if the case passes.
	Wrong string
}

// A Report is what came of a list.
type Report struct {
	Results []Result
	Passed  int
	// Rules are all rules of the document, and Asked is how many of them some
	// case asked. Those that none did are Unasked.
	Rules, Asked int
	Unasked      []rules.Rule
}

// Run runs all cases.
func (s *Suite) Run(r *rules.Rules) *Report {
	report := &Report{}
	asked := map[string]bool{}
	for i := range s.Cases {
		result := s.Cases[i].Run(r)
		if result.Pass {
			report.Passed++
		}
		if result.Trace != nil {
			for _, step := range result.Trace.Steps {
				asked[ruleName(step.Place, step.Kind)] = true
			}
		}
		report.Results = append(report.Results, result)
	}
	for _, rule := range r.All() {
		report.Rules++
		if asked[ruleName(rule.Place, rule.Kind)] {
			report.Asked++
		} else {
			report.Unasked = append(report.Unasked, rule)
		}
	}
	return report
}

// ruleName names a rule by its place in the document.
func ruleName(place, kind string) string { return strings.TrimSuffix(place, "/") + "/" + kind }

// Title says what the case does, in the words of its author if there are any.
func (c *Case) Title() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Summary()
}

// Summary says what the case does: "write /rooms/1 as alice".
func (c *Case) Summary() string {
	s := c.Op + " /" + string(c.Path)
	if c.Query != nil {
		s += " by a query"
	}
	return s + " as " + c.As
}

// Run decides the case by rules.
func (c *Case) Run(r *rules.Rules) Result {
	result := Result{Case: c}
	if c.Admin {
		result.Allowed = true
		result.Why = "An administrator may do everything: no rule is asked."
	} else {
		verdict := c.decide(r)
		result.Allowed, result.Trace = verdict.Allowed, verdict.Trace
		if i := result.Trace.Decided; i >= 0 {
			result.Decided = &result.Trace.Steps[i]
		}
		result.Why = result.Trace.Fix
		switch {
		case verdict.Err != nil:
			result.Why = verdict.Err.Error()
		case result.Allowed && result.Decided != nil:
			result.Why = fmt.Sprintf("The %s at line %d, column %d is true: %s.", result.Decided.Kind, result.Decided.Line, result.Decided.Column, result.Decided.Text)
		case result.Allowed:
			result.Why = "It changes nothing, so no rule is asked."
		}
	}
	result.Wrong = c.wrong(&result)
	result.Pass = result.Wrong == ""
	return result
}

func (c *Case) wrong(r *Result) string {
	switch {
	case r.Allowed && !c.Allow:
		return "allowed, expected deny"
	case !r.Allowed && c.Allow:
		return "denied, expected allow"
	case c.By == "":
		return ""
	case r.Decided == nil:
		return "no rule decided, expected " + c.By
	}
	if by := ruleName(r.Decided.Place, r.Decided.Kind); by != c.By {
		return "decided by " + by + ", expected " + c.By
	}
	return ""
}

func (c *Case) decide(r *rules.Rules) rules.Verdict {
	req := &rules.Request{Auth: c.Auth, Now: c.Now, Path: c.Path, Query: c.Query, State: rules.TreeState(c.Data), Trace: true}
	if c.Op == "read" {
		return r.Read(req)
	}
	after := c.Data
	for _, ch := range c.Changes {
		v := ch.Value
		if v.HasServerValues() {
			v = v.Resolve(c.Now, func(rel tree.Path) *tree.Node { return c.Data.At(ch.Path.Join(rel)) })
		}
		if ch.Priority {
			after = after.SetPriority(ch.Path, v)
		} else {
			after = after.Set(ch.Path, v)
		}
	}
	req.New, req.Updates = rules.TreeState(after), c.Updates
	return r.Write(req)
}
