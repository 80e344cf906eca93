package cluster

import (
	"cmp"

	"go.uber.org/zap"

	"rebase/vlog"
	"rebase/vlog/etcd"
	"rebase/vlog/striped"
	"rebase/vlog/zookeeper"
)

// Providers returns the kinds of loglets that a cluster's log can consist of, but for cold storage, which is the caller's.
func (c *Cluster) Providers() map[string]vlog.Provider {
	base := c.o.MetaClient
	base.DialTimeout, base.Logger = cmp.Or(base.DialTimeout, requestTimeout), cmp.Or(base.Logger, zap.NewNop())
	clients := &etcd.Clients{Own: c.etcd, Base: base}
	c.mu.Lock()
	c.closers = append(c.closers, clients.Close)
	c.mu.Unlock()
	native := c.node.Provider()
	return map[string]vlog.Provider{
		"native":    native,
		"striped":   striped.Provider(map[string]vlog.Provider{"native": native}),
		etcd.Kind:   etcd.Provider(etcd.Options{Client: clients.Get, Prefix: c.Prefix() + "log", Logger: c.log}),
		"zookeeper": zookeeper.Provider(zookeeper.Options{Prefix: "/rebase/" + c.ClusterID(), Logger: c.log}),
	}
}
