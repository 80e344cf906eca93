package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rebase/vlog"
)

// reads says whether a node reads the whole log soon.
func (n *rigNode) reads() error {
	ctx, cancel := context.WithTimeout(bg, 5*time.Second)
	defer cancel()
	tail, err := n.log.Tail(ctx)
	for p := vlog.Position(1); p < tail.Next && err == nil; {
		var es []vlog.Entry
		if es, err = n.log.Read(ctx, p, tail.Next, 1<<20); err == nil {
			if len(es) == 0 {
				return fmt.Errorf("nothing at %d", p)
			}
			p = es[len(es)-1].Pos + 1
		}
	}
	return err
}

// disks are the nodes on whose disks any part of the log is that has entries, or the end, and how few disks one of those parts has.
func (r *rig) disks() (on map[string]bool, fewest int) {
	on, fewest = map[string]bool{}, 100
	n := r.alive()[0]
	chain, err := n.c.chain(within(r.t))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range chain.Segments {
		if s.Sealed && s.End == s.Start {
			continue
		}
		for _, p := range n.c.Places(s) {
			fewest = min(fewest, len(p.Servers))
			for _, name := range p.Servers {
				on[name] = true
			}
		}
	}
	return on, fewest
}

// A node that has the only copy of what was written is not removed before there is another, nor at all if it is dead.
func TestTheOnlyDisk(t *testing.T) {
	t.Parallel()
	r := three(t, "")
	a := r.nodes[0]
	r.append("on three")
	if err := a.c.Reconfigure(within(t), Target{Kind: "native", Servers: []string{"n3"}}); err != nil {
		t.Fatal(err)
	}
	r.append("on n3 alone")
	if err := a.c.Remove(within(t), "n3", false); err != nil {
		t.Fatal(err)
	}
	r.named("n3").kill()
	if err := a.reads(); err != nil {
		t.Errorf("after a removal the log cannot be read: %v", err)
	}
	if got := a.entries(); len(got) != 6 {
		t.Errorf("%d entries: %q", len(got), got)
	}
	r.append("without n3")

	if err := a.c.Reconfigure(within(t), Target{Kind: "native", Servers: []string{"n2"}}); err != nil {
		t.Fatal(err)
	}
	r.append("on n2 alone")
	dead := r.named("n2")
	o := r.options("n4")
	o.Join = []string{a.o.Listen}
	r.add(o) // for a majority of etcd
	dead.kill()
	r.eventually("its death is seen", func() bool { m, err := a.c.Find("n2"); return err == nil && !m.Alive })
	wantError(t, a.c.Remove(within(t), "n2", false), "majority of its disks")
	o = r.options("")
	o.Join, o.Replace = []string{a.o.Listen}, "n2"
	ctx, cancel := context.WithTimeout(bg, 10*time.Second)
	defer cancel()
	c, err := Open(ctx, o)
	if err == nil {
		c.Close()
	}
	wantError(t, err, "majority of its disks")
	if err := dead.open(); err != nil {
		t.Fatal(err)
	}
	r.append("with n2 again")
}

// Of parts of the log of which a disk has left for good others are made, so that the next one can be lost as well.
func TestPartsHeal(t *testing.T) {
	t.Parallel()
	r := three(t, "")
	a := r.nodes[0]
	r.append("before")
	for i, name := range []string{"n2", "n3"} {
		dead := r.named(name)
		dead.kill()
		r.eventually("its death is seen", func() bool { m, err := a.c.Find(name); return err == nil && !m.Alive })
		o := r.options(fmt.Sprint("m", i))
		o.Join, o.Replace = []string{a.o.Listen}, name
		r.add(o)
		r.append("in between")
		r.eventually("all parts are on three nodes that are there", func() bool {
			on, fewest := r.disks()
			return !on[name] && fewest == 3
		})
	}
	for _, n := range r.alive() {
		if err := n.reads(); err != nil {
			t.Errorf("%s: %v", n.o.Name, err)
		}
		if got := n.entries(); len(got) != 3+3+3 {
			t.Errorf("%s: %d entries: %q", n.o.Name, len(got), got)
		}
	}
}

// Nodes are not drained beside others if all of them together cannot be ended.
func TestDrainOfTwo(t *testing.T) {
	t.Parallel()
	r := three(t, "")
	a := r.nodes[0]
	if err := a.c.Drain(within(t), "n2"); err != nil {
		t.Fatal(err)
	}
	if err := a.c.Drain(within(t), "n2"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	wantError(t, a.c.Drain(within(t), "n3"), "n2", "drained already")
	if err := a.c.Undrain(within(t), "n2"); err != nil {
		t.Fatal(err)
	}
	r.eventually("n2 is up", func() bool { m, _ := a.c.Find("n2"); return m.State == Up })
	if err := a.c.Drain(within(t), "n3"); err != nil {
		t.Fatal(err)
	}
	r.append("with two")
}
