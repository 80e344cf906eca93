package native

import (
	"sync"

	"rebase/vlog/native/core"
)

// Network carries messages between endpoints: the machines of package core, and the nodes in which they live. A node is an endpoint itself, under its own
// number, and its log server is reached by that; its sequencers and the handles on its loglets have numbers drawn at random. The protocol stands loss, repetition and any
// order, so a Network has to promise nothing but that no message is damaged, and that messages do not gather in it without bound.
//
// Two things a Network tells a node, as messages to the node's own endpoint: a message to an endpoint that is not, or no longer, in the node that Route
// has named is delivered to that node instead, which answers that nobody is there; and of an endpoint that has asked something and cannot be reached any more
// it may deliver a kindLeave. Neither is needed for safety.
//
// There is one over TCP, which Start makes, and one in memory, for tests. A simulation brings its own.
type Network interface {
	// Attach delivers messages for an endpoint in this process to handle, until the function returned is called; a batch may still be handled then. handle
	// does not keep the slice, and does not block for long. It is called by several goroutines at once, and may be called from within Send.
	Attach(endpoint core.Node, handle func([]core.Message)) (detach func())
	// Route says in which node an endpoint lives that this process will write to, until release is called. Who has only to answer need not know: the answer
	// goes where the question came from.
	Route(endpoint, node core.Node, address string) (release func())
	// Send passes messages on, and does not wait for anything. It does not keep the slice, but the payloads.
	Send(messages []core.Message)
	// Close ends it. Nothing is delivered afterwards.
	Close() error
}

// lane is a connection's purpose. There are three between each two nodes, so that an append never waits behind a repair, nor a seal behind a
// reader who catches up.
type lane uint8

const (
	laneAppend lane = iota
	laneRead
	laneControl
	lanes
)

func laneOf(k core.Kind) lane {
	switch k {
	case core.Append, core.Appended, core.Store, core.Stored, core.Release, kindNobody:
		return laneAppend
	case core.Fetch, core.Fetched, core.Repair:
		return laneRead
	}
	return laneControl
}

// deliver hands messages to the handler of their endpoint, run by run.
func deliver(messages []core.Message, handler func(core.Node) func([]core.Message), unknown func(*core.Message)) {
	for len(messages) > 0 {
		to, n := messages[0].To, 1
		for n < len(messages) && messages[n].To == to {
			n++
		}
		if h := handler(to); h != nil {
			h(messages[:n])
		} else {
			for i := range messages[:n] {
				unknown(&messages[i])
			}
		}
		messages = messages[n:]
	}
}

// outbox holds what a machine wants sent, in order, to be sent outside of the machine's lock: the receiver may be in this process, and have something to
// say to the machine at once.
type outbox struct {
	queue, spare []core.Message
	busy         bool // somebody is sending
}

func (o *outbox) add(messages []core.Message) { o.queue = append(o.queue, messages...) }

// flush sends what is there, unless somebody is about to, who will send this too. The caller holds mu, which flush releases.
func (o *outbox) flush(mu *sync.Mutex, send func([]core.Message)) {
	if o.busy {
		mu.Unlock()
		return
	}
	o.busy = true
	for len(o.queue) > 0 {
		batch := o.queue
		o.queue = o.spare
		mu.Unlock()
		send(batch)
		clear(batch)
		mu.Lock()
		o.spare = batch[:0]
	}
	o.busy = false
	mu.Unlock()
}
