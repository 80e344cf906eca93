package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"rebase/elle/gen"
)

type elleGenCmd struct {
	Workload  string   `short:"w" default:"list-append" help:"What the operations do: list-append, rw-register, set or counter (${default})." placeholder:"NAME"`
	Level     string   `short:"l" default:"strict-serializable" help:"What the simulated store promises (${default})." placeholder:"NAME"`
	Txns      int      `short:"n" default:"1000" help:"How many operations are invoked (${default})." placeholder:"N"`
	Processes int      `default:"10" help:"Concurrent clients (${default})." placeholder:"N"`
	Keys      int      `default:"10" help:"Keys in use at a time (${default})." placeholder:"N"`
	KeyBase   float64  `default:"2" help:"Each key in use is so much likelier than the next; 1 makes all alike (${default})." placeholder:"X"`
	MaxWrites int      `default:"256" help:"After so many writes a key gives way to a fresh one (${default})." placeholder:"N"`
	MinOps    int      `default:"1" help:"Steps of a transaction, at least (${default})." placeholder:"N"`
	MaxOps    int      `default:"4" help:"Steps of a transaction, at most (${default})." placeholder:"N"`
	Reads     float64  `default:"0.5" help:"Share of reads (${default})." placeholder:"X"`
	Fail      float64  `default:"0" help:"Share of operations that fail without a conflict (${default})." placeholder:"X"`
	Info      float64  `default:"0" help:"Share of operations whose outcome is never learnt (${default})." placeholder:"X"`
	Inject    []string `short:"a" help:"Put an anomaly in, on keys of its own." placeholder:"NAME"`
	FinalRead bool     `help:"Read at the end what is in use."`
	Seed      uint64   `default:"1" help:"The same seed gives the same history, byte for byte (${default})." placeholder:"N"`
	Format    string   `short:"f" default:"edn" enum:"edn,json" help:"edn or json, one entry a line (${default})." placeholder:"NAME"`
	Out       string   `short:"o" default:"-" help:"Where to write it; \"-\" is standard output." type:"path" placeholder:"FILE"`
}

// Help is shown by --help below the flags' purpose.
func (*elleGenCmd) Help() string {
	var levels []string
	for _, l := range gen.Levels() {
		levels = append(levels, l.String())
	}
	return `A history of a simulated store that keeps to the level and, as far as the level lets it, to none
that is stronger. It is made to test checkers with: theirs must be silent about what the level
forbids, and must find what was put in.

Levels: ` + strings.Join(levels, ", ") + `.
Anomalies of list-append: ` + strings.Join(gen.Anomalies(gen.ListAppend), ", ") + `.
Of rw-register: ` + strings.Join(gen.Anomalies(gen.Register), ", ") + `.
Of set: ` + strings.Join(gen.Anomalies(gen.Set), ", ") + `. Of counter: ` + strings.Join(gen.Anomalies(gen.Counter), ", ") + `.`
}

// options are what the flags say. The error is one of the user's.
func (c *elleGenCmd) options() (o gen.Options, err error) {
	if o.Workload, err = gen.ParseWorkload(c.Workload); err != nil {
		return o, &usageError{err}
	}
	if o.Level, err = gen.ParseLevel(c.Level); err != nil {
		return o, &usageError{err}
	}
	if c.Txns < 0 || c.Processes < 1 || c.Keys < 1 || c.MaxWrites < 1 || c.MinOps < 1 {
		return o, &usageError{fmt.Errorf("--txns must not be negative; --processes, --keys, --max-writes and --min-ops must be at least 1")}
	}
	o.Seed, o.Txns, o.Processes, o.Keys, o.KeyBase, o.MaxWrites = c.Seed, c.Txns, c.Processes, c.Keys, c.KeyBase, c.MaxWrites
	o.MinOps, o.MaxOps, o.Fail, o.Info = c.MinOps, c.MaxOps, c.Fail, c.Info
	o.Inject, o.FinalRead = c.Inject, c.FinalRead
	if o.Reads = c.Reads; c.Reads == 0 {
		o.Reads = -1
	}
	return o, nil
}

// Run writes the history as it comes.
func (c *elleGenCmd) Run(std streams) (err error) {
	o, err := c.options()
	if err != nil {
		return err
	}
	if err := o.Check(); err != nil {
		return &usageError{err}
	}
	var w io.Writer = std.out
	if c.Out != stdio {
		f, err := os.Create(c.Out)
		if err != nil {
			return err
		}
		defer func() {
			if e := f.Close(); err == nil {
				err = e
			}
		}()
		w = f
	}
	out := bufio.NewWriterSize(w, 1<<20)
	var line []byte
	err = gen.Run(o, func(e *gen.Event) error {
		if c.Format == "json" {
			line = e.AppendJSON(line[:0])
		} else {
			line = e.AppendEDN(line[:0])
		}
		_, err := out.Write(line)
		return err
	})
	if e := out.Flush(); err == nil {
		err = e
	}
	return err
}
