package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// stage is a view made of a line: names of members with marks, and where the log is.
//
//	members  "1 2! 3~ 4- 5x L6"  alive, silent for long (!), silent for a moment (~), draining (-), left (x); L: a log server; ^: leads etcd; +: has just come; ?: heard, but not yet trusted
func stage(t *testing.T, self NodeID, members string, parts ...part) view {
	t.Helper()
	v := view{self: self, want: 3, replaceAfter: 10 * time.Second, active: active{segment: 1, parts: parts}}
	for _, f := range strings.Fields(members) {
		m := seen{state: Up, heard: true, alive: true, steady: time.Hour, database: true, logServer: true}
		for strings.HasPrefix(f, "L") {
			f, m.database = f[1:], false
		}
		for {
			mark := f[len(f)-1]
			switch mark {
			case '!':
				m.heard, m.alive = false, false
			case '~':
				m.heard, m.alive, m.steady = false, false, time.Second
			case '-':
				m.state = Draining
			case 'x':
				m.state, m.heard, m.alive = Left, false, false
			case '%':
				m.state = Left
			case '^':
				m.metaLeader = true
			case '?':
				m.alive, m.steady = false, time.Hour
			case '+':
				m.steady = 0
			default:
				if _, err := fmt.Sscan(f, &m.id); err != nil {
					t.Fatal(err)
				}
			}
			if m.id != 0 {
				break
			}
			f = f[:len(f)-1]
		}
		v.members = append(v.members, m)
	}
	return v
}

func on(sequencer NodeID, servers ...NodeID) part {
	return part{servers: servers, sequencer: sequencer}
}

func disputed(v view) view {
	for i := range v.members {
		v.members[i].disputed = !v.members[i].heard
	}
	return v
}

func TestDecide(t *testing.T) {
	lost := on(1, 1, 2, 3)
	lost.lost = true
	tests := []struct {
		name    string
		v       view
		layout  Layout
		want    string // "": nothing; "blocked"; else sequencers and servers
		after   time.Duration
		reasons string
	}{
		{name: "all is well", v: stage(t, 1, "1 2 3", on(1, 1, 2, 3))},
		{name: "an engine of another kind", v: stage(t, 1, "1! 2! 3")},
		{name: "the first node alone", v: stage(t, 1, "1", on(1, 1))},
		{name: "an even number gains nothing", v: stage(t, 1, "1 2", on(1, 1))},
		{name: "the third node has come", v: stage(t, 1, "1 2 3", on(1, 1)), want: "1 on 1 2 3", reasons: "to spare"},
		{name: "the third node has only just come", v: stage(t, 1, "1 2 3+", on(1, 1))},
		{name: "a third disk without a database", v: stage(t, 1, "1 2 L3", on(1, 1)), want: "1 on 1 2 3"},
		{name: "a fourth and a fifth are not used unless wanted", v: stage(t, 1, "1 2 3 4 5", on(1, 1, 2, 3))},
		{name: "five are wanted", v: stage(t, 1, "1 2 3 4 5", on(1, 1, 2, 3)), layout: Layout{Count: 5}, want: "1 on 1 2 3 4 5"},
		{name: "five are wanted and there are four", v: stage(t, 1, "1 2 3 4", on(1, 1, 2, 3)), layout: Layout{Count: 5}},
		{name: "fewer are wanted", v: stage(t, 2, "1 2 3", on(2, 1, 2, 3)), layout: Layout{Count: 1}, want: "2 on 1", after: calmStep},

		{name: "the sequencer's node is silent", v: stage(t, 2, "1~ 2 3", on(1, 1, 2, 3)), want: "2 on 1 2 3", reasons: "silent"},
		{name: "the same on the next node", v: stage(t, 3, "1~ 2 3", on(1, 1, 2, 3)), want: "2 on 1 2 3", after: urgentStep},
		{name: "with a spare disk", v: stage(t, 2, "1~ 2 3 L4", on(1, 1, 2, 3)), want: "2 on 2 3 4"},
		{name: "etcd's leader is spared", v: stage(t, 2, "1~ 2^ 3", on(1, 1, 2, 3)), want: "3 on 1 2 3"},
		{name: "etcd's leader is better than nobody", v: stage(t, 2, "1~ 2^ L3", on(1, 1, 2, 3)), want: "2 on 1 2 3"},
		{name: "but when the log moves anyway, so does the sequencer", v: stage(t, 1, "1^ 2 3", on(1, 1)), want: "2 on 1 2 3"},
		{name: "unless an operator wants it there", v: stage(t, 1, "1^ 2 3", on(1, 1)), layout: Layout{Sequencer: 1}, want: "1 on 1 2 3"},
		{name: "it leads and that is no reason to move", v: stage(t, 2, "1^ 2 3", on(1, 1, 2, 3))},
		{name: "two nodes that do not hear each other leave it to a third", v: disputed(stage(t, 2, "1~ 2 3^", on(1, 1, 2, 3))), want: "3 on 1 2 3"},
		{name: "if there is one", v: disputed(stage(t, 2, "1~ 2 L3", on(1, 1, 2, 3))), want: "2 on 1 2 3"},
		{name: "a disk that others hear is left where it is", v: disputed(stage(t, 1, "1 2! 3 4", on(1, 1, 2, 3)))},
		{name: "one with a disk of the new loglet is preferred", v: stage(t, 2, "1~ 2 3 4 5", on(1, 1, 4, 5)), layout: Layout{Servers: []NodeID{1, 4, 5}}, want: "2 on 2 4 5"},
		{name: "the sequencer's process is another", v: stage(t, 1, "1 2 3", lost), want: "2 on 1 2 3", reasons: "has ended"},
		{name: "the sequencer's node was silent and is heard again", v: stage(t, 2, "1? 2 3", on(1, 1, 2, 3))},
		{name: "nothing is moved to one that was silent", v: stage(t, 3, "1~ 2? 3 4?", on(1, 1, 2, 3)), want: "3 on 1 2 3"},
		{name: "a node cut off from the others", v: stage(t, 1, "1 2~ 3~", on(2, 1, 2, 3)), want: "blocked"},
		{name: "a log server decides nothing", v: stage(t, 3, "1~ 2 L3", on(1, 1, 2, 3))},
		{name: "one that was removed decides nothing", v: stage(t, 2, "1~ 2x 3", on(1, 1, 2, 3))},

		{name: "a log server is silent for a moment", v: stage(t, 1, "1 2~ 3 4", on(1, 1, 2, 3))},
		{name: "a log server is silent for long", v: stage(t, 1, "1 2! 3 4", on(1, 1, 2, 3)), want: "1 on 1 3 4", reasons: "moves from"},
		{name: "without a spare one it stays", v: stage(t, 1, "1 2! 3", on(1, 1, 2, 3))},
		{name: "two of three are dead", v: stage(t, 1, "1 2! 3! 4", on(1, 1, 2, 3)), want: "blocked"},

		{name: "the sequencer drains", v: stage(t, 2, "1- 2 3", on(1, 1, 2, 3)), want: "2 on 1 2 3", after: calmStep, reasons: "leaves"},
		{name: "a log server drains with a spare", v: stage(t, 1, "1 2- 3 4", on(1, 1, 2, 3)), want: "1 on 1 3 4"},
		{name: "a log server drains without a spare", v: stage(t, 1, "1 2- 3", on(1, 1, 2, 3))},
		{name: "all drain", v: stage(t, 1, "1- 2- 3-", on(1, 1, 2, 3))},
		{name: "a removed one leaves", v: stage(t, 1, "1 2x 3", on(1, 1, 2, 3)), want: "1 on 1 3"},
		{name: "a removed one is replaced", v: stage(t, 1, "1 2x 3 4", on(1, 1, 2, 3)), want: "1 on 1 3 4"},
		{name: "two are left, and a third comes", v: stage(t, 1, "1 2x 3 4", on(1, 1, 3)), want: "1 on 1 3 4"},

		{name: "disaggregated", v: stage(t, 1, "1 2 3 L4 L5 L6", on(1, 1, 2, 3)), layout: Layout{Servers: []NodeID{4, 5, 6}}, want: "1 on 4 5 6"},
		{name: "kept to", v: stage(t, 1, "1 2 3 L4 L5 L6", on(1, 4, 5, 6)), layout: Layout{Servers: []NodeID{4, 5, 6}}},
		{name: "one of those is dead", v: stage(t, 1, "1 2 3 L4 L5! L6", on(1, 4, 5, 6)), layout: Layout{Servers: []NodeID{4, 5, 6}}, want: "1 on 1 4 6"},
		{name: "and stays dead", v: stage(t, 1, "1 2 3 L4 L5! L6", on(1, 1, 4, 6)), layout: Layout{Servers: []NodeID{4, 5, 6}}},
		{name: "and comes back", v: stage(t, 1, "1 2 3 L4 L5 L6", on(1, 1, 4, 6)), layout: Layout{Servers: []NodeID{4, 5, 6}}, want: "1 on 4 5 6"},
		{name: "all that were wished for have left", v: stage(t, 1, "1 2 3 L4%", on(1, 4)), layout: Layout{Servers: []NodeID{4}}, want: "1 on 1 2 3"},
		{name: "one of two that were wished for has left", v: stage(t, 1, "1 2 3 L4 L5%", on(1, 4, 5)), layout: Layout{Servers: []NodeID{4, 5}}, want: "1 on 1 2 4"},
		{name: "two as the operator wants", v: stage(t, 1, "1 2 3", on(1, 1, 2)), layout: Layout{Servers: []NodeID{1, 2}}},
		{name: "the sequencer where it was wanted", v: stage(t, 1, "1 2 3", on(1, 1, 2, 3)), layout: Layout{Sequencer: 3}, want: "3 on 1 2 3"},
		{name: "not while that node is dead", v: stage(t, 1, "1 2 3~", on(1, 1, 2, 3)), layout: Layout{Sequencer: 3}},

		{name: "one of two stripes", v: stage(t, 3, "1~ 2 3", on(1, 1, 2, 3), on(2, 1, 2, 3)), want: "3 2 on 1 2 3", after: urgentStep},
		{name: "stripes that are well", v: stage(t, 3, "1 2 3", on(1, 1, 2, 3), on(2, 1, 2, 3))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.v.layout = test.layout
			p := decide(test.v)
			got := ""
			switch {
			case p.blocked != "":
				got = "blocked"
			case p.why != "":
				got = strings.Trim(fmt.Sprint(numbers(p.sequencers)), "[]") + " on " + strings.Trim(fmt.Sprint(numbers(p.servers)), "[]")
			}
			if got != test.want || got != "" && got != "blocked" && p.after != test.after || !strings.Contains(p.why, test.reasons) {
				t.Errorf("%q after %v, want %q after %v: %s%s", got, p.after, test.want, test.after, p.why, p.blocked)
			}
		})
	}
}

func numbers(ids []NodeID) (out []uint64) {
	for _, id := range ids {
		out = append(out, uint64(id))
	}
	return out
}

// What decide says, once it is done, leaves nothing to do: otherwise the log would never come to rest. And it never names the dead, unless
// they were there before.
func TestDecisionsSettle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "nodes")
		v := view{want: rapid.IntRange(1, 5).Draw(t, "want"), replaceAfter: 10 * time.Second, active: active{segment: 1}}
		var all []NodeID
		for i := range n {
			id := NodeID(i + 1)
			all = append(all, id)
			alive := rapid.IntRange(0, 4).Draw(t, "alive") > 0
			m := seen{id: id, database: rapid.IntRange(0, 3).Draw(t, "database") > 0, logServer: rapid.IntRange(0, 4).Draw(t, "disk") > 0, alive: alive, heard: alive || rapid.Bool().Draw(t, "heard"),
				steady: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Hour}).Draw(t, "steady"),
				state:  rapid.SampledFrom([]State{Up, Up, Up, Up, Draining, Left}).Draw(t, "state"), metaLeader: rapid.Bool().Draw(t, "leader")}
			m.alive = m.alive && m.state != Left
			v.members = append(v.members, m)
		}
		some := func(what string) []NodeID {
			return slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, n, func(id NodeID) NodeID { return id }).Draw(t, what)))
		}
		v.self = rapid.SampledFrom(all).Draw(t, "self")
		servers := some("servers")
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			v.active.parts = append(v.active.parts, part{servers: servers, sequencer: rapid.SampledFrom(all).Draw(t, "sequencer"), lost: rapid.IntRange(0, 5).Draw(t, "lost") == 0})
		}
		if rapid.Bool().Draw(t, "laid out") {
			v.layout.Servers = some("layout")
		} else {
			v.layout.Count = rapid.IntRange(0, 5).Draw(t, "count")
		}
		if rapid.Bool().Draw(t, "wished") {
			v.layout.Sequencer = rapid.SampledFrom(all).Draw(t, "wished sequencer")
		}
		for moves := 0; ; moves++ {
			p := decide(v)
			if p.why == "" {
				return
			}
			if moves == 3 {
				t.Fatalf("the log does not come to rest: %+v", p)
			}
			for _, id := range p.servers {
				m := v.members[id-1]
				if !m.logServer && !slices.Contains(servers, id) || (!m.alive || m.state != Up) && !slices.Contains(servers, id) && !slices.Contains(v.layout.Servers, id) {
					t.Fatalf("a new log server that cannot serve: %+v in %+v", m, p)
				}
			}
			for i, id := range p.sequencers {
				if m := v.members[id-1]; (!m.alive || !m.database || m.state != Up) && (!m.heard || id != v.active.parts[i].sequencer) {
					t.Fatalf("a sequencer on a node that cannot carry it: %+v", m)
				}
				v.active.parts[i] = part{servers: p.servers, sequencer: id}
			}
		}
	})
}

// A cluster's life, with drivers that see each other late, lose each other, and race at one chain.
func TestLivesOfClusters(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		if err := life(seed, nil); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

type simNode struct {
	id       NodeID
	up       bool
	started  uint64
	heard    map[NodeID]time.Time
	sus      *suspicion
	limit    limiter
	inc      map[uint64]map[NodeID]uint64
	left     abandoned
	planned  string
	since    time.Time
	cut      bool   // from all others
	apart    NodeID // from this one
	database bool
}

func life(seed uint64, trace func(string)) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	now := time.Unix(1000, 0)
	step := 50 * time.Millisecond
	var nodes []*simNode
	for i := range 3 + rng.IntN(3) {
		nodes = append(nodes, &simNode{id: NodeID(i + 1), up: true, started: 1, database: i < 3 || rng.IntN(2) == 0, heard: map[NodeID]time.Time{}, sus: newSuspicion(time.Second, 2*time.Second),
			limit: limiter{first: 200 * time.Millisecond, most: 30 * time.Second, calm: time.Minute}, inc: map[uint64]map[NodeID]uint64{}, left: abandoned{}})
	}
	chain := active{segment: 1, parts: []part{{servers: []NodeID{1}, sequencer: 1}}}
	alive := uint64(1) // incarnation of the node that the sequencer was started on
	moves, moved := 0, now
	reaches := func(a, b *simNode) bool {
		return a.up && b.up && (a == b || !a.cut && !b.cut && a.apart != b.id && b.apart != a.id)
	}
	tick := func() {
		now = now.Add(step)
		for _, n := range nodes {
			if !n.up {
				continue
			}
			n.sus.tick(now)
			v := view{self: n.id, want: 3, replaceAfter: 10 * time.Second, active: active{segment: chain.segment, parts: slices.Clone(chain.parts)}}
			if n.inc[chain.segment] == nil {
				n.inc[chain.segment] = map[NodeID]uint64{}
			}
			for _, o := range nodes {
				if reaches(n, o) && rng.IntN(10) > 0 {
					n.heard[o.id] = now
				}
				heard, ok, since := true, true, now.Add(-time.Hour)
				if o != n {
					heard, ok, since = n.sus.look(o.id, n.heard[o.id])
				}
				v.members = append(v.members, seen{id: o.id, database: o.database, logServer: true, state: Up, heard: heard, alive: ok, steady: now.Sub(since)})
				if p := &v.active.parts[0]; p.sequencer == o.id {
					if n.inc[chain.segment][o.id] == 0 {
						n.inc[chain.segment][o.id] = o.started
					}
					p.lost = n.inc[chain.segment][o.id] != o.started || o == n && o.started != alive
				}
			}
			n.left.judge(v, now)
			p := decide(v)
			if p.why == "" {
				n.planned = ""
				continue
			}
			if key := fmt.Sprint(chain.segment, p.servers, p.sequencers); key != n.planned {
				n.planned, n.since = key, now
			}
			if now.Sub(n.since) < p.after || !n.limit.allows(now) {
				continue
			}
			n.limit.use(now)
			n.planned = ""
			// What a reconfiguration really needs.
			majority := func(ids []NodeID) bool {
				k := 0
				for _, id := range ids {
					k += b2i(reaches(n, nodes[id-1]))
				}
				return k > len(ids)/2
			}
			meta := 0
			databases := 0
			for _, o := range nodes {
				if o.database {
					databases++
					meta += b2i(reaches(n, o))
				}
			}
			if s := nodes[p.sequencers[0]-1]; majority(chain.parts[0].servers) && majority(p.servers) && meta > databases/2 && reaches(n, s) {
				chain = active{segment: chain.segment + 1, parts: []part{{servers: p.servers, sequencer: s.id}}}
				alive = s.started
				n.left.note(v, p, now)
				moves++
				moved = now
				if trace != nil {
					trace(fmt.Sprint(now.Unix(), " node ", n.id, ": ", p.why, " -> ", p.servers, p.sequencers))
				}
			}
		}
	}
	run := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); {
			tick()
		}
	}
	run(5 * time.Second)
	if len(chain.parts[0].servers) != 3 {
		return fmt.Errorf("the log is on %v after the start", chain.parts[0].servers)
	}
	for range 6 {
		before := moves
		n := nodes[rng.IntN(len(nodes))]
		switch rng.IntN(4) {
		case 3: // a single way is cut
			n.apart = nodes[rng.IntN(len(nodes))].id
			run(time.Minute)
			if now.Sub(moved) < 15*time.Second {
				return fmt.Errorf("nodes %d and %d do not hear each other, and move the log to and fro", n.id, n.apart)
			}
			n.apart = 0
		case 0:
			n.up = false
			run(time.Duration(rng.IntN(20)) * time.Second)
			n.up, n.started = true, n.started+1
			n.heard, n.inc = map[NodeID]time.Time{}, map[uint64]map[NodeID]uint64{}
			n.sus = newSuspicion(time.Second, 2*time.Second)
		case 1:
			n.cut = true
			run(time.Duration(rng.IntN(20)) * time.Second)
			n.cut = false
		case 2: // a process that is paused
			n.up = false
			run(time.Duration(rng.IntN(5)) * time.Second)
			n.up = true
		}
		run(40 * time.Second)
		if s := nodes[chain.parts[0].sequencer-1]; s.started != alive {
			return fmt.Errorf("at %v the log has no sequencer", now.Unix())
		}
		if now.Sub(moved) < 15*time.Second {
			return fmt.Errorf("the log is still being moved, %v after the last fault", 40*time.Second)
		}
		if moves-before > 4 {
			return fmt.Errorf("one fault has moved the log %d times", moves-before)
		}
	}
	return nil
}

func TestSuspicion(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSuspicion(time.Second, 2*time.Second)
	look := func(d time.Duration, heard bool, want bool) {
		t.Helper()
		for end := now.Add(d); now.Before(end); {
			now = now.Add(50 * time.Millisecond)
			s.tick(now)
			at := time.Time{}
			if heard {
				at = now
			}
			s.look(1, at)
		}
		if _, alive, _ := s.look(1, time.Time{}); alive != want {
			t.Fatalf("alive is %v", alive)
		}
	}
	look(time.Second, false, true)            // not yet heard
	look(100*time.Millisecond, false, false)  // never heard
	look(1900*time.Millisecond, true, false)  // not yet trusted
	look(200*time.Millisecond, true, true)    // trusted
	look(1050*time.Millisecond, false, false) // silent
	look(time.Second, true, false)            // heard for a moment
	look(1100*time.Millisecond, false, false) // not for long
	look(1900*time.Millisecond, true, false)  // the pause begins anew
	look(200*time.Millisecond, true, true)
	now = now.Add(time.Minute)              // this process was stopped
	look(900*time.Millisecond, false, true) // the others have not been
	look(1050*time.Millisecond, false, false)
}

func TestRefusalIsQuickerThanSilence(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSuspicion(time.Second, 2*time.Second)
	s.tick(now)
	s.look(1, now)
	heard := now
	for range 8 {
		now = now.Add(50 * time.Millisecond)
		s.tick(now)
		if _, alive, _ := s.look(1, heard); !alive {
			t.Fatal("suspected too early")
		}
	}
	if !s.doubtful(1) {
		t.Fatal("not doubted")
	}
	s.refuse(1, heard.Add(-time.Second)) // one from before it was heard
	if _, alive, _ := s.look(1, heard); !alive {
		t.Fatal("an old refusal counts")
	}
	s.refuse(1, now)
	if audible, alive, _ := s.look(1, heard); alive || audible {
		t.Fatal("a refusal does not count")
	}
	now = now.Add(50 * time.Millisecond)
	s.tick(now)
	if audible, alive, _ := s.look(1, now); alive || !audible {
		t.Fatal("it was heard since")
	}
}

func TestLimiter(t *testing.T) {
	now := time.Unix(1000, 0)
	l := limiter{first: time.Second, most: 5 * time.Second, calm: time.Minute}
	for _, pause := range []time.Duration{1, 2, 4, 5, 5} {
		if !l.allows(now) {
			t.Fatal("not allowed")
		}
		l.use(now)
		if l.allows(now.Add(pause*time.Second - 1)) {
			t.Fatalf("allowed before %v s", pause)
		}
		now = now.Add(pause * time.Second)
	}
	now = now.Add(2 * time.Minute)
	l.use(now)
	if !l.allows(now.Add(time.Second)) {
		t.Error("it does not calm down")
	}
}
