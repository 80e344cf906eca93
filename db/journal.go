package db

import (
	"encoding/binary"
	"fmt"

	"rebase/store"
	"rebase/tree"
)

// A journal is the onDisconnect queue of a session, with how it is kept in the store. The queue itself is a few entries, but they
// may be large, and an operation must not cost what the queue weighs: it is decided while the whole database stands still. So each operation
// is a record of its own, and loading the queue carries them out once more. When the records behind the first have
// grown to its size, or are many, one record takes the place of all: what that costs has been paid for by then.
type journal struct {
	queue disconnectQueue
	first uint64 // the records are numbered first … next-1
	next  uint64
	base  int // bytes of the record that stands for all before it
	since int // bytes of those behind it
}

const (
	minCompactBytes   = 64 << 10
	maxJournalRecords = 1024
)

// The kinds of records.
const (
	journalSet     = 1 // what is queued is set: updates
	journalCancel  = 2 // what is queued is cancelled: the paths of updates
	journalReplace = 3 // updates are the whole queue
)

func journalKey(id SessionID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(recordKey(recDisconnect, id), n)
}

// carryOut changes the queue as a record says.
func (j *journal) carryOut(kind byte, updates []Update) {
	if kind == journalReplace {
		j.queue = nil
	}
	for _, u := range updates {
		switch {
		case kind != journalCancel:
			j.queue = j.queue.set(u.Path, u.Priority, u.Value)
		case u.Priority:
			j.queue = j.queue.cancelPriority(u.Path)
		default:
			j.queue = j.queue.cancel(u.Path)
		}
	}
}

// set queues updates, whose paths are absolute. It changes nothing if the queue would exceed its limits.
func (j *journal) set(b *store.Batch, id SessionID, updates []Update) error {
	if n := len(j.queue) + len(updates); n > MaxDisconnectOps {
		return &tree.LimitError{Limit: "onDisconnect operations", Path: updates[0].Path, Got: n, Max: MaxDisconnectOps}
	}
	rec := appendUpdates([]byte{journalSet}, updates)
	if j.base+j.since+len(rec) > MaxDisconnectBytes && j.since > j.base/4 {
		j.compact(b, id) // much of it may have been replaced since
	}
	if n := j.base + j.since + len(rec); n > MaxDisconnectBytes {
		return &tree.LimitError{Limit: "size of all onDisconnect operations", Path: updates[0].Path, Got: n, Max: MaxDisconnectBytes}
	}
	j.carryOut(journalSet, updates)
	j.append(b, id, rec)
	return nil
}

// cancel drops what is queued at p and below, or for p's priority.
func (j *journal) cancel(b *store.Batch, id SessionID, p tree.Path, priority bool) {
	if len(j.queue) == 0 {
		return
	}
	updates := []Update{{Path: p, Priority: priority}}
	j.carryOut(journalCancel, updates)
	j.append(b, id, appendUpdates([]byte{journalCancel}, updates))
}

func (j *journal) append(b *store.Batch, id SessionID, rec []byte) {
	if len(j.queue) == 0 || j.since+len(rec) > max(j.base, minCompactBytes) || j.next-j.first >= maxJournalRecords {
		j.compact(b, id)
		return
	}
	b.SetMeta(journalKey(id, j.next), rec)
	j.next++
	j.since += len(rec)
}

// compact writes one record in the place of all.
func (j *journal) compact(b *store.Batch, id SessionID) {
	j.clear(b, id)
	if len(j.queue) == 0 {
		return
	}
	rec := appendUpdates([]byte{journalReplace}, j.queue)
	b.SetMeta(journalKey(id, j.next), rec)
	j.next++
	j.base = len(rec)
}

// clear deletes the records.
func (j *journal) clear(b *store.Batch, id SessionID) {
	for ; j.first < j.next; j.first++ {
		b.SetMeta(journalKey(id, j.first), nil)
	}
	j.base, j.since = 0, 0
	if len(j.queue) == 0 {
		j.first, j.next = 0, 0 // as after a load that finds nothing
	}
}

func loadJournal(r store.Reader, id SessionID) (j journal, err error) {
	var bad error
	found := false
	err = r.ScanMeta(recordKey(recDisconnect, id), func(key, rec []byte) bool {
		n := binary.BigEndian.Uint64(key[1+len(id):])
		if !found {
			found, j.first = true, n
		}
		j.next = n + 1
		in := reader{b: rec}
		kind := in.byte()
		if kind == journalReplace {
			j.base = len(rec)
		} else {
			j.since += len(rec)
		}
		updates := in.updates()
		if bad = in.err; bad != nil {
			return false
		}
		j.carryOut(kind, updates)
		return true
	})
	if err == nil && bad != nil {
		err = fmt.Errorf("onDisconnect queue of session %s: %w", id, bad)
	}
	return j, err
}
