package mutex

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"rebase/clock"
	"rebase/clock/history"
	"rebase/clock/lamport"
)

// world carries the messages of a system, in any order but that between two processes,
// and looks at what the paper promises.
type world struct {
	t         *rapid.T
	all       []clock.Proc
	processes map[clock.Proc]*Process
	wires     map[[2]clock.Proc][]Message
	busy      [][2]clock.Proc // wires with messages, each as often as it has
	causes    map[[2]clock.Proc][]int
	history   history.History
	requests  []request
	asked     map[clock.Proc]int // open requests
	holder    clock.Proc
	held      bool
	granted   []lamport.Stamp
	sent      map[Kind]int
}

type request struct {
	event   int
	stamp   lamport.Stamp
	granted int // its place among grants, or -1
}

func newWorld(t *rapid.T, n int, quiet bool) *world {
	w := &world{t: t, processes: map[clock.Proc]*Process{}, wires: map[[2]clock.Proc][]Message{},
		causes: map[[2]clock.Proc][]int{}, asked: map[clock.Proc]int{}, sent: map[Kind]int{}}
	for p := range n {
		w.all = append(w.all, clock.Proc(p*7+1))
	}
	w.holder = rapid.SampledFrom(w.all).Draw(t, "holder")
	w.held = true
	for _, p := range w.all {
		w.processes[p] = New(p, w.all, w.holder, quiet)
	}
	if !w.processes[w.holder].Holds() {
		t.Fatal("the first holder does not hold")
	}
	return w
}

func (w *world) send(event int, from clock.Proc, list []Message) {
	for _, m := range list {
		w.sent[m.Kind]++
		wire := [2]clock.Proc{from, m.To}
		w.wires[wire] = append(w.wires[wire], m)
		w.causes[wire] = append(w.causes[wire], event)
		w.busy = append(w.busy, wire)
	}
}

func (w *world) request(p clock.Proc) {
	list, err := w.processes[p].Request()
	if _, open := w.asked[p]; open || w.held && w.holder == p {
		if !errors.Is(err, ErrRequested) {
			w.t.Fatalf("second request of %d: %v", p, err)
		}
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	e := w.history.Event(p)
	stamp, _ := w.processes[p].Pending()
	w.asked[p] = len(w.requests)
	w.requests = append(w.requests, request{e, stamp, -1})
	w.send(e, p, list)
	w.look()
}

func (w *world) release(p clock.Proc) {
	list, err := w.processes[p].Release()
	if !w.held || w.holder != p {
		if !errors.Is(err, ErrNotHeld) {
			w.t.Fatalf("%d released what it does not hold: %v", p, err)
		}
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.held = false
	w.send(w.history.Event(p), p, list)
	w.look()
}

func (w *world) deliver() {
	i := rapid.IntRange(0, len(w.busy)-1).Draw(w.t, "wire")
	wire := w.busy[i]
	w.busy[i] = w.busy[len(w.busy)-1]
	w.busy = w.busy[:len(w.busy)-1]
	m, cause := w.wires[wire][0], w.causes[wire][0]
	w.wires[wire], w.causes[wire] = w.wires[wire][1:], w.causes[wire][1:]
	list, err := w.processes[wire[1]].Receive(m)
	if err != nil {
		w.t.Fatalf("%+v: %v", m, err)
	}
	w.history.Event(wire[1], cause)
	if len(list) > 0 {
		w.send(w.history.Event(wire[1]), wire[1], list)
	}
	w.look()
}

// look sees who holds, after every step.
func (w *world) look() {
	for _, p := range w.all {
		switch holds := w.processes[p].Holds(); {
		case holds && w.held && w.holder != p:
			w.t.Fatalf("%d and %d hold the resource", w.holder, p)
		case !holds && w.held && w.holder == p:
			w.t.Fatalf("%d has lost the resource", p)
		case holds && !w.held:
			w.held, w.holder = true, p
			r := &w.requests[w.asked[p]]
			delete(w.asked, p)
			r.granted = len(w.granted)
			w.granted = append(w.granted, r.stamp)
		}
	}
}

func TestMutualExclusion(t *testing.T) {
	acks := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		quiet := rapid.Bool().Draw(t, "quiet")
		w := newWorld(t, rapid.IntRange(1, 5).Draw(t, "processes"), quiet)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			p := rapid.SampledFrom(w.all).Draw(t, "process")
			switch k := rapid.IntRange(0, 7).Draw(t, "step"); {
			case k == 0:
				w.request(p)
			case k == 1:
				w.release(p)
			case k == 2 && w.held:
				w.release(w.holder)
			case len(w.busy) > 0:
				w.deliver()
			}
		}
		// Liveness: if all holders release and all messages arrive, all requests are granted.
		for w.held || len(w.busy) > 0 {
			if w.held && (len(w.busy) == 0 || rapid.Bool().Draw(t, "release")) {
				w.release(w.holder)
			} else {
				w.deliver()
			}
		}
		for _, r := range w.requests {
			if r.granted < 0 {
				t.Fatalf("request %v was never granted", r.stamp)
			}
		}
		for i := 1; i < len(w.granted); i++ {
			if !w.granted[i-1].Less(w.granted[i]) {
				t.Fatalf("granted %v, then %v", w.granted[i-1], w.granted[i])
			}
		}
		for _, r := range w.requests {
			for _, s := range w.requests {
				if w.history.Before(r.event, s.event) && r.granted > s.granted {
					t.Fatalf("request %v happened before %v and was granted after it", r.stamp, s.stamp)
				}
			}
		}
		n := len(w.all) - 1
		if want := n * len(w.requests); w.sent[Request] != want || w.sent[Release] != want+n || w.sent[Ack] > want || !quiet && w.sent[Ack] != want {
			t.Fatalf("%d requests by %d processes took %v messages", len(w.requests), len(w.all), w.sent)
		}
		acks[quiet] += want(w) - w.sent[Ack]
	})
	if acks[false] != 0 || acks[true] == 0 {
		t.Errorf("acknowledgements omitted: %v; want some where it was asked for, and none else", acks)
	}
}

func want(w *world) int { return (len(w.all) - 1) * len(w.requests) }

func TestRefusals(t *testing.T) {
	all := []clock.Proc{1, 2}
	at := func(time uint64, p clock.Proc) lamport.Stamp { return lamport.Stamp{Time: time, Proc: p} }
	p := New(1, all, 2, false)
	for _, c := range []struct {
		m    Message
		want error
	}{
		{Message{Request, 1, at(5, 2)}, ErrKind}, // it holds: it has a request already
		{Message{Release, 1, at(0, 2)}, ErrOrder},
		{Message{Ack, 2, at(1, 2)}, ErrStranger},
		{Message{Ack, 1, at(1, 3)}, ErrStranger},
		{Message{Ack, 1, at(1, 1)}, ErrStranger},
		{Message{0, 1, at(1, 2)}, ErrKind},
		{Message{Kind(9), 1, at(1, 2)}, ErrKind},
		{Message{Release, 1, at(5, 2)}, nil},
		{Message{Release, 1, at(5, 2)}, ErrOrder}, // twice
		{Message{Request, 1, at(4, 2)}, ErrOrder}, // overtaken
		{Message{Release, 1, at(6, 2)}, ErrKind},  // it holds nothing
		{Message{Request, 1, at(7, 2)}, nil},
	} {
		if _, err := p.Receive(c.m); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.m, err, c.want)
		}
	}
	if Request.String() != "request" || Ack.String() != "ack" || Release.String() != "release" || Kind(9).String() != "Kind(9)" {
		t.Error("kinds have wrong names")
	}
}

func Example() {
	all := []clock.Proc{1, 2}
	a, b := New(1, all, 1, false), New(2, all, 1, false)
	deliver := func(to *Process, list []Message, _ error) (answer []Message, err error) {
		for _, m := range list {
			if answer, err = to.Receive(m); err != nil {
				return nil, err
			}
		}
		return answer, err
	}
	asked, err := b.Request()
	answer, err := deliver(a, asked, err)
	_, err = deliver(b, answer, err)
	fmt.Println("asked:", a.Holds(), b.Holds())
	released, _ := a.Release()
	_, err2 := deliver(b, released, err)
	fmt.Println("released:", a.Holds(), b.Holds(), err2)
	// Output:
	// asked: true false
	// released: false true <nil>
}
