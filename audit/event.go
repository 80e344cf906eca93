package audit

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// An Act is a kind of administrative act. Others than those named here may be
// recorded; their form is the same, "noun.verb in the past".
type Act string

// The acts that Rebase records.
const (
	ServerStarted Act = "server.started"
	ServerStopped Act = "server.stopped"

	RulesReplaced   Act = "rules.replaced"
	DatabaseWritten Act = "database.written" // as a whole, or by an import, past the rules

	UserCreated   Act = "user.created" // by an administrator, as are all acts on users
	UserChanged   Act = "user.changed"
	UserDeleted   Act = "user.deleted"
	UsersImported Act = "users.imported"
	UsersExported Act = "users.exported"

	KeyRotated            Act = "key.rotated"
	ServiceAccountCreated Act = "service-account.created"
	ServiceAccountRemoved Act = "service-account.removed"
	SecretCreated         Act = "secret.created"
	SecretRemoved         Act = "secret.removed"
	ConfigChanged         Act = "config.changed"

	LogReconfigured Act = "log.reconfigured"
	NodeDrained     Act = "node.drained"
	NodeUndrained   Act = "node.undrained"
	NodeRemoved     Act = "node.removed"

	AdminRefused Act = "admin.refused" // a credential that would have been an administrator's
)

// An Outcome is how an act came out.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // whoever asked was not allowed to
	Failed  Outcome = "failed"  // allowed, but it could not be done
)

// An Event is one administrative act. Empty fields are left out of the journal.
type Event struct {
	Time    time.Time `json:"time"` // of the record; zero: now
	Act     Act       `json:"act"`
	Outcome Outcome   `json:"outcome"` // "": Done

	// Who is the identity that acted, never its credential: "admin" for one that
	// is known only to be an administrator, "service-account:ADDRESS",
	// "user:UID", "operator" for somebody at the command line, "server".
	Who string `json:"who,omitempty"`
	// From is the address that it came from.
	From string `json:"from,omitempty"`

	Project  string `json:"project,omitempty"`
	Database string `json:"database,omitempty"`
	// Target is what was acted on: a path, a user's id, a key's id, an address.
	Target string `json:"target,omitempty"`
	// Reason says why an act was refused or failed.
	Reason string `json:"reason,omitempty"`
	// Details are further facts about the act, by name.
	Details map[string]string `json:"details,omitempty"`

	// Repeated is how many events like this one came since the last that was
	// kept, and were counted instead of kept.
	Repeated int `json:"repeated,omitempty"`
}

// maxField bounds a text of an event in bytes: paths and addresses are shorter,
// and what a client made up need not be kept whole.
const maxField = 1024

// maxDetails bounds how many details an event keeps.
const maxDetails = 32

// line returns the event as a line of the journal.
func (e Event) line() []byte {
	for _, s := range []*string{&e.Who, &e.From, &e.Project, &e.Database, &e.Target, &e.Reason} {
		*s = bounded(*s)
	}
	if e.Details != nil {
		kept := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(e.Details)) {
			if len(kept) == maxDetails {
				break
			}
			kept[bounded(name)] = bounded(e.Details[name])
		}
		e.Details = kept
	}
	if e.Outcome == "" {
		e.Outcome = Done
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic("audit: an event cannot be written: " + err.Error()) // only a year beyond 9999
	}
	return append(b, '\n')
}

func bounded(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxField {
		return s
	}
	n := maxField
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
