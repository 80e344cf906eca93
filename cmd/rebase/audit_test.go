package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rebase/audit"
)

func TestAudit(t *testing.T) {
	dir := t.TempDir()
	l, err := audit.Open(audit.Options{Dir: filepath.Join(dir, "audit")})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []audit.Event{
		{Time: time.Now().Add(-48 * time.Hour), Act: audit.RulesReplaced, Who: "root secret", From: "10.0.0.1:5", Database: "app", Details: map[string]string{"bytes": "12"}},
		{Act: audit.UserDeleted, Who: "service-account:x@y", Project: "app", Target: "u1\x1b[2J\n"},
		{Act: audit.AdminRefused, Outcome: audit.Refused, From: "10.0.0.2:5", Database: "app", Reason: "no"},
	} {
		if err := l.Record(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  string
		code  int
		lines int
		says  string
	}{
		{"", exitOK, 4, "rules.replaced  done     root secret          10.0.0.1:5  app       bytes=12\n"},
		{"", exitOK, 4, "user.deleted    done     service-account:x@y  -           app       u1·[2J·\n"},
		{"--act=user", exitOK, 2, "u1"},
		{"--outcome=refused", exitOK, 2, "(no)"},
		{"--who=nobody", exitOK, 0, ""},
		{"--since=24h --json", exitOK, 2, `"act":"user.deleted"`},
		{"--database=app --json", exitOK, 2, `"act":"rules.replaced","outcome":"done","who":"root secret"`},
		{"--outcome=good", exitUsage, -1, "good"},
		{"--data=" + filepath.Join(dir, "none"), exitFailure, -1, "no audit journal"},
	} {
		args := append([]string{"audit", "--data", dir}, strings.Fields(c.args)...)
		code, out, errs := rebase(t, "", args...)
		if code != c.code || !strings.Contains(out+errs, c.says) || c.lines >= 0 && strings.Count(out, "\n") != c.lines {
			t.Errorf("%s: exit code %d, want %d with %d lines and %q:\n%s%s", c.args, code, c.code, c.lines, c.says, out, errs)
		}
	}
}
