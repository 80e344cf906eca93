package main

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rebase/cluster"
)

// What is meant for a node of a cluster must not silently make a server by itself, and clients must not be sent to what is no address.
func TestClusterFlags(t *testing.T) {
	for want, c := range map[string]clusterFlags{
		"--name":                {Name: "a"},
		"--role":                {Role: "log"},
		"--advertise":           {Advertise: "https://a.example.com"},
		"--peer-advertise":      {PeerAdvertise: "a:1"},
		"--meta-peer":           {MetaPeer: "a:1"},
		"--meta-advertise":      {MetaAdvertise: "a:1"},
		"--cluster-secret-file": {SecretFile: "s"},
		"either begins":         {Cluster: true, Join: []string{"a:1"}},
		"odd":                   {Cluster: true, LogServers: 2},
		"http://":               {Cluster: true, LogServers: 3, Advertise: "db.example.com"},
		"https://":              {Cluster: true, LogServers: 3, Advertise: "db.example.com:9000"},
	} {
		if o, err := c.options(false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, %v; want an error with %q", c, o, err, want)
		}
	}
	if o, err := (&clusterFlags{LogServers: 3}).options(false); o != nil || err != nil {
		t.Errorf("a server by itself: %v, %v", o, err)
	}
	for _, url := range []string{"", "http://a.example.com", "https://[::1]:9000"} {
		o, err := (&clusterFlags{Cluster: true, LogServers: 3, Advertise: url}).options(false)
		if err != nil || o.ClientURL != url || !o.Begin {
			t.Errorf("--advertise %q: %+v, %v", url, o, err)
		}
	}
	if o, err := (&clusterFlags{LogServers: 3, Advertise: "http://a"}).options(true); o == nil || err != nil {
		t.Errorf("a node that starts again: %v, %v", o, err)
	}
}

// sink gathers what is written, and tells when it contains a text.
type sink struct {
	mu    sync.Mutex
	text  bytes.Buffer
	until string
	seen  chan struct{}
	once  sync.Once
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	if strings.Contains(s.text.String(), s.until) {
		s.once.Do(func() { close(s.seen) })
	}
	return len(b), nil
}

// A node that waits for others before it can start ends when it is told to.
func TestSignalBeforeTheStartIsComplete(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	log := &sink{until: "joining is not possible yet", seen: make(chan struct{})}
	c := &serveCmd{
		Listen: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data"), LogFormat: "text", LogLevel: "warn", Drain: time.Second,
		clusterFlags: clusterFlags{
			Join: []string{nobody.Addr().String()}, Peer: "127.0.0.1:0", MetaPeer: "127.0.0.1:0",
			LogServers: 3, SuspectAfter: time.Second, NodeTimeout: time.Second,
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(context.Background(), streams{out: new(bytes.Buffer), err: log}) }()
	select {
	case <-log.seen:
	case err := <-ended:
		t.Fatalf("it has ended before it was told to: %v", err)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, belongs, err := cluster.Belongs(c.Data, nil); belongs || err != nil {
		t.Errorf("it belongs to a cluster that nobody has let it into: %v", err)
	}
}
