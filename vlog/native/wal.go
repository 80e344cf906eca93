package native

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// wal is a storage in a loglet of another kind, files of the local disk as a rule: the records of all native loglets of a log server are entries of
// that one log, so one sync serves them all, and a seal stands behind every entry that came before it. What is kept in memory is where
// each entry stands.
//
// The log's first entry is the identity of the disk, drawn when the log is found empty: so a disk that has lost everything is another disk.
//
// Entries are trimmed from the log when no loglet needs what is before them. The records that are not entries (what loglets there are, what is sealed) stand among them
// and are written again, as a checkpoint, before that. So in what is left of the log an entry can stand before the record that opens its loglet.
//
// docs/format/logserver.md documents the records.
type wal struct {
	log      vlog.Loglet
	identity uint64
	buf      []byte        // of the last append, for the next; the log does not keep it
	payloads [][]byte      // the same
	slack    vlog.Position // how many entries may be superfluous before they are trimmed

	mu      sync.Mutex
	begin   vlog.Position // of the log, at least
	lowest  map[uint16]uint64
	loglets map[core.Key]*walLoglet
}

type walLoglet struct {
	opened       bool
	trimmed      vlog.Position
	sealed, lost bool
	over         bool
	runs         []walRun // ascending
}

// walRun is n entries of a loglet from position first on, which stand side by side in the log from at on.
type walRun struct {
	first, at vlog.Position
	n         vlog.Position
}

const (
	walIdentity core.RecordKind = 200 // beyond those of core
	// walHeader is more than the bytes before an entry's payload.
	walHeader = 40
	// walChunk bounds the payload of one append to the log below, unless a single entry is larger.
	walChunk = 32 << 20
	// walKeep bounds the buffer that is kept.
	walKeep = 1 << 20
	// walSlack is how many superfluous entries are worth a checkpoint.
	walSlack = 1 << 12
)

var _ storage = (*wal)(nil)

// openWAL reads the log through. It takes over the log: Close closes it.
func openWAL(log vlog.Loglet) (*wal, error) {
	ctx := context.Background()
	w := &wal{log: log, slack: walSlack, lowest: map[uint16]uint64{}, loglets: map[core.Key]*walLoglet{}}
	tail, err := log.Tail(ctx)
	if err == nil && tail.Sealed {
		err = errors.New("it is sealed")
	}
	if err == nil {
		w.begin, err = log.Trim(ctx, 0)
	}
	for p := w.begin; err == nil && p < tail.Next; {
		var entries []vlog.Entry
		if entries, err = log.Read(ctx, p, tail.Next, 4<<20); err == nil && len(entries) == 0 {
			err = fmt.Errorf("nothing at %d", p)
		}
		for _, e := range entries {
			r, ok := decodeRecord(e.Payload)
			if !ok {
				err = &vlog.CorruptError{File: "the log of a log server", Offset: int64(e.Pos), Reason: "this entry is no record; was another log put in its place?"}
				break
			}
			w.apply(r, e.Pos)
			p++
		}
	}
	for k, l := range w.loglets {
		if err == nil && !l.opened {
			err = fmt.Errorf("loglet %d/%d has entries but was never opened", k.Loglet, k.Incarnation)
		}
	}
	if err == nil && w.identity == 0 {
		if tail.Next != 1 {
			err = errors.New("it does not say whose disk this is")
		} else {
			var b [8]byte
			rand.Read(b[:]) // never fails
			w.identity = binary.LittleEndian.Uint64(b[:]) | 1
			_, err = log.Append(ctx, encodeRecord(nil, w.identityRecord()))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("vlog/native: open the log of a log server: %w", err), log.Close())
	}
	return w, nil
}

func (w *wal) identityRecord() core.Record {
	return core.Record{Kind: walIdentity, Key: core.Key{Incarnation: w.identity}}
}

func encodeRecord(dst []byte, r core.Record) []byte {
	dst = append(dst, byte(r.Kind))
	dst = binary.AppendUvarint(dst, r.Loglet)
	dst = binary.AppendUvarint(dst, r.Incarnation)
	dst = binary.AppendUvarint(dst, uint64(r.Pos))
	return append(dst, r.Payload...)
}

func decodeRecord(b []byte) (r core.Record, ok bool) {
	if len(b) == 0 {
		return r, false
	}
	r.Kind, b = core.RecordKind(b[0]), b[1:]
	if r.Loglet, b, ok = takeUvarint(b); !ok {
		return r, false
	}
	if r.Incarnation, b, ok = takeUvarint(b); !ok {
		return r, false
	}
	var pos uint64
	if pos, r.Payload, ok = takeUvarint(b); !ok {
		return r, false
	}
	r.Pos = vlog.Position(pos)
	switch r.Kind {
	case core.RecordEntry:
		return r, true
	case core.RecordTrim:
		return r, len(r.Payload) == 0
	case core.RecordOpen, core.RecordSeal, core.RecordLost, core.RecordLow, core.RecordDrop, walIdentity:
		return r, r.Pos == 0 && len(r.Payload) == 0
	}
	return r, false
}

// takeUvarint reads one number in its shortest form.
func takeUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

// apply takes a record that stands at position at of the log into the index. It reports whether something may have become superfluous.
func (w *wal) apply(r core.Record, at vlog.Position) (freed bool) {
	switch r.Kind {
	case walIdentity:
		w.identity = r.Incarnation
		return false
	case core.RecordLow:
		w.lowest[r.Chain()] = max(w.lowest[r.Chain()], r.Loglet)
		maps.DeleteFunc(w.loglets, func(k core.Key, _ *walLoglet) bool { return r.Covers(k) })
		return true
	}
	l := w.loglets[r.Key]
	if l == nil {
		if r.Loglet < w.lowest[r.Chain()] {
			return false
		}
		l = &walLoglet{trimmed: 1}
		w.loglets[r.Key] = l
	}
	switch r.Kind {
	case core.RecordOpen:
		l.opened = true
	case core.RecordSeal:
		l.sealed = true
	case core.RecordLost:
		l.lost = true
	case core.RecordDrop:
		l.over, l.runs = true, nil
		return true
	case core.RecordEntry:
		if n := len(l.runs); n > 0 && l.runs[n-1].first+l.runs[n-1].n == r.Pos && l.runs[n-1].at+l.runs[n-1].n == at {
			l.runs[n-1].n++
		} else {
			l.runs = append(l.runs, walRun{r.Pos, at, 1})
		}
	case core.RecordTrim:
		l.trimmed = max(l.trimmed, r.Pos)
		for len(l.runs) > 0 && l.runs[0].first < l.trimmed {
			cut := min(l.trimmed-l.runs[0].first, l.runs[0].n)
			if l.runs[0].first, l.runs[0].at, l.runs[0].n = l.runs[0].first+cut, l.runs[0].at+cut, l.runs[0].n-cut; l.runs[0].n == 0 {
				l.runs = l.runs[1:]
			}
		}
		return true
	}
	return false
}

// Append implements storage.
func (w *wal) Append(records []core.Record) error {
	freed := false
	for len(records) > 0 {
		size, n := 0, 0
		for n < len(records) && (n == 0 || size+len(records[n].Payload)+walHeader <= walChunk) {
			size += len(records[n].Payload) + walHeader
			n++
		}
		f, err := w.append(records[:n], size)
		if err != nil {
			return err
		}
		freed, records = freed || f, records[n:]
	}
	if freed {
		return w.collect()
	}
	return nil
}

func (w *wal) append(records []core.Record, size int) (freed bool, err error) {
	buf, payloads := w.buf[:0], w.payloads[:0]
	if cap(buf) < size {
		buf = make([]byte, 0, size)
	}
	for _, r := range records {
		begin := len(buf)
		buf = encodeRecord(buf, r)
		payloads = append(payloads, buf[begin:])
	}
	at, err := w.log.Append(context.Background(), payloads...)
	if clear(payloads); size <= walKeep {
		w.buf, w.payloads = buf, payloads
	}
	if err != nil {
		return false, fmt.Errorf("vlog/native: write %d records: %w", len(records), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range records {
		freed = w.apply(r, at+vlog.Position(i)) || freed
	}
	return freed, nil
}

// collect trims the log if enough of it has become superfluous. The checkpoint is durable before anything is trimmed.
func (w *wal) collect() error {
	w.mu.Lock()
	low := vlog.Position(0)
	for _, l := range w.loglets {
		if len(l.runs) > 0 && (low == 0 || l.runs[0].at < low) {
			low = l.runs[0].at // runs ascend by position, and so they do in the log
		}
	}
	checkpoint := w.state(false)
	begin := w.begin
	w.mu.Unlock()
	ctx := context.Background()
	if low == 0 {
		t, err := w.log.Tail(ctx)
		if err != nil {
			return err
		}
		low = t.Next
	}
	if low < begin+w.slack {
		return nil
	}
	size := walHeader * len(checkpoint)
	if _, err := w.append(checkpoint, size); err != nil {
		return err
	}
	if _, err := w.log.Trim(ctx, low); err != nil {
		return fmt.Errorf("vlog/native: trim the log of a log server: %w", err)
	}
	w.mu.Lock()
	w.begin = low
	w.mu.Unlock()
	return nil
}

// state is the records that make the present state; without entries it is a checkpoint. Caller holds mu.
func (w *wal) state(entries bool) []core.Record {
	out := []core.Record{w.identityRecord()}
	for _, chain := range slices.Sorted(maps.Keys(w.lowest)) {
		out = append(out, core.Record{Kind: core.RecordLow, Key: core.Key{Loglet: w.lowest[chain]}})
	}
	for _, k := range slices.SortedFunc(maps.Keys(w.loglets), core.Key.Compare) {
		l := w.loglets[k]
		out = append(out, core.Record{Kind: core.RecordOpen, Key: k}, core.Record{Kind: core.RecordTrim, Key: k, Pos: l.trimmed})
		if entries {
			for _, r := range l.runs {
				for i := range r.n {
					out = append(out, core.Record{Kind: core.RecordEntry, Key: k, Pos: r.first + i})
				}
			}
		}
		if l.sealed {
			out = append(out, core.Record{Kind: core.RecordSeal, Key: k})
		}
		if l.lost {
			out = append(out, core.Record{Kind: core.RecordLost, Key: k})
		}
		if l.over {
			out = append(out, core.Record{Kind: core.RecordDrop, Key: k})
		}
	}
	return out
}

// Replay implements storage.
func (w *wal) Replay(take func(core.Record)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.state(true)[1:] {
		take(r)
	}
	return nil
}

// Read implements storage.
func (w *wal) Read(loglet core.Key, first, next vlog.Position, maxBytes int) (out [][]byte, err error) {
	for first < next {
		at, n := w.find(loglet, first)
		if n = min(n, next-first); n == 0 {
			return out, nil
		}
		entries, err := w.log.Read(context.Background(), at, at+n, maxBytes+walHeader)
		if errors.Is(err, vlog.ErrTrimmed) {
			return out, nil // meanwhile
		}
		if err != nil || len(entries) == 0 {
			return out, errors.Join(err, fmt.Errorf("vlog/native: read position %d of loglet %d", first, loglet))
		}
		for _, e := range entries {
			r, ok := decodeRecord(e.Payload)
			if !ok || r.Kind != core.RecordEntry || r.Key != loglet || r.Pos != first {
				return out, fmt.Errorf("vlog/native: position %d of loglet %d is not where the index says", first, loglet)
			}
			if maxBytes -= len(r.Payload); maxBytes < 0 && len(out) > 0 {
				return out, nil
			}
			out = append(out, r.Payload)
			first++
		}
		if maxBytes <= 0 {
			return out, nil
		}
	}
	return out, nil
}

// find returns where position p stands in the log, and how many follow it side by side, itself included; 0 if it is not there.
func (w *wal) find(loglet core.Key, p vlog.Position) (at, n vlog.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.loglets[loglet]
	if l == nil {
		return 0, 0
	}
	i := sort.Search(len(l.runs), func(i int) bool { return l.runs[i].first+l.runs[i].n > p })
	if i == len(l.runs) || l.runs[i].first > p {
		return 0, 0
	}
	skip := p - l.runs[i].first
	return l.runs[i].at + skip, l.runs[i].n - skip
}

// Identity implements storage.
func (w *wal) Identity() uint64 { return w.identity }

// Close implements storage.
func (w *wal) Close() error { return w.log.Close() }
