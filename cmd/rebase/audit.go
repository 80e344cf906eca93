package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rebase/audit"
)

// auditCmd reads the journal of administrative acts. It needs no server, and does not disturb one.
type auditCmd struct {
	Data     string        `default:"./rebase-data" type:"path" help:"Folder of the data, ./rebase-data if not given." placeholder:"DIR"`
	Act      string        `help:"Only acts that begin with this: rules, user, server.started, …" placeholder:"ACT"`
	Who      string        `help:"Only those of this identity." placeholder:"NAME"`
	Database string        `help:"Only those on this database." placeholder:"NAME"`
	Outcome  string        `enum:"done,refused,failed," default:"" help:"Only those that came out so: done, refused or failed." placeholder:"OUTCOME"`
	Since    time.Duration `help:"Only those of the last time, such as 24h." placeholder:"TIME"`
	JSON     bool          `name:"json" help:"Print lines of JSON, as they are in the journal."`
}

func (c *auditCmd) wants(e *audit.Event, now time.Time) bool {
	return strings.HasPrefix(string(e.Act), c.Act) &&
		(c.Who == "" || c.Who == e.Who) && (c.Database == "" || c.Database == e.Database) && (c.Outcome == "" || c.Outcome == string(e.Outcome)) &&
		(c.Since == 0 || now.Sub(e.Time) <= c.Since)
}

// Run prints the events, oldest first.
func (c *auditCmd) Run(std streams) error {
	now := time.Now()
	lines := json.NewEncoder(std.out)
	lines.SetEscapeHTML(false)
	table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	found := 0
	for e, err := range audit.Events(nil, filepath.Join(c.Data, "audit")) {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s has no audit journal: give --data the data folder of a server", c.Data)
		case err != nil:
			return err
		case !c.wants(&e, now):
			continue
		}
		if c.JSON {
			if err := lines.Encode(e); err != nil {
				return err
			}
			continue
		}
		if found++; found == 1 {
			fmt.Fprintln(table, "TIME\tACT\tOUTCOME\tWHO\tFROM\tDATABASE\tABOUT")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.Local().Format("2006-01-02 15:04:05"), e.Act, e.Outcome,
			shown(cmp.Or(e.Who, "-")), shown(cmp.Or(e.From, "-")), shown(cmp.Or(e.Database, e.Project, "-")), shown(cmp.Or(about(&e), "-")))
	}
	return table.Flush()
}

// about is everything else of an event, on a line.
func about(e *audit.Event) string {
	var parts []string
	if e.Target != "" {
		parts = append(parts, e.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		parts = append(parts, name+"="+e.Details[name])
	}
	if e.Reason != "" {
		parts = append(parts, "("+e.Reason+")")
	}
	if e.Repeated > 0 {
		parts = append(parts, fmt.Sprintf("and %d more like it", e.Repeated))
	}
	return strings.Join(parts, " ")
}

// shown is a text without what would move a terminal's cursor or break the table: some of it comes from clients.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 || r == '\u2028' || r == '\u2029' || r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069' {
			return '·'
		}
		return r
	}, s)
}
