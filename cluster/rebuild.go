package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rebase/vlog"
	"rebase/vlog/native"
	"rebase/vlog/native/core"
)

// A sealed part of the log stays on the disks that it was written to. As nodes leave, fewer and fewer of them are left; before they are no majority
// any more, the part is copied to a new loglet on disks of nodes that stay, and that one takes its place in the chain (reconfigModify of
// "Virtual Consensus in Delos"): nothing is sealed, and readers do not notice.

// rebuildBytes is how much is read and written at a time.
const rebuildBytes = 4 << 20

// remaining are those of a part's servers that have not left the cluster.
func (c *Cluster) remaining(p part) []NodeID {
	return slices.DeleteFunc(slices.Clone(p.servers), func(id NodeID) bool {
		r, ok := c.registry.get(id)
		return !ok || r.State == Left
	})
}

// endangers says whether a segment would be left without a majority of its disks if a node went.
func (c *Cluster) endangers(s vlog.Segment, gone NodeID) bool {
	for _, p := range c.parts(s) {
		left := slices.DeleteFunc(c.remaining(p), func(id NodeID) bool { return id == gone })
		if slices.Contains(p.servers, gone) && len(left) <= len(p.servers)/2 {
			return true
		}
	}
	return false
}

// heal copies sealed parts of the log that are on fewer disks than they could be, because a node has left, say, or the cluster has grown: the next node that is
// lost must not cost them their majority. The database node of the lowest number that is alive does it.
func (d *driver) heal() {
	c := d.c
	trouble := complaint{first: 10 * time.Second, every: time.Minute}
	for {
		sleep(c.ctx, time.Second)
		if c.ctx.Err() != nil {
			return
		}
		if c.rank() != 0 || !slices.ContainsFunc(d.h.Log.Chain().Segments, c.wounded) {
			continue
		}
		chain, err := c.chain(c.ctx) // the log's own may be older
		if err != nil {
			continue
		}
		for _, s := range chain.Segments {
			if !c.wounded(s) {
				continue
			}
			ctx, cancel := context.WithTimeout(c.ctx, healTimeout)
			err := c.rebuild(ctx, d.h.Log, s, 0)
			cancel()
			var overtaken *vlog.OvertakenError
			if err != nil && !errors.As(err, &overtaken) {
				if trouble.due(time.Now()) && c.ctx.Err() == nil {
					c.log.Warn("a part of the log that is on too few disks could not be copied to others for a while; it is tried again and again",
						"loglet", s.ID, "from", s.Start, "to", s.End, "err", err)
				}
				sleep(c.ctx, 5*time.Second)
				break
			}
			trouble = complaint{first: trouble.first, every: trouble.every}
		}
	}
}

// healTimeout is for one part of the log, which may have gigabytes.
const healTimeout = 10 * time.Minute

// wounded says whether a segment is a sealed native one, with entries, of which a copy would survive the loss of more disks.
func (c *Cluster) wounded(s vlog.Segment) bool {
	if !s.Sealed || s.End == s.Start || s.Kind != "native" {
		return false
	}
	homes := len(c.homes(0))
	return slices.ContainsFunc(c.parts(s), func(p part) bool {
		return len(c.remaining(p))-majority(len(p.servers)) < homes-majority(homes)
	})
}

func majority(n int) int { return n/2 + 1 }

// homes are the log servers for a copy of a part of the log, when gone goes.
func (c *Cluster) homes(gone NodeID) (out []core.Node) {
	for _, m := range c.Members() {
		if m.Disk != 0 && m.Alive && m.State == Up && m.ID != gone && len(out) < c.o.LogServers {
			out = append(out, core.Node(m.ID))
		}
	}
	if len(out)%2 == 0 && len(out) > 0 {
		out = out[1:] // an even number survives nothing more
	}
	return out
}

// rebuild copies a sealed native segment to disks of nodes that stay when gone goes, and puts the copy in its place.
func (c *Cluster) rebuild(ctx context.Context, log *vlog.Log, s vlog.Segment, gone NodeID) error {
	if s.Kind != "native" {
		return fmt.Errorf("a loglet of kind %s cannot be copied", s.Kind)
	}
	w := native.Wish{Servers: c.homes(gone)}
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
