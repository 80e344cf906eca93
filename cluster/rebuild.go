package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rebase/vlog"
	"rebase/vlog/native"
	"rebase/vlog/native/core"
)

// A sealed part of the log stays on the disks that it was written to. As nodes leave, fewer and fewer of them are left; before they are no majority
// any more, the part is copied to a new loglet on disks of nodes that stay, and that one takes its place in the chain (reconfigModify of
// "Virtual Consensus in Delos"): nothing is sealed, and readers do not notice.

// rebuildBytes is how much is read and written at a time.
const rebuildBytes = 4 << 20

// endangered are the sealed segments of a chain, with entries, that would be left without a majority of their disks if a node went.
func (c *Cluster) endangered(chain vlog.Chain, gone NodeID) (out []vlog.Segment) {
	stays := func(id NodeID) bool {
		r, ok := c.registry.get(id)
		return ok && id != gone && r.State != Left
	}
	for _, s := range chain.Segments {
		if !s.Sealed || s.End == s.Start {
			continue
		}
		for _, p := range c.parts(s) {
			left := len(slices.DeleteFunc(slices.Clone(p.servers), func(id NodeID) bool { return !stays(id) }))
			if slices.Contains(p.servers, gone) && left <= len(p.servers)/2 {
				out = append(out, s)
				break
			}
		}
	}
	return out
}

// rebuild copies a sealed native segment to disks of nodes that stay when gone goes, and puts the copy in its place.
func (c *Cluster) rebuild(ctx context.Context, log *vlog.Log, s vlog.Segment, gone NodeID) error {
	if s.Kind != "native" {
		return fmt.Errorf("a loglet of kind %s cannot be copied", s.Kind)
	}
	var w native.Wish
	for _, m := range c.Members() {
		if m.Disk != 0 && m.Alive && m.State == Up && m.ID != gone && len(w.Servers) < c.o.LogServers {
			w.Servers = append(w.Servers, core.Node(m.ID))
		}
	}
	w.Count = len(w.Servers)
	fresh, err := c.node.Provider()(ctx, vlog.LogletSpec{ID: s.ID, Config: w.Encode(), Create: true, Lowest: log.Chain().Lowest})
	if err != nil {
		return err
	}
	if err := c.copySegment(ctx, log, s, fresh); err != nil {
		return errors.Join(err, discard(ctx, fresh))
	}
	c.log.Info("copied a part of the log to other disks", "loglet", s.ID, "from", s.Start, "to", s.End)
	return log.Replace(ctx, s.ID, vlog.Segment{Kind: s.Kind}, fresh)
}

// discard deletes a loglet that no chain names.
func discard(ctx context.Context, l vlog.Loglet) error {
	if d, ok := l.(vlog.Discarder); ok {
		return d.Discard(ctx)
	}
	return l.Close()
}

// copySegment makes fresh, a new loglet with dense positions, hold what s holds, at the same ones, and seals it.
func (c *Cluster) copySegment(ctx context.Context, log *vlog.Log, s vlog.Segment, fresh vlog.Loglet) error {
	from := s.Start
	trimmed := vlog.Position(0)
	for from < s.End {
		var payloads [][]byte
		entries, err := log.Read(ctx, from, s.End, rebuildBytes)
		var gap *vlog.TrimmedError
		switch {
		case errors.As(err, &gap) && gap.First > from && gap.First <= s.End:
			// What was trimmed has to take up its positions, too.
			trimmed = gap.First
			payloads = make([][]byte, min(gap.First-from, 4096))
			for i := range payloads {
				payloads[i] = []byte{}
			}
		case err != nil:
			return err
		case len(entries) == 0:
			return fmt.Errorf("entry %d cannot be read", from)
		}
		for i, e := range entries {
			if e.Pos != from+vlog.Position(i) {
				return fmt.Errorf("entry %d is missing", from+vlog.Position(i))
			}
			payloads = append(payloads, e.Payload)
		}
		first, err := fresh.Append(ctx, payloads...)
		if err != nil {
			return err
		}
		if first != from-s.Start+1 {
			return fmt.Errorf("entry %d of the copy stands at %d", from-s.Start+1, first)
		}
		from += vlog.Position(len(payloads))
	}
	if trimmed > s.Start {
		if _, err := fresh.Trim(ctx, trimmed-s.Start+1); err != nil {
			return err
		}
	}
	return fresh.Seal(ctx)
}
