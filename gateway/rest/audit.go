package rest

import (
	"cmp"
	"errors"
	"net/http"

	"rebase/audit"
	"rebase/auth"
	"rebase/tree"
)

// record puts an administrator's act into the journal, as it came out.
func (q *request) record(act audit.Act, target string, err error, details map[string]string) {
	e := audit.Event{
		Act: act, Who: cmp.Or(q.identity.Name, "admin"), From: q.r.RemoteAddr,
		Project: q.identity.Project, Database: q.ns, Target: target, Details: details,
	}
	if !q.identity.Admin { // everyone is one in an open server
		e.Who = "anyone (open)"
	}
	if err != nil {
		e.Outcome, e.Reason = audit.Failed, err.Error()
	}
	_ = q.o.Audit.Record(e) // what cannot be recorded is logged by the journal
}

// refused puts into the journal that somebody would have been an administrator.
func (q *request) refused(target, reason string) {
	_ = q.o.Audit.Record(audit.Event{
		Act: audit.AdminRefused, Outcome: audit.Refused, From: q.r.RemoteAddr, Database: q.ns, Target: target, Reason: reason,
	})
}

// refusedCredential does so for a credential that administrators have.
func (q *request) refusedCredential(c auth.Credential, err error) {
	var rejected *auth.Error
	if c.Scheme == auth.Service && errors.As(err, &rejected) {
		q.refused("", rejected.Reason)
	}
}

// wholeDatabase tells whether a write replaces the whole database, past the rules.
func (q *request) wholeDatabase(p tree.Path, priority bool) bool {
	return q.identity.Admin && p.IsRoot() && !priority && q.method != http.MethodPost
}
