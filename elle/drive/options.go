package drive

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Workloads are what Options.Workload may be.
var Workloads = []string{"list-append", "rw-register", "set", "counter"}

// Protocols are what Options.Protocols may contain.
var Protocols = []string{"rest", "ws"}

// Options say what to do. URL and Workload must be given.
type Options struct {
	// URL is the server's, http or https.
	URL string
	// Others are further addresses of the same database, such as those of the other nodes of a cluster. Clients are dealt out over all, and
	// go to the next one when theirs fails.
	Others []string
	// Namespace is the database; "" leaves it to the URL's host name.
	Namespace string
	// Path is where everything is written, "elle" if empty. A part of its own for each run is added.
	Path string
	// Token is sent as credential (the parameter auth of REST, an auth request over WebSocket); "" sends none.
	Token string

	Workload  string
	Protocols []string      // which clients take in turns; nil means both
	Clients   int           // 0 means 8
	Duration  time.Duration // when to stop invoking; 0 means 10 s unless Txns is set
	Txns      int           // how many operations to invoke at most; 0 means no limit
	Pause     time.Duration // of each client between operations
	Keys      int           // in use at a time; 0 means 5
	MaxWrites int           // of a key, about; 0 means 48
	Timeout   time.Duration // of a request; 0 means 5 s
	Settle    time.Duration // how long to wait for the server in the end; 0 means 30 s
	Seed      uint64        // of the choice of operations; what clients see depends on the server and on time, too
}

func (o *Options) defaults() error {
	for _, at := range o.addresses() {
		u, err := url.Parse(at)
		if err != nil {
			return err
		}
		if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("the URL %q is not like http://HOST:PORT", at)
		}
	}
	if !slices.Contains(Workloads, o.Workload) {
		return fmt.Errorf("no workload %q; there are %s", o.Workload, strings.Join(Workloads, ", "))
	}
	for _, p := range o.Protocols {
		if !slices.Contains(Protocols, p) {
			return fmt.Errorf("no protocol %q; there are %s", p, strings.Join(Protocols, ", "))
		}
	}
	if len(o.Protocols) == 0 {
		o.Protocols = Protocols
	}
	if o.Path = strings.Trim(o.Path, "/"); o.Path == "" {
		o.Path = "elle"
	}
	if o.Duration == 0 && o.Txns == 0 {
		o.Duration = 10 * time.Second
	}
	for _, d := range []struct {
		value *int
		zero  int
	}{{&o.Clients, 8}, {&o.Keys, 5}, {&o.MaxWrites, 48}} {
		if *d.value <= 0 {
			*d.value = d.zero
		}
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Settle <= 0 {
		o.Settle = 30 * time.Second
	}
	return nil
}

// addresses are URL and Others.
func (o *Options) addresses() []string { return slices.Concat([]string{o.URL}, o.Others) }

// at returns the options for one of the addresses, taken in turns.
func (o *Options) at(i int) *Options {
	all := o.addresses()
	one := *o
	one.URL = all[i%len(all)]
	return &one
}
