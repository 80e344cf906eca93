package query

import (
	"errors"
	"slices"

	"rebase/tree"
)

// A Source reads the children that a query ranges over, in its order.
type Source interface {
	// Scan returns at most n entries of the query's range (limits do not
	// matter) that are strictly beyond from, or from the range's end if from is
	// nil: ascending after it, or descending before it if reverse. It returns
	// none only if there are none. There need not be a child at from any more,
	// and where its value is an object, it is just some object: they are all
	// equal in order.
	Scan(from *Entry, reverse bool, n int) ([]Entry, error)
}

// firstBatch is how many entries Load asks of a Source at first. Each further
// batch is as large as all before it: a source without an index looks at every
// child for each batch, however small, and must not do so a thousand times.
const firstBatch = 1024

// mapFrom is the size from which a window finds its members by a map. Below,
// which most windows are, a scan is about as fast and saves the map.
const mapFrom = 24

// A Window is the result of a query, kept current change by change: the ordered
// positions of its members, without their data. It has no lock.
//
// Of a limited query it knows nothing behind its far member (the last one, or
// the first with limitToLast), except that no child in range and not a member
// stands before it. That is enough: a change either happens on this side, or
// leaves the window short of its limit, and only then the Source is asked for
// what comes next.
type Window struct {
	q    Query
	set  orderedSet
	keys map[string]*tree.Node // index values, once there are mapFrom members
}

// A Change says what a child is now.
type Change struct {
	Key    string
	Exists bool
	Value  *tree.Node // the index value (see Index.ValueOf) if it exists
}

// A Delta says what a change did to the members of a window.
type Delta struct {
	Entered []string // are members now and were not
	Left    []string // were members and are not now
	Kept    []string // changed children that were members and still are
}

// NewWindow returns an empty window for q. Load it before use, unless the data
// is empty.
func NewWindow(q Query) *Window { return &Window{q: q} }

var errScanOrder = errors.New("query: source returned entries out of order")

// Load replaces the members by those that src has. After an error the window
// is empty.
func (w *Window) Load(src Source) error {
	w.set, w.keys = orderedSet{}, nil
	var chunks [][]Entry
	var from *Entry
	total := 0
	for w.q.Limit == 0 || total < w.q.Limit {
		n := max(firstBatch, total)
		if w.q.Limit > 0 {
			n = min(n, w.q.Limit-total)
		}
		got, err := src.Scan(from, w.q.Last, n)
		if err != nil {
			return err
		}
		if len(got) == 0 {
			break
		}
		if len(got) > n {
			got = got[:n]
		}
		batch := make([]Entry, len(got))
		for i, e := range got {
			batch[i] = w.compact(e)
			prev := from
			if i > 0 {
				prev = &got[i-1]
			}
			if prev != nil && !w.before(*prev, e) {
				return errScanOrder
			}
		}
		total += len(batch)
		from = &Entry{got[len(got)-1].Value, got[len(got)-1].Key}
		for c := range slices.Chunk(batch, chunkSize) {
			// Each chunk owns its memory, or one entry would keep a whole batch.
			chunks = append(chunks, slices.Clone(c))
		}
	}
	if w.q.Last {
		slices.Reverse(chunks)
		for _, c := range chunks {
			slices.Reverse(c)
		}
	}
	w.set = orderedSet{chunks: chunks, len: total}
	w.growMap()
	return nil
}

// before reports whether a comes before b in the direction of the limit.
func (w *Window) before(a, b Entry) bool {
	c := w.q.Compare(a, b)
	return c < 0 && !w.q.Last || c > 0 && w.q.Last
}

// anyObject stands for all objects among index values: they compare equal, and
// the real one would keep a subtree in memory.
var anyObject = tree.NewObject([]tree.Child{{Key: "object", Node: tree.NewBool(true)}})

// compact returns e holding no more than its position.
func (w *Window) compact(e Entry) Entry {
	switch {
	case w.q.Index.Kind == ByKey:
		e.Value = nil
	case e.Value.IsObject():
		e.Value = anyObject
	case e.Value.Priority() != nil:
		e.Value = e.Value.WithPriority(nil)
	}
	return e
}

// Len returns the number of members.
func (w *Window) Len() int { return w.set.len }

// Has reports whether key is a member.
func (w *Window) Has(key string) bool {
	_, ok := w.value(key)
	return ok
}

// value returns the index value that a member is kept under.
func (w *Window) value(key string) (*tree.Node, bool) {
	if w.keys != nil {
		v, ok := w.keys[key]
		return v, ok
	}
	for e := range w.set.all() {
		if e.Key == key {
			return e.Value, true
		}
	}
	return nil, false
}

// Keys returns the members' keys in the query's order, as a new slice.
func (w *Window) Keys() []string {
	keys := make([]string, 0, w.set.len)
	for e := range w.set.all() {
		keys = append(keys, e.Key)
	}
	return keys
}

func (w *Window) growMap() {
	if w.keys != nil || w.set.len < mapFrom {
		return
	}
	w.keys = make(map[string]*tree.Node, w.set.len)
	for e := range w.set.all() {
		w.keys[e.Key] = e.Value
	}
}

// insert adds a member that is none yet.
func (w *Window) insert(e Entry) {
	w.set.insert(&w.q, e)
	if w.keys != nil {
		w.keys[e.Key] = e.Value
	} else {
		w.growMap()
	}
}

// remove takes a member out; v is the value it is kept under.
func (w *Window) remove(key string, v *tree.Node) {
	w.set.remove(&w.q, Entry{v, key})
	if w.keys != nil {
		delete(w.keys, key)
	}
}

// popFar evicts the member farthest from where the limit counts.
func (w *Window) popFar() Entry {
	e := w.set.pop(!w.q.Last)
	if w.keys != nil {
		delete(w.keys, e.Key)
	}
	return e
}

// Apply brings the window from the state before some changes to the state after
// all of them, and reports what that did. changes holds every child that was
// written, removed or created, in any order, with its index value afterwards;
// children whose position did not change may be left out, but are then not
// reported as kept. If a key occurs twice, the last one counts.
//
// src must read the state after the changes. It is consulted only when a
// limited window lost members. A source that already reads a later state is
// tolerated: once the changes up to that state are applied as well, the window
// equals it; the deltas in between are those of the window as it was.
//
// After an error (only src's) the window must be loaded anew.
func (w *Window) Apply(changes []Change, src Source) (Delta, error) {
	changes = lastOfEach(changes)
	// Take the changed members out, but for those that stay where they are.
	// Without a limit the order of doing things does not matter; with one, all
	// must be out before a newcomer may push another member over the limit.
	var (
		full    = w.q.Limit > 0 && w.set.len >= w.q.Limit
		horizon Entry
		d       Delta
	)
	if full {
		horizon = w.set.end(!w.q.Last)
	}
	const (
		isMember = 1 << iota // was, before these changes
		isStill              // is, at an unchanged position
	)
	state := make([]uint8, len(changes))
	for i, c := range changes {
		old, ok := w.value(c.Key)
		if !ok {
			continue
		}
		state[i] = isMember
		if c.Exists && w.q.Compare(w.entry(c), Entry{old, c.Key}) == 0 {
			state[i] |= isStill
		} else {
			w.remove(c.Key, old)
		}
	}

	// Put in what is in range and not behind the horizon, beyond which the
	// window cannot know what else there is.
	var evicted, refilled []string
	for i, c := range changes {
		if !c.Exists || state[i]&isStill != 0 {
			continue
		}
		e := w.entry(c)
		if !w.q.InRange(e) || full && w.before(horizon, e) {
			continue
		}
		if w.q.Limit > 0 && w.set.len >= w.q.Limit && !w.before(e, w.set.end(!w.q.Last)) {
			continue
		}
		w.insert(e)
		if w.q.Limit > 0 && w.set.len > w.q.Limit {
			evicted = append(evicted, w.popFar().Key)
		}
	}
	if full && w.set.len < w.q.Limit {
		var err error
		if refilled, err = w.refill(horizon, src); err != nil {
			return Delta{}, err
		}
	}

	for i, c := range changes {
		was, is := state[i]&isMember != 0, w.Has(c.Key)
		switch {
		case was && is:
			d.Kept = append(d.Kept, c.Key)
		case was:
			d.Left = append(d.Left, c.Key)
		case is:
			d.Entered = append(d.Entered, c.Key)
		}
	}
	if len(evicted)+len(refilled) > 0 {
		// Whoever was changed is accounted for above.
		changed := make(map[string]bool, len(changes))
		for _, c := range changes {
			changed[c.Key] = true
		}
		isChanged := func(key string) bool { return changed[key] }
		d.Left = append(d.Left, slices.DeleteFunc(evicted, isChanged)...)
		d.Entered = append(d.Entered, slices.DeleteFunc(refilled, isChanged)...)
	}
	return d, nil
}

func (w *Window) entry(c Change) Entry { return w.compact(Entry{c.Value, c.Key}) }

// refill adds members from beyond the horizon until the limit is reached or
// there are no more.
func (w *Window) refill(horizon Entry, src Source) (added []string, err error) {
	from := horizon
	for w.set.len < w.q.Limit {
		n := w.q.Limit - w.set.len
		got, err := src.Scan(&from, w.q.Last, n)
		if err != nil {
			return nil, err
		}
		if len(got) == 0 {
			break
		}
		for _, e := range got {
			if !w.before(from, e) {
				return nil, errScanOrder
			}
			from = e
			// A source ahead of the changes may show a member where it is going
			// to be. It counts where it is until its change is applied.
			if w.set.len < w.q.Limit && !w.Has(e.Key) {
				w.insert(w.compact(e))
				added = append(added, e.Key)
			}
		}
	}
	return added, nil
}

// lastOfEach drops all but the last change of every key. Callers hardly ever
// have duplicates, so looking comes before copying.
func lastOfEach(changes []Change) []Change {
	if len(changes) < 2 {
		return changes
	}
	last := make(map[string]int, len(changes))
	for i, c := range changes {
		last[c.Key] = i
	}
	if len(last) == len(changes) {
		return changes
	}
	out := make([]Change, 0, len(last))
	for i, c := range changes {
		if last[c.Key] == i {
			out = append(out, c)
		}
	}
	return out
}
