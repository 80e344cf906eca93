package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/vlog"
)

var bg = context.Background()

// rig is a cluster of nodes in this process, on real sockets and disks.
type rig struct {
	t      *testing.T
	secret string // file; "": none
	nodes  []*rigNode
}

type rigNode struct {
	r    *rig
	o    Options
	c    *Cluster
	log  *vlog.Log
	gone chan func(node, incarnation uint64) bool
	down bool
}

var givenPorts sync.Map

// freeAddr is an address that nobody listens on, below the ports that the system gives to connections by itself: a node that starts again needs the same.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))
		if _, given := givenPorts.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(bg, 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (r *rig) options(name string) Options {
	o := Options{
		Name: name, Data: r.t.TempDir(), Listen: freeAddr(r.t), MetaListen: freeAddr(r.t), SecretFile: r.secret,
		ClientURL:    "http://" + name + ".example",
		SuspectAfter: 400 * time.Millisecond, ReplaceAfter: time.Second, NodeTimeout: time.Second,
		Version: "test",
	}
	if testing.Verbose() {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("on", name)
	}
	return o
}

// open starts a node as its options say, or again.
func (n *rigNode) open() error {
	c, err := Open(within(n.r.t), n.o)
	if err != nil {
		return err
	}
	n.c, n.down = c, false
	if n.o.Role == RoleLog {
		return nil
	}
	ctx := within(n.r.t)
	if n.log, err = vlog.Open(ctx, vlog.Options{Meta: c.Meta(), Providers: c.Providers(), Initial: c.Initial(), RollForwardAfter: 2 * time.Second, Logger: n.o.Logger}); err != nil {
		return err
	}
	n.gone = make(chan func(node, incarnation uint64) bool, 100)
	gone := n.gone
	c.Drive(Hooks{Log: n.log, Replica: func() Replica { return Replica{Applied: 7} }, OnGone: func(_ context.Context, f func(node, incarnation uint64) bool) error {
		gone <- f
		return nil
	}})
	return nil
}

func (r *rig) add(o Options) *rigNode {
	r.t.Helper()
	n := &rigNode{r: r, o: o}
	r.nodes = append(r.nodes, n)
	r.t.Cleanup(func() {
		if n.c != nil && !n.down {
			n.end()
		}
	})
	if err := n.open(); err != nil {
		r.t.Fatalf("%s: %v", o.Name, err)
	}
	return n
}

// end ends a node in order.
func (n *rigNode) end() {
	n.down = true
	if n.log != nil {
		if err := n.log.Close(); err != nil {
			n.r.t.Errorf("%s: %v", n.o.Name, err)
		}
	}
	if err := n.c.Close(); err != nil {
		n.r.t.Errorf("%s: %v", n.o.Name, err)
	}
}

// kill ends a node's connections and everything behind them first, without a word to anybody.
func (n *rigNode) kill() {
	n.down = true
	n.c.port.listener.Close()
	n.c.node.Close()
	n.c.port.close()
	if n.log != nil {
		n.log.Close()
	}
	n.c.Close()
}

// three starts a cluster of three database nodes and waits until the log is on all of them.
func three(t *testing.T, secret string) *rig {
	t.Helper()
	r := &rig{t: t, secret: secret}
	first := r.options("n1")
	first.Begin = true
	a := r.add(first)
	for _, name := range []string{"n2", "n3"} {
		o := r.options(name)
		o.Join = []string{a.o.Listen}
		r.add(o)
	}
	r.eventually("the log is on three disks", func() bool { return len(r.places()[0].Servers) == 3 })
	return r
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			for _, n := range r.nodes {
				if !n.down && n.log != nil {
					r.t.Logf("%s: %+v blocked %q members %+v", n.o.Name, n.c.Places(n.log.Chain().Active()), n.c.status().Blocked, n.c.Members())
				}
			}
			r.t.Fatalf("in vain: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *rig) alive() (out []*rigNode) {
	for _, n := range r.nodes {
		if !n.down && n.log != nil {
			out = append(out, n)
		}
	}
	return out
}

// places is where the log is, in the eyes of the first node alive, after it has looked.
func (r *rig) places() []Place {
	r.t.Helper()
	n := r.alive()[0]
	if _, err := n.log.Tail(within(r.t)); err != nil {
		r.t.Fatal(err)
	}
	return n.c.Places(n.log.Chain().Active())
}

func (r *rig) named(name string) *rigNode {
	return r.nodes[slices.IndexFunc(r.nodes, func(n *rigNode) bool { return n.o.Name == name })]
}

// append writes an entry through every node alive.
func (r *rig) append(what string) {
	r.t.Helper()
	for _, n := range r.alive() {
		if _, err := n.log.Append(within(r.t), []byte(what+" on "+n.o.Name)); err != nil {
			r.t.Fatalf("append on %s: %v", n.o.Name, err)
		}
	}
}

// entries reads the whole log through a node.
func (n *rigNode) entries() (out []string) {
	n.r.t.Helper()
	tail, err := n.log.Tail(within(n.r.t))
	if err != nil {
		n.r.t.Fatal(err)
	}
	for p := vlog.Position(1); p < tail.Next; {
		es, err := n.log.Read(within(n.r.t), p, tail.Next, 1<<20)
		if err != nil {
			n.r.t.Fatalf("read at %d of %d: %v", p, tail.Next, err)
		}
		if len(es) == 0 {
			break // sparse positions
		}
		for _, e := range es {
			out = append(out, string(e.Payload))
			p = e.Pos + 1
		}
	}
	return out
}

// secretFile makes the file of a cluster's secret by beginning with it.
func secretFile(t *testing.T) string { return filepath.Join(t.TempDir(), "secret") }

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Fatalf("error %v, want one with %q", err, p)
		}
	}
}
