package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"os"

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
func newEngines(o Options, m *metrics, c *cluster.Cluster) (*engines, error) {
	e := &engines{etcd: &etcd.Clients{}, providers: map[string]vlog.Provider{}}
	e.etcd.Base.Username, e.etcd.Base.Password = o.Engines.User, o.Engines.Password
	keeper := zookeeper.Options{User: o.Engines.User, Password: o.Engines.Password, Logger: o.Logger}
	if secured, err := o.Engines.tls(); err != nil {
		return nil, err
	} else if secured != nil {
		e.etcd.Base.TLS = secured
		keeper.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&tls.Dialer{Config: secured}).DialContext(ctx, "tcp", address)
		}
	}
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
	e.providers[kindZooKeeper] = zookeeper.Provider(keeper)
	kinds := maps.Clone(e.providers)
	e.providers[kindStriped] = striped.Provider(kinds)
	return e, nil
}

// tls is nil if nothing was given that makes one.
func (a EngineAccess) tls() (*tls.Config, error) {
	if a.CA == "" && a.Cert == "" && a.Key == "" {
		return nil, nil
	}
	bad := func(what string, err error) error {
		return &StartError{Kind: KindTLS, What: what, Err: err, Advice: "Give --engine-ca, --engine-cert and --engine-key files in PEM, the latter two together."}
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		text, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, bad("the certificates of the log's engine cannot be read", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, bad(a.CA+" holds no certificate", nil)
		}
	}
	if a.Cert != "" || a.Key != "" {
		own, err := tls.LoadX509KeyPair(a.Cert, a.Key)
		if err != nil {
			return nil, bad("the certificate for the log's engine cannot be used", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// close ends the connections to engines elsewhere. The loglets must be closed before.
func (e *engines) close() error {
	if e == nil {
		return nil
	}
	return errors.Join(e.etcd.Close())
}
