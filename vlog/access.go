package vlog

import (
	"context"
	"errors"
	"fmt"
	"time"
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
		seg, s := v.active()
		first, err := l.appendTo(ctx, s, payloads)
		if err == nil {
			s.confirm(first + Position(len(payloads)))
			return seg.toVirtual(first), nil
		}
		if err = l.next(ctx, v, s, err); err != nil {
			return 0, err
		}
	}
}

func (l *Log) appendTo(ctx context.Context, s *slot, payloads [][]byte) (Position, error) {
	loglet, err := s.get(ctx)
	if err != nil {
		return 0, err
	}
	ctx, done := l.attend(ctx, s.leading, s)
	defer s.leave(done)
	return loglet.Append(ctx, payloads...)
}

// attend returns the context for a call of the Loglet s, which ends with ctx or with other, and counts the call, so that one that waits for long is noticed.
// What it returns is passed to s.leave.
func (l *Log) attend(ctx, other context.Context, s *slot) (context.Context, func()) {
	s.calls.Add(1)
	l.watch.rouse(l)
	if ctx.Done() == nil {
		return other, nil
	}
	return bind(ctx, other)
}

// next decides what to do after an error of the Loglet s of v: nil means that a newer view is in place and the call is to be
// repeated there.
func (l *Log) next(ctx context.Context, v *view, s *slot, err error) error {
	switch {
	case errors.Is(err, ErrSealed):
		return l.advance(ctx, v)
	case ctx.Err() != nil:
		return err
	case errors.Is(err, context.Canceled) && s.leading.Err() != nil, errors.Is(err, ErrClosed):
		if l.life.Err() != nil {
			return ErrClosed
		}
		if l.view.Load() != v {
			return nil
		}
		// Closed or let go under a chain that still names it? Perhaps there is another.
		changed, rerr := l.refresh(ctx)
		if changed || rerr != nil {
			return rerr
		}
	}
	return err
}

// refresh asks the register for a newer chain.
func (l *Log) refresh(ctx context.Context) (changed bool, err error) {
	seen := l.view.Load()
	ctx, release, err := l.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if l.view.Load() != seen {
		return true, nil
	}
	changed, err = l.reload(ctx)
	return changed, l.blame(err)
}

// Tail is Loglet.Tail on virtual positions. It is never sealed: a tail of a sealed Loglet is thrown away, because the
// Loglet cannot tell where the chain cut it off, and the next Loglet is asked.
func (l *Log) Tail(ctx context.Context) (Tail, error) { return l.WaitTail(ctx, 0) }

// WaitTail is Loglet.WaitTail on virtual positions.
func (l *Log) WaitTail(ctx context.Context, atLeast Position) (Tail, error) {
	for {
		v := l.view.Load()
		seg, s := v.active()
		t, err := l.tailOf(ctx, s, seg, atLeast)
		if err == nil && (!t.Sealed || l.opts.mistakes&mistakeSealedTail != 0) {
			s.confirm(t.Next)
			return Tail{Next: seg.toVirtual(t.Next)}, nil
		}
		if err == nil {
			err = ErrSealed
		}
		if err = l.next(ctx, v, s, err); err != nil {
			return Tail{}, err
		}
	}
}

func (l *Log) tailOf(ctx context.Context, s *slot, seg Segment, atLeast Position) (Tail, error) {
	loglet, err := s.get(ctx)
	if err != nil {
		return Tail{}, err
	}
	ctx, done := l.attend(ctx, s.leading, s)
	defer s.leave(done)
	if atLeast <= seg.Start {
		return loglet.Tail(ctx)
	}
	t, err := loglet.WaitTail(ctx, seg.toLoglet(atLeast))
	if t.Sealed && l.opts.mistakes&mistakeParked != 0 {
		<-l.life.Done()
		return t, ErrClosed
	}
	return t, err
}

// Read is Loglet.Read on virtual positions. It returns entries of one segment at a time.
//
// In the active Loglet it reads only below a tail that this Log has been given, and asks for one where it has none: a Loglet that another process has
// sealed may hold more than the chain has kept of it, at positions that are now the next Loglet's.
func (l *Log) Read(ctx context.Context, from, to Position, maxBytes int) ([]Entry, error) {
	for pause := time.Millisecond; from < to; {
		v := l.view.Load()
		i := v.chain.locate(from)
		if i < 0 {
			return nil, &TrimmedError{First: v.chain.First()}
		}
		seg, s := v.chain.Segments[i], v.slots[i]
		end := to
		if l.opts.mistakes&mistakeReadBeyond != 0 {
			end = to
		} else if seg.Sealed {
			end = min(to, seg.End) // beyond it the addresses are the next segment's
		} else if end = min(to, seg.toVirtual(Position(s.confirmed.Load()))); from >= end {
			t, err := l.Tail(ctx)
			if err != nil || t.Next <= from {
				return nil, err
			}
			continue
		}
		entries, err := l.readIn(ctx, s, seg, from, end, maxBytes)
		var trimmed *TrimmedError
		switch {
		case err == nil && len(entries) > 0:
			return entries, nil
		case err == nil:
			from = end // no position of a sparse Loglet is in between
		case errors.As(err, &trimmed):
			err = &TrimmedError{First: seg.toVirtual(trimmed.First)}
			if err = l.unlessChanged(ctx, err); err != nil {
				return nil, err
			}
		case errors.Is(err, errUnopened) && !lasting(err):
			if rest(ctx, pause); ctx.Err() != nil {
				return nil, err
			}
			pause = min(2*pause, time.Second)
			if _, err := l.refresh(ctx); err != nil && lasting(err) {
				return nil, err
			}
		default:
			if err = l.nextRead(ctx, v, s, err); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// errUnopened marks the failure to open a sealed segment's Loglet.
var errUnopened = errors.New("vlog: a part of the log cannot be opened now")

func (l *Log) readIn(ctx context.Context, s *slot, seg Segment, from, to Position, maxBytes int) ([]Entry, error) {
	loglet, err := s.get(ctx)
	if err != nil {
		if errors.Is(err, ErrClosed) || ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUnopened, err)
	}
	ctx, done := l.attend(ctx, s.present, s)
	defer s.leave(done)
	entries, err := loglet.Read(ctx, seg.toLoglet(from), seg.toLoglet(to), maxBytes)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 && seg.Sealed {
		// To go on behind a gap is right only if it is one: what the chain says was written must have been.
		t, err := loglet.Tail(ctx)
		if err != nil {
			return nil, err
		}
		if t.Next < seg.toLoglet(seg.End) {
			return nil, &CorruptError{File: fmt.Sprintf("%s loglet %d", seg.Kind, seg.ID), Offset: int64(t.Next),
				Reason: fmt.Sprintf("it ends at %d, but the chain says %d: entries are lost", t.Next, seg.toLoglet(seg.End))}
		}
	}
	if seg.Start != 1 {
		for j := range entries {
			entries[j].Pos = seg.toVirtual(entries[j].Pos)
		}
	}
	return entries, nil
}

// nextRead is next for a Loglet that need not be the active one.
func (l *Log) nextRead(ctx context.Context, v *view, s *slot, err error) error {
	switch {
	case ctx.Err() != nil:
		return err
	case errors.Is(err, context.Canceled) && s.present.Err() != nil:
		err = ErrClosed
	case !errors.Is(err, ErrClosed):
		return l.unlessChanged(ctx, err)
	}
	return l.next(ctx, v, s, err)
}

// unlessChanged returns err, or nil if there is a newer chain: what is trimmed, lost or broken in a Loglet may be whole in another one that has taken
// its place, after which the storage of this one was deleted.
func (l *Log) unlessChanged(ctx context.Context, err error) error {
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		changed, rerr := l.refresh(ctx)
		switch {
		case rerr == nil && changed:
			return nil
		case rerr == nil:
			return err
		case ctx.Err() != nil || lasting(rerr):
			return rerr // and not err, which nobody knows to be true
		}
		rest(ctx, pause)
	}
}

// Trim is Loglet.Trim on virtual positions. Segments that fall wholly below before leave the chain and their storage is
// deleted. If the process dies in between, a later Open deletes it (LogletSpec.Lowest).
func (l *Log) Trim(ctx context.Context, before Position) (Position, error) {
	if seg, s := l.view.Load().active(); before > seg.toVirtual(Position(s.confirmed.Load())) {
		t, err := l.Tail(ctx)
		if err != nil {
			return 0, err
		}
		before = min(before, t.Next)
	}
	for {
		v := l.view.Load()
		if len(v.chain.Truncate(before, [16]byte{}).Segments) < len(v.chain.Segments) {
			if err := l.truncate(ctx, v, before); err != nil {
				return 0, err
			}
			continue
		}
		p, err := l.trimFirst(ctx, v, before)
		if err == nil {
			return p, nil
		}
		if err = l.nextRead(ctx, v, v.slots[0], err); err != nil {
			return 0, err
		}
	}
}

// truncate drops the segments below before from the chain. It returns nil too if another has changed the chain.
func (l *Log) truncate(ctx context.Context, v *view, before Position) error {
	begin := time.Now()
	ctx, release, err := l.acquire(ctx)
	if err != nil {
		return err
	}
	defer release()
	if l.view.Load() != v {
		return nil
	}
	shorter := v.chain.Truncate(before, newReconfiguration())
	won, err := l.install(ctx, shorter, v.version, nil, Reconfigured{Kind: Truncated, began: begin})
	if err == nil && !won {
		_, err = l.reload(ctx)
	}
	if err != nil {
		return l.blame(err)
	}
	if !won {
		return nil
	}
	for j, s := range v.chain.Segments {
		if s.ID < shorter.Lowest {
			if _, e := v.slots[j].get(ctx); e == nil || !errors.Is(e, ErrMissing) {
				err = errors.Join(err, e)
			}
			if e := v.slots[j].drop(func(o Loglet) error { return remove(ctx, o) }); e != nil {
				err = errors.Join(err, fmt.Errorf("vlog: remove trimmed loglet %d: %w", s.ID, e))
			}
		}
	}
	return err
}

// trimFirst trims inside the oldest segment; before 0 only asks.
func (l *Log) trimFirst(ctx context.Context, v *view, before Position) (Position, error) {
	seg, s := v.chain.Segments[0], v.slots[0]
	if seg.Sealed {
		before = min(before, seg.End)
	}
	p := Position(0)
	if before > seg.Start {
		p = seg.toLoglet(before)
	}
	loglet, err := s.get(ctx)
	if err != nil {
		return 0, err
	}
	ctx, done := l.attend(ctx, s.present, s)
	defer s.leave(done)
	effective, err := loglet.Trim(ctx, p)
	if err != nil {
		return 0, err
	}
	return seg.toVirtual(effective), nil
}
