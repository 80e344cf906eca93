package cluster

import (
	"slices"
	"testing"
)

func TestThreeNodes(t *testing.T) {
	r := three(t, "")
	r.append("all three")
	for _, n := range r.nodes {
		if got := n.entries(); len(got) != 3 {
			t.Fatalf("%s reads %q", n.o.Name, got)
		}
		for _, m := range n.c.Members() {
			if !m.Alive || m.State != Up || m.ClientURL != "http://"+m.Name+".example" || m.Disk == 0 {
				t.Errorf("%s sees %+v", n.o.Name, m)
			}
		}
	}
	for _, p := range r.nodes[1].c.Peers(within(t)) {
		if p.Err != nil || p.Status.Record.ID != p.Member.ID || p.Status.Replica == nil || p.Status.Replica.Applied != 7 {
			t.Errorf("status %+v", p)
		}
	}

	// The sequencer's node dies: the others go on.
	was := r.places()[0].Sequencer
	dead := r.named(was)
	dead.kill()
	r.append("without " + was)
	if now := r.places()[0].Sequencer; now == was {
		t.Errorf("the sequencer is still on %s", was)
	}
	rest := r.alive()
	r.eventually("the sessions of the dead node end", func() bool {
		for _, n := range rest {
			select {
			case f := <-n.gone:
				if f(uint64(dead.c.ID()), dead.c.Incarnation()) && !f(uint64(n.c.ID()), n.c.Incarnation()) {
					return true
				}
			default:
			}
		}
		return false
	})

	// It comes back, and is told apart from what it was.
	before := dead.c.Incarnation()
	if err := dead.open(); err != nil {
		t.Fatal(err)
	}
	r.eventually("the node is heard again", func() bool {
		m, err := rest[0].c.Find(was)
		return err == nil && m.Alive && m.Incarnation == dead.c.Incarnation()
	})
	gone := rest[0].c.Gone()
	if id := uint64(dead.c.ID()); !gone(id, before) || gone(id, dead.c.Incarnation()) || gone(id, dead.c.Incarnation()+1) || gone(12345, 1) {
		t.Error("a node that has started again is not told apart from what it was")
	}
	r.append("with all again")
	if got := dead.entries(); len(got) != 3+2+3 {
		t.Errorf("%s reads %q", was, got)
	}
	if names := r.places()[0].Servers; !slices.Equal(slices.Sorted(slices.Values(names)), []string{"n1", "n2", "n3"}) {
		t.Errorf("the log is on %v", names)
	}
}
