package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rebase/gateway/clusteradmin"
	"rebase/test/harness"
)

// step runs a part of a test unless one before it has failed: what is broken breaks what follows.
func (c *cluster) step(name string, do func(t *testing.T)) {
	if c.owner.Failed() {
		return
	}
	c.owner.Run(name, func(t *testing.T) {
		c.t = t
		defer func() { c.t = c.owner }()
		do(t)
	})
}

// remove removes a node, and tries again where it is told to.
func (c *cluster) remove(at, n *node) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(250 * time.Millisecond) {
		out, err := c.cli(at, "cluster", "remove", n.name)
		if err == nil {
			return
		}
		if !strings.Contains(out, "try again") || time.Now().After(deadline) {
			c.t.Fatal(err)
		}
	}
}

// TestMembers has nodes come and go.
func TestMembers(t *testing.T) {
	s := harness.Seed(t)
	other := harness.BuildVersion(t, "0.0.1-other")
	// A node may leave when nothing of the log is on its disk alone: so the log is to be short.
	c := newCluster(t, "--checkpoint-every", "500ms", "--log-retain", "16KiB")
	c.found(3, nil)

	c.step("wiped disk", func(t *testing.T) {
		n := c.plain()
		c.under(t, "wiped disk of "+n.name, s, func(l *load) {
			l.mark("%s is lost", n.name)
			n.kill()
			n.wipe()
			c.serves(back, c.but(n)...)
			// As it was started before, it is another node of the same name, and nobody may take it for the one that was.
			n.flags = []string{"--join", c.but(n)[0].peer()}
			n.launch()
			var refused *harness.StartError
			if err := n.process().Listening(patience); !errors.As(err, &refused) {
				t.Fatalf("a node that has lost its disk is let in again: %v", err)
			}
			if !strings.Contains(refused.Output, "--replace") {
				t.Errorf("it is not told what to do: %s", refused.Output)
			}
			n.wipe()
			c.inState(n.name, "suspected") // nobody takes the place of the living
			l.mark("%s is replaced", n.name)
			n.launch("--replace", n.name)
			c.settled(n)
			c.serves(back, c.all()...)
		})
		c.inState(n.name, "up")
		c.sameState()
	})

	c.step("remove and add", func(t *testing.T) {
		n := c.sequencer()
		c.under(t, "remove "+n.name+" and add n4", s+1, func(l *load) {
			to := c.but(n)[0]
			l.mark("drain %s", n.name)
			c.mustCLI(to, "cluster", "drain", n.name)
			c.serves(back, c.but(n)...)
			l.mark("stop and remove %s", n.name)
			n.stop()
			c.forget(n)
			c.remove(to, n)
			c.serves(back, c.all()...)
			l.mark("add n4")
			four := c.add("n4")
			four.flags = []string{"--join", to.peer()}
			four.launch()
			c.settled(four)
			c.serves(back, c.all()...)
		})
		// It must not come back as if nothing had been.
		n.flags = []string{"--join", c.all()[0].peer()}
		n.launch()
		var refused *harness.StartError
		if err := n.process().Listening(patience); !errors.As(err, &refused) {
			t.Errorf("a removed node is let in again: %v", err)
		}
		c.having("n4 with the log on its disk", func(m clusteradmin.Node) bool { return m.Name == "n4" && m.LogServer })
		c.sameState()
	})

	c.step("dead node removed", func(t *testing.T) {
		n := c.plain()
		c.under(t, "remove dead "+n.name, s+2, func(l *load) {
			l.mark("%s dies and is removed", n.name)
			n.kill()
			c.forget(n)
			to := c.all()[0]
			c.serves(back, c.all()...)
			c.remove(to, n)
			l.mark("add n5")
			five := c.add("n5")
			five.flags = []string{"--join", to.peer()}
			five.launch()
			c.settled(five)
			c.serves(back, c.all()...)
		})
		c.sameState()
	})

	c.step("rolling upgrade", func(t *testing.T) {
		l := c.under(t, "rolling upgrade", s+3, func(l *load) {
			for _, n := range c.all() {
				to := c.but(n)[0]
				l.mark("drain and stop %s", n.name)
				c.mustCLI(to, "cluster", "drain", n.name)
				n.stop()
				n.bin = other
				n.launch()
				c.settled(n)
				l.mark("%s is back", n.name)
				c.mustCLI(n, "cluster", "undrain", n.name)
				c.inState(n.name, "up")
				c.serves(back, c.all()...)
			}
		})
		for _, b := range l.accounts.clients {
			if !b.rest && len(b.refusals)+len(b.unsure)+b.moves > 0 { // REST has no way to send somebody elsewhere
				t.Errorf("%s noticed: %d moves, %d writes in doubt, other answers %v", b.name, b.moves, len(b.unsure), b.refusals)
			}
		}
		for _, n := range c.status().Nodes {
			if n.State != "left" && n.Version != "0.0.1-other" {
				t.Errorf("%s is of version %s", n.Name, n.Version)
			}
		}
		c.sameState()
	})
}

// TestFive loses two nodes of five at once.
func TestFive(t *testing.T) {
	if !soak() {
		t.Skip("five nodes on two cores are for REBASE_FAULTS=soak")
	}
	s := harness.Seed(t)
	c := newCluster(t, "--log-servers", "5")
	c.found(5, nil)
	for i, f := range []struct {
		name string
		do   func(a, b *node)
		mend func(a, b *node)
	}{
		{"kill -9", func(a, b *node) { a.kill(); b.kill() }, func(a, b *node) { a.launch(); b.launch(); c.settled(a, b) }},
		{"partition", func(a, b *node) { c.net.Partition(a.name, b.name) }, func(a, b *node) { c.net.Heal() }},
		{"pause", func(a, b *node) { a.pause(); b.pause() }, func(a, b *node) { a.resume(); b.resume() }},
	} {
		c.step(f.name, func(t *testing.T) {
			a := c.sequencer()
			b := c.metaLeader()
			if a == b {
				b = c.but(a)[0]
			}
			c.under(t, f.name+" of "+a.name+" and "+b.name, s+uint64(i), func(l *load) {
				l.mark("%s of %s and %s", f.name, a.name, b.name)
				f.do(a, b)
				c.serves(back, c.but(a, b)...)
				time.Sleep(held())
				f.mend(a, b)
				l.mark("both are back")
				c.serves(back, c.all()...)
			})
			c.sameState()
		})
	}
	if names := c.all(); len(slices.Compact(names)) != 5 {
		t.Error("not five")
	}
}
