package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rebase/elle"
	"rebase/elle/history"
	"rebase/elle/model"
	"rebase/elle/picture"
	"rebase/elle/report"
)

// Exit codes of elle check beside exitUsage. They are documented in docs/elle.md.
const (
	exitAnomalies = 1 // a history has anomalies that its models forbid
	exitUnknown   = 3 // none has, but one could not be judged
)

type elleCmd struct {
	Check  elleCheckCmd  `cmd:"" help:"Find the isolation anomalies in histories of transactions."`
	Run    elleRunCmd    `cmd:"" help:"Drive a live server with many clients and check what they saw."`
	Shrink elleShrinkCmd `cmd:"" help:"Make a history small that still shows its anomaly."`
	Gen    elleGenCmd    `cmd:"" help:"Generate the history of a simulated store at a level of isolation."`
}

type elleCheckCmd struct {
	Files []string `arg:"" name:"file" help:"Histories: Jepsen's EDN, the same in JSON, or sessions of \"r key value\" and \"w key value\"; also compressed with gzip. \"-\" is standard input." placeholder:"FILE"`

	Workload  string   `short:"w" default:"list-append" help:"What the operations do: ${elle_workloads} (${default})." placeholder:"NAME"`
	Models    []string `short:"c" help:"Consistency models that the database claims, such as snapshot-isolation (strict-serializable). What they do not forbid is not reported." placeholder:"NAME"`
	Anomalies []string `short:"a" help:"Anomalies to report beside those that the models forbid, such as G1c." placeholder:"NAME"`
	Format    string   `short:"f" default:"auto" help:"How histories are written: auto, edn, json, sessions or log (${default})." placeholder:"NAME"`

	WFRKeys          bool `name:"wfr-keys" help:"rw-register: a transaction that reads a key and then writes it writes a later version."`
	SequentialKeys   bool `help:"rw-register: each key by itself is sequentially consistent."`
	LinearizableKeys bool `help:"rw-register: each key by itself is linearizable."`
	NoDecision       bool `name:"no-decision" help:"Do not ask whether any order of versions explains the history, which can take long."`

	JSON      bool   `name:"json" help:"Print an object a line and file: file, valid (true, false or \"unknown\"), anomaly-types, anomalies, not, also-not."`
	Report    string `help:"Write a page of HTML about all files: verdicts, explanations and pictures. It needs nothing else." placeholder:"FILE"`
	SVG       string `name:"svg" help:"Draw each cycle that is shown as SVG into this folder." placeholder:"DIR"`
	DOT       string `name:"dot" help:"Write each cycle that is shown for Graphviz into this folder." placeholder:"DIR"`
	Witnesses int    `default:"8" help:"Anomalies of a type to show; all are counted (${default}). 0 shows all." placeholder:"N"`
}

// Help is shown by --help below the flags' purpose.
func (*elleCheckCmd) Help() string {
	return `What is reported is there: an anomaly is in every execution that could have given the
history. It is explained in words that can be held against the history.

Exit codes: 0 all histories are consistent with the models, 1 one has anomalies,
2 one could not be read or the command line is wrong, 3 one could not be judged.

Models: ` + strings.Join(model.Names(), ", ") + `.`
}

// options are what the flags say. The error is one of the user's.
func (c *elleCheckCmd) options() (elle.Options, history.Format, error) {
	o := elle.Options{WFRKeys: c.WFRKeys, SequentialKeys: c.SequentialKeys, LinearizableKeys: c.LinearizableKeys,
		Witnesses: c.Witnesses, NoDecision: c.NoDecision}
	if c.Witnesses <= 0 {
		o.Witnesses = -1
	}
	var err error
	if o.Workload, err = elle.ParseWorkload(c.Workload); err != nil {
		return o, 0, &usageError{err}
	}
	format, err := history.ParseFormat(c.Format)
	if err != nil {
		return o, 0, &usageError{err}
	}
	for _, name := range c.Models {
		m, err := model.Parse(name)
		if err != nil {
			return o, 0, &usageError{err}
		}
		o.Models = append(o.Models, m)
	}
	for _, name := range c.Anomalies {
		if !model.Anomaly(name).Known() {
			return o, 0, &usageError{fmt.Errorf("no anomaly is called %q; known are %s", name, joined(model.Anomalies()))}
		}
		o.Anomalies = append(o.Anomalies, model.Anomaly(name))
	}
	if o.Workload != elle.RWRegister && (c.WFRKeys || c.SequentialKeys || c.LinearizableKeys) {
		return o, 0, &usageError{errors.New("--wfr-keys, --sequential-keys and --linearizable-keys are about --workload rw-register")}
	}
	return o, format, nil
}

// Run checks one file after another. A file that cannot be read does not keep the others
// from being checked.
func (c *elleCheckCmd) Run(ctx context.Context, std streams) error {
	o, format, err := c.options()
	if err != nil {
		return err
	}
	code := exitOK
	var files []report.File
	for i, name := range c.Files {
		r, err := c.check(ctx, std, name, format, o)
		if err != nil {
			fmt.Fprintf(std.err, "rebase: %v\n", err)
			code = exitUsage
		} else {
			switch {
			case r.Valid == elle.Inconsistent && code != exitUsage:
				code = exitAnomalies
			case r.Valid == elle.Unknown && code == exitOK:
				code = exitUnknown
			}
			if err := c.print(std.out, name, r); err != nil {
				return err
			}
			if err := c.draw(i, name, r); err != nil {
				return err
			}
		}
		if c.Report != "" {
			files = append(files, report.File{Name: name, Result: r, Err: err})
		}
	}
	if c.Report != "" {
		if err := writeReport(c.Report, files); err != nil {
			return err
		}
	}
	if code != exitOK {
		return &silentError{code}
	}
	return nil
}

func (c *elleCheckCmd) check(ctx context.Context, std streams, name string, format history.Format, o elle.Options) (*elle.Result, error) {
	h, err := readHistory(std, name, format)
	if err != nil {
		return nil, inHistory(name, err)
	}
	r, err := elle.Check(ctx, h, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func writeReport(name string, files []report.File) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := errors.Join(report.Write(f, files), f.Close()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// draw writes the pictures of the i-th file.
func (c *elleCheckCmd) draw(i int, name string, r *elle.Result) error {
	if c.SVG == "" && c.DOT == "" {
		return nil
	}
	base := strings.TrimSuffix(filepath.Base(name), ".gz")
	base = strings.TrimSuffix(base, filepath.Ext(base))
	if len(c.Files) > 1 {
		base = fmt.Sprintf("%d-%s", i+1, base) // files of several folders may have one name
	}
	count := map[model.Anomaly]int{}
	for _, a := range r.Anomalies {
		p, ok := picture.Of(r.History(), a)
		if !ok {
			continue
		}
		count[a.Type]++
		stem := fmt.Sprintf("%s-%s-%d", base, a.Type, count[a.Type])
		for _, out := range []struct {
			dir, ext string
			draw     func() []byte
		}{{c.SVG, ".svg", p.SVG}, {c.DOT, ".dot", p.DOT}} {
			if out.dir == "" {
				continue
			}
			if err := os.MkdirAll(out.dir, 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(out.dir, stem+out.ext), out.draw(), 0o666); err != nil {
				return err
			}
		}
	}
	return nil
}

func readHistory(std streams, name string, format history.Format) (*history.History, error) {
	in := std.in
	if name != stdio {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	h, err := history.Parse(in, history.ParseOptions{Format: format})
	if err == nil && len(h.Ops) == 0 && len(h.Notes) == 0 {
		err = &history.Error{Reason: "it has no operations"}
	}
	return h, err
}

// inHistory puts a history's name before line and field.
func inHistory(name string, err error) error {
	var at *history.Error
	switch {
	case errors.As(err, &at) && at.Line > 0:
		where := fmt.Sprintf("%s:%d", name, at.Line)
		if at.Field != "" {
			where += ": field " + at.Field
		}
		return fmt.Errorf("%s: %s", where, at.Reason)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no file %s", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (c *elleCheckCmd) print(w io.Writer, name string, r *elle.Result) error {
	if c.JSON {
		line, err := r.JSON(filepath.ToSlash(name))
		if err != nil {
			return err
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\t%s\t%s\n", name, r.Valid, strings.ReplaceAll(joined(slices.Concat(r.Types, r.Unknown)), ", ", " "))
	if len(r.Not) > 0 {
		fmt.Fprintf(&b, "  ruled out:      %s\n", joined(r.Not))
		fmt.Fprintf(&b, "  and with them:  %s\n", orNone(joined(r.AlsoNot)))
		fmt.Fprintf(&b, "  still possible: %s\n", orNone(joined(r.Possible)))
	}
	if len(r.Undecided) > 0 {
		fmt.Fprintf(&b, "  not decided:    %s\n", joined(r.Undecided))
	}
	for _, verdict := range []string{"proved", "refuted", "not decided"} {
		var models []model.Model
		for _, d := range r.Decided {
			if d.Verdict == verdict {
				models = append(models, d.Model)
			}
		}
		if len(models) > 0 {
			fmt.Fprintf(&b, "  %-15s %s\n", verdict+":", joined(models))
		}
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(&b, "  note: %s\n", text)
	}
	shown := map[model.Anomaly]int{}
	for _, a := range r.Anomalies {
		shown[a.Type]++
		count := ""
		if n := r.Count(a.Type); n > 1 {
			count = fmt.Sprintf(" (%d of %d)", shown[a.Type], n)
		}
		fmt.Fprintf(&b, "\n%s%s\n%s", a.Type, count, r.Explain(a))
	}
	if len(r.Anomalies) > 0 {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// elleWorkloads are the names for --workload.
func elleWorkloads() string { return joined(elle.Workloads()) }

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
