package cluster

import (
	"context"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clientv3 "go.etcd.io/etcd/client/v3"

	"rebase/vlog"
)

// Options say how to take part in a cluster. Data and Listen are required.
type Options struct {
	// Data is the node's data folder, which exists and is locked by the caller. This package keeps node.json, etcd/, peer-tls/, logserver/ and, where it makes
	// one, cluster-secret in it.
	Data string
	// FS is the file system of node.json; nil is the operating system's. etcd and the log server use the operating system's in any case.
	FS vfs.FS
	// Begin says that a node that belongs to no cluster begins one. With neither Begin nor Join such a node is refused.
	Begin bool
	// Join are peer addresses of nodes of the cluster to join, any of them. Not looked at by a node that already belongs to one.
	Join []string
	// Replace is the name of a dead node whose place this one takes when it joins; "" is none.
	Replace string
	// Name is the node's; "" is the one it has, or its peer address.
	Name string
	// Listen is the address of the peer port; Peer is how others dial it, "" if that is the same.
	Listen, Peer string
	// MetaListen is the address of the embedded etcd's peer port; "" is the peer port's plus 100. MetaPeer is how others dial it.
	MetaListen, MetaPeer string
	// Meta are endpoints of an external etcd ("http://10.0.0.7:2379"), to be given to the first node; others hear of them when they join. None: etcd is embedded.
	Meta []string
	// MetaClient is the configuration of clients of external etcds, but for the endpoints: certificates, a name and a password.
	MetaClient clientv3.Config
	// ClientURL is where clients reach the node. SetClientURL can tell it later.
	ClientURL string
	Role      Role // "" is the one it has, or RoleAll
	// SecretFile is the file of the cluster's secret; "" is DATA/cluster-secret, which the first node makes if its peer port is not on loopback. A file given that
	// does not exist is made with Begin.
	SecretFile string
	// Storage is the log server's; nil opens files in DATA/logserver. The Cluster closes it.
	Storage vlog.Loglet

	// SuspectAfter is the silence after which a node is suspected; 0 is one second.
	SuspectAfter time.Duration
	// ReplaceAfter is how long a log server has to be suspected until a spare one takes its place; 0 is ten seconds.
	ReplaceAfter time.Duration
	// NodeTimeout is how long a node has to be suspected until its clients' sessions are ended; 0 is five seconds.
	NodeTimeout time.Duration
	// LogServers is how many log servers to aim at; 0 is 3.
	LogServers int

	Version string
	Logger  *slog.Logger // nil: none
}

// Hooks connect the driver with what stands above it.
type Hooks struct {
	// Log is what it drives. Required. The caller closes it, before the Cluster.
	Log *vlog.Log
	// Replica tells of this node's replica, for its status. May be nil.
	Replica func() Replica
	// OnGone is called when nodes have become gone. It must end the sessions of those that gone names, and may be called again for the same ones, and on several nodes.
	// An error makes it be called again. May be nil.
	OnGone func(ctx context.Context, gone func(node, incarnation uint64) bool) error
	// OnState is called when this node's State changes, by whomever: with Draining the node should move its clients away. May be nil.
	OnState func(State)
}

// Replica is how far a database node is with the log.
type Replica struct {
	Applied uint64 `json:"applied"` // position of the last entry applied
	Durable uint64 `json:"durable"` // the same, not to be lost in a crash
	Tail    uint64 `json:"tail"`    // first position not written, as last heard
	// Digests are of the state at some of the last positions, by which replicas are compared.
	Digests []Digest `json:"digests,omitempty"`
	// Clients is how many are connected.
	Clients int    `json:"clients"`
	Err     string `json:"err,omitempty"` // why the replica does not work
}

// Digest is the digest of a replica's state after the entry at Pos.
type Digest struct {
	Pos uint64 `json:"pos"`
	Sum string `json:"sum"`
}
