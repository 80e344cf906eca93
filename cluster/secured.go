package cluster

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/cluster/secret"
)

// SecretFile is the file in the data folder that is used where Options.SecretFile names no other.
const SecretFile = "cluster-secret"

// Names of the files in DATA/peer-tls, which etcd reads.
const (
	tlsDir         = "peer-tls"
	tlsAuthorities = "ca.pem"
	tlsCertificate = "cert.pem"
	tlsKey         = "key.pem"
)

// loadSecret reads the cluster's secret, or makes it at the beginning of a cluster off loopback. It returns nil for a cluster without one.
func loadSecret(o Options, id *identity) (*secret.Keys, error) {
	fs, dir, name := o.FS, o.Data, SecretFile
	if o.SecretFile != "" {
		fs, dir, name = vfs.Default, filepath.Dir(o.SecretFile), filepath.Base(o.SecretFile)
	}
	path := fs.PathJoin(dir, name)
	text, err := readFile(fs, path)
	if oserror.IsNotExist(err) {
		local := loopback(o.Listen) && (o.MetaListen == "" || loopback(o.MetaListen))
		switch {
		case id.Secured:
			return nil, &StartError{What: "the cluster's secret is missing: there is no " + path, Advice: "Copy the file from another node of the cluster; only its owner should be able to read it."}
		case id.Cluster == "" && o.Begin && (!local || o.SecretFile != ""):
			text = secret.New()
			if err := writeFile(fs, dir, name, text); err != nil {
				return nil, &StartError{What: "the cluster's secret cannot be written to " + path, Err: err}
			}
			o.Logger.Info("made the cluster's secret; every node that is to join needs a copy of this file", "file", path)
		case o.SecretFile != "":
			return nil, &StartError{What: "there is no " + path, Advice: "Copy the cluster's secret from the data folder of the node that began the cluster."}
		case !local:
			return nil, &StartError{What: fmt.Sprintf("the peer port %s can be reached from other machines, and this node has no secret of the cluster", o.Listen),
				Advice: "Copy the file " + SecretFile + " from the data folder of the node that began the cluster to " + path + ", or name a copy with --cluster-secret-file. On one machine, use a loopback address for --peer."}
		default:
			return nil, nil
		}
	} else if err != nil {
		return nil, &StartError{What: "the cluster's secret cannot be read", Err: err}
	} else if fs == vfs.Default {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			o.Logger.Warn("others can read the cluster's secret, and be nodes with it", "file", path, "mode", info.Mode().Perm().String(), "advice", "chmod 600 "+path)
		}
	}
	keys, err := secret.Parse(text)
	if err != nil {
		return nil, &StartError{What: "the cluster's secret in " + path + " cannot be used", Err: err, Advice: "Copy the file from another node of the cluster."}
	}
	return keys, nil
}

// loopback says that an address to listen on is not reached from other machines.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
