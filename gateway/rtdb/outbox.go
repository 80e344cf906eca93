package rtdb

import "slices"

// A client that does not keep up must not make the server hold ever more for it. What it has not yet been sent is of three
// kinds:
//
//   - pushes: changes of data. There may be any number of them, but they can be left out if the listens' full
//     data are sent afterwards.
//   - bulk: the full data of a listen. One request makes one, and the next request is not read before most of it is sent.
//   - answers and control messages: they cannot be left out. Requests that wait for them hold up the reading of
//     further ones.
//
// When the pushes exceed their limit, all of them are dropped, and the outbox is *stale*: nothing that depends on
// them may be sent any more, that is no later push (it may build on a dropped one) and no later answer (a
// client that gets the answer to a write before the push of that write shows the old value again). Answers are held;
// what is queued before the first push goes out. When the client has taken that, its listens are
// *resynchronised*: their full data are queued, then the answers that were held when this began (the data contain their
// effects), then the listens go on, and last come the answers that were held meanwhile. If the pushes exceed the limit once
// more while that is going on, it starts anew.
//
// A listen belongs to an epoch of the outbox; becoming stale starts a new epoch, so that all listens are
// left behind at once and each joins again when its data have been queued.

type itemKind uint8

const (
	otherItem itemKind = iota // answers and control messages
	pushItem
	bulkItem
	closeItem // nothing may follow it
)

type item struct {
	f    frame
	kind itemKind
	seq  uint64 // of an answer: the proposal that it confirms, 0 for none
}

type outboxMode uint8

const (
	flowing       outboxMode = iota
	stale                    // pushes were dropped, and the client has not yet taken what was before them
	resyncing                // full data are being queued
	catchingAfter            // the listens go on; the last held answers are outstanding
)

// heldAnswer is an answer that has to wait for the resynchronisation.
type heldAnswer struct {
	f   frame
	seq uint64
}

// outbox is the queue of what is to be sent to one client. It is not safe for concurrent use.
type outbox struct {
	items     []item
	head      int // items[:head] are taken
	pushBytes int
	restBytes int // of the other kinds, held answers included
	mode      outboxMode
	epoch     uint32
	held      []heldAnswer
	early     int    // held[:early] can go when the full data are queued
	answered  uint64 // the highest proposal whose answer is among the items or has been taken
	taken     uint64 // the same for those that have been taken
	over      bool   // the close frame has been taken
}

func (o *outbox) empty() bool { return o.head == len(o.items) }

// queuedBytes is how much waits to be taken.
func (o *outbox) queuedBytes() int {
	n := 0
	for _, it := range o.items[o.head:] {
		n += len(it.f)
	}
	return n
}

// push queues a change for a listen of the given epoch and reports whether the limit made the outbox stale.
func (o *outbox) push(f frame, epoch uint32, limit int) (dropped bool) {
	if epoch != o.epoch {
		return false // the listen waits for its full data
	}
	if o.pushBytes+len(f) > limit && o.pushBytes > 0 {
		o.drop()
		return true
	}
	o.pushBytes += len(f)
	o.items = append(o.items, item{f: f, kind: pushItem})
	return false
}

// bulk queues the full data of a listen and returns the listen's epoch; the zero epoch never is the outbox's own.
func (o *outbox) bulk(f frame) (epoch uint32) {
	if o.mode == stale {
		return 0 // the resynchronisation will send it
	}
	o.restBytes += len(f)
	o.items = append(o.items, item{f: f, kind: bulkItem})
	return o.epoch
}

// join returns the epoch of a listen whose client has the full data already.
func (o *outbox) join() uint32 {
	if o.mode == stale {
		return 0
	}
	return o.epoch
}

// answer queues an answer; seq is the proposal that it confirms, 0 for none.
func (o *outbox) answer(f frame, seq uint64) {
	o.restBytes += len(f)
	if o.mode != flowing {
		o.held = append(o.held, heldAnswer{f, seq})
		return
	}
	o.put(heldAnswer{f, seq})
}

func (o *outbox) put(a heldAnswer) {
	o.items = append(o.items, item{a.f, otherItem, a.seq})
	o.answered = max(o.answered, a.seq)
}

// control queues what depends on nothing.
func (o *outbox) control(f frame) {
	o.restBytes += len(f)
	o.items = append(o.items, item{f: f})
}

// last queues the frame that closes the connection. What is queued behind it is not sent.
func (o *outbox) last(f frame) {
	o.restBytes += len(f)
	o.items = append(o.items, item{f: f, kind: closeItem})
}

// drop makes the outbox stale.
func (o *outbox) drop() {
	live := o.items[o.head:]
	if slices.ContainsFunc(live, func(it item) bool { return it.kind == closeItem }) {
		return // the connection ends: there is nothing to make up for
	}
	first := 0
	for first < len(live) && live[first].kind != pushItem {
		first++
	}
	kept := o.items[:o.head+first]
	o.answered = o.taken
	for _, it := range live[:first] {
		o.answered = max(o.answered, it.seq)
	}
	var held []heldAnswer
	for _, it := range live[first:] {
		switch it.kind {
		case otherItem:
			held = append(held, heldAnswer{it.f, it.seq})
		case bulkItem:
			o.restBytes -= len(it.f)
		}
	}
	clear(o.items[len(kept):])
	o.items = kept
	o.held = append(held, o.held...)
	o.early = 0
	o.pushBytes = 0
	o.mode = stale
	o.nextEpoch()
}

// abandon forgets all that is queued; nobody will take it.
func (o *outbox) abandon() {
	o.items, o.head, o.held, o.early = nil, 0, nil, 0
	o.pushBytes, o.restBytes = 0, 0
}

func (o *outbox) nextEpoch() {
	o.epoch++
	if o.epoch == 0 {
		o.epoch = 1
	}
}

// needsResync says that the client has taken what it could and waits for full data.
func (o *outbox) needsResync() bool { return o.mode == stale && o.empty() }

// beginResync: full data of all listens follow, by bulk.
func (o *outbox) beginResync() {
	o.mode = resyncing
	o.early = len(o.held)
}

// resynced: the full data are queued, the listens are about to go on.
func (o *outbox) resynced() {
	if o.mode != resyncing {
		return
	}
	o.mode = catchingAfter
	for _, a := range o.held[:o.early] {
		o.put(a)
	}
	o.held, o.early = o.held[o.early:], 0
}

// caughtUp: all that the listens missed meanwhile is queued.
func (o *outbox) caughtUp() {
	if o.mode != catchingAfter {
		return // stale again
	}
	o.mode = flowing
	for _, a := range o.held {
		o.put(a)
	}
	o.held = nil
}

// take moves items to dst until they have at least limit bytes, and returns dst.
func (o *outbox) take(dst []item, limit int) []item {
	n := 0
	for !o.over && o.head < len(o.items) && n < limit {
		it := o.items[o.head]
		o.items[o.head] = item{}
		o.head++
		n += len(it.f)
		o.taken = max(o.taken, it.seq)
		if it.kind == pushItem {
			o.pushBytes -= len(it.f)
		} else {
			o.restBytes -= len(it.f)
		}
		dst = append(dst, it)
		o.over = o.over || it.kind == closeItem
		if o.over {
			break
		}
	}
	if o.over {
		o.abandon()
		return dst
	}
	if o.empty() {
		o.head = 0
		if o.items = o.items[:0]; cap(o.items) > 8 { // an idle connection keeps little
			o.items = nil
		}
	} else if o.head >= 64 && o.head >= len(o.items)/2 {
		// A client that is always a little behind never empties it.
		n := copy(o.items, o.items[o.head:])
		clear(o.items[n:])
		o.items, o.head = o.items[:n], 0
	}
	return dst
}
