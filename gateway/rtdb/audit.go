package rtdb

import (
	"cmp"
	"errors"

	"rebase/audit"
	"rebase/auth"
	"rebase/db"
)

// refusedAdmin puts into the journal that somebody has presented a credential of administrators that is no good.
func (c *client) refusedAdmin(cred auth.Credential, err error) {
	var rejected *auth.Error
	if c.srv.open || cred.Scheme != auth.Service || !errors.As(err, &rejected) {
		return
	}
	_ = c.srv.o.Audit.Record(audit.Event{ // what cannot be recorded is logged by the journal
		Act: audit.AdminRefused, Outcome: audit.Refused, From: c.remote, Database: c.ns, Reason: rejected.Reason,
	})
}

// audited returns what is called with the result of a write, after the client has been answered: for an administrator's that
// replaces the whole database it is put into the journal.
func (c *client) audited(op *db.Op) func(db.Result) {
	if c.srv.o.Audit == nil || !op.Path.IsRoot() || op.Priority || op.Kind != db.OpSet && op.Kind != db.OpMerge {
		return nil
	}
	c.access.mu.Lock()
	id := c.access.identity
	c.access.mu.Unlock()
	if !id.Admin {
		return nil
	}
	return func(r db.Result) {
		e := audit.Event{Act: audit.DatabaseWritten, Who: cmp.Or(id.Name, "admin"), From: c.remote, Project: id.Project, Database: c.ns, Target: "/"}
		if r.Err != nil {
			e.Outcome, e.Reason = audit.Failed, r.Err.Error()
		}
		c.srv.o.Audit.RecordLater(e) // the database must not wait for the disk
	}
}
