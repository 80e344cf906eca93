package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rebase/rules"
	"rebase/rules/caseyaml"
	"rebase/rules/ruletest"
)

type rulesCmd struct {
	Check rulesCheckCmd `cmd:"" help:"Read security rules, and tell what is wrong with them and what has no effect."`
	Test  rulesTestCmd  `cmd:"" help:"Run cases against security rules, and explain each verdict."`
}

type rulesCheckCmd struct {
	File   []string `arg:"" help:"Rules documents; \"-\" is standard input." placeholder:"FILE"`
	JSON   bool     `name:"json" help:"Print JSON, for other programs."`
	Strict bool     `help:"Fail on warnings, too."`
}

// Help is shown by --help below the flags' purpose.
func (*rulesCheckCmd) Help() string {
	return `Each line is FILE:LINE:COLUMN: and what was expected. The exit code is 0 if all documents can be used, 1 if one cannot, and 2 if a file cannot be read.`
}

type rulesTestCmd struct {
	File    []string `arg:"" help:"Lists of cases, in YAML or JSON; \"-\" is standard input." placeholder:"FILE"`
	Rules   string   `help:"The rules document, instead of the one that the list names." type:"path" placeholder:"FILE"`
	JSON    bool     `name:"json" help:"Print JSON, for other programs."`
	Verbose bool     `help:"Print all rules that were asked, with the values that they saw, for every case."`
}

// Help is shown by --help below the flags' purpose.
func (*rulesTestCmd) Help() string {
	return `A list of cases:

  rules: database.rules.json
  users:
    alice: {uid: alice, token: {email_verified: true}}
  data: {rooms: {lobby: {owner: alice}}}
  tests:
    - read: /rooms/lobby
      as: alice
      expect: allow
    - name: nobody changes the owner
      write: /rooms/lobby/owner
      value: eve
      as: {uid: eve}
      expect: deny

Operations are read (with a query: if need be), write, update and delete. "as" is null, a user, what auth is, or admin. The exit code is 0 if all cases pass, 1 if one does not, and 2 if a file cannot be used. docs/rules.md has the whole language.`
}

// readInput reads a file, or standard input.
func readInput(std streams, name string) (text []byte, shown string, err error) {
	if name == stdio {
		text, err = io.ReadAll(std.in)
		return text, "standard input", err
	}
	text, err = os.ReadFile(name)
	return text, name, err
}

// A finding is an error or a warning of a document.
type finding struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// checked is what there is to say about a document.
type checked struct {
	File     string    `json:"file"`
	Rules    int       `json:"rules"`
	Errors   []finding `json:"errors,omitempty"`
	Warnings []finding `json:"warnings,omitempty"`
}

func check(name string, text []byte) checked {
	c := checked{File: name}
	r, err := rules.Parse(text)
	if err != nil {
		c.Errors = []finding{ruleError(err)}
		return c
	}
	c.Rules = len(r.All())
	for _, w := range r.Warnings() {
		c.Warnings = append(c.Warnings, finding{w.Line, w.Column, w.Msg})
	}
	return c
}

func ruleError(err error) finding {
	var at *rules.Error
	if errors.As(err, &at) {
		return finding{at.Line, at.Column, at.Msg}
	}
	return finding{1, 1, err.Error()}
}

// Run checks the documents.
func (c *rulesCheckCmd) Run(std streams) error {
	p := newPrinter(std.out)
	var all []checked
	bad := false
	for _, name := range c.File {
		text, name, err := readInput(std, name)
		if err != nil {
			return &usageError{err}
		}
		result := check(name, text)
		all = append(all, result)
		bad = bad || len(result.Errors) > 0 || c.Strict && len(result.Warnings) > 0
		if !c.JSON {
			p.checked(&result, text)
		}
	}
	if c.JSON {
		if err := printJSON(std.out, all); err != nil {
			return err
		}
	}
	if bad {
		return &silentError{exitFailure}
	}
	return p.err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Run runs the lists.
func (c *rulesTestCmd) Run(std streams) error {
	p := newPrinter(std.out)
	p.verbose = c.Verbose
	var all []suiteJSON
	failed := false
	for _, name := range c.File {
		run, err := c.suite(std, name)
		if err != nil {
			return &usageError{err}
		}
		failed = failed || run.report.Passed < len(run.report.Results)
		if c.JSON {
			all = append(all, run.json())
		} else {
			p.suite(run)
		}
	}
	if c.JSON {
		if err := printJSON(std.out, all); err != nil {
			return err
		}
	}
	if failed {
		return &silentError{exitFailure}
	}
	return p.err
}

// suiteRun is a list that was run.
type suiteRun struct {
	file   string // of the list
	rules  string // of the document, "" if it is in the list
	report *ruletest.Report
}

func (c *rulesTestCmd) suite(std streams, name string) (*suiteRun, error) {
	text, shown, err := readInput(std, name)
	if err != nil {
		return nil, err
	}
	parse := caseyaml.Parse
	if strings.HasSuffix(name, ".json") || name == stdio && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		parse = ruletest.ParseJSON
	}
	folder := "."
	if name != stdio {
		folder = filepath.Dir(name)
	}
	beside := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(folder, name)
	}
	v, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", shown, err)
	}
	s, err := ruletest.Load(v, ruletest.Options{
		Read: func(name string) ([]byte, error) { return os.ReadFile(beside(name)) },
		Time: parseTime,
	})
	if err != nil {
		return nil, fmt.Errorf("%s:%w", shown, err)
	}
	run := &suiteRun{file: shown}
	if s.RulesFile != "" {
		run.rules = beside(s.RulesFile)
	}
	if c.Rules != "" {
		if s.Rules, err = os.ReadFile(c.Rules); err != nil {
			return nil, err
		}
		run.rules = c.Rules
	}
	if s.Rules == nil {
		return nil, fmt.Errorf("%s: it names no rules: write \"rules: FILE\" into it, or give --rules", shown)
	}
	r, err := rules.Parse(s.Rules)
	if err != nil {
		at, of := ruleError(err), run.rules
		if of == "" {
			of = shown + ": rules"
		}
		return nil, fmt.Errorf("%s:%d:%d: %s", of, at.Line, at.Column, at.Message)
	}
	run.report = s.Run(r)
	return run, nil
}

// parseTime reads a date; without a time it is midnight, without a zone it is UTC.
func parseTime(text string) (int64, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%q is not a date", text)
}
