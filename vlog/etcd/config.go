package etcd

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Kind is the name of these Loglets in a chain.
const Kind = "etcd"

// DefaultPrefix is where Loglets are stored if neither the Config nor the Options say so.
const DefaultPrefix = "/rebase/log"

// Config is what a chain stores of a Loglet. As a wish, the zero Config asks for the cluster's own etcd.
type Config struct {
	// Endpoints are etcd's client URLs. Empty: those of the client that Options.Client returns for none.
	Endpoints []string `json:"endpoints,omitempty"`
	// Prefix of all keys. One chain, one prefix. Empty in a wish: Options.Prefix.
	Prefix string `json:"prefix,omitempty"`
	// Creation tells Loglets of one id that racing processes have created from each other. A new one is drawn for every
	// Loglet that is created, whatever the wish says.
	Creation uint64 `json:"creation,omitempty,string"`
}

// Encode returns the form that DecodeConfig reads.
func (c Config) Encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // there is nothing in it that could fail
	}
	return b
}

// DecodeConfig reads what Encode has written. Nothing is the zero Config.
func DecodeConfig(b []byte) (Config, error) {
	var c Config
	if len(b) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return Config{}, fmt.Errorf("vlog/etcd: the loglet's configuration is not one of etcd: %w", err)
	}
	for _, e := range c.Endpoints {
		if u, err := url.Parse(e); err == nil && u.User != nil {
			return Config{}, fmt.Errorf("vlog/etcd: endpoint %s carries a password, which does not belong into the chain; give it in the server's options", u.Redacted())
		}
	}
	return c, nil
}

// Options is what a Provider needs to know that no chain stores.
type Options struct {
	// Client returns a client for etcd's client URLs; for none, one for the cluster's own etcd. Required. It is called for
	// every Loglet that is opened and may return the same client again: Loglets do not close it. Credentials and certificates are in
	// here. (*Clients).Get is such a function.
	Client func(endpoints []string) (*clientv3.Client, error)
	// Prefix of the keys where the wish names none. Empty means DefaultPrefix.
	Prefix string
	// NoCompaction leaves the compaction of etcd's history to etcd (--auto-compaction-mode). Otherwise a Loglet that is
	// written to compacts it now and then, up to what was current at the time before.
	NoCompaction bool
	// Logger hears when etcd does not answer. Nil means none.
	Logger *slog.Logger
}

func (o *Options) fill() {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Clients keeps one client for each set of endpoints. Safe for concurrent use.
type Clients struct {
	// Own is the client of the cluster's own etcd, used where no endpoints are named. It is not closed. Nil: there is none.
	Own *clientv3.Client
	// Base is the configuration of all others, but for the endpoints.
	Base clientv3.Config

	mu     sync.Mutex
	opened map[string]*clientv3.Client
}

// Get returns the client for the endpoints, in whatever order they are.
func (c *Clients) Get(endpoints []string) (*clientv3.Client, error) {
	if len(endpoints) == 0 {
		if c.Own == nil {
			return nil, fmt.Errorf("vlog/etcd: no endpoints are named, and this cluster has no etcd of its own: name etcd's client URLs")
		}
		return c.Own, nil
	}
	sorted := slices.Sorted(slices.Values(endpoints))
	name := strings.Join(sorted, " ")
	c.mu.Lock()
	defer c.mu.Unlock()
	if client := c.opened[name]; client != nil {
		return client, nil
	}
	config := c.Base
	config.Endpoints = sorted
	if config.DialKeepAliveTime == 0 { // so that a server which has stopped is no longer asked
		config.DialKeepAliveTime, config.DialKeepAliveTimeout = 10*time.Second, 3*time.Second
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, fmt.Errorf("vlog/etcd: client of %s: %w", name, err)
	}
	if c.opened == nil {
		c.opened = map[string]*clientv3.Client{}
	}
	c.opened[name] = client
	return client, nil
}

// Close closes the clients that Get has opened.
func (c *Clients) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var first error
	for _, client := range c.opened {
		if err := client.Close(); err != nil && first == nil {
			first = err
		}
	}
	c.opened = nil
	return first
}
