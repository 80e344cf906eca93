package vlog

import (
	"context"
	"errors"
	"fmt"
)

// Append is Loglet.Append on virtual positions. If the active Loglet is sealed it continues in the next one, where the
// payloads may then stand a second time.
func (l *Log) Append(ctx context.Context, payloads ...[]byte) (Position, error) {
	size := 0
	for _, p := range payloads {
		size += len(p)
	}
	if size > MaxEntryBytes {
		return 0, ErrTooLarge
	}
	for {
		v := l.view.Load()
		seg, loglet := v.active()
		first, err := loglet.Append(ctx, payloads...)
		if err == nil {
			return seg.toVirtual(first), nil
		}
		if err = l.next(ctx, v, err); err != nil {
			return 0, err
		}
	}
}

// next decides what to do after an error of a Loglet of v: nil means that a newer view is in place and the call is to be
// repeated there.
func (l *Log) next(ctx context.Context, v *view, err error) error {
	sealed := errors.Is(err, ErrSealed)
	if !sealed && (!errors.Is(err, ErrClosed) || l.closed.Load()) {
		return err
	}
	return l.advance(ctx, v, sealed)
}

// Tail is Loglet.Tail on virtual positions. It is never sealed: a tail of a sealed Loglet is thrown away, because the
// Loglet cannot tell where the chain cut it off, and the next Loglet is asked.
func (l *Log) Tail(ctx context.Context) (Tail, error) {
	return l.tail(ctx, func(Segment, Loglet) Position { return 0 })
}

// WaitTail is Loglet.WaitTail on virtual positions.
func (l *Log) WaitTail(ctx context.Context, atLeast Position) (Tail, error) {
	return l.tail(ctx, func(s Segment, loglet Loglet) Position {
		if atLeast < s.Start {
			return 0
		}
		return s.toLoglet(atLeast)
	})
}

func (l *Log) tail(ctx context.Context, atLeast func(Segment, Loglet) Position) (Tail, error) {
	for {
		v := l.view.Load()
		seg, loglet := v.active()
		var t Tail
		var err error
		if p := atLeast(seg, loglet); p > 0 {
			t, err = loglet.WaitTail(ctx, p)
		} else {
			t, err = loglet.Tail(ctx)
		}
		if err == nil && !t.Sealed {
			return Tail{Next: seg.toVirtual(t.Next)}, nil
		}
		if err == nil {
			err = ErrSealed
		}
		if err = l.next(ctx, v, err); err != nil {
			return Tail{}, err
		}
	}
}

// Read is Loglet.Read on virtual positions. It returns entries of one segment at a time. Where several processes share a
// chain, only what lies below a tail that this Log has returned is sure to be found: behind it, the chain in use may be
// one that another process has since extended.
func (l *Log) Read(ctx context.Context, from, to Position, maxBytes int) ([]Entry, error) {
	if from >= to {
		return nil, nil
	}
	for {
		v := l.view.Load()
		i := v.chain.locate(from)
		if i < 0 {
			return nil, &TrimmedError{First: v.chain.First()}
		}
		seg, loglet := v.chain.Segments[i], v.loglets[i]
		if seg.Sealed {
			to = min(to, seg.End) // beyond it the addresses are the next segment's
		}
		entries, err := loglet.Read(ctx, seg.toLoglet(from), seg.toLoglet(to), maxBytes)
		var trimmed *TrimmedError
		switch {
		case errors.As(err, &trimmed):
			return nil, &TrimmedError{First: seg.toVirtual(trimmed.First)}
		case err != nil:
			if err = l.next(ctx, v, err); err != nil {
				return nil, err
			}
			continue
		}
		if seg.Start != 1 {
			for j := range entries {
				entries[j].Pos = seg.toVirtual(entries[j].Pos)
			}
		}
		return entries, nil
	}
}

// Trim is Loglet.Trim on virtual positions. Segments that fall wholly below before leave the chain and their storage is
// deleted. If the process dies in between, the next Open deletes it (LogletSpec.Lowest).
func (l *Log) Trim(ctx context.Context, before Position) (Position, error) {
	l.reconf.Lock()
	defer l.reconf.Unlock()
	for {
		if l.closed.Load() {
			return 0, ErrClosed
		}
		v := l.view.Load()
		i := v.chain.locate(before)
		if i < 0 {
			return l.trimFirst(ctx, v, 0)
		}
		shorter := v.chain.Truncate(before, newReconfiguration())
		if len(shorter.Segments) == len(v.chain.Segments) {
			return l.trimFirst(ctx, v, before)
		}
		won, err := l.install(ctx, shorter, l.version, nil)
		if err != nil {
			return 0, err
		}
		if !won {
			if _, err := l.reload(ctx); err != nil {
				return 0, err
			}
			continue
		}
		for j, s := range v.chain.Segments {
			if s.ID < shorter.Lowest {
				if e := remove(ctx, v.loglets[j]); e != nil {
					err = errors.Join(err, fmt.Errorf("vlog: remove trimmed loglet %d: %w", s.ID, e))
				}
			}
		}
		if err != nil {
			return 0, err
		}
	}
}

// trimFirst trims inside the oldest segment; before 0 only asks.
func (l *Log) trimFirst(ctx context.Context, v *view, before Position) (Position, error) {
	seg, loglet := v.chain.Segments[0], v.loglets[0]
	if seg.Sealed {
		before = min(before, seg.End)
	}
	p := Position(0)
	if before > seg.Start {
		p = seg.toLoglet(before)
	}
	effective, err := loglet.Trim(ctx, p)
	if err != nil {
		return 0, err
	}
	return seg.toVirtual(effective), nil
}
