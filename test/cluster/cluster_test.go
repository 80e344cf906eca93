package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rebase/test/harness"
)

// These are the ports of every node, each on a host of its own.
const (
	clientPort = "9001"
	peerPort   = "9101"
)

// back bounds the time until there is service again, generously; patience bounds what else is waited for.
const (
	back     = 20 * time.Second
	patience = time.Minute
)

// secret is that of the database, with which clients sign in as administrators.
const secret = "the-secret-of-the-database-under-test"

// namespace is the database.
const namespace = "cluster"

// cluster is a cluster of nodes, or a single server that is no cluster.
type cluster struct {
	owner  *testing.T // the test whose end is the cluster's
	t      *testing.T // the one that is going on: it, or one below it
	net    *harness.Network
	dir    string
	secret string // file of the cluster's secret
	root   string // the root secret, of the node that was first
	flags  []string
	alone  bool // one server, and no cluster

	mu    sync.Mutex
	nodes []*node
	gone  []*node // that were forgotten
}

// node is a server process on a host of its own, or the place where one was.
type node struct {
	c     *cluster
	name  string
	ip    string
	data  string
	bin   string   // "" is the ordinary one
	flags []string // how it came into the cluster
	log   bool     // it only keeps the log, and has no clients

	mu     sync.Mutex
	server *harness.Server
	file   *os.File // of its log
}

func (n *node) addr() string { return n.ip + ":" + clientPort }
func (n *node) peer() string { return n.ip + ":" + peerPort }

// newCluster makes a network and nothing on it.
func newCluster(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c := &cluster{owner: t, t: t, dir: t.TempDir(), flags: flags}
	key := make([]byte, 32)
	rand.Read(key)
	c.secret = filepath.Join(c.dir, "cluster-secret")
	if err := os.WriteFile(c.secret, []byte(base64.RawURLEncoding.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.net = harness.NewNetwork(t)
	t.Cleanup(func() {
		if c.t = t; t.Failed() {
			c.printLogs()
		}
		c.keepLogs()
	})
	return c
}

// single starts one server that is no cluster.
func single(t *testing.T, flags ...string) *cluster {
	t.Helper()
	c := newCluster(t, flags...)
	c.alone = true
	c.add("n1").launch()
	c.settled(c.nodes[0])
	c.openDatabase()
	return c
}

// found starts a cluster of so many nodes, n1 and so on. furnish, unless it is nil, is called with each before it starts.
func (c *cluster) found(size int, furnish func(*node)) {
	c.t.Helper()
	for i := range size {
		n := c.add("n" + strconv.Itoa(i+1))
		if n.flags = []string{"--cluster"}; i > 0 {
			n.flags = []string{"--join", c.nodes[0].peer()}
		}
		if furnish != nil {
			furnish(n)
		}
		n.launch()
		c.settled(n)
	}
	c.openDatabase()
	c.serves(back, c.all()...)
	c.spread(size) // before that the loss of one disk may be too much
}

// add makes a host for a node. Its data is kept in the cluster's folder.
func (c *cluster) add(name string) *node {
	c.t.Helper()
	n := &node{c: c, name: name, data: filepath.Join(c.dir, name)}
	c.net.AddHost(name)
	n.ip = c.net.IP(name)
	file, err := os.Create(filepath.Join(c.dir, name+".log"))
	if err != nil {
		c.t.Fatal(err)
	}
	n.file = file
	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()
	return n
}

// everyone are the nodes that the cluster is made of now.
func (c *cluster) everyone() []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// all are those that have clients.
func (c *cluster) all() []*node {
	return slices.DeleteFunc(c.everyone(), func(n *node) bool { return n.log })
}

// but are those that have clients without some.
func (c *cluster) but(some ...*node) []*node {
	return slices.DeleteFunc(c.all(), func(n *node) bool { return slices.Contains(some, n) })
}

// named returns the node of a name.
func (c *cluster) named(name string) *node {
	for _, n := range c.everyone() {
		if n.name == name {
			return n
		}
	}
	c.t.Fatalf("there is no node %q", name)
	return nil
}

// forget takes a node from the list.
func (c *cluster) forget(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = slices.DeleteFunc(c.nodes, func(o *node) bool { return o == n })
	c.gone = append(c.gone, n)
}

// launch starts the node's process and does not wait for it. Flags are what it is told this time only.
func (n *node) launch(flags ...string) {
	n.c.t.Helper()
	args := []string{"serve", "--listen", "0.0.0.0:" + clientPort, "--data", n.data}
	if !n.c.alone {
		args = append(args, "--name", n.name, "--peer", n.peer(), "--advertise", "http://"+n.addr(), "--cluster-secret-file", n.c.secret)
	}
	args = slices.Concat(args, n.c.flags, n.flags, flags)
	fmt.Fprintf(n.file, "=== %s rebase %s\n", time.Now().Format("15:04:05.000"), strings.Join(args, " "))
	s, err := harness.Launch(n.c.owner, harness.Command{Bin: n.bin, On: n.c.net.On(n.name), Args: args, Log: n.file})
	if err != nil {
		n.c.t.Fatal(err)
	}
	n.mu.Lock()
	n.server = s
	n.mu.Unlock()
}

func (n *node) process() *harness.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

func (n *node) kill()   { n.process().Kill() }
func (n *node) pause()  { n.signal(syscall.SIGSTOP) }
func (n *node) resume() { n.signal(syscall.SIGCONT) }

func (n *node) signal(s os.Signal) {
	if err := n.process().Signal(s); err != nil {
		n.c.t.Error(err)
	}
}

// stop ends the node as an operator does.
func (n *node) stop() {
	n.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.process().Stop(ctx); err != nil {
		n.c.t.Errorf("%s: %v", n.name, err)
	}
}

func (n *node) wipe() {
	if err := os.RemoveAll(n.data); err != nil {
		n.c.t.Fatal(err)
	}
}

// settled waits until the nodes listen.
func (c *cluster) settled(nodes ...*node) {
	c.t.Helper()
	for _, n := range nodes {
		if err := n.process().Listening(patience); err != nil {
			c.t.Fatalf("%s: %v", n.name, err)
		}
	}
}

// openDatabase makes the database and the secret for it, at the first node.
func (c *cluster) openDatabase() {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.nodes[0].data, "root-secret"))
	if err != nil {
		c.t.Fatal(err)
	}
	c.root = strings.TrimSpace(string(text))
	c.admin(c.nodes[0], http.MethodPost, "/_rebase/auth/projects", fmt.Sprintf(`{"name":%q}`, namespace), http.StatusCreated)
	c.admin(c.nodes[0], http.MethodPost, "/_rebase/auth/projects/"+namespace+"/secrets", fmt.Sprintf(`{"secret":%q}`, secret), http.StatusCreated)
}

// admin makes a request in the administrator's name.
func (c *cluster) admin(n *node, method, path, body string, want int) []byte {
	c.t.Helper()
	text, status, err := request(n, method, path, c.root, body, patience)
	if err != nil || status != want {
		c.t.Fatalf("%s: %s %s: %d %.300s, %v", n.name, method, path, status, text, err)
	}
	return text
}

func request(n *node, method, path, bearer, body string, patience time.Duration) (text []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.addr()+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, 0, err
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	return text, res.StatusCode, err
}

// cli runs a command of the program on a node's host, as its operator would.
func (c *cluster) cli(n *node, args ...string) (string, error) {
	c.t.Helper()
	bin, err := harness.Build()
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	line := append(append(c.net.On(n.name), bin), args...)
	cmd := exec.CommandContext(ctx, line[0], append(line[1:], "--url", "http://127.0.0.1:"+clientPort)...)
	cmd.Env = append(os.Environ(), "REBASE_SECRET="+c.root)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	fmt.Fprintf(n.file, "=== %s rebase %s: %v after %v\n%s", time.Now().Format("15:04:05.000"), strings.Join(args, " "), err, time.Since(start), out)
	if err != nil {
		err = fmt.Errorf("rebase %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// mustCLI is cli; a failure is the test's.
func (c *cluster) mustCLI(n *node, args ...string) string {
	c.t.Helper()
	out, err := c.cli(n, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// serves waits until each of the nodes takes writes.
func (c *cluster) serves(within time.Duration, nodes ...*node) {
	c.t.Helper()
	start := time.Now()
	for _, n := range nodes {
		for {
			path := fmt.Sprintf("/probe/%s.json?ns=%s&auth=%s&print=silent", n.name, namespace, secret)
			text, status, err := request(n, http.MethodPut, path, "", strconv.FormatInt(time.Now().UnixNano(), 10), 3*time.Second)
			if err == nil && status/100 == 2 {
				break
			}
			if time.Since(start) > within {
				c.t.Fatalf("%s does not serve within %v: %d %.200s, %v", n.name, within, status, text, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// printLogs prints the end of what each node has said.
func (c *cluster) printLogs() {
	for _, n := range append(c.everyone(), c.gone...) {
		text, err := os.ReadFile(n.file.Name())
		if err != nil {
			c.t.Error(err)
			continue
		}
		const end = 6 << 10
		if len(text) > end {
			text = text[len(text)-end:]
		}
		c.t.Logf("the end of what %s has said:\n%s", n.name, text)
	}
}

// keepLogs copies what each node has said to the folder that REBASE_FAULTS_LOGS names, if it does, and after a failure also the data.
func (c *cluster) keepLogs() {
	dir := os.Getenv("REBASE_FAULTS_LOGS")
	if dir == "" {
		return
	}
	for _, n := range append(c.everyone(), c.gone...) {
		text, err := os.ReadFile(n.file.Name())
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(c.t.Name(), "/", "-")+"-"+n.name+".log"), text, 0o644)
		}
		if err == nil && c.t.Failed() {
			err = os.CopyFS(filepath.Join(dir, strings.ReplaceAll(c.t.Name(), "/", "-")+"-"+n.name), os.DirFS(n.data))
		}
		if err != nil {
			c.t.Error(err)
		}
	}
}
