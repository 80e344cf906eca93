package audit

import (
	"cmp"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// refusalWindow is the time in which refusals that are alike count as one.
	refusalWindow = time.Minute
	// maxRefusals bounds how many different ones are told apart in it.
	maxRefusals = 256
)

// refusals keeps those who try credentials from filling the journal, and imports, which are
// many writes. They are
// alike if act, outcome, identity, project, database and address are; what does not fit is alike too.
type refusals struct {
	mu   sync.Mutex
	seen map[refusal]*counted
}

type refusal struct {
	act                          Act
	outcome                      Outcome
	who, project, database, from string
}

// counted are the refusals of one kind since one of them was kept.
type counted struct {
	since time.Time
	last  Event // the last that was not kept
}

// admit returns what is to be kept at the time of e: e itself, unless it is like
// one before; and, with their counts, those that were left out more than a window ago.
func (r *refusals) admit(e Event) []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	keep := r.expired(e.Time)
	if e.Outcome != Refused && e.Act != DatabaseWritten {
		return append(keep, e)
	}
	from, _, err := net.SplitHostPort(e.From)
	if err != nil {
		from = e.From
	}
	k := refusal{e.Act, e.Outcome, bounded(e.Who), bounded(e.Project), bounded(e.Database), bounded(from)}
	if r.seen[k] == nil && len(r.seen) >= maxRefusals {
		k = refusal{act: e.Act, outcome: e.Outcome}
	}
	if c := r.seen[k]; c != nil {
		e.Repeated += c.last.Repeated + 1
		c.last = e
		return keep
	}
	if r.seen == nil {
		r.seen = map[refusal]*counted{}
	}
	r.seen[k] = &counted{since: e.Time}
	return append(keep, e)
}

// expired forgets what is older than a window and returns what it had counted.
func (r *refusals) expired(now time.Time) (events []Event) {
	for k, c := range r.seen {
		if age := now.Sub(c.since); age >= 0 && age < refusalWindow {
			continue
		}
		if c.last.Repeated > 0 {
			events = append(events, c.last)
		}
		delete(r.seen, k)
	}
	return inOrder(events)
}

// rest forgets everything and returns what was counted.
func (r *refusals) rest() (events []Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.seen {
		if c.last.Repeated > 0 {
			events = append(events, c.last)
		}
	}
	r.seen = nil
	return inOrder(events)
}

func inOrder(events []Event) []Event {
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.From, b.From), cmp.Compare(a.Database, b.Database))
	})
	return events
}
