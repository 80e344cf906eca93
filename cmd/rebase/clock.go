package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"rebase/clock/replay"
	"rebase/clock/script"
)

type clockCmd struct {
	Replay clockReplayCmd `cmd:"" help:"Stamp the events of a script with a clock, and draw its space-time diagram."`
}

type clockReplayCmd struct {
	File  string `arg:"" help:"Event script; \"-\" is standard input." placeholder:"FILE"`
	Clock string `default:"fidge" enum:"lamport,fidge,fidge-sync,vector,hlc" help:"lamport, fidge, fidge-sync (rendezvous), vector (Mattern) or hlc (${default})." placeholder:"NAME"`
	SVG   string `name:"svg" help:"Draw the diagram into this file; \"-\" is standard output, without the stamps." placeholder:"FILE"`
}

// Help is shown by --help below the flags' purpose.
func (*clockReplayCmd) Help() string { return script.Help }

// maxScript is far more than MaxEvents lines need.
const maxScript = 4 << 20

// Run prints the stamps.
func (c *clockReplayCmd) Run(std streams) error {
	name, in := c.File, std.in
	if c.File == stdio {
		name = "standard input"
	} else {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxScript+1))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxScript {
		return fmt.Errorf("%s has more than %d bytes", name, maxScript)
	}
	s, err := script.Parse(string(text))
	if err != nil {
		return inScript(name, err)
	}
	stamps, err := replay.Run(s, c.Clock)
	if err != nil {
		return inScript(name, err)
	}
	if c.SVG != "" {
		svg := replay.Chart(s, c.Clock, stamps).SVG()
		if c.SVG == stdio {
			_, err := std.out.Write(svg)
			return err
		}
		if err := os.WriteFile(c.SVG, svg, 0o666); err != nil {
			return err
		}
	}
	return printStamps(std.out, s, stamps)
}

// inScript puts a script's name before line and column, as editors know it.
func inScript(name string, err error) error {
	var at *script.Error
	if errors.As(err, &at) {
		return fmt.Errorf("%s:%w", name, err)
	}
	return err
}

func printStamps(w io.Writer, s *script.Script, stamps []string) error {
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "EVENT\tPROCESS\tWHAT\tSTAMP")
	for i, e := range s.Events {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", e.Name, s.Processes[e.Process].Name, s.Describe(i), stamps[i])
	}
	t.Flush()
	for line := range strings.Lines(table.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}
