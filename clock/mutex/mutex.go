package mutex

import (
	"errors"
	"fmt"
	"slices"

	"rebase/clock"
	"rebase/clock/lamport"
)

// Kind is what a message says.
type Kind uint8

// The three messages of the algorithm.
const (
	Request Kind = iota + 1 // I want the resource
	Ack                     // I have seen your request
	Release                 // I am done with it
)

// String is the name of k.
func (k Kind) String() string {
	switch k {
	case Request:
		return "request"
	case Ack:
		return "ack"
	case Release:
		return "release"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Message goes to one process. The sender is Stamp.Proc.
type Message struct {
	Kind  Kind
	To    clock.Proc
	Stamp lamport.Stamp // of the send event; of a Request also the request's name
}

// Errors of calls that the algorithm does not know. They change nothing.
var (
	ErrRequested = errors.New("mutex: requested already, and not released yet")
	ErrNotHeld   = errors.New("mutex: not held")
	ErrStranger  = errors.New("mutex: message from, or to, none of the processes")
	ErrOrder     = errors.New("mutex: message lost its order, or came twice")
	ErrKind      = errors.New("mutex: message that its sender cannot have sent")
)

// Process is one participant. Not safe for concurrent use.
type Process struct {
	self  clock.Proc
	clock *lamport.Clock
	peers []peer                       // all but self
	queue map[clock.Proc]lamport.Stamp // at most one request of each process
	quiet bool                         // omit acknowledgements where that is allowed
}

type peer struct {
	proc clock.Proc
	sent lamport.Stamp // of the latest message to it
	got  lamport.Stamp // of the latest message from it
}

// New is process self of the given ones, which all must name alike. The resource
// begins with holder, as in the paper, who must release it first.
//
// quiet omits an acknowledgement where a message with a later stamp than the
// request's has gone to its sender already: the paper allows that.
func New(self clock.Proc, all []clock.Proc, holder clock.Proc, quiet bool) *Process {
	p := &Process{self: self, clock: lamport.New(self), quiet: quiet}
	for _, q := range all {
		if q != self && p.peer(q) == nil {
			p.peers = append(p.peers, peer{proc: q})
		}
	}
	// T0, the stamp of the first request, is below that of any event.
	p.queue = map[clock.Proc]lamport.Stamp{holder: {Time: 0, Proc: holder}}
	return p
}

func (p *Process) peer(q clock.Proc) *peer {
	if i := slices.IndexFunc(p.peers, func(x peer) bool { return x.proc == q }); i >= 0 {
		return &p.peers[i]
	}
	return nil
}

// Request asks for the resource (rule 1). The stamp of the messages names the request.
func (p *Process) Request() ([]Message, error) {
	if _, ok := p.queue[p.self]; ok {
		return nil, ErrRequested
	}
	stamp := p.clock.Event()
	p.queue[p.self] = stamp
	return p.broadcast(Request, stamp), nil
}

// Release gives the resource back (rule 3).
func (p *Process) Release() ([]Message, error) {
	if !p.Holds() {
		return nil, ErrNotHeld
	}
	delete(p.queue, p.self)
	return p.broadcast(Release, p.clock.Event()), nil
}

func (p *Process) broadcast(k Kind, stamp lamport.Stamp) []Message {
	list := make([]Message, len(p.peers))
	for i := range p.peers {
		p.peers[i].sent = stamp
		list[i] = Message{k, p.peers[i].proc, stamp}
	}
	return list
}

// Receive takes a message (rules 2 and 4), and answers a request. Ask Holds afterwards.
func (p *Process) Receive(m Message) ([]Message, error) {
	q := p.peer(m.Stamp.Proc)
	_, queued := p.queue[m.Stamp.Proc]
	switch {
	case m.To != p.self || q == nil:
		return nil, ErrStranger
	case !q.got.Less(m.Stamp) || m.Stamp.Time == 0:
		return nil, ErrOrder
	case m.Kind < Request || m.Kind > Release, m.Kind == Request && queued, m.Kind == Release && !queued:
		return nil, ErrKind
	}
	q.got = m.Stamp
	p.clock.Receive(m.Stamp)
	switch m.Kind {
	case Release:
		delete(p.queue, q.proc)
	case Request:
		p.queue[q.proc] = m.Stamp
		if p.quiet && m.Stamp.Less(q.sent) {
			break // what is on its way says that we have gone on
		}
		q.sent = p.clock.Event()
		return []Message{{Ack, q.proc, q.sent}}, nil
	}
	return nil, nil
}

// Holds tells whether the process has the resource (rule 5): its request is the
// first in its queue, and from every other process it has something with a later
// stamp, so that no earlier request can still be on its way.
func (p *Process) Holds() bool {
	mine, ok := p.queue[p.self]
	if !ok {
		return false
	}
	for q, theirs := range p.queue {
		if q != p.self && theirs.Less(mine) {
			return false
		}
	}
	if mine.Time == 0 {
		return true // the first holder, before whom there can be nothing
	}
	for _, q := range p.peers {
		if !mine.Less(q.got) {
			return false
		}
	}
	return true
}

// Pending is the stamp of the process's own request, granted or not.
func (p *Process) Pending() (lamport.Stamp, bool) {
	s, ok := p.queue[p.self]
	return s, ok
}
