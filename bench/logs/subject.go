package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/vlog"
	"rebase/vlog/etcd"
	"rebase/vlog/local"
	"rebase/vlog/zookeeper"
)

// subject is an engine under measurement: a log whose only loglet is of that kind, and a handle on this loglet.
type subject struct {
	name    string
	loglet  vlog.Loglet
	log     *vlog.Log
	stalled time.Duration                               // in the last reconfiguration: from before the seal until the new chain was in use
	again   func(context.Context) (vlog.Segment, error) // what to reconfigure to
	down    []func() error                              // in the order in which to close
}

func (s *subject) close() error {
	var err error
	if s.log != nil {
		err = s.forget()
		err = errors.Join(err, s.log.Close()) // and its loglets
	}
	for _, f := range s.down {
		err = errors.Join(err, f())
	}
	return err
}

// forget removes what the log has stored in engines elsewhere: all but an empty loglet.
func (s *subject) forget() error {
	if s.again == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	next, err := s.again(ctx)
	if err == nil {
		err = s.log.Reconfigure(ctx, next)
	}
	if err == nil {
		_, err = s.log.Trim(ctx, s.log.Chain().Active().Start)
	}
	return err
}

// open makes a log of one kind in dir.
func (o *Options) open(ctx context.Context, name, dir string) (*subject, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &subject{name: name}
	var (
		provider vlog.Provider
		wish     []byte
		err      error
	)
	switch name {
	case "local":
		provider = local.Provider(local.Options{Root: dir})
	case "native", "striped":
		var n *nodes
		if n, err = startNodes(dir); err != nil {
			break
		}
		s.down = append(s.down, n.close)
		if provider, wish = n.native(); name == "striped" {
			provider, wish = n.striped()
		}
	case "etcd":
		clients := &etcd.Clients{}
		s.down = append(s.down, clients.Close)
		provider = etcd.Provider(etcd.Options{Client: clients.Get, Prefix: "/rebase-bench/"})
		wish = etcd.Config{Endpoints: o.Etcd}.Encode()
	case "zookeeper":
		provider = zookeeper.Provider(zookeeper.Options{})
		wish = zookeeper.Config{Servers: o.ZooKeeper, Prefix: "/rebase-bench"}.Encode()
	default:
		err = fmt.Errorf("there is no engine %q", name)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	// The log closes its loglets; the handle is the same one, so that both are one client of the engine.
	keep := func(ctx context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		l, err := provider(ctx, spec)
		if err == nil && s.loglet == nil {
			s.loglet = l
		}
		return l, err
	}
	s.log, err = vlog.Open(ctx, vlog.Options{
		Meta: local.FileMeta(dir, vfs.Default), Providers: map[string]vlog.Provider{name: keep}, Initial: vlog.Segment{Kind: name, Config: wish},
		OnReconfigure: func(r vlog.Reconfigured) { s.stalled = r.Stalled },
	})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.again = func(context.Context) (vlog.Segment, error) { return vlog.Segment{Kind: name, Config: wish}, nil }
	return s, nil
}
