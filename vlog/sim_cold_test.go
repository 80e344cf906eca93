package vlog_test

import (
	"context"
	"errors"
	"fmt"

	"rebase/vlog"
)

// simCold is cold storage: a loglet that is always sealed, holds what some segment held, and can be read by every process at once.
type simCold struct {
	w *sim
	*coldStore
}

type coldStore struct {
	config  string
	entries [][]byte
	first   vlog.Position
	removed bool
}

var (
	_ vlog.Loglet  = (*simCold)(nil)
	_ vlog.Remover = (*simCold)(nil)
)

func (w *sim) coldProvider(_ context.Context, spec vlog.LogletSpec) (vlog.Loglet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.cold[string(spec.Config)]
	if c == nil || c.removed {
		return nil, vlog.ErrMissing
	}
	return &simCold{w, c}, nil
}

func (c *simCold) Append(context.Context, ...[]byte) (vlog.Position, error) {
	return 0, vlog.ErrSealed
}

func (c *simCold) Tail(context.Context) (vlog.Tail, error) {
	return vlog.Tail{Next: vlog.Position(len(c.entries)) + 1, Sealed: true}, nil
}

func (c *simCold) WaitTail(ctx context.Context, _ vlog.Position) (vlog.Tail, error) {
	return c.Tail(ctx)
}

func (c *simCold) Read(_ context.Context, from, to vlog.Position, maxBytes int) (out []vlog.Entry, err error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	if c.removed {
		return nil, errors.New("it is gone")
	}
	to = min(to, vlog.Position(len(c.entries))+1)
	if from < c.first && from < to {
		return nil, &vlog.TrimmedError{First: c.first}
	}
	for p := from; p < to; p++ {
		e := c.entries[p-1]
		if maxBytes -= len(e); maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, vlog.Entry{Pos: p, Payload: e})
	}
	return out, nil
}

func (c *simCold) Trim(_ context.Context, before vlog.Position) (vlog.Position, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.first = max(c.first, min(before, vlog.Position(len(c.entries))+1))
	return c.first, nil
}

func (c *simCold) Seal(context.Context) error { return nil }
func (c *simCold) Close() error               { return nil }

func (c *simCold) Remove(context.Context) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.removed = true
	return nil
}

// archive moves a sealed segment to cold storage.
func (w *sim) archive(p *simProc) {
	call := w.begins(&simCall{proc: p, kind: "archive"})
	patience := w.patience(4)
	which := w.rng.IntN(max(1, len(p.log.Chain().Segments)-1))
	w.wg.Go(func() {
		ctx, cancel := within(patience)
		defer cancel()
		err := w.archiveIn(ctx, p, which)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended(call, err)
	})
}

func (w *sim) archiveIn(ctx context.Context, p *simProc, which int) error {
	chain := p.log.Chain()
	if which >= len(chain.Segments)-1 {
		return nil
	}
	seg := chain.Segments[which]
	if seg.Kind != "sim" {
		return nil
	}
	w.mu.Lock()
	c := &coldStore{config: fmt.Sprintf("cold %d of loglet %d", p.number(), seg.ID), first: 1}
	w.mu.Unlock()
	for at := seg.Start; at < seg.End; {
		es, err := p.log.Read(ctx, at, seg.End, 1000)
		var trimmed *vlog.TrimmedError
		if errors.As(err, &trimmed) {
			for ; at < min(trimmed.First, seg.End); at++ {
				c.entries = append(c.entries, nil)
			}
			c.first = at - seg.Start + 1
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range es {
			c.entries = append(c.entries, e.Payload)
			at = e.Pos + 1
		}
	}
	w.mu.Lock()
	w.cold[c.config] = c
	w.note("client %d archives loglet %d as %s", p.id, seg.ID, c.config)
	w.check.stats.archived++
	w.mu.Unlock()
	return p.log.Replace(ctx, seg.ID, vlog.Segment{Kind: "cold", Config: []byte(c.config)}, &simCold{w, c})
}
