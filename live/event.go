package live

import (
	"rebase/db"
	"rebase/tree"
)

// EventKind says what an event asks the listener to do.
type EventKind uint8

const (
	// Put: the node at Path (or its priority) is now Value.
	Put EventKind = iota + 1
	// Merge: the nodes named by Updates, relative to Path, have new values, all at once.
	Merge
	// Lost: events have been dropped before the listener was started; it needs a Resync.
	Lost
	// Revoked: the listener may no longer read; it has been closed.
	Revoked
)

// Memo slots: a gateway keeps its encoding of an event in a slot of its own.
const (
	MemoWS = iota
	MemoSSE
	memoSlots = 4
)

// Event is one change as a listener sees it. Events are shared and must not be modified.
type Event struct {
	Kind     EventKind
	Path     tree.Path   // absolute; at, above or below the listener's path
	Priority bool        // Put: the priority of the node is meant
	Value    *tree.Node  // Put
	Updates  []db.Update // Merge; disjoint
	Pos      uint64      // of the entry that made the change

	memo [memoSlots]any
	size int // 0: not yet measured
}

// bytes is about the size of what the event says. Like Memo, it is not for concurrent use.
func (e *Event) bytes() int {
	if e.size == 0 {
		e.size = 64 + e.Value.SizeBytes()
		for _, u := range e.Updates {
			e.size += 64 + len(u.Path) + u.Value.SizeBytes()
		}
	}
	return e.size
}

// Memo returns what make made of the event when it was first asked for this slot. It may only
// be called from Subscriber.Deliver, which runs on one goroutine at a time.
func (e *Event) Memo(slot int, make func(*Event) any) any {
	if e.memo[slot] == nil {
		e.memo[slot] = make(e)
	}
	return e.memo[slot]
}

// newEvent makes a Put of a single update and a Merge of several.
func newEvent(base tree.Path, updates []db.Update, pos uint64) *Event {
	if len(updates) == 1 {
		u := updates[0]
		return &Event{Kind: Put, Path: base.Join(u.Path), Priority: u.Priority, Value: u.Value, Pos: pos}
	}
	return &Event{Kind: Merge, Path: base, Updates: updates, Pos: pos}
}
