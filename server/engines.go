package server

import (
	"errors"
	"maps"

	"rebase/cluster"
	"rebase/vlog"
	"rebase/vlog/backup"
	"rebase/vlog/etcd"
	"rebase/vlog/local"
	"rebase/vlog/striped"
	"rebase/vlog/zookeeper"
)

// The kinds of loglets, as they are named in the chain.
const (
	kindLocal     = "local"
	kindNative    = "native"
	kindStriped   = "striped"
	kindZooKeeper = "zookeeper"
)

// engines open the loglets of the log, of whatever kind they are.
type engines struct {
	providers map[string]vlog.Provider
	etcd      *etcd.Clients
}

// newEngines returns the engines of a server; c is nil if it is in no cluster.
func newEngines(o Options, m *metrics, c *cluster.Cluster) *engines {
	e := &engines{etcd: &etcd.Clients{Base: o.Etcd}, providers: map[string]vlog.Provider{}}
	prefix := "/rebase/log/"
	if c != nil {
		e.etcd.Own = c.Etcd()
		prefix = c.Prefix() + "log/"
		e.providers[kindNative] = c.Native().Provider()
	} else {
		e.providers[kindLocal] = local.Provider(local.Options{
			FS: o.FS, Root: o.FS.PathJoin(o.Data, "log"), SegmentBytes: o.SegmentBytes,
			Logger: o.Logger, OnCommit: m.commit,
			// A damaged log must stop the start, not surprise at a later read. What is kept is bounded by LogRetain, and
			// is read at gigabytes per second.
			VerifyAll: true,
		})
	}
	e.providers[etcd.Kind] = etcd.Provider(etcd.Options{Client: e.etcd.Get, Prefix: prefix, Logger: o.Logger})
	e.providers[backup.Kind] = backup.Provider(backup.Options{Logger: o.Logger})
	e.providers[kindZooKeeper] = zookeeper.Provider(zookeeper.Options{Logger: o.Logger})
	kinds := maps.Clone(e.providers)
	e.providers[kindStriped] = striped.Provider(kinds)
	return e
}

// close ends the connections to engines elsewhere. The loglets must be closed before.
func (e *engines) close() error {
	if e == nil {
		return nil
	}
	return errors.Join(e.etcd.Close())
}
