package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rebase/cluster/secret"
)

func TestThreeNodes(t *testing.T) {
	t.Parallel()
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

// A striped log has a sequencer on every node; when one of them dies, its stripe gets another.
func TestStriped(t *testing.T) {
	t.Parallel()
	r := three(t, "")
	a := r.nodes[0]
	if err := a.c.Reconfigure(within(t), Target{Kind: "striped", Stripes: 3}); err != nil {
		t.Fatal(err)
	}
	r.append("striped")
	sequencers := func() (out []string) {
		for _, p := range r.places() {
			out = append(out, p.Sequencer)
		}
		slices.Sort(out)
		return out
	}
	if got := sequencers(); !slices.Equal(got, []string{"n1", "n2", "n3"}) {
		t.Errorf("sequencers on %v", got)
	}
	r.nodes[2].kill()
	r.append("without n3")
	if got := sequencers(); len(got) != 3 || slices.Contains(got, "n3") {
		t.Errorf("sequencers on %v", got)
	}
	if err := a.c.Reconfigure(within(t), Target{Kind: "native"}); err != nil {
		t.Fatal(err)
	}
	if got := a.entries(); len(got) != 5 {
		t.Errorf("%q", got)
	}
}

// After all have lost power at once the log goes on, though its sequencer is gone for good and everybody has been away.
func TestAllStartAgain(t *testing.T) {
	t.Parallel()
	r := three(t, "")
	r.append("before")
	for range 2 {
		for _, n := range r.nodes {
			n.kill()
		}
		var wg sync.WaitGroup
		for _, n := range r.nodes {
			wg.Go(func() {
				if err := n.open(); err != nil {
					t.Errorf("%s: %v", n.o.Name, err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		r.append("after")
	}
	for _, n := range r.nodes {
		if got := n.entries(); len(got) != 9 {
			t.Errorf("%s reads %q", n.o.Name, got)
		}
	}
}

// With a secret everything is encrypted, and nodes are added, drained, replaced and removed.
func TestMembersComeAndGo(t *testing.T) {
	t.Parallel()
	file := secretFile(t)
	r := three(t, file)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret's file: %v %v", info, err)
	}
	for _, n := range r.nodes {
		for _, name := range []string{tlsKey, tlsCertificate, tlsAuthorities} {
			if info, err := os.Stat(filepath.Join(n.o.Data, tlsDir, name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v %v", name, info, err)
			}
		}
	}
	a := r.nodes[0]
	r.append("before")

	// Who has another secret, or none, does not get in.
	for what, change := range map[string]func(*Options){
		"secret of another cluster": func(o *Options) {
			o.SecretFile = filepath.Join(t.TempDir(), "other")
			if err := os.WriteFile(o.SecretFile, secret.New(), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"speak TLS": func(o *Options) { o.SecretFile = "" },
		"a node of the name n2 already": func(o *Options) {
			o.Name = "n2"
		},
		"is alive":           func(o *Options) { o.Name, o.Replace = "", "n2" },
		"no node \"nobody\"": func(o *Options) { o.Replace = "nobody" },
	} {
		o := r.options("stranger")
		o.Join = []string{a.o.Listen}
		change(&o)
		ctx, cancel := context.WithTimeout(bg, 3*time.Second)
		c, err := Open(ctx, o)
		cancel()
		if err == nil {
			c.Close()
		}
		wantError(t, err, what)
		if !strings.Contains(what, "secret") && !strings.Contains(what, "TLS") && ctxEnded(err) {
			t.Errorf("refused only in the end: %v", err)
		}
	}

	// The sequencer's node is drained: the log moves on without a node being silent.
	was := r.places()[0].Sequencer
	if err := a.c.Drain(within(t), was); err != nil {
		t.Fatal(err)
	}
	if now := r.places()[0].Sequencer; now == was {
		t.Errorf("the sequencer is still on %s", was)
	}
	r.eventually("the node hears that it is drained", func() bool { return r.named(was).c.Self().State == Draining })
	if err := a.c.Undrain(within(t), was); err != nil {
		t.Fatal(err)
	}

	// One that is to end hands over.
	ending := r.named(r.places()[0].Sequencer)
	if err := ending.c.HandOver(within(t)); err != nil {
		t.Fatal(err)
	}
	if now := r.places()[0]; now.Sequencer == ending.o.Name || len(now.Servers) != 3 {
		t.Errorf("the log is on %v", now)
	}

	// A node dies and loses its disk; another one takes its place.
	dead := r.nodes[2]
	dead.kill()
	r.eventually("its death is seen", func() bool { m, err := a.c.Find("n3"); return err == nil && !m.Alive })
	o := r.options("")
	o.Join, o.Replace = []string{a.o.Listen}, "n3"
	b := r.add(o)
	if b.c.Name() != "n3" || b.c.ID() == dead.c.ID() {
		t.Errorf("the new node is %s %s", b.c.Name(), b.c.ID())
	}
	r.eventually("the log is on the new node", func() bool {
		_, server := a.c.Uses(a.log.Chain().Active(), b.c.ID())
		_, still := a.c.Uses(a.log.Chain().Active(), dead.c.ID())
		a.log.Tail(within(t))
		return server && !still
	})
	r.append("after")
	wantError(t, dead.open(), "was removed")

	// One that is alive is removed, and ends.
	gone := r.nodes[1]
	// What is on its disk and that of the one before, and so on one of three only, is copied before.
	if err := gone.c.Remove(within(t), "n2", false); err != nil {
		t.Fatal(err)
	}
	r.eventually("it ends", func() bool {
		select {
		case <-gone.c.Failed():
			return true
		default:
			return false
		}
	})
	wantError(t, gone.c.Err(), "removed")
	gone.kill()
	r.append("with two")
	if got, want := b.entries(), 3+3+2; len(got) != want {
		t.Errorf("%d entries, want %d: %q", len(got), want, got)
	}
	for _, s := range b.log.Chain().Segments {
		if _, on := b.c.Uses(s, gone.c.ID()); on && s.End-s.Start > 0 && len(b.c.Places(s)[0].Servers) == 3 {
			if _, also := b.c.Uses(s, dead.c.ID()); also {
				t.Errorf("segment %d is still on %v", s.ID, b.c.Places(s))
			}
		}
	}
	if m, err := a.c.Find("n2"); err == nil {
		t.Errorf("n2 is still a member: %+v", m)
	}
}

// Log servers without a database, and an operator who wants the log on them; and the engine is swapped.
func TestDisaggregated(t *testing.T) {
	t.Parallel()
	r := &rig{t: t}
	first := r.options("n1")
	first.Begin = true
	a := r.add(first)
	var names []string
	for _, name := range []string{"l1", "l2", "l3"} {
		o := r.options(name)
		o.Role, o.Join, o.MetaListen = RoleLog, []string{freeAddr(t), a.o.Listen}, ""
		r.add(o)
		names = append(names, name)
	}
	r.append("anywhere")
	r.eventually("the log servers are alive", func() bool {
		return !slices.ContainsFunc(a.c.Members(), func(m Member) bool { return !m.Alive })
	})
	if err := a.c.Reconfigure(within(t), Target{Kind: "native", Servers: names, Sequencer: "n1"}); err != nil {
		t.Fatal(err)
	}
	check := func(want ...string) func() bool {
		return func() bool {
			got := r.places()[0].Servers
			slices.Sort(got)
			return slices.Equal(got, want)
		}
	}
	if !check(names...)() {
		t.Fatalf("the log is on %v", r.places())
	}
	r.append("on log servers")

	// One of them dies: the database node stands in, until it comes back.
	l2 := r.named("l2")
	l2.kill()
	r.append("without l2")
	r.eventually("n1 stands in for l2", check("l1", "l3", "n1"))
	if err := l2.open(); err != nil {
		t.Fatal(err)
	}
	r.eventually("the log is where the operator wanted it", check(names...))
	r.eventually("l2 is known to have started again", func() bool {
		m, err := a.c.Find("l2")
		return err == nil && m.Incarnation == l2.c.Incarnation()
	})

	// To the cluster's own etcd and back. The driver keeps its hands off what is not native.
	if err := a.c.Reconfigure(within(t), Target{Kind: "etcd"}); err != nil {
		t.Fatal(err)
	}
	r.append("on etcd")
	if s := a.log.Chain().Active(); s.Kind != "etcd" || len(a.c.Places(s)) != 0 {
		t.Errorf("%+v", s)
	}
	if err := a.c.Reconfigure(within(t), Target{Kind: "native"}); err != nil {
		t.Fatal(err)
	}
	r.append("back")
	if got := a.entries(); len(got) != 5 {
		t.Errorf("%q", got)
	}
	l3 := r.named("l3")
	if err := a.c.Remove(within(t), "l3", false); err != nil {
		t.Fatal(err)
	}
	l3.end()
	if err := l3.open(); err != nil { // it asks only then
		t.Fatal(err)
	}
	r.eventually("a removed log server is told", func() bool { return l3.c.Err() != nil })
	wantError(t, l3.c.Err(), "was removed")
	for _, bad := range []Target{{Kind: "local"}, {Kind: "paper"}, {Kind: "zookeeper"}, {Kind: "native", Servers: []string{"x"}}, {Kind: "native", Sequencer: "l1"},
		{Kind: "native", Servers: []string{"l1", "l1"}}, {Kind: "native", Endpoints: []string{"a"}}, {Kind: "etcd", Sequencer: "n1"}} {
		if err := a.c.Reconfigure(within(t), bad); err == nil {
			t.Errorf("%+v was done", bad)
		}
	}
	if err := a.c.Drain(within(t), "n1"); err == nil {
		t.Error("the only database node was drained")
	}
}

func ctxEnded(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
