package striped

import (
	"context"
	"errors"
	"sync"

	"rebase/vlog"
)

// cache holds slots that were appended or read ahead.
type cache struct {
	mu    sync.Mutex
	slots map[slot][][]byte
	order []slot // the oldest first
	bytes int
}

const cacheBytes = 8 << 20

func (c *cache) init() { c.slots = map[slot][][]byte{} }

func sizeOf(entries [][]byte) int {
	n := 64
	for _, e := range entries {
		n += len(e) + 24
	}
	return n
}

func (c *cache) put(s slot, entries [][]byte) {
	size := sizeOf(entries)
	if size > cacheBytes/2 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.slots[s]; ok {
		return
	}
	c.slots[s] = entries
	c.order = append(c.order, s)
	for c.bytes += size; c.bytes > cacheBytes; c.order = c.order[1:] {
		c.bytes -= sizeOf(c.slots[c.order[0]])
		delete(c.slots, c.order[0])
	}
}

func (c *cache) get(s slot) ([][]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.slots[s]
	return e, ok
}

// Read implements vlog.Loglet.
func (l *Loglet) Read(ctx context.Context, from, to vlog.Position, maxBytes int) ([]vlog.Entry, error) {
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	if from >= to {
		return nil, nil
	}
	end := l.readable()
	if from >= end.position() {
		// Nothing is decided from what this handle has not been told.
		t, err := l.Tail(ctx)
		if err != nil {
			return nil, err
		}
		end, _ = slotOf(t.Next)
	}
	end = min(end, slotFrom(to))
	at, index := slotOf(from)
	if p := l.trimPoint(); at < p && from < end.position() {
		return nil, &vlog.TrimmedError{First: p.position()}
	}
	var out []vlog.Entry
	for ; at < end; at++ {
		entries, ok := l.cache.get(at)
		if !ok {
			if len(out) > 0 && maxBytes <= 0 {
				return out, nil
			}
			var err error
			if entries, err = l.load(ctx, at, end, max(maxBytes, 0)); err != nil {
				if len(out) > 0 {
					return out, nil
				}
				return nil, err
			}
		}
		for i := index; i < len(entries); i++ {
			p := at.position() + vlog.Position(i)
			if p >= to {
				return out, nil
			}
			if maxBytes -= len(entries[i]); maxBytes < 0 && len(out) > 0 {
				return out, nil
			}
			out = append(out, vlog.Entry{Pos: p, Payload: entries[i]})
		}
		index = 0
	}
	return out, nil
}

func (l *Loglet) readable() slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.filled, l.told)
}

func (l *Loglet) trimPoint() slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trimmed
}

// What is asked of every stripe is its share of what the caller wants, between these bounds.
const (
	leastAhead = 64 << 10
	mostAhead  = 1 << 20
)

// load reads a slot, and some that follow it in every stripe at once into the cache.
func (l *Loglet) load(ctx context.Context, at, end slot, maxBytes int) ([][]byte, error) {
	var mu sync.Mutex
	var wanted [][]byte
	found := false
	share := min(max(maxBytes/len(l.stripes), leastAhead), mostAhead)
	err := l.each(func(k int, s vlog.Loglet) error {
		from, to := l.below(k, at), l.below(k, end)
		if from >= to {
			return nil
		}
		own := l.at(k, from) == at
		if !own {
			if _, ok := l.cache.get(l.at(k, from)); ok {
				return nil // it is ahead already
			}
		}
		es, err := s.Read(ctx, from, to, share)
		if err != nil {
			if own {
				return err
			}
			return nil // who needs it will ask again
		}
		for _, e := range es {
			entries, err := decode(e.Payload)
			if err != nil {
				return err
			}
			at2 := l.at(k, e.Pos)
			if at2 == at {
				mu.Lock()
				wanted, found = entries, true
				mu.Unlock()
			}
			l.cache.put(at2, entries)
		}
		return nil
	})
	if errors.Is(err, vlog.ErrTrimmed) {
		if _, err := l.Trim(ctx, 0); err != nil {
			return nil, err
		}
		return nil, &vlog.TrimmedError{First: l.trimPoint().position()}
	}
	if err == nil && !found {
		err = errors.New("vlog/striped: a stripe does not return an entry below its tail")
	}
	return wanted, err
}

// Trim implements vlog.Loglet: it trims whole slots, as far as the stripes do.
func (l *Loglet) Trim(ctx context.Context, before vlog.Position) (vlog.Position, error) {
	if err := l.usable(ctx); err != nil {
		return 0, err
	}
	upTo := slot(0)
	if before > 1 {
		upTo, _ = slotOf(before)
		if upTo > l.readable() {
			t, err := l.Tail(ctx)
			if err != nil {
				return 0, err
			}
			end, _ := slotOf(t.Next)
			upTo = min(upTo, end)
		}
	}
	var mu sync.Mutex
	first := slot(0)
	err := l.each(func(k int, s vlog.Loglet) error {
		p, err := s.Trim(ctx, l.below(k, upTo))
		if err == nil && p > 1 {
			mu.Lock()
			first = max(first, l.at(k, p-1)+1)
			mu.Unlock()
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimmed = max(l.trimmed, first)
	return l.trimmed.position(), nil
}
