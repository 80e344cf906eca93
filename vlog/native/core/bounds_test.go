package core

import (
	"fmt"
	"testing"
)

// Two processes extend a chain at the same time and draw the same number. Their sequencers order different things, and the servers keep them apart.
func TestRacingCreationsAreTwoLoglets(t *testing.T) {
	h := NewHost(5)
	for _, incarnation := range []uint64{11, 12} {
		out := h.Step(Message{Kind: Store, From: Node(incarnation), Disk: 5, Loglet: 1, Incarnation: incarnation, Ref: 1, First: 1,
			Entries: [][]byte{fmt.Append(nil, incarnation)}})
		if len(out.Records) != 2 || out.Records[1].Incarnation != incarnation || out.Records[1].Pos != 1 {
			t.Fatalf("records %+v", out.Records)
		}
	}
	h.Synced(4)
	seal := Message{Kind: Seal, Disk: 5, Loglet: 1, Incarnation: 12, Ref: 2}
	if out := h.Step(seal); len(out.Records) != 1 {
		t.Fatalf("seal: %+v", out)
	}
	h.Synced(5)
	for _, incarnation := range []uint64{11, 12} {
		out := h.Step(Message{Kind: Ask, Disk: 5, Loglet: 1, Incarnation: incarnation})
		if m := out.Messages[0]; m.Tail != 2 || m.Bit != (incarnation == 12) {
			t.Errorf("incarnation %d: %+v", incarnation, m)
		}
	}
}

// What is over in one chain says nothing of another.
func TestChainsShareAServer(t *testing.T) {
	h := NewHost(5)
	store := func(loglet uint64) Status {
		h.Step(Message{Kind: Store, Disk: 5, Loglet: loglet, Incarnation: 11, Ref: 1, First: 1, Entries: [][]byte{{1}}})
		out := h.Synced(1 << 60)
		if len(out.Messages) == 0 {
			out = h.Step(Message{Kind: Store, Disk: 5, Loglet: loglet, Incarnation: 11, Ref: 1, First: 1, Entries: [][]byte{{1}}})
		}
		return out.Messages[len(out.Messages)-1].Status
	}
	a, b := Number(1, 7, 0), Number(2, 3, 0)
	if store(a) != OK || store(b) != OK {
		t.Fatal("stores are refused")
	}
	h.Step(Message{Kind: Forget, Disk: 5, Loglet: Number(1, 8, 0)})
	h.Synced(1 << 60)
	if s := store(a); s != Sealed {
		t.Errorf("what is over: %d", s)
	}
	if s := store(b); s != OK {
		t.Errorf("another chain: %d", s)
	}
	if s := store(Number(1, 8, 0)); s != OK {
		t.Errorf("what is not over: %d", s)
	}
}

// Who asks leaves nothing behind, and neither do clients that wait and die.
func TestHostRemembersNoDeadClients(t *testing.T) {
	h := NewHost(5)
	for i := range uint64(5000) {
		h.Step(Message{Kind: Ask, From: Node(i), Disk: 5, Loglet: 100 + i, Incarnation: 1})
	}
	if len(h.loglets) != 0 || h.written != 0 {
		t.Fatalf("%d loglets, %d records from questions", len(h.loglets), h.written)
	}
	for i := range uint64(5000) {
		h.Step(Message{Kind: Wait, From: Node(i), Disk: 5, Loglet: 1, Incarnation: 1, Ref: 1, First: 9})
	}
	s := h.loglets[Key{1, 1}]
	if len(s.waiting) != maxWaits {
		t.Fatalf("%d Waits are kept", len(s.waiting))
	}
	for ref := range uint64(100) { // one that gives up each
		h.Step(Message{Kind: Wait, From: 9999, Disk: 5, Loglet: 1, Incarnation: 1, Ref: ref, Oldest: ref, First: 9})
	}
	n := 0
	for _, w := range s.waiting {
		if w.From == 9999 {
			n++
		}
	}
	if n != 1 {
		t.Fatalf("%d Waits of a client that has one", n)
	}
	for i := range Node(10000) {
		h.Gone(i)
	}
	if len(h.loglets) != 0 {
		t.Fatal("a loglet of which nobody has stored anything is kept")
	}
}

// A sequencer forgets the clients that have long been silent, and says so to one that repeats a request.
func TestSequencerForgetsSilentClients(t *testing.T) {
	cfg := Config{Loglet: 1, Servers: []Member{{1, 10}}, Sequencer: 100, Incarnation: 11}
	s := NewSequencer(cfg, SequencerOptions{Clients: 16})
	ask := func(n Node, ref uint64, again bool) *Message {
		out := s.Step(Message{Kind: Append, From: n, Loglet: 1, Incarnation: 11, Ref: ref, Oldest: ref, Again: again, Entries: [][]byte{{1}}})
		for len(out.Messages) > 0 {
			var next Output
			for _, m := range out.Messages {
				if m.Kind == Appended {
					return &m
				}
				next = s.Step(Message{Kind: Stored, From: 1, Loglet: 1, Incarnation: 11, Ref: m.Ref, First: m.First, Next: m.First + 1})
			}
			out = next
		}
		return nil
	}
	if m := ask(1, 1, true); m == nil || m.Status != OK { // its first message was lost; nobody has been forgotten yet
		t.Fatalf("%+v", m)
	}
	for n := range Node(100) {
		if m := ask(1000+n, 1, false); m == nil || m.Status != OK {
			t.Fatalf("%+v", m)
		}
	}
	if len(s.askers) > 17 {
		t.Fatalf("%d clients are remembered", len(s.askers))
	}
	if m := ask(1099, 1, true); m == nil || m.Status != OK || m.First != 101 {
		t.Fatalf("a repetition of one that is remembered: %+v", m)
	}
	if m := ask(1, 1, true); m == nil || m.Status != Refused {
		t.Fatalf("a repetition of one that is forgotten: %+v", m)
	}
	if m := ask(1, 2, false); m == nil || m.Status != OK || m.First != 102 {
		t.Fatalf("its next request: %+v", m)
	}
}

// What cannot be committed does not gather without bound.
func TestSequencerWithoutMajorityIsBounded(t *testing.T) {
	cfg := Config{Loglet: 1, Servers: []Member{{1, 10}}, Sequencer: 100, Incarnation: 11}
	s := NewSequencer(cfg, SequencerOptions{PendingBytes: 1000})
	for ref := range uint64(50) {
		s.Step(Message{Kind: Append, From: 7, Loglet: 1, Incarnation: 11, Ref: ref + 1, Oldest: 1, Entries: [][]byte{make([]byte, 100)}})
	}
	if s.Pending() != 10 {
		t.Fatalf("%d entries are pending", s.Pending())
	}
	s.Step(Message{Kind: Stored, From: 1, Loglet: 1, Incarnation: 11, First: 1, Next: 11})
	s.Step(Message{Kind: Append, From: 7, Loglet: 1, Incarnation: 11, Ref: 20, Oldest: 1, Again: true, Entries: [][]byte{make([]byte, 100)}})
	if s.Pending() != 1 || s.Known() != 11 {
		t.Fatalf("%d entries are pending, %d known", s.Pending(), s.Known())
	}
}

// A loglet that was dropped alone is sealed for whoever comes, whatever the others' state, before and after a restart; those of smaller numbers go on.
func TestDrop(t *testing.T) {
	s := newScript(t, 3, 0)
	c := s.client()
	s.begin(c, &simCall{kind: "append", values: []string{"a"}})
	s.pass(sequencerNode, 1, 2, 3, c.node)
	for range 5 {
		s.do(s.seq.Tick(), nil, nil)
		s.pass(sequencerNode, 1, 2, 3)
	}
	s.ask(c, "install-seal")
	s.pass(c.node, 1, 2, 3)
	s.lose()
	h := s.hosts[0]
	s.do(h.machine.Step(Message{Kind: Drop, From: 5, To: 1, Disk: h.member.Disk, Loglet: 1, Incarnation: 11}), h, nil)
	s.sync(h, len(h.flying))
	for range 2 {
		late := s.client()
		for _, kind := range []string{"tail", "append", "seal"} {
			call := &simCall{kind: kind}
			if kind == "append" {
				call.values = []string{"late" + string(rune('0'+len(s.clients)))}
			}
			if kind == "tail" { // checked here, not by the checker: what is over has no tail worth a name
				id, out := late.machine.CheckTail()
				late.calls[id] = &simCall{kind: "over"}
				s.do(out, nil, late)
			} else {
				s.begin(late, call)
			}
			for range 5 {
				s.pass(late.node, 1, 2)
				s.do(late.machine.Tick(), nil, late)
			}
			if len(late.calls) > 0 || s.check.err != nil {
				t.Fatalf("%s: %d calls under way, %v", kind, len(late.calls), s.check.err)
			}
			s.lose()
		}
		other := Message{Kind: Ask, From: 6, To: 1, Disk: h.member.Disk, Loglet: 1, Incarnation: 12}
		if out := h.machine.Step(other); len(out.Messages) != 1 || out.Messages[0].Bit {
			t.Fatalf("another incarnation: %+v", out.Messages)
		}
		s.restart(0)
	}
}
