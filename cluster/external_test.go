package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"rebase/test/engines"
)

// With an etcd of the operator's the nodes run none, and do not mind for a while if it is not there.
func TestExternalEtcd(t *testing.T) {
	t.Parallel()
	etcd := engines.Etcd(t)
	r := &rig{t: t}
	first := r.options("n1")
	first.Begin, first.Meta, first.MetaListen = true, []string{etcd.ClientURL}, ""
	a := r.add(first)
	for _, name := range []string{"n2", "n3"} {
		o := r.options(name)
		o.Join = []string{a.o.Listen}
		r.add(o)
	}
	r.eventually("the log is on three disks", func() bool { return len(r.places()[0].Servers) == 3 })
	for _, n := range r.nodes {
		if _, err := os.Stat(filepath.Join(n.o.Data, "etcd")); err == nil || n.c.Self().MetaPeer != "" {
			t.Errorf("%s runs an etcd of its own: %v", n.o.Name, err)
		}
	}
	r.append("with etcd") // and so all know where the log is
	etcd.Pause()
	r.append("without etcd")
	etcd.Continue()

	was := r.places()[0].Sequencer
	r.named(was).kill()
	r.append("without " + was)
	alive := r.alive()
	if err := alive[0].c.Remove(within(t), was, false); err != nil {
		t.Fatal(err)
	}
	if got := alive[1].entries(); len(got) != 8 {
		t.Errorf("%q", got)
	}
	r.named(was).o.Meta = nil
	wantError(t, r.named(was).open(), "was removed")

	// A node that runs its own cannot be made to.
	o := r.options("n4")
	o.Join, o.Meta = []string{alive[0].o.Listen}, nil
	n := r.add(o)
	n.end()
	n.o.Meta = []string{"http://127.0.0.1:1"}
	n.o.Name = "other name"
	wantError(t, n.open(), "cannot be the name")
}

// Whoever gives out names and addresses at the same time, they are given out once.
func TestNamesAreGivenOnce(t *testing.T) {
	t.Parallel()
	r := &rig{t: t}
	first := r.options("n1")
	first.Begin = true
	a := r.add(first)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[string]int{}
	for i := range 12 {
		wg.Go(func() {
			name := fmt.Sprintf("l%d", i%3)
			rec := Record{ID: NodeID(1000 + i), Name: name, Peer: fmt.Sprintf("10.0.0.%d:1", i), Role: RoleLog, Disk: NodeID(i + 1), Incarnation: 1, State: Up}
			var answer joinAnswer
			if err := a.c.callWithin(bg, joinTimeout, a.c.PeerAddr(), joinPath, joinRequest{Record: rec}, &answer); err == nil {
				mu.Lock()
				won[name]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"l0", "l1", "l2"} {
		if won[name] != 1 {
			t.Errorf("%d nodes have the name %s", won[name], name)
		}
	}
	if n := len(a.c.Members()); n != 4 {
		t.Errorf("%d members", n)
	}
	// A folder that was copied, or put back to an earlier state, is not the node any more.
	rec := Record{ID: 1000, Name: "l0", Peer: "10.0.0.0:1", Role: RoleLog, Disk: 1, Incarnation: 1, State: Up}
	for what, change := range map[string]func(*Record){
		"of an earlier time":   func(r *Record) { r.Incarnation = 0 },
		"storage":              func(r *Record) { r.Disk = 77 },
		"a node of the name":   func(r *Record) { r.Name = "l1" },
		"has the same address": func(r *Record) { r.Peer = a.c.PeerAddr() },
		"has no node":          func(r *Record) { r.ID = 4711 },
	} {
		for _, m := range a.c.Members() { // whichever has won
			if m.Name == "l0" {
				rec.ID, rec.Peer, rec.Disk = m.ID, m.Peer, m.Disk
			}
		}
		changed := rec
		change(&changed)
		var answer joinAnswer
		wantError(t, a.c.call(bg, a.c.PeerAddr(), recordPath, joinRequest{Record: changed}, &answer), what)
	}
}
