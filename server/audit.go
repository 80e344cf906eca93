package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"rebase/audit"
)

// openAudit opens the journal of administrative acts, in the folder "audit" of the
// data. Its events are metrics, too.
func openAudit(o Options, m *metrics) (*audit.Log, error) {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rebase_audit_events_total", Help: "Administrative acts, as the audit journal has them.",
	}, []string{"act", "outcome"})
	failures := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rebase_audit_failures_total", Help: "Administrative acts that could not be written to the audit journal.",
	})
	m.registry.MustRegister(events, failures)
	log, err := audit.Open(audit.Options{
		FS: o.FS, Dir: o.FS.PathJoin(o.Data, "audit"), Retain: o.AuditRetain, Logger: o.Logger,
		OnEvent:   func(e audit.Event) { events.WithLabelValues(string(e.Act), string(e.Outcome)).Inc() },
		OnFailure: failures.Inc,
	})
	if err != nil {
		return nil, &StartError{
			Kind: KindData, What: "the audit journal cannot be written", Err: err,
			Advice: "The user that the server runs as must be able to read and write the data folder and everything in it.",
		}
	}
	return log, nil
}

// started records a start, with what an auditor wants to know of it.
func (s *Server) started(url string) {
	access := "closed"
	if s.o.open() {
		access = "open"
	}
	s.record(audit.Event{Act: audit.ServerStarted, Details: map[string]string{"url": url, "version": s.o.Version, "access": access}})
}

// record records an act of the server itself. What cannot be recorded is logged by
// the journal.
func (s *Server) record(e audit.Event) {
	e.Who = "server"
	_ = s.audit.Record(e)
}
