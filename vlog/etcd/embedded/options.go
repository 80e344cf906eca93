package embedded

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

// Options says how to run a member.
type Options struct {
	// Dir is the member's folder. It is created if it is not there. Required.
	Dir string
	// Name of this member, unlike all others'. Required.
	Name string
	// Listen is the URL where other members reach this one: http://HOST:PORT, or https with TLS. Required.
	Listen string
	// Advertise is the URL by which they know it. Empty: Listen.
	Advertise string
	// TLS is required if the URLs say https.
	TLS *TLS
	// InitialCluster is what Add returned; empty for the first member of a cluster. It is not looked at once the
	// folder has been used.
	InitialCluster string
	// Cluster names the cluster. A folder of another one is refused. All members give the same.
	Cluster string
	// Heartbeat is how often the leader lets the others know of itself: about the time that a message and a sync take. Zero: 100 ms.
	Heartbeat time.Duration
	// Election is how long the others wait before they elect another: at least five heartbeats. Zero: 1 s.
	Election time.Duration
	// Quota is how many bytes may be stored before etcd refuses writes. Zero: 2 GiB. More than 8 GiB is not wise.
	Quota int64
	// KeepHistory is how long values are kept that have been overwritten or deleted. Zero: 5 minutes.
	KeepHistory time.Duration
	// NoWait lets Start return as soon as the member runs, whether or not there is a majority that it could serve with.
	NoWait bool
	// Logger receives etcd's warnings and errors. Nil: nobody does.
	Logger *slog.Logger

	tidyEvery time.Duration // for tests; zero: tidyEvery
}

// TLS are the files of mutual TLS between members. Certificate and key are read anew for every connection; a changed authority takes a restart.
type TLS struct {
	CA, Certificate, Key string
	// Name must be among the names of every member's certificate, whatever address it is reached by. Empty: certificates are
	// checked against the address that was dialled, and a caller's only against the authority.
	Name string
}

func (o Options) withDefaults() (Options, error) {
	o.Advertise = cmp.Or(o.Advertise, o.Listen)
	o.Heartbeat = cmp.Or(o.Heartbeat, 100*time.Millisecond)
	o.Election = cmp.Or(o.Election, time.Second)
	o.Quota = cmp.Or(o.Quota, 2<<30)
	o.KeepHistory = cmp.Or(o.KeepHistory, 5*time.Minute)
	o.Cluster = cmp.Or(o.Cluster, "rebase")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" || o.Name == "" {
		return o, errors.New("embedded etcd: a folder and a name are needed")
	}
	if o.Election < 5*o.Heartbeat {
		return o, fmt.Errorf("embedded etcd: an election timeout of %v is less than five heartbeats of %v", o.Election, o.Heartbeat)
	}
	for _, u := range []string{o.Listen, o.Advertise} {
		parsed, err := url.Parse(u)
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			return o, fmt.Errorf("embedded etcd: %q is not of the form http://HOST:PORT or https://HOST:PORT", u)
		}
		if (parsed.Scheme == "https") != (o.TLS != nil) {
			return o, fmt.Errorf("embedded etcd: %q and certificates do not go together: https needs them, http must not have them", u)
		}
	}
	return o, nil
}
