package server

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rebase/auth/users"
	"rebase/cluster"
)

// Options say what server to start. Data is required; the zero values of the
// others are good for a test.
type Options struct {
	// Listen is the address, "host:port"; "" is 127.0.0.1:0, a free port.
	Listen string
	// Data is the folder of the data. It is made if it does not exist.
	Data string
	// FS is the file system that Data is on; nil is the operating system's.
	FS vfs.FS

	// Access says who is let in.
	Access Access
	// PublicURL is the address under which apps and services reach the server, "https://db.example.com"; "" if that is not known, or the first host of ACME. Key files
	// of service accounts lead there, and what services sign must then be for it.
	PublicURL string
	// FirebaseKeys and AppCheckKeys are where the keys of Firebase's ID tokens and of App Check are fetched (JWKS); "" is at Google. For networks
	// that reach Google by way of a mirror.
	FirebaseKeys, AppCheckKeys string
	// NewRootSecret replaces the root secret, for when it is lost. A closed server makes one at its first start in any case.
	NewRootSecret bool
	// Mail says how users get mail.
	Mail Mail
	// Project is, in open mode, that of apps whose API key no project has; "" is "demo-project".
	Project string
	// Guesses bound the guessing of passwords and the making of accounts; zero values are the defaults.
	Guesses users.Limits
	// Demo serves the demo page.
	Demo bool
	// Debug serves profiles at /_rebase/debug/pprof/ also on a closed server. On an
	// open one they are always there.
	Debug bool
	// TLSCert and TLSKey are files in PEM; both or none. When they change, connections
	// that begin then use the new ones.
	TLSCert, TLSKey string
	// ACME obtains certificates, instead of those files.
	ACME ACME
	// HTTPListen is a second address, of plain HTTP, that sends everyone to HTTPS and
	// answers the HTTP-01 challenges of ACME; "" is none.
	HTTPListen string

	// Limits changes what clients may take, which it finds as DefaultLimits, or as no limits at all in an
	// open server. It may be nil.
	Limits func(*Limits)

	// LogRetain is how many bytes of the log are kept behind the last
	// checkpoint; 0 is 256 MiB.
	LogRetain int64
	// CheckpointEvery is the time between checkpoints; 0 is 30 s.
	CheckpointEvery time.Duration
	// CacheBytes bounds the store's cache; 0 is the store's default.
	CacheBytes int64
	// SegmentBytes is the size of a log file; 0 is the log's default.
	SegmentBytes int64

	// AuditRetain is how many bytes of the audit journal are kept; 0 is 100 MiB.
	AuditRetain int64

	// Cluster makes the server a node of a cluster, with the log that the nodes share; nil is a server by itself, unless its data folder belongs to a
	// node. Data, FS, ClientURL if empty, Version and Logger are filled in, and so is Listen: 100 above the port of the clients.
	Cluster *cluster.Options
	// Engines is how engines elsewhere are entered that the log is moved to: etcd, ZooKeeper.
	Engines EngineAccess
	// Backup is an object store that gets what is trimmed of the log, and snapshots: a folder, or s3://bucket/prefix?endpoint=…; "" is none.
	Backup string
	// DigestEvery is the time between comparisons of the replicas' states; 0 is ten minutes.
	DigestEvery time.Duration

	Logger  *slog.Logger // nil: none
	Version string       // told at /_rebase/version
}

// EngineAccess are the credentials of engines elsewhere. They are never stored in the log's chain.
type EngineAccess struct {
	User, Password string
	// CA are certificates, in PEM, by which the engine's is trusted; Cert and Key are this server's own. With any of them ZooKeeper is spoken to by
	// TLS; etcd is where its endpoints begin with https.
	CA, Cert, Key string
}

func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.LogRetain <= 0 {
		o.LogRetain = 256 << 20
	}
	if o.CheckpointEvery <= 0 {
		o.CheckpointEvery = 30 * time.Second
	}
	if o.DigestEvery <= 0 {
		o.DigestEvery = 10 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Kind says at what a start failed, for exit codes and for advice.
type Kind uint8

// The kinds of a StartError.
const (
	KindOther   Kind = iota
	KindAddress      // the address cannot be listened on
	KindData         // the data folder cannot be used
	KindCorrupt      // the data is damaged
	KindOpen         // the server would be open to other machines
	KindTLS          // the certificate or key cannot be used
	KindCluster      // the server cannot take part in its cluster
)

// StartError is why a server did not start. Its text says what was tried, what
// went wrong, and what to do.
type StartError struct {
	Kind   Kind
	What   string // what was tried
	Err    error
	Advice string // what to do, a sentence or ""
}

func (e *StartError) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += "\n" + e.Advice
	}
	return s
}

func (e *StartError) Unwrap() error { return e.Err }
