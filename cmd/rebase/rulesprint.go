package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/term"

	"rebase/rules"
	"rebase/rules/ruletest"
)

// printer writes findings and reports for people, in colours on a terminal unless
// NO_COLOR is set.
type printer struct {
	w       io.Writer
	colours bool
	verbose bool
	err     error // the first of writing
}

func newPrinter(w io.Writer) *printer {
	f, ok := w.(*os.File)
	return &printer{w: w, colours: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""}
}

const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// in is text in a colour.
func (p *printer) in(colour, text string) string {
	if !p.colours || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// checked prints what there is to say about a document.
func (p *printer) checked(c *checked, text []byte) {
	for _, f := range c.Errors {
		p.line("%s %s", p.in(bold, fmt.Sprintf("%s:%d:%d:", c.File, f.Line, f.Column)), p.in(red, f.Message))
		p.excerpt(text, f)
	}
	for _, f := range c.Warnings {
		p.line("%s %s %s", p.in(bold, fmt.Sprintf("%s:%d:%d:", c.File, f.Line, f.Column)), p.in(yellow, "warning:"), f.Message)
		p.excerpt(text, f)
	}
	if len(c.Errors) > 0 {
		return
	}
	verdict := p.in(green, "ok")
	if n := len(c.Warnings); n > 0 {
		verdict = p.in(yellow, plural(n, "warning"))
	}
	p.line("%s: %s, %s", c.File, plural(c.Rules, "rule"), verdict)
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// excerptWidth bounds how much of a line is shown.
const excerptWidth = 96

// excerpt shows the line of a finding, with a mark below its column.
func (p *printer) excerpt(text []byte, f finding) {
	lines := bytes.Split(text, []byte("\n"))
	if f.Line < 1 || f.Line > len(lines) {
		return
	}
	line := []rune(strings.TrimRight(string(lines[f.Line-1]), "\r "))
	for i, r := range line {
		if !unicode.IsPrint(r) { // tabs, too: the mark must stand below
			line[i] = ' '
		}
	}
	at := min(max(f.Column-1, 0), len(line))
	from := 0
	if at > excerptWidth*2/3 {
		from = at - excerptWidth/2
	}
	to := min(len(line), from+excerptWidth)
	shown := string(line[from:to])
	for from > 0 && strings.HasPrefix(shown, " ") {
		shown = shown[1:]
		from++
	}
	number := fmt.Sprint(f.Line)
	p.line("%s", p.in(faint, fmt.Sprintf("  %s | %s", number, shown)))
	p.line("%s", p.in(faint, fmt.Sprintf("  %s | %s", strings.Repeat(" ", len(number)), strings.Repeat(" ", at-from)))+p.in(red, "^"))
}

// suite prints what came of a list.
func (p *printer) suite(run *suiteRun) {
	title := p.in(bold, run.file)
	if run.rules != "" {
		title += p.in(faint, "  "+run.rules)
	}
	p.line("%s\n", title)
	var group []string
	for i := range run.report.Results {
		r := &run.report.Results[i]
		if !slices.Equal(group, r.Case.Group) {
			group = r.Case.Group
			if len(group) > 0 {
				p.line("  %s", p.in(bold, strings.Join(group, " > ")))
			}
		}
		p.result(run, r)
	}
	report := run.report
	failed := len(report.Results) - report.Passed
	verdict := p.in(green, "all passed")
	if failed > 0 {
		verdict = fmt.Sprintf("%d passed, %s", report.Passed, p.in(red, fmt.Sprintf("%d failed", failed)))
	}
	p.line("\n  %s: %s", plural(len(report.Results), "case"), verdict)
	if n := len(report.Unasked); n > 0 {
		p.line("  %s of %d not asked by any case:", plural(n, "rule"), report.Rules)
		for i, r := range report.Unasked {
			if i == 10 && !p.verbose {
				p.line("    %s", p.in(faint, fmt.Sprintf("and %d more (--verbose)", n-i)))
				break
			}
			p.line("    %s", p.in(faint, fmt.Sprintf("%s  line %d: %s", ruleAt(r.Place, r.Kind), r.Line, r.Text)))
		}
	}
	p.line("")
}

func ruleAt(place, kind string) string { return strings.TrimSuffix(place, "/") + "/" + kind }

func (p *printer) result(run *suiteRun, r *ruletest.Result) {
	verdict := "denied"
	if r.Allowed {
		verdict = "allowed"
	}
	mark := p.in(green, "ok  ")
	if !r.Pass {
		mark = p.in(red, "FAIL")
	}
	what := r.Case.Title()
	if r.Case.Name != "" {
		what += p.in(faint, "  "+r.Case.Summary())
	}
	p.line("  %s %s", mark, what)
	if !r.Pass {
		p.line("       %s  %s", p.in(red, r.Wrong), p.in(faint, fmt.Sprintf("%s:%d", run.file, r.Case.Line)))
		p.line("       %s", r.Why)
	} else {
		p.line("       %s", p.in(faint, verdict+". "+r.Why))
	}
	if r.Trace == nil || r.Pass && !p.verbose {
		return
	}
	for i := range r.Trace.Steps {
		p.step(&r.Trace.Steps[i], i == r.Trace.Decided)
	}
}

// step prints a rule that was asked.
func (p *printer) step(s *rules.Step, decided bool) {
	result := p.in(red, "false")
	switch {
	case s.Failed != "":
		result = p.in(red, "failed")
	case s.Result:
		result = p.in(green, "true")
	}
	note := ""
	if decided {
		note = p.in(bold, "  decided")
	}
	p.line("         %s %s at /%s%s", result, ruleAt(s.Place, s.Kind), s.Path, note)
	p.line("           %s", p.in(faint, fmt.Sprintf("line %d: %s", s.Line, strings.Join(strings.Fields(s.Text), " "))))
	for _, v := range s.Values {
		p.line("           %s = %s", v.Expr, v.Value)
	}
	if s.Failed != "" {
		p.line("           %s", p.in(red, s.Failed))
	}
}

// The forms of --json. They are documented in docs/rules.md.
type (
	suiteJSON struct {
		File   string     `json:"file"`
		Rules  string     `json:"rules,omitempty"`
		Passed int        `json:"passed"`
		Failed int        `json:"failed"`
		Cases  []caseJSON `json:"cases"`
		Unused []ruleJSON `json:"notAsked"`
	}
	caseJSON struct {
		Name      string     `json:"name,omitempty"`
		Group     []string   `json:"group,omitempty"`
		Line      int        `json:"line"`
		Operation string     `json:"operation"`
		Path      string     `json:"path"`
		As        string     `json:"as"`
		Expected  string     `json:"expected"`
		Verdict   string     `json:"verdict"`
		Pass      bool       `json:"pass"`
		Wrong     string     `json:"wrong,omitempty"`
		Why       string     `json:"why"`
		Decided   *int       `json:"decided,omitempty"` // of steps
		Steps     []stepJSON `json:"steps,omitempty"`
	}
	ruleJSON struct {
		Rule       string `json:"rule"`
		Line       int    `json:"line"`
		Column     int    `json:"column"`
		Expression string `json:"expression"`
	}
	stepJSON struct {
		ruleJSON
		Path   string      `json:"path"`
		Result bool        `json:"result"`
		Failed string      `json:"failed,omitempty"`
		Values []valueJSON `json:"values,omitempty"`
	}
	valueJSON struct {
		Expression string `json:"expression"`
		Value      string `json:"value"`
	}
)

func verdictWord(allowed bool) string {
	if allowed {
		return "allow"
	}
	return "deny"
}

func (run *suiteRun) json() suiteJSON {
	report := run.report
	s := suiteJSON{
		File: run.file, Rules: run.rules, Passed: report.Passed, Failed: len(report.Results) - report.Passed,
		Cases: []caseJSON{}, Unused: []ruleJSON{},
	}
	for i := range report.Results {
		r := &report.Results[i]
		c := caseJSON{
			Name: r.Case.Name, Group: r.Case.Group, Line: r.Case.Line, Operation: r.Case.Op, Path: "/" + string(r.Case.Path), As: r.Case.As,
			Expected: verdictWord(r.Case.Allow), Verdict: verdictWord(r.Allowed), Pass: r.Pass, Wrong: r.Wrong, Why: r.Why,
		}
		if r.Trace != nil {
			if r.Trace.Decided >= 0 {
				c.Decided = &r.Trace.Decided
			}
			for _, t := range r.Trace.Steps {
				step := stepJSON{ruleJSON{ruleAt(t.Place, t.Kind), t.Line, t.Column, t.Text}, "/" + string(t.Path), t.Result, t.Failed, nil}
				for _, v := range t.Values {
					step.Values = append(step.Values, valueJSON{v.Expr, v.Value})
				}
				c.Steps = append(c.Steps, step)
			}
		}
		s.Cases = append(s.Cases, c)
	}
	for _, r := range report.Unasked {
		s.Unused = append(s.Unused, ruleJSON{ruleAt(r.Place, r.Kind), r.Line, r.Column, r.Text})
	}
	return s
}
