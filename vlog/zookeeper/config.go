package zookeeper

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"strings"
	"time"
)

// Config says where a loglet is, or, with an empty Name, where one is wished for. It holds no password: those are for Options.
type Config struct {
	// Servers of the ensemble, host:port each. Without any, those of Options.
	Servers []string
	// Prefix is the node below which loglets lie, "/a/b". Empty means that of Options. It is made if it does not exist.
	Prefix string
	// Name is the loglet's own node below Prefix. The creation draws it.
	Name string
}

const configVersion = 1

// Encode returns the form that a chain stores.
func (c Config) Encode() []byte {
	b := []byte{configVersion}
	b = binary.AppendUvarint(b, uint64(len(c.Servers)))
	for _, s := range append(c.Servers[:len(c.Servers):len(c.Servers)], c.Prefix, c.Name) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

var errConfig = errors.New("vlog/zookeeper: not the configuration of a loglet on ZooKeeper")

// DecodeConfig reads what Encode has written. Nothing at all is the zero Config.
func DecodeConfig(p []byte) (Config, error) {
	var c Config
	if len(p) == 0 {
		return c, nil
	}
	if p[0] != configVersion {
		return c, errConfig
	}
	p = p[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(p)
		if n <= 0 {
			p = nil
			return 1 << 32
		}
		p = p[n:]
		return v
	}
	text := func() string {
		n := number()
		if n > uint64(len(p)) {
			p = nil
			return "\x00"
		}
		s := string(p[:n])
		p = p[n:]
		return s
	}
	n := number()
	if n > 1000 {
		return Config{}, errConfig
	}
	for range n {
		c.Servers = append(c.Servers, text())
	}
	c.Prefix, c.Name = text(), text()
	if len(p) != 0 || strings.Contains(strings.Join(c.Servers, "")+c.Prefix+c.Name, "\x00") {
		return Config{}, errConfig
	}
	return c, c.check()
}

func (c Config) check() error {
	if c.Prefix != "" && (c.Prefix[0] != '/' || strings.HasSuffix(c.Prefix, "/") || strings.Contains(c.Prefix, "//")) {
		return errors.New("vlog/zookeeper: the prefix must be a path like /rebase")
	}
	if strings.Contains(c.Name, "/") {
		return errConfig
	}
	return nil
}

// Options says how this process reaches ensembles. The zero value will do for one that wants no password, if the Config names servers.
type Options struct {
	// Servers are those of a Config that names none.
	Servers []string
	// Prefix is that of a Config that names none. Empty means "/rebase".
	Prefix string
	// User and Password, if User is not empty, are ZooKeeper's digest authentication: nodes that are made are then closed to all who do not
	// know them. ZooKeeper sends them in the clear: Dial should encrypt.
	User, Password string
	// Dial connects to a server. Nil means plain TCP. For TLS (the server's secureClientPort) it is tls.Dialer's DialContext.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Timeout is how long a session outlives its connection. A server that has been silent for two thirds of it is left for another. Zero means 6 s.
	// The server has limits of its own: 2 to 20 of its ticks.
	Timeout time.Duration
	// MaxBatchBytes bounds what one transaction writes. Zero means 900 KiB, which fits the servers' default of 1 MiB for a packet
	// (jute.maxbuffer), and is too much for servers with a smaller one.
	MaxBatchBytes int
	// MaxInFlight is how many transactions of one handle may be under way at once. Zero means 4.
	MaxInFlight int
	// MaxBatches is after how many transactions a loglet is full: then it seals itself, and the chain continues in another. It is there because
	// ZooKeeper counts the versions of a node with 31 bits. Zero means 2 000 000 000.
	MaxBatches int32
	// Logger hears of lost connections. Nil means none.
	Logger *slog.Logger
}

const (
	defaultPrefix     = "/rebase"
	defaultTimeout    = 6 * time.Second
	defaultBatchBytes = 900 << 10
	defaultInFlight   = 4
	defaultBatches    = 2_000_000_000
)

func (o Options) withDefaults() Options {
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBatchBytes <= 0 {
		o.MaxBatchBytes = defaultBatchBytes
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = defaultInFlight
	}
	if o.MaxBatches <= 0 {
		o.MaxBatches = defaultBatches
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o *Options) acl() acl {
	if o.User != "" {
		return digest(o.User, o.Password)
	}
	return anyone
}
