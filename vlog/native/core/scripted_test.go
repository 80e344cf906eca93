package core

import (
	"slices"
	"strings"
	"testing"
)

// A script drives a world by hand: nothing moves that is not told to.
type script struct {
	*world
	t *testing.T
}

func newScript(t *testing.T, servers int, m mistakes) *script {
	w := newWorld(1, settings{servers: servers, mistakes: m})
	w.loss, w.double = 0, 0
	w.clients = nil
	w.seq = NewSequencer(w.cfg, SequencerOptions{})
	w.seq.mistakes = m
	return &script{w, t}
}

func (s *script) client() *simClient {
	s.nodes++
	c := &simClient{node: s.nodes, calls: map[uint64]*simCall{}, tail: 1, machine: NewClient(s.cfg, s.nodes, ClientOptions{Retry: 2})}
	c.machine.mistakes = s.world.mistakes
	s.clients = append(s.clients, c)
	return c
}

// pass delivers what is under way between a and any of others, in both directions, until nothing is left, with disks that are done at once.
func (s *script) pass(a Node, others ...Node) {
	for {
		i := slices.IndexFunc(s.net, func(m Message) bool {
			return m.From == a && slices.Contains(others, m.To) || m.To == a && slices.Contains(others, m.From)
		})
		if i < 0 {
			return
		}
		m := s.net[i]
		s.net = slices.Delete(s.net, i, i+1)
		s.net = append(s.net, m)
		s.deliver(len(s.net) - 1)
		for _, h := range s.hosts {
			if h.up && len(h.flying) > 0 {
				s.sync(h, len(h.flying))
			}
		}
	}
}

// hurry delivers only what goes from a to b now.
func (s *script) hurry(a, b Node) {
	for i := 0; i < len(s.net); {
		if m := s.net[i]; m.From == a && m.To == b {
			s.deliver(i) // moves the last one here
			continue
		}
		i++
	}
	for _, h := range s.hosts {
		if h.up && len(h.flying) > 0 {
			s.sync(h, len(h.flying))
		}
	}
}

func (s *script) lose() { s.net = nil }

func (s *script) restart(i int) {
	h := s.hosts[i]
	h.up, h.flying = false, nil
	s.start(h)
}

func (s *script) ask(c *simClient, kind string) { s.begin(c, &simCall{kind: kind}) }

// append has value v stored on exactly the servers on.
func (s *script) store(c *simClient, v string, on ...Node) {
	s.begin(c, &simCall{kind: "append", values: []string{v}})
	s.hurry(c.node, sequencerNode)
	s.pass(sequencerNode, on...)
	s.lose()
}

// both runs a test with and without the mistake: without it must hold, with it must break as said.
func both(t *testing.T, m mistakes, want string, run func(t *testing.T, m mistakes) error) {
	t.Helper()
	if err := run(t, 0); err != nil {
		t.Errorf("without the mistake: %v", err)
	}
	if err := run(t, m); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("with the mistake: %v; want %q", err, want)
	}
}

// T1, the case that needs five servers. An entry is on server 1 alone. One client seals 2, 3 and 4 and ends the log before the entry. Another
// has the majority 1, 2, 3, finds the entry and repairs; its Known comes to server 5, which no seal has reached. A third client has asked 1,
// 4 and 5 while they were open, and waits.
func TestFiveServersKnownWithoutSeal(t *testing.T) {
	both(t, mistakeBareKnown, "was said to be 2 and unsealed", func(t *testing.T, m mistakes) error {
		s := newScript(t, 5, m)
		writer, installer, racer, asker := s.client(), s.client(), s.client(), s.client()
		s.store(writer, "a", 1)
		s.ask(asker, "tail")
		s.pass(asker.node, 1, 4, 5)
		s.pass(asker.node, 1, 4, 5)
		kept := s.net // the Waits to 2 and 3 are still on their way
		s.net = nil
		s.ask(installer, "install-seal")
		s.pass(installer.node, 2, 3, 4)
		s.lose()
		if s.check.end != 1 {
			t.Fatalf("the log is ended at %d", s.check.end)
		}
		s.ask(racer, "install-seal")
		s.pass(racer.node, 1, 2, 3)
		s.lose()
		if racer.tail != 2 {
			t.Fatalf("the racer has tail %d", racer.tail)
		}
		// The asker has heard nothing of that, for what the servers answered is still under way, all but server 5's.
		s.net = kept
		s.ask(racer, "tail")
		s.pass(racer.node, 5)
		s.pass(asker.node, 5)
		return s.check.err
	})
}

// The sequencer counts its own commits. An entry is on server 1 alone, the log has been ended before it by way of 2 and 3, and then somebody has
// repaired it onto 2: what 2 knows to be committed was never acknowledged and must not be.
func TestSequencerBelievesNobodyElsesKnown(t *testing.T) {
	both(t, mistakeAckOnKnown, "acknowledged at 1, but the log was ended at 1", func(t *testing.T, m mistakes) error {
		s := newScript(t, 3, m)
		writer, installer, racer := s.client(), s.client(), s.client()
		s.store(writer, "a", 1)
		s.ask(installer, "install-seal")
		s.pass(installer.node, 2, 3)
		s.lose()
		s.ask(racer, "install-seal")
		s.pass(racer.node, 1, 2)
		s.lose()
		if s.check.end != 1 || racer.tail != 2 {
			t.Fatalf("end %d, the racer's tail %d", s.check.end, racer.tail)
		}
		s.ask(racer, "tail")
		s.pass(racer.node, 2)
		s.lose()
		for range 50 {
			s.do(s.seq.Tick(), nil, nil)
		}
		s.pass(sequencerNode, 2, writer.node)
		s.pass(sequencerNode, 1, 2, 3, writer.node)
		if m == 0 && len(writer.calls) > 0 {
			t.Error("the append has not ended")
		}
		return s.check.err
	})
}

// T5: a loglet that is over is not begun again by a sequencer and a client that have slept through its end.
func TestForgottenLogletStaysSealed(t *testing.T) {
	both(t, mistakeResurrect, "begun after the seal and acknowledged", func(t *testing.T, m mistakes) error {
		s := newScript(t, 3, m)
		c := s.client()
		s.ask(c, "install-seal")
		s.pass(c.node, 1, 2, 3)
		for _, h := range s.hosts {
			s.do(h.machine.Step(Message{Kind: Forget, From: 5, To: h.member.Node, Disk: h.member.Disk, Loglet: 2}), h, nil)
			s.sync(h, len(h.flying))
		}
		for i := range s.hosts {
			s.restart(i)
		}
		s.begin(c, &simCall{kind: "append", values: []string{"a"}})
		s.hurry(c.node, sequencerNode)
		s.pass(sequencerNode, 1, 2, 3, c.node)
		if m == 0 && len(c.calls) > 0 {
			t.Error("the append should have failed")
		}
		return s.check.err
	})
}

// T10: the last entry of a burst is committed when nothing follows that could tell the servers.
func TestLastCommitIsTold(t *testing.T) {
	both(t, mistakeNoRelease, "still waits", func(t *testing.T, m mistakes) error {
		s := newScript(t, 3, m)
		c, reader := s.client(), s.client()
		s.begin(reader, &simCall{kind: "wait", from: 2})
		s.pass(reader.node, 1, 2, 3)
		s.begin(c, &simCall{kind: "append", values: []string{"a"}})
		s.hurry(c.node, sequencerNode)
		s.pass(sequencerNode, 1, 2, 3, c.node)
		for range 5 {
			s.do(s.seq.Tick(), nil, nil)
			s.pass(sequencerNode, 1, 2, 3)
		}
		s.pass(reader.node, 1, 2, 3)
		if len(reader.calls) > 0 {
			s.check.fail("the reader still waits")
		}
		return s.check.err
	})
}

// What was trimmed was committed, and a server must know that again after a restart: a repair would look for the entries for ever.
func TestTrimmedIsCommittedAfterRestart(t *testing.T) {
	both(t, mistakeTrimUnknown, "no tail", func(t *testing.T, m mistakes) error {
		s := newScript(t, 3, m)
		c := s.client()
		s.store(c, "a", 1, 2)
		s.store(c, "b", 1, 2)
		s.do(s.seq.Tick(), nil, nil)
		s.pass(sequencerNode, 1, 2)
		s.ask(c, "tail")
		s.pass(c.node, 1, 2)
		s.begin(c, &simCall{kind: "trim", from: 3})
		s.pass(c.node, 1, 2)
		s.lose()
		s.restart(1)
		late := s.client()
		s.ask(late, "install-seal")
		for range 10 {
			s.pass(late.node, 2, 3)
			s.do(late.machine.Tick(), nil, late)
		}
		if s.check.end != 3 {
			s.check.fail("no tail: %d", s.check.end)
		}
		return s.check.err
	})
}

// Found by the simulation (seed 11822, three servers): a server that lags behind, and is sealed, must let itself be trimmed beyond its own tail, or
// nobody can trim once one of the others is lost.
func TestTrimBeyondOwnTail(t *testing.T) {
	s := newScript(t, 3, 0)
	c := s.client()
	s.store(c, "a", 1, 2)
	s.store(c, "b", 1, 2)
	s.do(s.seq.Tick(), nil, nil)
	s.pass(sequencerNode, 1, 2)
	s.ask(c, "install-seal")
	s.pass(c.node, 1, 2)
	s.lose()
	s.begin(c, &simCall{kind: "trim", from: 3})
	for range 10 {
		s.pass(c.node, 2, 3)
		s.do(c.machine.Tick(), nil, c)
	}
	if len(c.calls) > 0 || s.check.err != nil {
		t.Fatalf("%d calls under way, %v", len(c.calls), s.check.err)
	}
}

// Found by the simulation (seed 448): a reader that had lost the answer of its own server, found the second one dead and the third without the entry,
// never came back to the first.
func TestReadComesRoundAgain(t *testing.T) {
	s := newScript(t, 3, 0)
	c := s.client()
	s.store(c, "a", 1, 2)
	s.store(c, "b", 1, 3) // 3 takes b over a gap: a is known to be committed
	s.ask(c, "tail")
	s.pass(c.node, 1, 2)
	s.ask(c, "install-seal")
	s.pass(c.node, 1, 2, 3)
	s.lose()
	s.begin(c, &simCall{kind: "read", from: 1, to: 2})
	s.lose()
	for i := range 40 {
		if i > 5 {
			s.pass(c.node, 1)
		}
		s.pass(c.node, 3)
		s.do(c.machine.Tick(), nil, c)
	}
	if len(c.calls) > 0 || s.check.stats.reads != 1 || s.check.err != nil {
		t.Fatalf("%s, %d reads, %v", s.hanging(), s.check.stats.reads, s.check.err)
	}
}

// Found by the conformance suite with all servers restarted: nobody but the sequencer knew any more how far the log was committed, the sequencer had
// told every server before, and whoever asked for the tail waited for ever.
func TestTailAfterAllServersRestarted(t *testing.T) {
	s := newScript(t, 3, 0)
	c := s.client()
	s.begin(c, &simCall{kind: "append", values: []string{"a"}})
	s.hurry(c.node, sequencerNode)
	s.pass(sequencerNode, 1, 2, 3, c.node)
	s.do(s.seq.Tick(), nil, nil)
	s.pass(sequencerNode, 1, 2, 3)
	for i := range s.hosts {
		s.restart(i)
	}
	late := s.client()
	s.ask(late, "tail")
	for range 10 {
		s.pass(late.node, 1, 2, 3, sequencerNode)
		s.do(late.machine.Tick(), nil, late)
		s.do(s.seq.Tick(), nil, nil)
		s.pass(sequencerNode, 1, 2, 3)
	}
	if late.tail != 2 || s.check.err != nil {
		t.Fatalf("tail %d, %v", late.tail, s.check.err)
	}
}

// A disk that was put back to an earlier state is found out by the sequencer's next word to it.
func TestPutBackDiskIsFoundOut(t *testing.T) {
	both(t, mistakeForgetAcked, "cannot be read", func(t *testing.T, m mistakes) error {
		s := newScript(t, 3, m)
		c := s.client()
		s.store(c, "a", 1, 2)
		old := slices.Clone(s.hosts[1].disk)
		c.calls = map[uint64]*simCall{}
		s.begin(c, &simCall{kind: "append", values: []string{"b"}})
		s.hurry(c.node, sequencerNode)
		s.pass(sequencerNode, 1, 2, c.node)
		s.ask(c, "tail")
		s.pass(c.node, 1, 2)
		s.lose()
		if s.check.tail < 3 {
			t.Fatalf("tail %d", s.check.tail)
		}
		s.hosts[1].disk = old
		s.restart(1)
		s.begin(c, &simCall{kind: "append", values: []string{"c"}})
		s.hurry(c.node, sequencerNode)
		s.hurry(sequencerNode, 2)
		s.lose()
		late := s.client()
		s.ask(late, "install-seal")
		for range 5 {
			s.pass(late.node, 2, 3)
			s.do(late.machine.Tick(), nil, late)
		}
		if m == 0 && s.check.end != 0 {
			t.Error("a tail without the one that knows it")
		}
		if s.check.end != 0 {
			s.begin(late, &simCall{kind: "read", from: 2, to: s.check.end})
			for range 5 {
				s.pass(late.node, 2, 3)
				s.do(late.machine.Tick(), nil, late)
			}
			if len(late.calls) > 0 {
				s.check.fail("position 2 cannot be read")
			}
		}
		s.restart(1) // it must not forget that it has forgotten
		if s.hosts[1].machine.loglets[s.cfg.Key()].lost != (m == 0) {
			t.Errorf("lost: %v", s.hosts[1].machine.loglets[s.cfg.Key()].lost)
		}
		return s.check.err
	})
}

// Found by the simulation (seed 0): a Stored that comes when the sequencer has given up.
func TestLateStoredAfterSeal(t *testing.T) {
	s := newScript(t, 3, 0)
	c := s.client()
	s.begin(c, &simCall{kind: "append", values: []string{"a"}})
	s.hurry(c.node, sequencerNode)
	s.hurry(sequencerNode, 1)
	late := s.net
	s.net = nil
	for _, n := range []Node{2, 3} {
		s.seq.Step(Message{Kind: Stored, From: n, Loglet: 1, Incarnation: 11, Status: Sealed, Bit: true})
	}
	s.net = late
	s.pass(sequencerNode, 1, 2, 3, c.node)
	if !s.seq.sealed || s.seq.Pending() != 0 {
		t.Fatal("the sequencer is not sealed")
	}
}

func TestConfig(t *testing.T) {
	good := Config{Loglet: 1, Servers: []Member{{1, 10}, {2, 20}, {3, 30}}, Sequencer: 9, Incarnation: 4}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no servers":     func(c *Config) { c.Servers = nil },
		"one disk twice": func(c *Config) { c.Servers[1].Disk = 10 },
		"one node twice": func(c *Config) { c.Servers[1].Node = 1 },
		"no incarnation": func(c *Config) { c.Incarnation = 0 },
		"no number":      func(c *Config) { c.Loglet = 0 },
		"too many":       func(c *Config) { c.Servers = make([]Member, 65) },
	} {
		bad := good
		bad.Servers = slices.Clone(good.Servers)
		change(&bad)
		if bad.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for n, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3} {
		if c := (Config{Servers: make([]Member, n)}); c.majority() != want {
			t.Errorf("majority of %d is %d", n, c.majority())
		}
	}
}

// Found by the simulation of the whole log: servers that take longer to answer than it takes to lose patience. Every call must end all the same.
func TestAnswersSlowerThanRepetitions(t *testing.T) {
	s := newScript(t, 3, 0)
	c := s.client() // repeats after 2 ticks
	const delay = 7 // one way
	var lines [delay][]Message
	at := 0
	until := func(what string) {
		for range 2000 {
			if len(c.calls) == 0 {
				return
			}
			at = (at + 1) % delay
			due := lines[at]
			lines[at] = s.net
			for s.net = nil; len(due) > 0; due = due[1:] {
				var sent []Message
				sent, s.net = s.net, []Message{due[0]}
				s.deliver(0)
				s.net = append(sent, s.net...)
			}
			for _, h := range s.hosts {
				if len(h.flying) > 0 {
					s.sync(h, len(h.flying))
				}
			}
			s.do(c.machine.Tick(), nil, c)
			s.do(s.seq.Tick(), nil, nil)
		}
		t.Fatalf("%s does not end: %s", what, s.hanging())
	}
	s.begin(c, &simCall{kind: "append", values: []string{"a", "b"}})
	until("append")
	s.ask(c, "tail")
	until("tail")
	s.begin(c, &simCall{kind: "read", from: 1, to: 3})
	until("read")
	// An entry on one server only, and a seal: the tail takes a repair.
	s.begin(c, &simCall{kind: "append", values: []string{"c"}})
	s.hurry(c.node, sequencerNode)
	s.hurry(sequencerNode, 1)
	lines, s.net, s.seq = [delay][]Message{}, nil, NewSequencer(Config{Loglet: 9, Servers: s.cfg.Servers, Sequencer: sequencerNode, Incarnation: 99}, SequencerOptions{})
	c.calls = map[uint64]*simCall{}
	c.machine.calls = nil
	s.ask(c, "install-seal")
	until("seal, tail and repair")
	s.begin(c, &simCall{kind: "trim", from: 2})
	until("trim")
	if s.check.err != nil {
		t.Fatal(s.check.err)
	}
}
