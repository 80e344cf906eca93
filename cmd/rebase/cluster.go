package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rebase/gateway/clusteradmin"
)

// clusterCmd administers the nodes of a running cluster.
type clusterCmd struct {
	adminFlags

	Status  clusterStatusCmd  `cmd:"" help:"Show the nodes, as the one that is asked sees them."`
	Drain   clusterDrainCmd   `cmd:"" help:"Prepare a node for its end: its clients move to others, and it orders and keeps the log no more."`
	Undrain clusterUndrainCmd `cmd:"" help:"Take a drained node back."`
	Remove  clusterRemoveCmd  `cmd:"" help:"Remove a node for good, running or dead. What only it has of the log is copied to others before."`
	Digest  clusterDigestCmd  `cmd:"" help:"Compare the state of all replicas now, and not only at the usual times."`
}

// Help is shown by --help below the flags' purpose.
func (*clusterCmd) Help() string {
	return `A node is added by starting it: rebase serve --join HOST:PORT. docs/cluster.md leads from one node to three, and through an upgrade.`
}

type clusterStatusCmd struct{}

// Run prints the nodes.
func (c *clusterStatusCmd) Run(ctx context.Context, std streams, a *clusterCmd) error {
	var s clusteradmin.Cluster
	printed, err := a.call(ctx, std, "GET", clusteradmin.ClusterPath, nil, &s)
	if err != nil || printed {
		return err
	}
	return printCluster(std, &s)
}

func printCluster(std streams, s *clusteradmin.Cluster) error {
	rows := [][]string{{"NODE", "STATE", "LOG", "APPLIED", "HEARD", "VERSION", "CLIENTS AT", "PEER", "ID"}}
	for _, n := range s.Nodes {
		var part []string
		if n.LogServer {
			part = append(part, "disk")
		}
		if n.Sequencer {
			part = append(part, "sequencer")
		}
		if n.MetaLeader {
			part = append(part, "meta")
		}
		heard := "never"
		switch {
		case n.Name == s.Self:
			heard = "self"
		case n.HeardMillis >= 0:
			heard = (time.Duration(n.HeardMillis) * time.Millisecond).String()
		}
		applied := number(n.Applied)
		if n.Role == "log" {
			applied = "-"
		}
		state := n.State
		if n.Diverged {
			state += ", DIVERGED"
		}
		rows = append(rows, []string{n.Name, state, or(strings.Join(part, " "), "-"), applied, heard, or(n.Version, "-"), or(n.URL, "-"), n.Peer, n.ID})
	}
	if err := table(std.out, rows...); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		if n.Diverged {
			fmt.Fprintf(std.out, "\n%s has another state than the other replicas at position %d: it is damaged. Replace it: docs/cluster.md says how.\n", n.Name, n.DigestAt)
		}
	}
	return nil
}

// nodeArg names a node.
type nodeArg struct {
	Node string `arg:"" placeholder:"NODE" help:"Name or id of the node."`
}

func (n nodeArg) post(ctx context.Context, std streams, a *clusterCmd, what, done string, force bool) error {
	var s clusteradmin.Cluster
	printed, err := a.call(ctx, std, "POST", clusteradmin.ClusterPath+"/"+what, map[string]any{"node": n.Node, "force": force}, &s)
	if err = said(std, printed, err, done, n.Node); err != nil || printed {
		return err
	}
	return printCluster(std, &s)
}

type clusterDrainCmd struct{ nodeArg }

// Run drains the node.
func (c *clusterDrainCmd) Run(ctx context.Context, std streams, a *clusterCmd) error {
	return c.post(ctx, std, a, "drain", "drained %s; it can be ended\n", false)
}

type clusterUndrainCmd struct{ nodeArg }

// Run takes the node back.
func (c *clusterUndrainCmd) Run(ctx context.Context, std streams, a *clusterCmd) error {
	return c.post(ctx, std, a, "undrain", "took %s back\n", false)
}

type clusterRemoveCmd struct {
	nodeArg
	Force bool `help:"Also where a part of the log would be left without a majority of its disks: the node's disk is lost in any case."`
}

// Run removes the node.
func (c *clusterRemoveCmd) Run(ctx context.Context, std streams, a *clusterCmd) error {
	return c.post(ctx, std, a, "remove", "removed %s\n", c.Force)
}

type clusterDigestCmd struct{}

// Run has the replicas compared.
func (c *clusterDigestCmd) Run(ctx context.Context, std streams, a *clusterCmd) error {
	var s clusteradmin.Cluster
	printed, err := a.call(ctx, std, "POST", clusteradmin.ClusterPath+"/digest", nil, &s)
	if err != nil || printed {
		return err
	}
	if err := printCluster(std, &s); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "\n%s\n", verdict(s.Nodes))
	return nil
}

// verdict says which replicas are known to be alike. Of those that are not, each has been told of.
func verdict(nodes []clusteradmin.Node) string {
	at := uint64(0)
	for _, n := range nodes {
		at = max(at, n.DigestAt)
	}
	sums := map[string][]string{}
	var silent []string
	for _, n := range nodes {
		switch {
		case n.Role == "log" || n.State == "left":
		case n.DigestAt == at && n.Digest != "":
			sums[n.Digest] = append(sums[n.Digest], n.Name)
		default:
			silent = append(silent, n.Name)
		}
	}
	var said []string
	for _, sum := range slices.Sorted(maps.Keys(sums)) {
		said = append(said, fmt.Sprintf("%s: %s", strings.Join(sums[sum], ", "), sum))
	}
	text := fmt.Sprintf("The replicas differ at position %d (%s).", at, strings.Join(said, "; "))
	switch len(sums) {
	case 0:
		return "No replica has summed up its state yet."
	case 1:
		text = fmt.Sprintf("Same state at position %d (%s).", at, said[0])
	}
	if len(silent) > 0 {
		text += " Not yet compared: " + strings.Join(silent, ", ") + "."
	}
	return text
}
