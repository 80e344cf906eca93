package native

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// nodes are candidates in short: a letter each, its number is its place; capital: it is dead; in brackets: it has no log server.
func nodes(s string) (out []Candidate) {
	logServer := true
	for _, r := range s {
		switch {
		case r == '(' || r == ')':
			logServer = r == ')'
		default:
			c := Candidate{Name: string(r), LogServer: logServer, Sequencer: true, Alive: r >= 'a', Disk: 1, Prefer: -len(out)}
			c.Node = core.Node(r|0x20) - 'a' + 1
			out = append(out, c)
		}
	}
	return out
}

func names(cs []Candidate) (out string) {
	for _, c := range cs {
		out += c.Name
	}
	return out
}

func wish(s string) (w Wish) {
	for _, r := range s {
		w.Servers = append(w.Servers, core.Node(r-'a'+1))
	}
	return w
}

func TestChooseServers(t *testing.T) {
	for _, tc := range []struct {
		candidates string
		wish       Wish
		want       string // "" for none
	}{
		{"a", Wish{}, "a"},
		{"ab", Wish{}, "a"}, // of two, the loss of either would stop it
		{"abc", Wish{}, "abc"},
		{"abcde", Wish{}, "abc"},
		{"abcde", Wish{Count: 5}, "abcde"},
		{"abC", Wish{}, "abC"}, // it counts when it comes back
		{"aBcd", Wish{}, "acd"},
		{"aBC", Wish{}, ""},
		{"", Wish{}, ""},
		{"abc", wish("cba"), "cba"},
		{"abcd", wish("bcd"), "bcd"},
		{"abCd", wish("abc"), "abd"},  // the dead gives way
		{"abC", wish("abc"), "abC"},   // to nobody
		{"aBCd", wish("abc"), "adC"},  // one spare for two
		{"aBCde", wish("abc"), "ade"}, // two
		{"bcd", wish("abc"), "bcd"},   // one is no candidate any more
		{"bc", wish("abc"), "bc"},
		{"BCa", wish("bc"), ""},
		{"abc(d)", wish("abd"), "abc"}, // no log server
		{"(a)bcd", Wish{}, "bcd"},
		{"abc", wish("aab"), "abc"}, // named twice, counts once
		{"abcd", Wish{Servers: wish("d").Servers, Count: 3}, "dab"},
	} {
		got, err := chooseServers(tc.wish, nodes(tc.candidates))
		if names(got) != tc.want && !(tc.want == "adC" && names(got) == "aCd") || (err != nil) != (tc.want == "") {
			t.Errorf("%+v of %s: %s, %v; want %s", tc.wish, tc.candidates, names(got), err, tc.want)
		}
		if err != nil && !errors.Is(err, ErrNoMajority) {
			t.Error(err)
		}
	}
}

func TestChooseSequencers(t *testing.T) {
	for _, tc := range []struct {
		candidates string
		wish       core.Node
		want       string
	}{
		{"abc", 0, "abc"},
		{"abc", 3, "cab"},
		{"abC", 3, "ab"}, // away from the dead
		{"Abc", 1, "bc"},
		{"ABC", 1, ""},
		{"(a)bc", 0, "abc"}, // needs no log server
	} {
		if got := names(chooseSequencers(Wish{Sequencer: tc.wish}, nodes(tc.candidates))); got != tc.want {
			t.Errorf("%d of %s: %s, want %s", tc.wish, tc.candidates, got, tc.want)
		}
	}
}

// The node that was wished for is cut off, but nobody has noticed yet.
func TestSequencerElsewhere(t *testing.T) {
	c := newCluster(t, 3)
	c.nodes[2].mu.Lock()
	stopped := c.nodes[2].node
	c.nodes[2].mu.Unlock()
	c.nodes[2].accept.Close()
	if err := stopped.Close(); err != nil {
		t.Fatal(err)
	}
	l := c.create(0, 1, Wish{Sequencer: c.nodes[2].id, Count: 3})
	defer l.Close()
	if p := l.Placement(); p.Sequencer.Node != c.nodes[0].id || p.Sequencer.Name != "n1" || len(p.Servers) != 3 || p.Servers[0].Disk != c.node(0).Disk() {
		t.Fatalf("%+v", p)
	}
	appendN(t, l, 0, 3)
}

// Two processes make the loglet of one number at the same time: they are two loglets.
func TestRacingCreations(t *testing.T) {
	c := newCluster(t, 3)
	a, b := c.create(0, 5, Wish{Count: 3}), c.create(1, 5, Wish{Count: 3})
	defer a.Close()
	defer b.Close()
	appendN(t, a, 0, 5)
	appendN(t, b, 0, 2)
	if err := b.Seal(bg); err != nil {
		t.Fatal(err)
	}
	appendN(t, a, 5, 7)
	if a2 := c.open(2, a); true {
		wantAll(t, a2, 7)
		a2.Close()
	}
}

// Sequencers end with their loglets: those that are sealed, and those that the chain has dropped.
func TestSequencersEnd(t *testing.T) {
	c := newCluster(t, 3)
	for id := uint64(1); id <= 4; id++ {
		l := c.create(0, id, Wish{Sequencer: c.nodes[0].id})
		appendN(t, l, 0, 1)
		if id == 3 {
			if err := l.Seal(bg); err != nil {
				t.Fatal(err)
			}
		}
		l.Close()
	}
	n := c.node(0)
	if got := n.Stats().Sequencers; got != 4 {
		t.Fatalf("%d sequencers", got)
	}
	l, err := n.open(bg, vlog.LogletSpec{ID: 5, Create: true, Lowest: 3, Config: Wish{Sequencer: c.nodes[0].id}.Encode()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := n.Stats().Sequencers; got != 3 { // 3, 4 and 5
		t.Fatalf("%d sequencers", got)
	}
	for n.Stats().Sequencers != 2 { // what happens now and then
		n.sweepOnce()
		time.Sleep(time.Millisecond)
	}
	appendN(t, l, 0, 1)
}

func TestCreateIsRefused(t *testing.T) {
	c := newCluster(t, 3)
	n := c.node(0)
	for _, spec := range []vlog.LogletSpec{
		{ID: 0, Create: true},
		{ID: core.MaxSegment + 1, Create: true},
		{ID: 1, Create: true, Config: []byte("?")},
		{ID: 1, Config: nil},
		{ID: 1, Config: Wish{}.Encode()},
	} {
		if l, err := n.open(bg, spec); err == nil {
			t.Errorf("%+v was opened", spec)
			l.Close()
		}
	}
	c.stop(1)
	c.stop(2)
	if _, err := n.open(bg, vlog.LogletSpec{ID: 1, Create: true, Config: Wish{Count: 3}.Encode()}); !errors.Is(err, ErrNoMajority) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := n.askToBegin(ctx, 1, Config{Sequencer: Process{Node: 99}}); err == nil {
		t.Error("a node that is not there has begun")
	}
}

func TestConfig(t *testing.T) {
	c := Config{
		Servers:   []Server{{1, 2, "a:1", "n1"}, {3, 4, "b:2", ""}},
		Sequencer: Process{3, "b:2", "n2"}, Incarnation: 77,
	}
	got, err := DecodeConfig(c.Encode())
	if err != nil || fmt.Sprint(got) != fmt.Sprint(c) {
		t.Fatalf("%+v, %v", got, err)
	}
	w, err := decodeWish(c.Encode())
	if err != nil || fmt.Sprint(w) != fmt.Sprint(Wish{Servers: []core.Node{1, 3}, Sequencer: 3}) {
		t.Fatalf("%+v, %v", w, err)
	}
	if w, err = decodeWish(Wish{Servers: []core.Node{9}, Sequencer: 8, Count: 5}.Encode()); err != nil || fmt.Sprint(w) != "{[9] 8 5}" {
		t.Fatalf("%+v, %v", w, err)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add(Config{Servers: []Server{{1, 2, "a:1", "n1"}}, Sequencer: Process{3, "b:2", "n2"}, Incarnation: 77}.Encode())
	f.Add(Wish{Servers: []core.Node{9}, Sequencer: 8, Count: 5}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := DecodeConfig(b); err == nil && !bytes.Equal(c.Encode(), b) {
			t.Fatalf("%x is %+v is %x", b, c, c.Encode())
		}
		if w, err := decodeWish(b); err == nil && len(b) > 0 && b[0] == encodedWish && !bytes.Equal(w.Encode(), b) {
			t.Fatalf("%x is %+v is %x", b, w, w.Encode())
		}
	})
}
