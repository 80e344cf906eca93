package db

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"rebase/store"
	"rebase/tree"
	"rebase/vlog"
)

// sdk behaves as an SDK does: it sends what was not answered again when it is back, wherever that is, and then what is new.
type sdk struct {
	c    *cluster
	name string

	mu         sync.Mutex
	sess       *Session // nil: not connected
	last       string   // the id of the last session
	made       int
	unanswered []int
	queued     map[string]bool // by session: whether the server has said that it keeps what is for its end
}

func (k *sdk) write(n int) *Op {
	return &Op{Kind: OpMerge, Fingerprint: uint64(n) + 1, Updates: []Update{
		{Path: tree.Path("count/" + k.name), Value: tree.NewIncrement(tree.NewInt(1))},
		{Path: tree.Path(fmt.Sprintf("writes/%s/%d", k.name, n)), Value: tree.NewIncrement(tree.NewInt(1))},
	}}
}

// connect moves to a node. A node that stands still refuses after a while.
func (k *sdk) connect(n *node, leaveOpen bool) {
	k.mu.Lock()
	old := k.sess
	k.sess = nil
	k.mu.Unlock()
	if old != nil && !leaveOpen {
		old.End()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s, err := n.db.ResumeSession(ctx, "test", k.last, Root)
	if err != nil {
		return
	}
	s.OnEnded(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.sess == s {
			k.sess = nil
		}
	})
	k.mu.Lock()
	k.sess, k.last = s, s.ID()
	again := append([]int(nil), k.unanswered...)
	k.mu.Unlock()
	for _, n := range again {
		k.send(s, n)
	}
	id := s.ID()
	s.Propose(&Op{Kind: OpDisconnectMerge, Updates: []Update{{Path: tree.Path("ended/" + id), Value: tree.NewIncrement(tree.NewInt(1))}}}, func(r Result) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.queued[id] = r.Err == nil; r.Err == nil && k.sess == s && len(again)%2 == 1 {
			s.Confirm(uint64(len(again)) + 1) // it has had all answers so far
		}
	})
}

func (k *sdk) send(s *Session, n int) {
	s.Propose(k.write(n), func(r Result) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if r.Err != nil && !errors.Is(r.Err, ErrSessionEnded) && !errors.Is(r.Err, ErrClosed) {
			k.c.t.Errorf("%s: write %d: %v", k.name, n, r.Err)
		}
		if r.Err != nil || k.sess != s { // the connection is gone
			return
		}
		if len(k.unanswered) == 0 || k.unanswered[0] != n {
			k.c.t.Errorf("%s: write %d is answered, unanswered are %v", k.name, n, k.unanswered)
			return
		}
		k.unanswered = k.unanswered[1:]
	})
}

func (k *sdk) new() {
	k.mu.Lock()
	s, n := k.sess, k.made
	k.made++
	k.unanswered = append(k.unanswered, n)
	k.mu.Unlock()
	if s != nil {
		k.send(s, n)
	}
}

func (k *sdk) settled() (connected, answered bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sess != nil, len(k.unanswered) == 0
}

// Several nodes behave as one database: whatever happens to nodes, log and connections, each write of a client is applied exactly once, all that was
// acknowledged is there, what is queued for the end of a session runs once, and all replicas are equal to the byte.
func TestClusterIsOneDatabase(t *testing.T) {
	begin := time.Now()
	rapid.Check(t, func(rt *rapid.T) {
		if time.Since(begin) > 5*time.Second {
			return // a slow machine tries fewer histories
		}
		c := newCluster(t, 3)
		defer c.stop()
		seed := rapid.Uint64().Draw(rt, "seed")
		for i, n := range c.nodes {
			n.wire.random = rand.New(rand.NewPCG(seed, uint64(i)))
			n.wire.twice = 2
		}
		var clients []*sdk
		for i := range 4 {
			k := &sdk{c: c, name: fmt.Sprint("client", i), queued: map[string]bool{}}
			clients = append(clients, k)
			k.connect(c.nodes[i%3], false)
		}
		present := map[string]string{} // what was acknowledged to have no session
		alive := func(label string) *node {
			for {
				if n := c.nodes[rapid.IntRange(0, 2).Draw(rt, label)]; n.db != nil {
					return n
				}
			}
		}
		gone := func(node, incarnation uint64) bool {
			n := c.nodes[node-1]
			return n.db == nil || n.incarnation != incarnation
		}
		soon := func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 20*time.Millisecond)
		}
		up := func() (n int) {
			for _, node := range c.nodes {
				if node.db != nil {
					n++
				}
			}
			return n
		}
		disconnect := func(n *node) {
			for _, k := range clients {
				k.mu.Lock()
				if k.sess != nil && k.sess.db == n.db {
					k.sess = nil
				}
				k.mu.Unlock()
			}
		}
		serial := 0
		actions := map[string]func(*rapid.T){
			"write": func(*rapid.T) {
				for range rapid.IntRange(1, 5).Draw(rt, "n") {
					clients[rapid.IntRange(0, 3).Draw(rt, "client")].new()
				}
			},
			"move": func(*rapid.T) {
				clients[rapid.IntRange(0, 3).Draw(rt, "client")].connect(alive("node"), rapid.Bool().Draw(rt, "leave open"))
			},
			"server writes": func(*rapid.T) {
				ctx, cancel := soon()
				defer cancel()
				serial++
				path, value := fmt.Sprintf("served/%d", serial), rapid.SampledFrom([]string{`1`, `{"a":{".value":"x",".priority":3},"b":{"c":true,".priority":"p"}}`, `{"1":1.5,"2":"y"}`}).Draw(rt, "value")
				if res := alive("node").db.Do(ctx, &Op{Kind: OpSet, NS: "test", Path: tree.Path(path), Value: parse(t, value), Caller: Root}); res.Err == nil {
					present[path] = value
				}
				alive("node").db.Do(ctx, &Op{Kind: OpMerge, NS: "test", Path: "mess", Caller: Root, Updates: []Update{
					{Path: tree.Path(rapid.SampledFrom([]string{"a", "a1", "b/c"}).Draw(rt, "path")), Value: parse(t, value)},
					{Path: "d", Priority: rapid.Bool().Draw(rt, "priority"), Value: tree.NewInt(int64(serial))}}})
			},
			"rules": func(*rapid.T) {
				ctx, cancel := soon()
				defer cancel()
				text := rapid.SampledFrom([]string{`{"rules":{".write":true}}`, `{"rules":{".read":true,"served":{".indexOn":".value"},"writes":{"$c":{".indexOn":[".value","a"]}}}}`}).Draw(rt, "rules")
				alive("node").db.Do(ctx, &Op{Kind: OpSetRules, NS: "test", Rules: []byte(text), Caller: Root})
			},
			"stall": func(*rapid.T) { alive("node").wire.stall(true) },
			"go on": func(*rapid.T) { alive("node").wire.stall(false) },
			"kill": func(*rapid.T) {
				if up() == 1 {
					return
				}
				n := alive("node")
				disconnect(n)
				n.kill()
			},
			"restart": func(*rapid.T) {
				for _, n := range c.nodes {
					if n.db == nil {
						n.start()
						n.wire.random, n.wire.twice = rand.New(rand.NewPCG(seed, n.incarnation)), 2
						return
					}
				}
			},
			"end sessions": func(*rapid.T) {
				ctx, cancel := soon()
				defer cancel()
				a, b := alive("node"), alive("node")
				both := rapid.Bool().Draw(rt, "both")
				var wg sync.WaitGroup
				wg.Go(func() { a.db.EndSessionsOf(ctx, gone) })
				if both {
					wg.Go(func() { b.db.EndSessionsOf(ctx, gone) })
				}
				wg.Wait()
			},
			"suspect the living": func(*rapid.T) {
				ctx, cancel := soon()
				defer cancel()
				suspect := uint64(rapid.IntRange(1, 3).Draw(rt, "suspect"))
				alive("node").db.EndSessionsOf(ctx, func(node, _ uint64) bool { return node == suspect })
			},
			"reconfigure": func(*rapid.T) {
				if err := alive("node").log.Reconfigure(context.Background(), vlog.Segment{Kind: "mem"}); err != nil {
					t.Fatal(err)
				}
			},
			"many writes": func(*rapid.T) { // more than one record holds
				k := clients[rapid.IntRange(0, 3).Draw(rt, "client")]
				for range 40 {
					k.new()
				}
			},
			"confirmations": func(*rapid.T) { alive("node").db.logConfirmations() },
			"late entries":  func(*rapid.T) { c.deliver(alive("node")) },
			"copy": func(*rapid.T) {
				from := alive("node")
				for _, n := range c.nodes {
					if n.db == nil {
						serial++
						dir := fmt.Sprint("copy", serial)
						if err := from.store.Checkpoint(dir); err != nil {
							t.Fatal(err)
						}
						n.fs = vfs.NewCrashableMem()
						if ok, err := vfs.Clone(from.fs, n.fs, dir, "data", vfs.CloneSync); !ok || err != nil {
							t.Fatal(ok, err)
						}
						return
					}
				}
			},
			"digest": func(*rapid.T) {
				ctx, cancel := soon()
				defer cancel()
				alive("node").db.ProposeDigest(ctx)
			},
			"read": func(*rapid.T) {
				n := alive("node")
				n.sync()
				for path, value := range present {
					if got := dump(t, n.store, tree.Path(path)); got != string(tree.AppendExport(nil, parse(t, value))) {
						t.Fatalf("node %d does not see the acknowledged /%s: %s", n.number+1, path, got)
					}
				}
			},
		}
		rt.Repeat(actions)

		// All is well again.
		for _, n := range c.nodes {
			if n.db != nil {
				n.wire.stall(false)
				continue
			}
			n.start()
		}
		c.deliver(c.nodes[0])
		sessions := map[string]bool{}
		for _, k := range clients {
			for try := 0; ; try++ {
				connected, answered := k.settled()
				if connected && answered {
					break
				}
				if try == 20_000 {
					rt.Fatalf("%s is not answered: %v", k.name, k.unanswered)
				}
				if !connected {
					k.connect(c.nodes[try%3], false)
					continue
				}
				time.Sleep(time.Millisecond)
			}
		}
		for _, k := range clients {
			k.mu.Lock()
			s := k.sess
			k.mu.Unlock()
			if s != nil { // else another node has just ended it
				<-s.end()
			}
			for id, queued := range k.queued {
				sessions[id] = queued
			}
		}
		if _, err := c.nodes[1].db.EndSessionsOf(context.Background(), func(node, incarnation uint64) bool { return true }); err != nil {
			t.Fatal(err)
		}
		// What node 2 has still open is its own: connections that clients have left behind.
		if _, err := c.nodes[2].db.EndSessionsOf(context.Background(), func(node, incarnation uint64) bool { return node == 2 }); err != nil {
			t.Fatal(err)
		}
		for _, n := range c.nodes {
			n.sync()
			for _, k := range clients {
				if got := dump(t, n.store, tree.Path("count/"+k.name)); got != fmt.Sprint(k.made) && k.made > 0 {
					t.Errorf("node %d: %s made %d writes, counted are %s", n.number+1, k.name, k.made, got)
				}
				for i := range k.made {
					if got := dump(t, n.store, tree.Path(fmt.Sprintf("writes/%s/%d", k.name, i))); got != "1" {
						t.Errorf("node %d: write %d of %s was made %s times", n.number+1, i, k.name, got)
					}
				}
			}
			for id, queued := range sessions {
				if got := dump(t, n.store, tree.Path("ended/"+id)); got != "1" && (queued || got != "null") {
					t.Errorf("node %d: what session %s has queued ran %s times (it was told that it is queued: %v)", n.number+1, id, got, queued)
				}
			}
			for path, value := range present {
				if got := dump(t, n.store, tree.Path(path)); got != string(tree.AppendExport(nil, parse(t, value))) {
					t.Errorf("node %d: acknowledged /%s is %s", n.number+1, path, got)
				}
			}
		}
		c.compare()
	})
}

// deliver brings what dead nodes had on the way.
func (c *cluster) deliver(n *node) {
	c.mu.Lock()
	late := c.late
	c.late = nil
	c.mu.Unlock()
	for _, payloads := range late {
		if _, err := n.log.Append(context.Background(), payloads...); err != nil {
			c.t.Fatal(err)
		}
	}
}

// compare holds all replicas against each other, and against one that begins with nothing.
func (c *cluster) compare() {
	fresh := &node{c: c, number: len(c.nodes), fs: vfs.NewCrashableMem()}
	fresh.start()
	defer fresh.stop(context.Background())
	all := append([]*node{fresh}, c.nodes...)
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		// A sync that begins when all others are idle ends at the same position everywhere.
		var at [8]uint64
		var sums [8][32]byte
		equal := true
		for i, n := range all {
			n.sync()
			at[i], sums[i] = n.digest()
			equal = equal && at[i] == at[0]
		}
		if !equal {
			if time.Now().After(deadline) {
				c.t.Fatalf("the replicas do not come to rest: %v", at)
			}
			continue
		}
		for i := range all {
			if sums[i] != sums[0] {
				c.t.Errorf("at entry %d, node %d differs from a replay of the log: %s", at[i], all[i].number+1, difference(c.t, fresh.store, all[i].store))
			}
		}
		break
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for pos, sums := range c.digests {
		if len(sums) != 1 {
			c.t.Errorf("at entry %d there are %d different digests", pos, len(sums))
		}
	}
}

func difference(t testing.TB, a, b *store.Store) string {
	x, y := metas(t, a), metas(t, b)
	for k, v := range x {
		if y[k] != v {
			return fmt.Sprintf("record %q is %q and %q", k, v, y[k])
		}
	}
	for k, v := range y {
		if _, ok := x[k]; !ok {
			return fmt.Sprintf("record %q is missing and %q", k, v)
		}
	}
	return "the trees differ"
}
