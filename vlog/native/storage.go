package native

import (
	"maps"
	"slices"
	"sync"

	"rebase/vlog"
	"rebase/vlog/native/core"
)

// storage is the disk of a log server. Append is called by one goroutine at a time, Read by any.
type storage interface {
	// Append writes the records, in order, and returns when they are durable. After a crash a prefix of what was being written may be there. After an
	// error nothing more may be appended.
	Append(records []core.Record) error
	// Replay passes on records that rebuild what was appended, before anything else is called.
	Replay(take func(core.Record)) error
	// Read returns payloads of a loglet from position first on, up to next, at most maxBytes but at least one; none if first has been trimmed.
	Read(loglet core.Key, first, next vlog.Position, maxBytes int) ([][]byte, error)
	// Identity is the disk's: drawn at random when it was empty.
	Identity() uint64
	Close() error
}

// memory is a storage that is durable for as long as its process.
type memory struct {
	identity uint64

	mu      sync.Mutex
	lowest  map[uint16]uint64
	loglets map[core.Key]*memoryLoglet
}

type memoryLoglet struct {
	trimmed      vlog.Position
	sealed, lost bool
	over         bool
	entries      map[vlog.Position][]byte
}

var _ storage = (*memory)(nil)

func newMemory(identity uint64) *memory {
	return &memory{identity: identity, lowest: map[uint16]uint64{}, loglets: map[core.Key]*memoryLoglet{}}
}

func (m *memory) Identity() uint64 { return m.identity }
func (m *memory) Close() error     { return nil }

func (m *memory) Append(records []core.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		if r.Kind == core.RecordLow {
			m.lowest[r.Chain()] = max(m.lowest[r.Chain()], r.Loglet)
			maps.DeleteFunc(m.loglets, func(k core.Key, _ *memoryLoglet) bool { return r.Covers(k) })
			continue
		}
		if r.Kind == core.RecordOpen {
			m.loglets[r.Key] = &memoryLoglet{trimmed: 1, entries: map[vlog.Position][]byte{}}
			continue
		}
		l := m.loglets[r.Key]
		if l == nil {
			continue // dropped while the record was on its way
		}
		switch r.Kind {
		case core.RecordEntry:
			l.entries[r.Pos] = r.Payload
		case core.RecordSeal:
			l.sealed = true
		case core.RecordLost:
			l.lost = true
		case core.RecordDrop:
			l.over, l.entries = true, nil
		case core.RecordTrim:
			l.trimmed = max(l.trimmed, r.Pos)
			maps.DeleteFunc(l.entries, func(p vlog.Position, _ []byte) bool { return p < l.trimmed })
		}
	}
	return nil
}

func (m *memory) Replay(take func(core.Record)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, chain := range slices.Sorted(maps.Keys(m.lowest)) {
		take(core.Record{Kind: core.RecordLow, Key: core.Key{Loglet: m.lowest[chain]}})
	}
	for _, k := range slices.SortedFunc(maps.Keys(m.loglets), core.Key.Compare) {
		l := m.loglets[k]
		take(core.Record{Kind: core.RecordOpen, Key: k})
		take(core.Record{Kind: core.RecordTrim, Key: k, Pos: l.trimmed})
		for _, p := range slices.Sorted(maps.Keys(l.entries)) {
			take(core.Record{Kind: core.RecordEntry, Key: k, Pos: p})
		}
		if l.sealed {
			take(core.Record{Kind: core.RecordSeal, Key: k})
		}
		if l.lost {
			take(core.Record{Kind: core.RecordLost, Key: k})
		}
		if l.over {
			take(core.Record{Kind: core.RecordDrop, Key: k})
		}
	}
	return nil
}

func (m *memory) Read(loglet core.Key, first, next vlog.Position, maxBytes int) (out [][]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.loglets[loglet]
	if l == nil {
		return nil, nil
	}
	for p := first; p < next; p++ {
		e, ok := l.entries[p]
		if maxBytes -= len(e); !ok || maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return out, nil
}
