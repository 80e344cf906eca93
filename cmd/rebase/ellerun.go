package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"rebase/elle"
	"rebase/elle/drive"
	"rebase/elle/history"
)

type elleRunCmd struct {
	URL       []string `help:"The server: http://HOST:PORT. May be repeated, for the nodes of a cluster. Nobody else should write below --path meanwhile." required:"" placeholder:"URL"`
	Namespace string   `help:"The database to use (that of the host name)." placeholder:"NAME"`
	Path      string   `default:"elle" help:"Where to write; each run has a part of its own there (${default})." placeholder:"PATH"`
	Token     string   `help:"Credential to send: a token or a secret." placeholder:"TOKEN"`

	Workload  string        `short:"w" default:"list-append" help:"list-append (conditional writes), rw-register (multi-path updates, conditional writes), set or counter (${default})." placeholder:"NAME"`
	Protocols []string      `default:"rest,ws" help:"How clients speak, in turns: rest, ws (${default})." placeholder:"NAME"`
	Clients   int           `default:"8" help:"How many clients (${default})." placeholder:"N"`
	Duration  time.Duration `default:"10s" help:"How long to go on (${default})." placeholder:"TIME"`
	Txns      int           `short:"n" help:"Stop after so many operations, too." placeholder:"N"`
	Pause     time.Duration `help:"Of each client between operations." placeholder:"TIME"`
	Keys      int           `default:"5" help:"Keys in use at a time (${default})." placeholder:"N"`
	MaxWrites int           `default:"48" help:"After about so many writes a key gives way to a fresh one (${default})." placeholder:"N"`
	Timeout   time.Duration `default:"5s" help:"After so long without an answer an operation is in doubt (${default})." placeholder:"TIME"`
	Settle    time.Duration `default:"30s" help:"How long to wait for the server in the end (${default})." placeholder:"TIME"`
	Seed      uint64        `default:"1" help:"Of the choice of operations (${default})." placeholder:"N"`

	Models []string `short:"c" help:"Consistency models to hold it against (strict-serializable)." placeholder:"NAME"`
	Out    string   `short:"o" help:"Also write the history to this file, as EDN, or as JSON lines if its name ends so." type:"path" placeholder:"FILE"`
	JSON   bool     `name:"json" help:"Print an object, as elle check does."`
}

// Help is shown by --help below the flags' purpose.
func (*elleRunCmd) Help() string {
	return `Clients work on the server through its public API, and what they saw is checked. Meanwhile
you may kill the server and start it again, stop it for a while, or cut its network: what was under
way is then in doubt, and is treated so. In the end everything is read once more, when the server answers.

Exit codes are those of elle check; 2 also if the server cannot be reached in the end.`
}

// Run drives the server and checks what was seen.
func (c *elleRunCmd) Run(ctx context.Context, std streams) error {
	check := elleCheckCmd{Workload: c.Workload, Models: c.Models, Format: "auto", Witnesses: 8, JSON: c.JSON}
	if c.Workload == "set" {
		check.Workload = "set-strict" // which the server promises
	}
	o, _, err := check.options()
	if err != nil {
		return err
	}
	h, err := drive.Run(ctx, drive.Options{URL: c.URL[0], Others: c.URL[1:], Namespace: c.Namespace, Path: c.Path, Token: c.Token,
		Workload: c.Workload, Protocols: c.Protocols, Clients: c.Clients, Duration: c.Duration, Txns: c.Txns,
		Pause: c.Pause, Keys: c.Keys, MaxWrites: c.MaxWrites, Timeout: c.Timeout, Settle: c.Settle, Seed: c.Seed}, nil)
	if h == nil {
		return &usageError{err}
	}
	if c.Out != "" {
		if e := writeHistory(c.Out, h); e != nil {
			return e
		}
	}
	if err != nil {
		fmt.Fprintln(std.err, "rebase:", err)
		return &silentError{exitUsage}
	}
	r, err := elle.Check(ctx, h, o)
	if err != nil {
		return err
	}
	name := c.Out
	if name == "" {
		name = strings.Join(c.URL, " ")
	}
	if err := check.print(std.out, name, r); err != nil {
		return err
	}
	if !c.JSON {
		s := r.Stats
		fmt.Fprintf(std.out, "%d operations: %d ok, %d failed, %d in doubt\n", s.Operations, s.OK, s.Failed, s.InDoubt)
	}
	switch r.Valid {
	case elle.Inconsistent:
		return &silentError{exitAnomalies}
	case elle.Unknown:
		return &silentError{exitUnknown}
	}
	return nil
}

// writeHistory writes EDN, or JSON lines where the name asks for them.
func writeHistory(name string, h *history.History) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	write := h.WriteEDN
	if strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".jsonl") {
		write = h.WriteJSON
	}
	return errors.Join(write(f), f.Close())
}
