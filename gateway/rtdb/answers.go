package rtdb

// answers puts the answers of pipelined requests into the order of the requests: those that are answered at once may
// not overtake writes that are still on their way through the log.
type answers struct {
	slots []answerSlot
	first uint64 // number of slots[0]
}

type answerSlot struct {
	id   int64 // r
	f    frame // nil while outstanding
	seq  uint64
	done bool
}

// open reserves the next place, for request r.
func (a *answers) open(r int64) (slot uint64) {
	a.slots = append(a.slots, answerSlot{id: r})
	return a.first + uint64(len(a.slots)-1)
}

// id is the number of the request in a slot.
func (a *answers) id(slot uint64) int64 { return a.slots[slot-a.first].id }

// fill sets the answer of a slot and hands those that can leave now to release.
func (a *answers) fill(slot uint64, f frame, seq uint64, release func(f frame, seq uint64)) {
	s := &a.slots[slot-a.first]
	if s.done {
		panic("rtdb: a request is answered twice")
	}
	s.f, s.seq, s.done = f, seq, true
	n := 0
	for n < len(a.slots) && a.slots[n].done {
		release(a.slots[n].f, a.slots[n].seq)
		n++
	}
	if n == 0 {
		return
	}
	a.first += uint64(n)
	if n == len(a.slots) {
		a.slots = nil // an idle connection keeps nothing
		return
	}
	a.slots = a.slots[n:]
}

// outstanding is how many requests have not been answered to the client.
func (a *answers) outstanding() int { return len(a.slots) }
