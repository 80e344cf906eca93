package history

import "rebase/clock"

// Kind is what happens in a Step.
type Kind uint8

// The kinds of steps.
const (
	Local   Kind = iota // an event that only its process knows of
	Send                // of a message, to one process or to several
	Receive             // of a message, also of a process's birth: that is its first event
	Meet                // a rendezvous
)

// Step is one event, or for Meet both halves of one.
type Step struct {
	Kind  Kind
	Event int        // its number in the History
	Proc  clock.Proc // where it happens
	Sent  int        // Receive: the send event
	Other int        // Meet: the event that is the other half
	With  clock.Proc // Meet: where that happens
}

// Random is a random execution of the given number of steps, for tests of clocks:
// draw returns a number from 0 to n-1. Messages arrive in any order or never, one
// may go to several processes, and processes are started and end. If rendezvous is set
// there are no messages but rendezvous.
func Random(steps int, rendezvous bool, draw func(n int) int) (*History, []Step) {
	type message struct {
		sent int
		to   clock.Proc
	}
	h := &History{}
	alive := []clock.Proc{1, 2, 3}
	born := clock.Proc(3)
	var flying []message
	var list []Step
	add := func(s Step) { list = append(list, s) }
	another := func(p clock.Proc) clock.Proc {
		for {
			if q := alive[draw(len(alive))]; q != p {
				return q
			}
		}
	}
	for len(list) < steps {
		p := alive[draw(len(alive))]
		switch k := draw(16); {
		case k == 0 && len(alive) < 6: // start a process
			born++
			if rendezvous {
				e, f := h.Meet(p, born)
				add(Step{Kind: Meet, Event: e, Proc: p, Other: f, With: born})
			} else {
				e := h.Event(p)
				add(Step{Kind: Send, Event: e, Proc: p})
				add(Step{Kind: Receive, Event: h.Event(born, e), Proc: born, Sent: e})
			}
			alive = append(alive, born)
		case k == 1 && len(alive) > 2: // end one; messages to it are lost
			for i := range alive {
				if alive[i] == p {
					alive = append(alive[:i], alive[i+1:]...)
					break
				}
			}
			kept := flying[:0]
			for _, m := range flying {
				if m.to != p {
					kept = append(kept, m)
				}
			}
			flying = kept
		case k < 5:
			add(Step{Kind: Local, Event: h.Event(p), Proc: p})
		case rendezvous:
			q := another(p)
			e, f := h.Meet(p, q)
			add(Step{Kind: Meet, Event: e, Proc: p, Other: f, With: q})
		case k < 10 || len(flying) == 0:
			e := h.Event(p)
			add(Step{Kind: Send, Event: e, Proc: p})
			for range 1 + draw(2) {
				flying = append(flying, message{e, another(p)})
			}
		default:
			i := draw(len(flying))
			m := flying[i]
			flying = append(flying[:i], flying[i+1:]...)
			add(Step{Kind: Receive, Event: h.Event(m.to, m.sent), Proc: m.to, Sent: m.sent})
		}
	}
	return h, list
}
