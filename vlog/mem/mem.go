// Package mem is a Loglet and a MetaStore in memory, for tests and for throw-away servers. It keeps the whole contract of
// package vlog except durability: everything is gone when the process ends. It is also the simplest correct Loglet, the
// one to read first, and the one that the others are compared with.
package mem

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"rebase/vlog"
)

var (
	_ vlog.Loglet    = (*Loglet)(nil)
	_ vlog.Remover   = (*Loglet)(nil)
	_ vlog.MetaStore = (*Meta)(nil)
)

// Loglet is a handle on a log in memory. The zero value is not usable; use New.
type Loglet struct {
	*contents
	storage *Storage // nil: of no storage
	name    string
	closed  bool // guarded by contents.mu
}

// contents is a log, which outlives its handles.
type contents struct {
	mu      sync.Mutex
	first   vlog.Position // of entries[0]
	entries [][]byte
	sealed  bool
	changed chan struct{} // closed and replaced whenever the tail or a flag changes
}

// New returns an empty Loglet.
func New() *Loglet { return &Loglet{contents: newContents()} }

func newContents() *contents { return &contents{first: 1, changed: make(chan struct{})} }

// Another returns a second handle, as another process would have it.
func (l *Loglet) Another() *Loglet {
	return &Loglet{contents: l.contents, storage: l.storage, name: l.name}
}

// next is the tail. Caller holds mu.
func (c *contents) next() vlog.Position { return c.first + vlog.Position(len(c.entries)) }

// signal wakes every WaitTail. Caller holds mu.
func (c *contents) signal() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Append implements vlog.Loglet.
func (l *Loglet) Append(ctx context.Context, payloads ...[]byte) (vlog.Position, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	if size > vlog.MaxEntryBytes {
		return 0, vlog.ErrTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return 0, vlog.ErrClosed
	case l.sealed:
		return 0, vlog.ErrSealed
	}
	first := l.next()
	for _, p := range payloads {
		l.entries = append(l.entries, slices.Clone(p))
	}
	if len(payloads) > 0 {
		l.signal()
	}
	return first, nil
}

// Tail implements vlog.Loglet.
func (l *Loglet) Tail(ctx context.Context) (vlog.Tail, error) { return l.WaitTail(ctx, 0) }

// WaitTail implements vlog.Loglet.
func (l *Loglet) WaitTail(ctx context.Context, atLeast vlog.Position) (vlog.Tail, error) {
	for {
		l.mu.Lock()
		t, closed, changed := vlog.Tail{Next: l.next(), Sealed: l.sealed}, l.closed, l.changed
		l.mu.Unlock()
		if closed {
			return vlog.Tail{}, vlog.ErrClosed
		}
		if t.Next >= atLeast || t.Sealed {
			return t, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return vlog.Tail{}, ctx.Err()
		}
	}
}

// Read implements vlog.Loglet.
func (l *Loglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, vlog.ErrClosed
	}
	if to = min(to, l.next()); from >= to {
		return nil, nil
	}
	if from < l.first {
		return nil, &vlog.TrimmedError{First: l.first}
	}
	var out []vlog.Entry
	for p := from; p < to; p++ {
		payload := l.entries[p-l.first]
		if maxBytes -= len(payload); maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, vlog.Entry{Pos: p, Payload: payload})
	}
	return out, nil
}

// Trim implements vlog.Loglet.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, vlog.ErrClosed
	}
	if before = min(before, l.next()); before > l.first {
		l.entries = slices.Clone(l.entries[before-l.first:])
		l.first = before
	}
	return l.first, nil
}

// Seal implements vlog.Loglet.
func (l *Loglet) Seal(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return vlog.ErrClosed
	}
	if !l.sealed {
		l.sealed = true
		l.signal()
	}
	return nil
}

// Close implements vlog.Loglet.
func (l *Loglet) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.signal()
	}
	return nil
}

// Remove implements vlog.Remover. Handles that others have go on.
func (l *Loglet) Remove(context.Context) error {
	if l.storage != nil {
		l.storage.mu.Lock()
		if l.storage.logs[l.name] == l.contents {
			delete(l.storage.logs, l.name)
		}
		l.storage.mu.Unlock()
	}
	return l.Close()
}

// Storage holds Loglets by config and id, so that a Log over memory can be closed and opened again, and so that several Logs, as if in
// several processes, can use one chain. The zero value is ready for use.
type Storage struct {
	mu   sync.Mutex
	logs map[string]*contents
}

// Provider returns a Provider of handles on the logs in s.
func (s *Storage) Provider() vlog.Provider {
	return func(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		name := fmt.Sprintf("%d/%s", spec.ID, spec.Config)
		c, ok := s.logs[name]
		if !ok {
			if !spec.Create {
				return nil, vlog.ErrMissing
			}
			if s.logs == nil {
				s.logs = make(map[string]*contents)
			}
			c = newContents()
			s.logs[name] = c
		}
		return &Loglet{contents: c, storage: s, name: name}, nil
	}
}

// Provider returns a Provider with a Storage of its own.
func Provider() vlog.Provider { return new(Storage).Provider() }

// Meta is a MetaStore in memory. The zero value is ready for use.
type Meta struct {
	mu      sync.Mutex
	value   []byte
	version uint64
}

// Load implements vlog.MetaStore.
func (m *Meta) Load(context.Context) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.value), m.version, nil
}

// Store implements vlog.MetaStore.
func (m *Meta) Store(_ context.Context, value []byte, ifVersion uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version != ifVersion {
		return 0, vlog.ErrConflict
	}
	m.value, m.version = slices.Clone(value), m.version+1
	return m.version, nil
}
