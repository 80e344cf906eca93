package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"rebase/gateway/limit"
	"rebase/server"
)

// limitFlag is a change of limits: "connections=100,operations=50,bytes=1MiB". What it
// does not name stays as it is.
type limitFlag struct {
	connections, operations, bytes *int64
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *limitFlag) UnmarshalText(text []byte) error {
	*f = limitFlag{}
	if string(text) == "none" {
		f.connections, f.operations, f.bytes = new(int64), new(int64), new(int64)
		return nil
	}
	for part := range strings.SplitSeq(string(text), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.TrimSuffix(value, "/s")
		var n int64
		var err error
		if name == "bytes" {
			var b byteSize
			err = b.UnmarshalText([]byte(value))
			n = int64(b)
		} else if n, err = strconv.ParseInt(value, 10, 32); err == nil && n < 0 {
			err = errors.New("less than 0")
		}
		into, known := map[string]**int64{"connections": &f.connections, "operations": &f.operations, "bytes": &f.bytes}[name]
		if err != nil || !known {
			return fmt.Errorf("%q is no limit; write for example connections=100,operations=50,bytes=1MiB, or none", part)
		}
		*into = &n
	}
	return nil
}

// apply changes limits.
func (f *limitFlag) apply(l *limit.Limits) {
	if f.connections != nil {
		l.Connections = int(*f.connections)
	}
	if f.operations != nil {
		l.Operations = limit.Rate{PerSecond: float64(*f.operations)}
	}
	if f.bytes != nil {
		l.Bytes = limit.Rate{PerSecond: float64(*f.bytes)}
	}
}

// limits changes limits as the flags ask for it.
func (c *serveCmd) limits(l *server.Limits) {
	c.LimitDatabase.apply(&l.Database)
	c.LimitConnection.apply(&l.Connection)
	c.LimitUser.apply(&l.User)
	c.LimitAddress.apply(&l.Address)
	l.Write = int64(c.LimitWrite)
}

// limitVars are what help texts say of the limits.
func limitVars() kong.Vars {
	d := server.DefaultLimits()
	return kong.Vars{
		"limit_database":   limitText(d.Database),
		"limit_connection": limitText(d.Connection),
		"limit_user":       limitText(d.User),
		"limit_address":    limitText(d.Address),
	}
}

func limitText(l limit.Limits) string {
	var parts []string
	if l.Connections > 0 {
		parts = append(parts, fmt.Sprintf("connections=%d", l.Connections))
	}
	if r := l.Operations.PerSecond; r > 0 {
		parts = append(parts, fmt.Sprintf("operations=%.0f", r))
	}
	if r := l.Bytes.PerSecond; r > 0 {
		parts = append(parts, fmt.Sprintf("bytes=%v", byteSize(r)))
	}
	return strings.Join(parts, ",") + " if not open"
}
