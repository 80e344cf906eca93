package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// version is set by the linker for released builds.
var version = "0.1.0-dev"

// cli is the command line. Every flag has an environment variable, REBASE_ and
// the flag's name, and a place in the configuration file.
type cli struct {
	Config kong.ConfigFlag  `help:"Read flags from a TOML file: one table per command, one key per flag. Flags on the command line and environment variables win over it." placeholder:"FILE" type:"existingfile"`
	Print  kong.VersionFlag `name:"version" short:"v" env:"-" help:"Print the version."`

	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Import  importCmd  `cmd:"" help:"Write a JSON file into a database."`
	Export  exportCmd  `cmd:"" help:"Write a database, or a part of it, into a JSON file."`
	Auth    authCmd    `cmd:"" help:"Authentication of a running server: projects, secrets, service accounts, keys."`
	Audit   auditCmd   `cmd:"" help:"Show the journal of administrative acts of a data folder."`
	Log     logCmd     `cmd:"" help:"The log of a running server: of what it consists, and moving it to another engine while it runs."`
	Cluster clusterCmd `cmd:"" help:"The nodes of a running cluster: their state, draining and removing them."`
	Rules   rulesCmd   `cmd:"" help:"Security rules: check them, and test what they allow."`
	Bench   benchCmd   `cmd:"" help:"Measure a server: fan-out, durable writes, idle connections, import, queries, start."`
	Clock   clockCmd   `cmd:"" help:"Clocks of distributed systems: stamp an execution, and draw it."`
	Elle    elleCmd    `cmd:"" help:"Isolation anomalies: check histories of transactions of any database."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

const description = `A self-hosted real-time backend. Its clients are the Firebase Realtime Database SDKs, unmodified: an app moves here by changing its databaseURL.`

// streams are the process's, or a test's.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run is the program, but for the process around it. It returns the exit code.
func run(ctx context.Context, args []string, std streams) int {
	var c cli
	exit := -1 // set where the parser wants to end the program: for --help
	parser, err := kong.New(&c,
		kong.Name("rebase"),
		kong.Description(description),
		kong.Vars{"version": versionLine(), "elle_workloads": elleWorkloads()},
		limitVars(),
		kong.DefaultEnvars("REBASE"),
		kong.Configuration(loadConfig),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
		kong.Writers(std.out, std.err),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		fmt.Fprintln(std.err, "rebase:", err)
		return exitUsage
	}
	command, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintf(std.err, "rebase: %v\nTry \"rebase --help\", or \"rebase COMMAND --help\".\n", err)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		var silent *silentError
		if !errors.As(err, &silent) {
			fmt.Fprintln(std.err, "rebase:", err)
		}
		return exitCode(err)
	}
	return exitOK
}

type versionCmd struct{}

// Run prints the version on one line.
func (versionCmd) Run(std streams) error {
	_, err := fmt.Fprintln(std.out, versionLine())
	return err
}
