package replay

import (
	"fmt"
	"strconv"
	"strings"

	"rebase/clock"
	"rebase/clock/fidge"
	"rebase/clock/history"
	"rebase/clock/hlc"
	"rebase/clock/lamport"
	"rebase/clock/script"
	"rebase/clock/vector"
)

// Clocks are the names of the clocks that a script can be run through.
var Clocks = []string{"lamport", "fidge", "fidge-sync", "vector", "hlc"}

// Run is the stamp of every event of the script. Vectors are written as in the papers,
// [2,3,0], a component for each process in the script's order; Lamport's as a number; hybrid
// ones as milliseconds, a dot, the counter. Errors are *script.Error where the script
// has what the clock cannot stamp: a rendezvous for clocks of messages, or the other way about.
func Run(s *script.Script, name string) ([]string, error) {
	var m machine
	switch name {
	case "lamport":
		m = &async[*lamport.Clock, lamport.Stamp]{
			make: lamport.New,
			show: func(x lamport.Stamp) string { return strconv.FormatUint(x.Time, 10) },
		}
	case "fidge":
		m = &async[*fidge.Clock, fidge.Stamp]{
			make:    fidge.New,
			advance: (*fidge.Clock).Advance,
			show:    func(x fidge.Stamp) string { return dense(len(s.Processes), x.At) },
		}
	case "vector":
		m = &async[*vector.Clock, vector.Stamp]{
			make: vector.New,
			show: func(x vector.Stamp) string { return dense(len(s.Processes), x.Vector().At) },
		}
	case "hlc":
		h := &hybrid{}
		m = &async[*node, hlc.Time]{
			make: func(p clock.Proc) *node { return h.node(s.Processes[p-1].Skew) },
			tick: func(e script.Event) { h.now = e.At },
			show: func(x hlc.Time) string { return fmt.Sprintf("%d.%d", x.Millis(), x.Counter()) },
		}
	case "fidge-sync":
		return runSync(s)
	default:
		return nil, fmt.Errorf("there is no clock %q; there are %s", name, strings.Join(Clocks, ", "))
	}
	return m.run(s)
}

// proc is the number of a process in stamps: from 1, as in the papers.
func proc(i int) clock.Proc { return clock.Proc(i + 1) }

func dense(n int, at func(clock.Proc) uint64) string {
	out := []byte{'['}
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendUint(out, at(proc(i)), 10)
	}
	return string(append(out, ']'))
}

type machine interface {
	run(s *script.Script) ([]string, error)
}

// async runs clocks of messages.
type async[C interface {
	Event() S
	Receive(S) S
}, S any] struct {
	make    func(clock.Proc) C
	advance func(C, uint64)    // nil if the clock ticks in ones
	tick    func(script.Event) // what happens before each event; may be nil
	show    func(S) string
}

func (a *async[C, S]) run(s *script.Script) ([]string, error) {
	clocks := make([]C, len(s.Processes))
	for i := range clocks {
		clocks[i] = a.make(proc(i))
	}
	stamps := make([]S, len(s.Events))
	out := make([]string, len(s.Events))
	for i, e := range s.Events {
		if e.Kind == script.Meet {
			return nil, s.Errorf(i, "event %s is a rendezvous, which only the clock fidge-sync knows", e.Name)
		}
		c := clocks[e.Process]
		if a.tick != nil {
			a.tick(e)
		}
		if a.advance != nil && e.By > 1 {
			a.advance(c, e.By-1)
		}
		if e.Cause >= 0 {
			stamps[i] = c.Receive(stamps[e.Cause])
		} else {
			stamps[i] = c.Event()
		}
		out[i] = a.show(stamps[i])
	}
	return out, nil
}

// hybrid is the world of hybrid clocks: they alone need the time of day.
type hybrid struct{ now int64 }

type node struct{ clock *hlc.Clock }

func (h *hybrid) node(skew int64) *node {
	c, err := hlc.New(hlc.Options{Now: func() int64 { return h.now + skew }, MaxOffset: -1})
	if err != nil {
		panic(err) // the options are complete
	}
	return &node{c}
}

// Event and Receive cannot fail: nothing is saved, no offset is refused, and a
// script's times are far from the last.
func (n *node) Event() hlc.Time {
	x, err := n.clock.Now()
	if err != nil {
		panic(err)
	}
	return x
}

func (n *node) Receive(sent hlc.Time) hlc.Time {
	x, err := n.clock.Update(sent)
	if err != nil {
		panic(err)
	}
	return x
}

// runSync runs clocks of rendezvous. The start of a process is one.
func runSync(s *script.Script) ([]string, error) {
	clocks := make([]*fidge.SyncClock, len(s.Processes))
	for i := range clocks {
		clocks[i] = fidge.NewSync(proc(i))
	}
	out := make([]string, len(s.Events))
	set := func(i int, x fidge.SyncStamp) { out[i] = dense(len(s.Processes), x.At) }
	for i, e := range s.Events {
		switch e.Kind {
		case script.Send, script.Receive:
			return nil, s.Errorf(i, "event %s is of a message, but the clock fidge-sync knows only rendezvous (meet)", e.Name)
		case script.Meet, script.Start:
			if e.Other > i {
				c, other := clocks[e.Process], clocks[s.Events[e.Other].Process]
				c.Advance(e.By - 1)
				other.Advance(e.By - 1)
				x, y := fidge.Meet(c, other)
				set(i, x)
				set(e.Other, y)
			}
		case script.Local, script.End:
			clocks[e.Process].Advance(e.By - 1)
			set(i, clocks[e.Process].Event())
		}
	}
	return out, nil
}

// History is the script as a graph. Its events have the numbers that they have in the script.
func History(s *script.Script) *history.History {
	h := &history.History{}
	for i, e := range s.Events {
		switch {
		case e.Kind == script.Meet && e.Other > i:
			h.Meet(proc(e.Process), proc(s.Events[e.Other].Process))
		case e.Kind == script.Meet:
		case e.Cause >= 0:
			h.Event(proc(e.Process), e.Cause)
		default:
			h.Event(proc(e.Process))
		}
	}
	return h
}
