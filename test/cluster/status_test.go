package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"rebase/gateway/clusteradmin"
	"rebase/test/harness"
)

// status asks nodes, one after the other, what they know of the cluster, until one answers.
func (c *cluster) status() *clusteradmin.Cluster {
	c.t.Helper()
	var s clusteradmin.Cluster
	c.ask(clusteradmin.ClusterPath, &s)
	return &s
}

// chain asks for the state of the log.
func (c *cluster) chain() *clusteradmin.Log {
	c.t.Helper()
	var l clusteradmin.Log
	c.ask(clusteradmin.LogPath, &l)
	return &l
}

func (c *cluster) ask(path string, out any) {
	c.t.Helper()
	for deadline := time.Now().Add(back); ; time.Sleep(50 * time.Millisecond) {
		var last error
		for _, n := range c.all() {
			text, status, err := request(n, http.MethodGet, path, c.root, "", 5*time.Second)
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%d %.200s", status, text)
			}
			if err == nil {
				err = json.Unmarshal(text, out)
			}
			if err == nil {
				return
			}
			last = fmt.Errorf("%s at %s: %w", path, n.name, err)
		}
		if time.Now().After(deadline) {
			c.t.Fatal(last)
		}
	}
}

// having returns a node of which something is true, and waits until there is one.
func (c *cluster) having(what string, is func(clusteradmin.Node) bool) *node {
	c.t.Helper()
	for deadline := time.Now().Add(back); ; time.Sleep(50 * time.Millisecond) {
		s := c.status()
		if i := slices.IndexFunc(s.Nodes, is); i >= 0 {
			return c.named(s.Nodes[i].Name)
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("no node is %s: %+v", what, s.Nodes)
		}
	}
}

// sequencer is the node that orders the log.
func (c *cluster) sequencer() *node {
	c.t.Helper()
	return c.having("the sequencer", func(n clusteradmin.Node) bool { return n.Sequencer })
}

// metaLeader is the node whose etcd leads.
func (c *cluster) metaLeader() *node {
	c.t.Helper()
	return c.having("leader of the registry", func(n clusteradmin.Node) bool { return n.MetaLeader })
}

// plain is a node that is neither, if there is one.
func (c *cluster) plain() *node {
	c.t.Helper()
	return c.having("plain", func(n clusteradmin.Node) bool { return !n.Sequencer && !n.MetaLeader && n.State == "up" })
}

// inState waits until the cluster sees a node so.
func (c *cluster) inState(name string, states ...string) {
	c.t.Helper()
	c.having(fmt.Sprint(name, " in state ", states), func(n clusteradmin.Node) bool {
		return n.Name == name && slices.Contains(states, n.State)
	})
}

// spread waits until the log is on so many disks.
func (c *cluster) spread(disks int) {
	c.t.Helper()
	for deadline := time.Now().Add(back); ; time.Sleep(50 * time.Millisecond) {
		nodes := c.status().Nodes
		n := 0
		for _, m := range nodes {
			if m.LogServer {
				n++
			}
		}
		if n == disks {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the log is on %d disks, and should be on %d: %+v", n, disks, nodes)
		}
	}
}

// sameState has the replicas compared.
func (c *cluster) sameState() {
	c.t.Helper()
	all := c.all()
	if out, err := c.cli(all[0], "cluster", "digest"); err != nil {
		c.t.Error(out, err)
		return
	}
	// All have to have summed up one position, and the same sum of it.
	for deadline := time.Now().Add(back); ; time.Sleep(50 * time.Millisecond) {
		sums, count := map[string]bool{}, 0
		for _, n := range c.status().Nodes {
			if n.Diverged {
				c.t.Errorf("%s has diverged", n.Name)
			}
			if n.Role != "log" && n.State == "up" && n.DigestAt > 0 {
				sums[fmt.Sprint(n.DigestAt, n.Digest)] = true
				count++
			}
		}
		if len(sums) == 1 && count == len(all) {
			return
		}
		if time.Now().After(deadline) {
			c.t.Errorf("the replicas have not been found to be equal: %+v", c.status().Nodes)
			return
		}
	}
}

// sleepers are clients that connect to a node, ask for a note when they are gone, and never come back.
type sleepers struct {
	c    *cluster
	path string
	n    int
}

func (c *cluster) sleepers(t *testing.T, on *node, n int) *sleepers {
	t.Helper()
	loads++
	s := &sleepers{c, fmt.Sprintf("load%d/sleepers", loads), n}
	for i := range n {
		conn, err := harness.DialWithin(on.addr(), namespace, "", patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		s.call(t, conn, "auth", fmt.Sprintf(`{"cred":%q}`, secret))
		s.call(t, conn, "om", fmt.Sprintf(`{"p":"/%s","d":{"gone%d":{".sv":{"increment":1}}}}`, s.path, i))
	}
	return s
}

func (s *sleepers) call(t *testing.T, conn *harness.Conn, action, body string) {
	t.Helper()
	if m, err := conn.Call(action, []byte(body)); err != nil || m.Status != "ok" {
		t.Errorf("%s: %+v, %v", action, m, err)
	}
}

// noticed waits until the end of each has been noted, once, and returns how long that took from a moment on.
func (s *sleepers) noticed(t *testing.T, at *node, since time.Time) time.Duration {
	t.Helper()
	for {
		notes, err := s.notes(t, at)
		took := time.Since(since)
		if err == nil && len(notes) == s.n {
			return took.Round(time.Millisecond)
		}
		if took > back {
			t.Errorf("of %d clients of a dead node %d have been seen off within %v (%v)", s.n, len(notes), back, err)
			return took
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// notes are the clients whose end a node knows of.
func (s *sleepers) notes(t *testing.T, at *node) (map[string]int, error) {
	t.Helper()
	text, status, err := request(at, http.MethodGet, fmt.Sprintf("/%s.json?ns=%s&auth=%s", s.path, namespace, secret), "", "", 5*time.Second)
	notes := map[string]int{}
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(text, &notes)
	}
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %.200s", status, text)
	}
	for name, n := range notes {
		if n != 1 {
			t.Errorf("the end of client %s was noted %d times", name, n)
		}
	}
	return notes, err
}
