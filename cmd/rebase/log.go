package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"rebase/gateway/clusteradmin"
)

// logCmd shows and changes of what a running server's log consists.
type logCmd struct {
	adminFlags

	Status      logStatusCmd      `cmd:"" help:"Show the chain of loglets: where each begins and ends, its tail, whether it is sealed, and how far the node is behind."`
	Reconfigure logReconfigureCmd `cmd:"" help:"Continue the log in another loglet, while clients go on."`
}

// Help is shown by --help below the flags' purpose.
func (*logCmd) Help() string {
	return `The log is a chain of loglets, each in an engine of its own, of which the last takes what is written. "reconfigure" seals that one and continues in a new one. docs/cluster.md says what the engines are good for.`
}

type logStatusCmd struct{}

// Run prints the chain.
func (c *logStatusCmd) Run(ctx context.Context, std streams, a *logCmd) error {
	var l clusteradmin.Log
	printed, err := a.call(ctx, std, "GET", clusteradmin.LogPath, nil, &l)
	if err != nil || printed {
		return err
	}
	return printLog(std, &l)
}

func printLog(std streams, l *clusteradmin.Log) error {
	rows := [][]string{{"LOGLET", "KIND", "FROM", "TO", "STATE", "WHERE"}}
	for _, s := range l.Segments {
		to, state := "…", "active"
		switch {
		case s.Sealed:
			to, state = number(s.End-1), "sealed"
		case s.Seal:
			state = "sealed, no successor yet"
		}
		if s.End == s.Start && s.Sealed {
			to = "(empty)"
		}
		if s.Tail > s.Start && !s.Sealed {
			to = number(s.Tail - 1)
		}
		if s.Error != "" {
			state += ": " + s.Error
		}
		rows = append(rows, []string{number(s.ID), s.Kind, number(s.Start), to, state, describe(s.Detail)})
	}
	if err := table(std.out, rows...); err != nil {
		return err
	}
	tail := "unknown"
	if l.Tail > 0 {
		tail = number(l.Tail)
	}
	_, err := fmt.Fprintf(std.out, "\nchain version %d; tail %s; this node has applied %d (%d behind) and keeps %d through a crash\n", l.Version, tail, l.Applied, l.Lag(), l.Durable)
	return err
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// describe words a loglet's configuration on one line.
func describe(detail json.RawMessage) string {
	var d struct{ Text string }
	if json.Unmarshal(detail, &d) != nil {
		return ""
	}
	return d.Text
}

type logReconfigureCmd struct {
	To        string   `required:"" enum:"local,native,striped,etcd,zookeeper" placeholder:"KIND" help:"Engine of the new loglet: ${enum}."`
	Servers   []string `help:"native, striped: nodes whose disks are to hold it, by name; without it the cluster chooses. Nodes that only keep the log make a disaggregated layout." placeholder:"NODE"`
	Sequencer string   `help:"native: node that is to order it." placeholder:"NODE"`
	Stripes   int      `help:"striped: number of stripes, 2 if not given." placeholder:"N"`
	Endpoints []string `help:"etcd, zookeeper: addresses of the engine; for etcd the cluster's own is used without it." placeholder:"HOST:PORT"`
}

// Run reconfigures the log.
func (c *logReconfigureCmd) Run(ctx context.Context, std streams, a *logCmd) error {
	in := clusteradmin.Reconfiguration{Kind: c.To, Servers: c.Servers, Sequencer: c.Sequencer, Stripes: c.Stripes, Endpoints: c.Endpoints}
	var l clusteradmin.Log
	printed, err := a.call(ctx, std, "POST", clusteradmin.LogPath+"/reconfigure", in, &l)
	if err != nil || printed {
		return err
	}
	return printLog(std, &l)
}
