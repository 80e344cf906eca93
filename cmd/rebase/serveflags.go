package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"rebase/cluster"
	"rebase/server"
)

// clusterFlags make a server a node of a cluster.
type clusterFlags struct {
	Cluster       bool          `help:"Begin a cluster with this node, or go on with the one that the data folder belongs to. The data of a server by itself become the cluster's."`
	Join          []string      `help:"Join a cluster: the peer address of a node that is in it; several may be given. Not looked at by a node that has joined already." placeholder:"HOST:PORT"`
	Replace       string        `help:"With --join: take the place of this dead node." placeholder:"NODE"`
	Name          string        `help:"Name of the node in the cluster; its peer address if not given." placeholder:"NAME"`
	Role          string        `enum:",all,log" default:"" help:"What the node is for: all (a replica that clients connect to, and a disk of the log), or log (a disk of the log alone)." placeholder:"all|log"`
	Peer          string        `help:"Address for the other nodes; 100 above the port of --listen if not given." placeholder:"HOST:PORT"`
	PeerAdvertise string        `help:"How the other nodes reach that address, if not as it is." placeholder:"HOST:PORT"`
	MetaPeer      string        `help:"Address for the etcd in the other nodes; 100 above the port of --peer if not given." placeholder:"HOST:PORT"`
	MetaAdvertise string        `help:"How they reach that address, if not as it is." placeholder:"HOST:PORT"`
	Meta          []string      `help:"With --cluster: keep the cluster's metadata in this etcd, instead of one in the nodes." placeholder:"URL"`
	Advertise     string        `help:"Where clients reach this node, when others send theirs there; the address of --listen if not given." placeholder:"URL"`
	SecretFile    string        `name:"cluster-secret-file" help:"File with the cluster's secret; cluster-secret in the data folder if not given." placeholder:"FILE"`
	SuspectAfter  time.Duration `default:"1s" help:"Silence after which a node is taken for dead (${default}): the log goes on without it." placeholder:"TIME"`
	NodeTimeout   time.Duration `default:"5s" help:"Time after which the clients of a dead node count as gone: their onDisconnect operations run (${default})." placeholder:"TIME"`
	LogServers    int           `default:"3" help:"On how many disks the log is kept (${default}): an odd number, and as many as there are nodes at most." placeholder:"N"`
}

// options returns nil for a server by itself. belongs says that the data folder is a node's already.
func (c *clusterFlags) options(belongs bool) (*cluster.Options, error) {
	if c.Cluster && len(c.Join) > 0 {
		return nil, &usageError{errors.New("a node either begins a cluster (--cluster) or joins one (--join)")}
	}
	if !c.Cluster && len(c.Join) == 0 && !belongs {
		for flag, given := range map[string]bool{
			"--name": c.Name != "", "--role": c.Role != "", "--replace": c.Replace != "", "--meta": len(c.Meta) > 0, "--advertise": c.Advertise != "",
			"--peer": c.Peer != "", "--peer-advertise": c.PeerAdvertise != "", "--meta-peer": c.MetaPeer != "", "--meta-advertise": c.MetaAdvertise != "",
			"--cluster-secret-file": c.SecretFile != "",
		} {
			if given {
				return nil, &usageError{errors.New(flag + " is for nodes of a cluster, and this would be a server by itself: give --cluster or --join, too")}
			}
		}
		return nil, nil
	}
	if u, err := url.Parse(c.Advertise); c.Advertise != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return nil, &usageError{fmt.Errorf("--advertise %s is no address that clients could be sent to: it has to begin with http:// or https://", c.Advertise)}
	}
	for _, addr := range c.Join {
		if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
			return nil, &usageError{fmt.Errorf("--join %s is no address: give HOST:PORT, the peer port of a node of the cluster", addr)}
		}
	}
	if c.LogServers < 1 || c.LogServers%2 == 0 {
		return nil, &usageError{errors.New("--log-servers must be odd: an even number of disks survives no more losses than one less")}
	}
	return &cluster.Options{
		Begin: c.Cluster, Join: c.Join, Replace: c.Replace, Name: c.Name, Listen: c.Peer, Peer: c.PeerAdvertise, MetaListen: c.MetaPeer, MetaPeer: c.MetaAdvertise,
		Meta: c.Meta, ClientURL: c.Advertise, Role: cluster.Role(c.Role), SecretFile: c.SecretFile,
		SuspectAfter: c.SuspectAfter, NodeTimeout: c.NodeTimeout, LogServers: c.LogServers,
	}, nil
}

// engineFlags are how engines elsewhere are entered.
type engineFlags struct {
	User     string `help:"User at the etcd or ZooKeeper that the log is moved to." placeholder:"NAME"`
	Password string `help:"Its password. Better given as REBASE_ENGINE_PASSWORD: a command line is seen by others." placeholder:"TEXT"`
	CA       string `name:"ca" type:"existingfile" help:"Certificates, in PEM, by which that engine is trusted." placeholder:"FILE"`
	Cert     string `type:"existingfile" help:"This server's certificate for it, in PEM." placeholder:"FILE"`
	Key      string `type:"existingfile" help:"The certificate's key, in PEM." placeholder:"FILE"`
}

func (f engineFlags) access() server.EngineAccess {
	return server.EngineAccess{User: f.User, Password: f.Password, CA: f.CA, Cert: f.Cert, Key: f.Key}
}
